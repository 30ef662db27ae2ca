"""The tokens a line may be drawn from, ready for torch."""

from __future__ import annotations

import torch
from torch import Tensor

from models.persona.vocabulary import Vocabulary


class Choices:
    """A vocabulary with its rows of the model's output projection.

    The index fields are int64 tensors of positions in `token_ids`, as in `Vocabulary`.

    Args:
        head: `(choice, channel)`, one row for each token of `vocabulary`.
    """

    def __init__(self, vocabulary: Vocabulary, head: Tensor) -> None:
        self.token_ids = vocabulary.token_ids
        self.idx_of = {token_id: idx for idx, token_id in enumerate(vocabulary.token_ids)}
        self.head = head
        self.sentence_ends = _indices(vocabulary.sentence_ends)
        self.line_ends = _indices(vocabulary.line_ends)
        self.pauses = _indices(vocabulary.pauses)
        self.polite_endings = _indices(vocabulary.polite_endings)
        self.ending_idxs = frozenset(vocabulary.sentence_ends + vocabulary.line_ends)
        self.sentence_end_idxs = frozenset(vocabulary.sentence_ends)


def _indices(values: tuple[int, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.long)
