"""The emotion a stage direction (지문) asks for, known before the line is written.

A direction is searched for cues: stems of words that name an emotion (`슬프`) or show one
(`고개를 떨`), kept with their weights in `data/emotion_cues.tsv`. What no cue speaks of is neutral.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # its module imports torch, which nothing here needs
    from models.gpt_sovits.published import EmotionName

# A hint (weight 1) ties with it and loses; two hints, or one expression (2), outweigh it.
_NEUTRAL_WEIGHT = 1.0
_WORD_START = r"(?<!\S)"
# What follows a cue and takes it back: 놀라지 않고, 놀란 기색도 없이, 겁 없이, 웃음기 없이.
_TAKEN_BACK = re.compile(r"\S*?(?:지(?:는|도|를)?\s*않|(?:\s*기색\S*|\s*기)?\s*없이)")


@dataclass(frozen=True)
class _Cue:
    first_word: str
    pattern: re.Pattern[str]
    emotion: EmotionName
    weight: float

    def is_in(self, direction: str) -> bool:
        if self.first_word not in direction:  # spares nearly every search
            return False
        match = self.pattern.search(direction)
        return match is not None and not _TAKEN_BACK.match(direction, match.end())


def emotion_of(direction: str) -> dict[EmotionName, float]:
    """Weights of the emotions in a stage direction, strongest first; they add up to 1.

    Emotions that weigh nothing are left out. A direction without cues, or none at all, is neutral.

    Example:
        >>> next(iter(emotion_of("눈물을 훔치며 쓸쓸하게")))
        'sadness'
    """
    direction = unicodedata.normalize("NFC", direction)
    weights: dict[EmotionName, float] = {"neutral": _NEUTRAL_WEIGHT}
    for cue in _cues():
        if cue.is_in(direction):
            weights[cue.emotion] = weights.get(cue.emotion, 0.0) + cue.weight
    total = sum(weights.values())
    # Sorting is stable: where two weigh the same, neutral comes first.
    by_weight = sorted(weights.items(), key=lambda item: -item[1])
    return {emotion: weight / total for emotion, weight in by_weight}


@cache
def _cues() -> tuple[_Cue, ...]:
    table = (files("models.persona") / "data" / "emotion_cues.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return tuple(
        _Cue(stem.split()[0], _compile(stem), cast("EmotionName", emotion), float(weight))
        for stem, emotion, weight in rows
    )


def _compile(stem: str) -> re.Pattern[str]:
    parts = (r"\s*".join(map(re.escape, part.split())) for part in stem.split(" + "))
    return re.compile(r".*?".join(f"{_WORD_START}{part}" for part in parts))
