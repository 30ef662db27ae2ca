"""Choosing the next token: the reference's exact order of operations, row by row.

1. while fewer than 11 tokens exist, the end token cannot be chosen
2. repetition penalty, once per token that occurs in the prompt or was generated
3. top-p, on the probabilities before temperature
4. temperature
5. top-k
6. a draw from the softmax as an exponential race: argmax(p / q), q ~ Exp(1), which is a function of
   (seed, step) alone

The sequence ends when the end token is drawn, or when it is the likeliest after operation 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from models.counter_random import exponential

MIN_NEW_TOKENS = 11
_MIN_TEMPERATURE = 1e-5
# Far beyond any use, and far from where float32 overflows.
_MAX_TEMPERATURE = 100.0
_PENALTY_RANGE = (0.01, 100.0)


@dataclass(frozen=True)
class SamplingSettings:
    """How one sequence is sampled; defaults are the reference's.

    Attributes:
        top_k: the k likeliest tokens stay; None for all. 1 is greedy.
        top_p: in (0, 1]; tokens stay while their cumulative probability is at most this.
        temperature: 0 to 100.
        repetition_penalty: 0.01 to 100; 1 is none.
    """

    top_k: int | None = 15
    top_p: float = 1.0
    temperature: float = 1.0
    repetition_penalty: float = 1.35

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be 1 or more, or None for all; not {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must be in (0, 1], not {self.top_p}")
        if not 0.0 <= self.temperature <= _MAX_TEMPERATURE:
            raise ValueError(f"temperature must be 0 to {_MAX_TEMPERATURE}, not {self.temperature}")
        smallest, largest = _PENALTY_RANGE
        if not smallest <= self.repetition_penalty <= largest:
            raise ValueError(
                f"repetition_penalty must be {smallest} to {largest}, not {self.repetition_penalty}"
            )


@dataclass(frozen=True)
class SamplingRows:
    """Settings of the rows of a batch, one column vector (row, 1) per setting."""

    top_k: Tensor
    top_p: Tensor
    temperature: Tensor
    repetition_penalty: Tensor
    max_top_k: int
    has_top_p: bool

    @classmethod
    def stack(cls, rows: Sequence[SamplingSettings], vocab_size: int, device: torch.device) -> Self:
        top_k = [min(row.top_k or vocab_size, vocab_size) for row in rows]

        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device).unsqueeze(1)

        return cls(
            top_k=column(top_k),
            top_p=column([row.top_p for row in rows]),
            temperature=column([max(row.temperature, _MIN_TEMPERATURE) for row in rows]),
            repetition_penalty=column([row.repetition_penalty for row in rows]),
            max_top_k=max(top_k),
            has_top_p=any(row.top_p < 1.0 for row in rows),
        )


@dataclass(frozen=True)
class SampledTokens:
    """(row,) each: the token, and whether the sequence ends before it."""

    tokens: Tensor
    is_end: Tensor


def sample(
    logits: Tensor, is_seen: Tensor, settings: SamplingRows, seeds: Tensor, steps: Tensor
) -> SampledTokens:
    """Draw the next token of every row. No row depends on another.

    Args:
        logits: (row, vocab) float32; the last entry is the end token's.
        is_seen: (row, vocab) bool: tokens of the prompt and generated ones.
        settings: one per row.
        seeds: (row,) int64.
        steps: (row,) int64: how many tokens the row has generated.
    """
    end_token = logits.shape[1] - 1
    penalised = penalise(logits, is_seen, settings.repetition_penalty, steps)
    probabilities = next_token_probabilities(penalised, settings)
    race = probabilities / exponential(seeds, steps, logits.shape[1])
    tokens = race.argmax(1)
    is_end = (tokens == end_token) | (penalised.argmax(1) == end_token)
    return SampledTokens(tokens, is_end)


def penalise(logits: Tensor, is_seen: Tensor, penalty: Tensor, steps: Tensor) -> Tensor:
    """Operations 1 and 2. ``penalty`` is (row, 1); the rest as for ``sample``."""
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    penalised = torch.where(is_seen, penalised, logits)
    penalised[:, -1].masked_fill_(steps < MIN_NEW_TOKENS, -torch.inf)
    return penalised


def next_token_probabilities(penalised: Tensor, settings: SamplingRows) -> Tensor:
    """Operations 3 to 5 and the softmax: (row, vocab), zero for tokens that cannot be drawn."""
    if settings.has_top_p:
        penalised = _keep_top_p(penalised, settings.top_p)
    scaled = penalised / settings.temperature
    largest = scaled.topk(settings.max_top_k, dim=1).values
    threshold = largest.gather(1, settings.top_k - 1)
    return torch.softmax(scaled.masked_fill(scaled < threshold, -torch.inf), dim=1)


def _keep_top_p(logits: Tensor, top_p: Tensor) -> Tensor:
    """Remove what lies beyond ``top_p``; the token that crosses it goes too, the first stays."""
    ordered, order = logits.sort(dim=1, descending=True, stable=True)
    is_beyond = (ordered.softmax(1).cumsum(1) > top_p) & (top_p < 1.0)
    is_beyond[:, 0] = False
    return logits.masked_fill(is_beyond.gather(1, order.argsort(1)), -torch.inf)
