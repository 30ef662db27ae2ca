"""How a text is to be spoken: what a request gives the prefix besides its phonemes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.zonos.codes import ORDINARY_SPEAKING_RATE
from models.zonos.emotion import DEFAULT_EMOTION, EmotionVector, emotion_vector
from models.zonos.symbols import language_ids

SPEAKER_DIM = 128

FMAX_RANGE_HZ = (0.0, 24_000.0)
PITCH_STD_RANGE = (0.0, 400.0)
SPEAKING_RATE_RANGE = (0.0, 40.0)


@dataclass(frozen=True)
class Conditions:
    """Controls of one line; None leaves a control to the network. Defaults are the reference's.

    Args:
        language_id: row of the language, see `models.zonos.symbols.language_id`.
        speaker: (128,) float32, what `SpeakerNetwork` and its projection make of a clip.
        emotion: eight weights, see `emotion_vector`.
        fmax_hz: highest frequency that is heard, 0 to 24,000 Hz; 22,050 for a cloned voice.
        pitch_std: how much the pitch moves, 0 to 400; 20 to 45 is plain, 60 to 150 expressive.
        speaking_rate: phonemes a second, 0 to 40.

    Raises:
        ValueError: a value is out of range, or the speaker is no vector of 128 finite numbers.
    """

    language_id: int | None
    speaker: Tensor | None = None
    emotion: EmotionVector | None = DEFAULT_EMOTION
    fmax_hz: float | None = 22_050.0
    pitch_std: float | None = 20.0
    speaking_rate: float | None = ORDINARY_SPEAKING_RATE

    def __post_init__(self) -> None:
        _check("fmax", self.fmax_hz, FMAX_RANGE_HZ)
        _check("pitch_std", self.pitch_std, PITCH_STD_RANGE)
        _check("speaking_rate", self.speaking_rate, SPEAKING_RATE_RANGE)
        num_languages = len(language_ids())
        if self.language_id is not None and not 0 <= self.language_id < num_languages:
            raise ValueError(f"language id is {self.language_id}; there are {num_languages}")
        if self.emotion is not None:
            emotion_vector(self.emotion)
        if self.speaker is not None and (
            self.speaker.shape != (SPEAKER_DIM,) or not self.speaker.isfinite().all()
        ):
            raise ValueError(
                f"a speaker is ({SPEAKER_DIM},) finite numbers, not {tuple(self.speaker.shape)}"
            )

    def values(self) -> dict[str, Tensor]:
        """What is given, as `PrefixConditioner` takes it."""
        values: dict[str, Tensor] = {}
        if self.speaker is not None:
            values["speaker"] = self.speaker
        if self.emotion is not None:
            weights = torch.tensor(self.emotion)
            values["emotion"] = weights / weights.sum()
        numbers = {
            "fmax": self.fmax_hz,
            "pitch_std": self.pitch_std,
            "speaking_rate": self.speaking_rate,
        }
        values |= {name: torch.tensor([n]) for name, n in numbers.items() if n is not None}
        if self.language_id is not None:
            values["language_id"] = torch.tensor([self.language_id])
        return values


def _check(name: str, value: float | None, allowed: tuple[float, float]) -> None:
    low, high = allowed
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value}; it must lie in {low:g} to {high:g}")
