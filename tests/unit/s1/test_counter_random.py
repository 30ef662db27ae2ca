"""Randomness is a function of (seed, step, column)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.counter_random import exponential, normal, philox_words, uniform

Draw = Callable[[Tensor, Tensor, int], Tensor]
every_distribution = pytest.mark.parametrize("draw", [uniform, exponential, normal])

SEEDS = torch.tensor([0, 1, -1, 2**62, 12345, 0, 7])
STEPS = torch.tensor([0, 0, 5, 9, 2**40, 1, -3])


def _signed(word: int) -> int:
    """A 64-bit pattern as the int64 that has it."""
    return word - 2**64 if word >= 2**63 else word


# Known answers for Philox4x32-10, published with Random123. Our counter has block 0 and a zero
# second word, which the all-zero vector shares.
def test_the_first_block_of_stream_zero_is_the_published_one() -> None:
    words = philox_words(torch.tensor([0]), torch.tensor([0]), 4)
    assert words.tolist() == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]


def test_words_equal_philox_in_python_integers() -> None:
    seed, step = 0x299F31D0_A4093822, 0x03707344_13198A2E
    words = philox_words(torch.tensor([_signed(seed)]), torch.tensor([_signed(step)]), 9)
    expected = [word for block in range(3) for word in _philox_block(seed, step, block)]
    assert words[0].tolist() == expected[:9]


@every_distribution
def test_a_row_is_the_same_alone_and_in_any_batch(draw: Draw) -> None:
    together = draw(SEEDS, STEPS, 1025)
    for row in range(len(SEEDS)):
        alone = draw(SEEDS[row : row + 1], STEPS[row : row + 1], 1025)
        assert torch.equal(alone[0], together[row])


@every_distribution
def test_a_longer_row_begins_with_the_shorter_one(draw: Draw) -> None:
    longest = draw(SEEDS, STEPS, 300)
    for num in (0, 1, 2, 3, 4, 5, 17, 192, 299):
        assert torch.equal(draw(SEEDS, STEPS, num), longest[:, :num])


def test_uniform_stays_inside_the_open_interval_and_fills_it_evenly() -> None:
    values = uniform(torch.arange(512), torch.zeros(512, dtype=torch.int64), 1024)
    assert values.dtype == torch.float32
    assert 0.0 < values.min() and values.max() < 1.0
    counts = torch.histc(values, bins=16, min=0, max=1)
    assert (counts / values.numel() - 1 / 16).abs().max() < 1e-3


def test_exponential_is_positive_with_mean_and_deviation_one() -> None:
    values = exponential(torch.arange(512), torch.arange(512), 1024)
    assert values.min() > 0
    assert values.mean().item() == pytest.approx(1.0, abs=0.01)
    assert values.std().item() == pytest.approx(1.0, abs=0.01)


def test_normal_has_the_moments_of_a_standard_normal_in_both_halves_of_a_pair() -> None:
    values = normal(torch.arange(512), torch.arange(512), 1024).double()
    for half in (values[:, 0::2], values[:, 1::2]):
        assert half.mean().item() == pytest.approx(0.0, abs=0.01)
        assert half.std().item() == pytest.approx(1.0, abs=0.01)
        assert (half**4).mean().item() == pytest.approx(3.0, abs=0.05)
    correlation = (values[:, 0::2] * values[:, 1::2]).mean().item()
    assert correlation == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("seeds", "steps", "num", "message"),
    [
        (torch.zeros(2), torch.zeros(2, dtype=torch.int64), 4, "must be int64"),
        (torch.zeros(2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), 4, "batch"),
        (torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), -1, "0 or more"),
    ],
)
def test_a_wrong_argument_is_named(seeds: Tensor, steps: Tensor, num: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        uniform(seeds, steps, num)


def _philox_block(key: int, step: int, block: int) -> list[int]:
    """Philox4x32-10 in plain Python, from the paper's definition."""
    word = 2**32 - 1
    counter = [block, 0, step & word, step >> 32]
    keys = [key & word, key >> 32]
    for _ in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            (second >> 32) ^ counter[1] ^ keys[0],
            second & word,
            (first >> 32) ^ counter[3] ^ keys[1],
            first & word,
        ]
        keys = [(keys[0] + 0x9E3779B9) & word, (keys[1] + 0xBB67AE85) & word]
    return counter
