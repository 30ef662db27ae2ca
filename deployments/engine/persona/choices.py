"""The tokens a line may be drawn from, ready for torch."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import islice, takewhile

import torch
from torch import Tensor

from models.persona.vocabulary import Vocabulary

_HANGUL = re.compile("[가-힣]")


class Choices:
    """A vocabulary with its rows of the model's output projection.

    `longest_text` is the length of the longest token that holds a syllable of Hangul. The index
    fields are int64 tensors of positions in `token_ids`, as in `Vocabulary`.

    Args:
        head: `(choice, channel)`, one row for each token of `vocabulary`.
    """

    def __init__(self, vocabulary: Vocabulary, head: Tensor) -> None:
        self.token_ids = vocabulary.token_ids
        self._by_text = sorted(zip(vocabulary.texts, range(len(vocabulary.texts)), strict=True))
        self.longest_text = max(map(len, filter(_HANGUL.search, vocabulary.texts)), default=1)
        self.idx_of = {token_id: idx for idx, token_id in enumerate(vocabulary.token_ids)}
        self.head = head
        self.sentence_ends = _indices(vocabulary.sentence_ends)
        self.line_ends = _indices(vocabulary.line_ends)
        self.pauses = _indices(vocabulary.pauses)
        self.polite_endings = _indices(vocabulary.polite_endings)
        self.ending_idxs = frozenset(vocabulary.sentence_ends + vocabulary.line_ends)
        self.sentence_end_idxs = frozenset(vocabulary.sentence_ends)

    def starting_with(self, text: str) -> list[int]:
        """Positions of the tokens whose text begins with `text`."""
        first = bisect_left(self._by_text, (text, -1))
        alike = takewhile(lambda item: item[0].startswith(text), islice(self._by_text, first, None))
        return [idx for _, idx in alike]


def _indices(values: tuple[int, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)
