"""Which of a voice's emotions comes nearest to the one that was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from deployments.errors import UnsupportedEmotion
from models.gpt_sovits.published import EMOTION_NAMES, EmotionName

Weights = Mapping[EmotionName, float]
Emotion = str | Weights
"""One of the eight names, or weights of several."""

NEUTRAL: EmotionName = "neutral"

# Emotions that sound alike: where a voice lacks one, the other is nearer than none.
_RELATED = (("happiness", "surprise"), ("sadness", "fear"), ("anger", "disgust"))
_RELATED_NEARNESS = 0.5
_NEARNESS = {pair: _RELATED_NEARNESS for a, b in _RELATED for pair in ((a, b), (b, a))}


def nearest_emotion(emotion: Emotion, choices: Sequence[Weights]) -> int:
    """Index of the choice nearest to an emotion; the neutral one where none is near.

    Nearness is the cosine between weights, in which related emotions count half.

    Args:
        emotion: what was asked for.
        choices: weights of what the voice has, at least one.

    Raises:
        UnsupportedEmotion: a name that is none of the eight, or weights that are no weights.
    """
    wanted = _weights(emotion)
    scores = [_nearness(wanted, choice) for choice in choices]
    if max(scores) <= 0:
        scores = [choice.get(NEUTRAL, 0.0) for choice in choices]
    return scores.index(max(scores))


def main_emotion(weights: Weights) -> EmotionName:
    """The name that weighs most; neutral where nothing is said."""
    return max(weights, key=lambda name: weights[name], default=NEUTRAL)


def _weights(emotion: Emotion) -> Weights:
    weights = {cast(EmotionName, emotion): 1.0} if isinstance(emotion, str) else emotion
    if unknown := sorted(set(weights) - set(EMOTION_NAMES)):
        raise UnsupportedEmotion(
            f"emotion {unknown[0][:40]!r} is not known; known: {', '.join(EMOTION_NAMES)}",
            {"supported": list(EMOTION_NAMES)},
        )
    if not all(0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
        raise UnsupportedEmotion("weights of emotions must be 0 or more, and one more than 0")
    return weights


def _nearness(a: Weights, b: Weights) -> float:
    product = sum(
        weight_a * weight_b * (1.0 if name_a == name_b else _NEARNESS.get((name_a, name_b), 0.0))
        for name_a, weight_a in a.items()
        for name_b, weight_b in b.items()
    )
    length = math.hypot(*b.values())  # that of `a` is the same for every choice
    return product / length if length > 0 else 0.0
