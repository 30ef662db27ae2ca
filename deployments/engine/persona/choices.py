"""The tokens a line may be drawn from, ready for torch."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property

import torch
from torch import Tensor

from models.persona.vocabulary import Vocabulary

_HANGUL = re.compile("[가-힣]")
# Behind everything that begins with the same characters.
_LAST_CHAR = "\U0010ffff"


class Choices:
    """A vocabulary with its rows of the model's output projection.

    The index fields are int64 tensors of positions in `token_ids`, as in `Vocabulary`.

    Args:
        head: `(choice, channel)`, one row for each token of `vocabulary`.
    """

    def __init__(self, vocabulary: Vocabulary, head: Tensor) -> None:
        self.token_ids = vocabulary.token_ids
        by_text = sorted(zip(vocabulary.texts, range(len(vocabulary.texts)), strict=True))
        self._texts = [text for text, _ in by_text]
        self._by_text = _indices(tuple(idx for _, idx in by_text))
        self.idx_of = {token_id: idx for idx, token_id in enumerate(vocabulary.token_ids)}
        self.head = head
        self.sentence_ends = _indices(vocabulary.sentence_ends)
        self.line_ends = _indices(vocabulary.line_ends)
        self.pauses = _indices(vocabulary.pauses)
        self.polite_endings = _indices(vocabulary.polite_endings)
        self.ending_idxs = frozenset(vocabulary.sentence_ends + vocabulary.line_ends)
        self.sentence_end_idxs = frozenset(vocabulary.sentence_ends)

    @cached_property
    def beginnings(self) -> list[list[str]]:
        """What tokens begin with: their first characters, their first two, and so on, each sorted.

        As many as the longest token has that holds a syllable of Hangul.
        """
        longest = max(map(len, filter(_HANGUL.search, self._texts)), default=1)
        return [
            sorted({text[:size] for text in self._texts if len(text) >= size})
            for size in range(1, longest + 1)
        ]

    def starting_with(self, text: str) -> Tensor:
        """Positions of the tokens whose text begins with `text`."""
        first = bisect_left(self._texts, text)
        return self._by_text[first : bisect_left(self._texts, text + _LAST_CHAR, first)]


def _indices(values: tuple[int, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)
