"""An emotion as the eight weights that Zonos is conditioned on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from models.gpt_sovits.published import EMOTION_NAMES, EmotionName  # in the vector's order

EmotionVector = tuple[float, float, float, float, float, float, float, float]

DEFAULT_EMOTION: EmotionVector = (
    *(0.3077, 0.0256, 0.0256, 0.0256),
    *(0.0256, 0.0256, 0.2564, 0.3077),
)
"""The reference's, used where nothing is said about emotion."""

# Speech is never of one emotion alone. Beside a named one of weight 1 the others keep about the
# share that the weakest ones have in the default.
_NAMED_WEIGHT = 1.0
_OTHERS_WEIGHT = 0.08


def emotion_vector(
    emotion: str | Mapping[str, float] | Mapping[EmotionName, float] | Sequence[float],
) -> EmotionVector:
    """Eight weights of an emotion, that add up to 1.

    Args:
        emotion: a name; or weights by name, absent ones being 0; or all eight in order.

    Raises:
        ValueError: an unknown name, not eight numbers, or weights that are negative, not finite, or
            all 0; the message says what is allowed.
    """
    if isinstance(emotion, str):
        _check_names([emotion])
        weights = [_NAMED_WEIGHT if name == emotion else _OTHERS_WEIGHT for name in EMOTION_NAMES]
    elif isinstance(emotion, Mapping):
        _check_names(list(emotion))
        weights = [emotion.get(name, 0.0) for name in EMOTION_NAMES]
    else:
        weights = list(emotion)
    if len(weights) != len(EMOTION_NAMES):
        raise ValueError(f"{len(weights)} weights of emotions; there are {len(EMOTION_NAMES)}")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ValueError("weights of emotions must be 0 or more, and one more than 0")
    total = math.fsum(weights)
    a, b, c, d, e, f, g, h = (weight / total for weight in weights)
    return (a, b, c, d, e, f, g, h)


def _check_names(names: Sequence[str]) -> None:
    if unknown := sorted(set(names) - set(EMOTION_NAMES)):
        raise ValueError(
            f"emotion {unknown[0][:40]!r} is not known; known: {', '.join(EMOTION_NAMES)}"
        )
