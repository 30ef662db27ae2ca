"""Draws the next token; all randomness of a line comes from its own generator."""

from __future__ import annotations

import torch
from torch import Tensor

from models.persona.persona import Sampling

# Below it logits that are divided by the temperature overflow.
_MIN_TEMPERATURE = 1e-5


class Sampler:
    """Draws the tokens of one line.

    Args:
        sampling: temperature, nucleus and repetition penalty.
        seed: two samplers with the same seed draw the same from the same logits.
        num_choices: size of the logits.
    """

    def __init__(self, sampling: Sampling, seed: int, num_choices: int) -> None:
        self._sampling = sampling
        self._generator = torch.Generator().manual_seed(seed)
        self._was_drawn = torch.zeros(num_choices, dtype=torch.bool)

    def draw(self, logits: Tensor) -> int:
        """Draw from float32 `logits` `(choice,)`; return the index."""
        logits = penalize(logits, self._was_drawn, self._sampling.repetition_penalty)
        if self._sampling.temperature < _MIN_TEMPERATURE:
            choice = int(logits.argmax())
        else:
            probs = torch.softmax(logits / self._sampling.temperature, dim=-1)
            choice = self._draw_nucleus(probs)
        self._was_drawn[choice] = True
        return choice

    def _draw_nucleus(self, probs: Tensor) -> int:
        """Holtzman et al. 2020: the likeliest tokens that together reach `top_p`."""
        sorted_probs, order = probs.sort(descending=True, stable=True)
        is_kept = sorted_probs.cumsum(0) - sorted_probs < self._sampling.top_p
        is_kept[0] = True  # a `top_p` that float32 rounds to 0 keeps none
        kept = sorted_probs[is_kept]
        return int(order[torch.multinomial(kept, 1, generator=self._generator)])


def penalize(logits: Tensor, was_drawn: Tensor, penalty: float) -> Tensor:
    """Make the choices that `was_drawn` marks less likely (Keskar et al. 2019, section 4.1)."""
    weaker = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(was_drawn, weaker, logits)
