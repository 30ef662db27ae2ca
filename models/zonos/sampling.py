"""Choosing the next column: the reference's exact order of operations, codebook by codebook.

1. repetition penalty, once per occurrence of a code in the last few columns of its codebook
2. at temperature 0, the likeliest code
3. softmax of the logits over the temperature
4. "unified": p' = softmax(l (linear + H conf) - l^2 quad), with l = log p and the entropy H
5. top-p: what follows once the probabilities before it exceed top_p goes
6. top-k, 7. min-p: what is below min_p times the largest goes; each of 5 to 7 renormalises
8. a draw as an exponential race: argmax(p / q), q ~ Exp(1), a function of (seed, step) alone

The end code can be drawn for codebook 0 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from models.counter_random import exponential
from models.zonos.codes import END_CODE, MASK_CODE, NUM_EMBEDDINGS, NUM_LOGITS

MAX_PENALTY_WINDOW = 64
# Far beyond any use, and far from where float32 overflows.
_MAX_TEMPERATURE = 100.0
_MAX_COEFFICIENT = 10.0
_PENALTY_RANGE = (0.01, 100.0)
# Below it the likeliest code is as good as certain, and float32 might not hold logits over it.
_SMALLEST_TEMPERATURE = 1e-6
_SMALLEST_PROBABILITY = 1e-20
_FLOAT32 = torch.finfo(torch.float32)


@dataclass(frozen=True)
class SamplingSettings:
    """How one sequence is sampled; defaults are the reference's.

    Attributes:
        temperature: 0 to 100; 0, or less than a millionth, takes the likeliest code and ignores
            what follows here.
        top_p: 0 to 1; 0 keeps all.
        top_k: 0 to 1025; 0 keeps all.
        min_p: 0 to 1; codes below this part of the likeliest's probability go.
        linear, conf, quad: of "unified" sampling, which is off where ``linear`` is 0.
        repetition_penalty: 0.01 to 100; 1 is none.
        repetition_penalty_window: 1 to 64 columns back.
    """

    temperature: float = 1.0
    top_p: float = 0.0
    top_k: int = 0
    min_p: float = 0.1
    linear: float = 0.0
    conf: float = 0.0
    quad: float = 0.0
    repetition_penalty: float = 3.0
    repetition_penalty_window: int = 2

    def __post_init__(self) -> None:
        _check_range("temperature", self.temperature, 0.0, _MAX_TEMPERATURE)
        _check_range("min_p", self.min_p, 0.0, 1.0)
        _check_range("linear", self.linear, 0.0, _MAX_COEFFICIENT)
        _check_range("conf", self.conf, -_MAX_COEFFICIENT, _MAX_COEFFICIENT)
        _check_range("quad", self.quad, -_MAX_COEFFICIENT, _MAX_COEFFICIENT)
        _check_range("repetition_penalty", self.repetition_penalty, *_PENALTY_RANGE)
        _check_range(
            "repetition_penalty_window", self.repetition_penalty_window, 1, MAX_PENALTY_WINDOW
        )
        _check_range("top_p", self.top_p, 0.0, 1.0)
        _check_range("top_k", self.top_k, 0, NUM_LOGITS)


@dataclass(frozen=True)
class SamplingRows:
    """Settings of the sequences of a batch, (row, 1, 1) each; None where no row uses a filter."""

    penalties: Tensor
    temperature: Tensor
    is_greedy: Tensor
    linear: Tensor | None
    conf: Tensor
    quad: Tensor
    top_p: Tensor | None
    top_k: Tensor | None
    min_p: Tensor | None

    @classmethod
    def stack(cls, rows: Sequence[SamplingSettings], device: torch.device) -> Self:
        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device)[:, None, None]

        def used(values: Sequence[float]) -> Tensor | None:
            return column(values) if any(values) else None

        return cls(
            penalties=_penalty_powers(rows, device),
            temperature=column([max(row.temperature, _SMALLEST_TEMPERATURE) for row in rows]),
            is_greedy=column([row.temperature < _SMALLEST_TEMPERATURE for row in rows]),
            linear=used([row.linear for row in rows]),
            conf=column([row.conf for row in rows]),
            quad=column([row.quad for row in rows]),
            top_p=used([row.top_p and max(row.top_p, _FLOAT32.tiny) for row in rows]),
            top_k=used([row.top_k for row in rows]),
            min_p=used([row.min_p for row in rows]),
        )


def sample(
    logits: Tensor, history: Tensor, settings: SamplingRows, seeds: Tensor, steps: Tensor
) -> Tensor:
    """Draw the next column of every sequence. No sequence depends on another.

    Args:
        logits: (row, codebook, `NUM_LOGITS`) float32.
        history: see `penalise`.
        settings: one per row.
        seeds: (row,) int64.
        steps: (row,) int64: how many columns the row has drawn.

    Returns:
        (row, codebook) int64 in [0, `END_CODE`].
    """
    logits = logits.clone()
    logits[:, 1:, END_CODE] = -torch.inf
    penalised = penalise(logits, history, settings.penalties)
    probabilities = next_code_probabilities(penalised, settings)
    probabilities[:, 1:, END_CODE] = 0  # "unified" may take it up again
    num_codebooks = logits.shape[1]
    race = exponential(seeds, steps, num_codebooks * NUM_LOGITS).view_as(logits)
    drawn = (probabilities / race).argmax(-1)
    return torch.where(settings.is_greedy.squeeze(-1), penalised.argmax(-1), drawn)


def penalise(logits: Tensor, history: Tensor, penalties: Tensor) -> Tensor:
    """Operation 1.

    Args:
        logits: as for `sample`.
        history: (row, column, codebook) int64: as many columns back as the longest window of the
            batch. Where a row has fewer, or none, `MASK_CODE` stands: it penalises nothing.
        penalties: (row, count, 1): the factor of a code that occurs so many times.
    """
    num_rows, _, num_codebooks = history.shape
    counts = history.new_zeros(num_rows, num_codebooks, NUM_EMBEDDINGS)
    by_codebook = history.transpose(1, 2)
    counts.scatter_add_(2, by_codebook, torch.ones_like(by_codebook))
    counts = counts[..., :MASK_CODE]
    factors = penalties.expand(-1, -1, num_codebooks).transpose(1, 2).gather(2, counts)
    return torch.where(logits <= 0, logits * factors, logits / factors)


def next_code_probabilities(penalised: Tensor, settings: SamplingRows) -> Tensor:
    """Operations 3 to 7: (row, codebook, logit), zero for codes that cannot be drawn."""
    # A logit that overflows is as likely as can be; infinity would be no probability.
    logits = (penalised / settings.temperature).clamp(max=_FLOAT32.max)
    probabilities = torch.softmax(logits, dim=-1)
    if settings.linear is not None:
        probabilities = _unified(probabilities, settings.linear, settings.conf, settings.quad)
    if settings.top_p is not None:
        probabilities = _keep_top_p(probabilities, settings.top_p)
    if settings.top_k is not None:
        probabilities = _keep_top_k(probabilities, settings.top_k)
    if settings.min_p is not None:
        likeliest = probabilities.amax(-1, keepdim=True)
        is_kept = probabilities >= settings.min_p * likeliest
        probabilities = _renormalised(probabilities, is_kept, settings.min_p > 0)
    return probabilities


def _unified(probabilities: Tensor, linear: Tensor, conf: Tensor, quad: Tensor) -> Tensor:
    # Rounded from float64, so that the vector width a kernel happens to use does not show.
    logs = probabilities.clamp(min=_SMALLEST_PROBABILITY).double().log().float()
    entropy = -(probabilities * logs).sum(-1, keepdim=True)
    unified = torch.softmax(logs * (linear + entropy * conf) - logs**2 * quad, dim=-1)
    return torch.where(linear > 0, unified, probabilities)


def _keep_top_p(probabilities: Tensor, top_p: Tensor) -> Tensor:
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    is_kept = ordered.cumsum(-1) - ordered <= top_p
    return _renormalised(probabilities, is_kept.gather(-1, order.argsort(-1)), top_p > 0)


def _keep_top_k(probabilities: Tensor, top_k: Tensor) -> Tensor:
    ranks = top_k.clamp(1, NUM_LOGITS) - 1
    ordered = probabilities.sort(dim=-1, descending=True).values
    threshold = ordered.gather(-1, ranks.expand(*probabilities.shape[:2], 1))
    return _renormalised(probabilities, probabilities >= threshold, top_k > 0)


def _renormalised(probabilities: Tensor, is_kept: Tensor, is_used: Tensor) -> Tensor:
    """The kept ones brought back to a sum of 1, in the rows that use the filter."""
    kept = torch.where(is_kept, probabilities, 0.0)
    return torch.where(is_used, kept / kept.sum(-1, keepdim=True), probabilities)


def _penalty_powers(rows: Sequence[SamplingSettings], device: torch.device) -> Tensor:
    """(row, count, 1): penalty ** count, for counts up to the longest window; finite, not 0."""
    longest = max(row.repetition_penalty_window for row in rows)
    powers = [[row.repetition_penalty**count for count in range(longest + 1)] for row in rows]
    exact = torch.tensor(powers, dtype=torch.float64, device=device)
    return exact.clamp(_FLOAT32.tiny, _FLOAT32.max).float().unsqueeze(2)


def _check_range(name: str, value: float, smallest: float, largest: float) -> None:
    if not smallest <= value <= largest:
        raise ValueError(f"{name} must be {smallest} to {largest}, not {value}")
