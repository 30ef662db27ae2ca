"""Random numbers that are a function of (seed, step, column) and of nothing else.

A generator with hidden state gives a request other numbers when it shares a batch, is retried or is
decoded in chunks. Here a number is computed from its coordinates by a counter-based generator
(Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), so a row
does not depend on its neighbours, and a longer row begins with the shorter one.

Only integer tensor operations are used up to the 32-bit words, so these are equal on every device.
The transforms work in float64 and round once, so the vector width that a kernel happens to use does
not show in the float32 results.
"""

import math

import torch
from torch import Tensor

_ROUNDS = 10
_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
_WORDS_PER_BLOCK = 4


def philox_words(seeds: Tensor, steps: Tensor, num: int) -> Tensor:
    """The first ``num`` 32-bit words of every (seed, step) stream.

    Args:
        seeds: (batch,) int64, any value; the 64-bit Philox key.
        steps: (batch,) int64, any value; the high half of the counter, the low half counts blocks.
        num: words per row.

    Returns:
        (batch, num) int64 in [0, 2**32).

    Raises:
        ValueError: a shape or dtype differs from the above, or ``num`` is negative.
    """
    _check(seeds, steps, num)
    num_blocks = -(-num // _WORDS_PER_BLOCK)
    blocks = torch.arange(num_blocks, device=seeds.device).expand(len(seeds), num_blocks)
    counter_high = _low_and_high(steps)  # words 2 and 3 of the counter
    zeros = torch.zeros_like(blocks)
    # The four counter words as two pairs: (0, 2) are multiplied, (1, 3) are mixed in by xor.
    even = torch.stack((blocks, counter_high[0].expand_as(blocks)))
    odd = torch.stack((zeros, counter_high[1].expand_as(blocks)))
    words = _philox_rounds(even, odd, keys=_low_and_high(seeds))
    return words.flatten(1)[:, :num]


def uniform(seeds: Tensor, steps: Tensor, num: int) -> Tensor:
    """(batch, num) float32, uniform on the open interval (0, 1).

    Takes the arguments of ``philox_words``. 23 bits are used, centred between grid points, so that
    neither 0 nor 1 can come out of the rounding.
    """
    words = philox_words(seeds, steps, num)
    return ((words >> 9).to(torch.float32) + 0.5) * 2.0**-23


def exponential(seeds: Tensor, steps: Tensor, num: int) -> Tensor:
    """(batch, num) float32 > 0 from the exponential distribution of rate 1: -log(u).

    Takes the arguments of ``philox_words``.
    """
    return (-torch.log(_open_unit_interval(philox_words(seeds, steps, num)))).to(torch.float32)


def normal(seeds: Tensor, steps: Tensor, num: int) -> Tensor:
    """(batch, num) float32 from the standard normal distribution (Box-Muller).

    Takes the arguments of ``philox_words``. Columns 2i and 2i+1 are the two numbers of one pair.
    """
    num_pairs = -(-num // 2)
    fractions = _open_unit_interval(philox_words(seeds, steps, 2 * num_pairs))
    radius = torch.sqrt(-2.0 * torch.log(fractions[:, 0::2]))
    angle = 2.0 * math.pi * fractions[:, 1::2]
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=2)
    return pairs.flatten(1)[:, :num].to(torch.float32)


def _philox_rounds(even: Tensor, odd: Tensor, keys: Tensor) -> Tensor:
    """Ten Philox rounds. Pairs are (2, batch, block), keys (2, batch, 1); (batch, block, 4) out."""
    multipliers = _constants(_MULTIPLIERS, even.device)
    increments = _constants(_KEY_INCREMENTS, even.device)
    for round_idx in range(_ROUNDS):
        # int64 products wrap modulo 2**64, which leaves the bits of the unsigned product.
        products = (even * multipliers).flip(0)
        even = ((products >> 32) & _WORD) ^ odd ^ ((keys + round_idx * increments) & _WORD)
        odd = products & _WORD
    return torch.stack((even[0], odd[0], even[1], odd[1]), dim=2)


def _constants(pair: tuple[int, int], device: torch.device) -> Tensor:
    """(2, 1, 1) int64, filled on the device: a copy from the host could not be captured there."""
    return torch.stack([torch.full((1, 1), value, device=device) for value in pair])


def _low_and_high(values: Tensor) -> Tensor:
    """(batch,) int64 -> (2, batch, 1): the low and the high 32 bits."""
    return torch.stack((values & _WORD, (values >> 32) & _WORD)).unsqueeze(2)


def _open_unit_interval(words: Tensor) -> Tensor:
    """32-bit words to float64 in (0, 1), exactly."""
    return (words.to(torch.float64) + 0.5) * 2.0**-32


def _check(seeds: Tensor, steps: Tensor, num: int) -> None:
    if seeds.dtype != torch.int64 or steps.dtype != torch.int64:
        raise ValueError(f"seeds and steps must be int64, not {seeds.dtype} and {steps.dtype}")
    if seeds.dim() != 1 or seeds.shape != steps.shape:
        shapes = f"{tuple(seeds.shape)} and {tuple(steps.shape)}"
        raise ValueError(f"seeds and steps must both be (batch,), not {shapes}")
    if num < 0:
        raise ValueError(f"num must be 0 or more, not {num}")
