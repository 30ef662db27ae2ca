"""Whether a line belongs to its scene: a classifier of what the two share.

A line of these characters takes up words of its scene. Trained on the rows, each with its own scene
and with those of others; asked of a line which of two scenes it was said in. It sees letters, not
sense: two texts that share no piece of a word are strangers to it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from training.persona.evaluation.ngrams import LogisticRegression, Matrix
from training.persona.rows import Row
from training.persona.selection import normalized

_LENGTHS = (1, 2, 3)
_NUM_STRANGERS = 4


@dataclass(frozen=True)
class SceneMatcher:
    """Prefers one scene to another for a line."""

    rarity: dict[str, float]
    model: LogisticRegression

    @classmethod
    def fit(cls, rows: Sequence[Row], seed: int = 0) -> SceneMatcher:
        """Learn from rows of characters; `seed` draws which scenes do not belong."""
        rarity = _rarities([row.input for row in rows] + [row.output for row in rows])
        draw = random.Random(seed)
        inputs, belongs = [], []
        for idx, row in enumerate(rows):
            others = [draw.randrange(len(rows)) for _ in range(_NUM_STRANGERS)]
            for other in (idx, *(other for other in others if other != idx)):
                inputs.append(_shared(rows[other].input, row.output, rarity))
                belongs.append(other == idx)
        model = LogisticRegression.fit(
            np.array(inputs), np.array(belongs), l2=1e-4, lr=1.0, num_steps=500
        )
        return cls(rarity, model)

    def prefers_own(self, lines: Sequence[tuple[str, str]], seed: int = 0) -> float:
        """Share of `(scene, line)` where the true scene beats one of another; a tie is half.

        Raises:
            ValueError: all lines have the same scene.
        """
        scenes = sorted({scene for scene, _ in lines})
        if len(scenes) < 2:
            raise ValueError("lines of one scene cannot be told from others'")
        draw = random.Random(seed)
        wins = 0.0
        for scene, line in lines:
            stranger = draw.choice([other for other in scenes if other != scene])
            own, foreign = self._scores(line, (scene, stranger))
            wins += 1.0 if own > foreign else 0.5 if own == foreign else 0.0
        return wins / len(lines)

    def _scores(self, line: str, scenes: Sequence[str]) -> list[float]:
        inputs: Matrix = np.array([_shared(scene, line, self.rarity) for scene in scenes])
        return [float(score) for score in self.model.probability(inputs)]


def _shared(scene: str, line: str, rarity: dict[str, float]) -> list[float]:
    """For each length: how rare the n-grams are that scene and line share."""
    most = max(rarity.values())
    return [
        sum(rarity.get(gram, most) for gram in _grams(scene, length) & _grams(line, length)) / most
        for length in _LENGTHS
    ]


def _rarities(texts: Sequence[str]) -> dict[str, float]:
    """Inverse document frequency."""
    seen = Counter(gram for text in texts for size in _LENGTHS for gram in _grams(text, size))
    return {gram: log(len(texts) / count) for gram, count in seen.items()}


def _grams(text: str, length: int) -> set[str]:
    """N-grams of the situation or line, not of the labels around it."""
    letters = normalized(text.replace("상황:", " ").replace("[분야:", " ").replace("[지문:", " "))
    return {letters[start : start + length] for start in range(len(letters) - length + 1)}
