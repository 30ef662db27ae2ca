"""Each operation of the sampler, row by row."""

import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s1.sampling import (
    MIN_NEW_TOKENS,
    SamplingRows,
    SamplingSettings,
    next_token_probabilities,
    penalise,
    sample,
)

CPU = torch.device("cpu")
ALL = SamplingSettings(top_k=None, repetition_penalty=1.0)


def rows_of(*settings: SamplingSettings, vocab_size: int) -> SamplingRows:
    return SamplingRows.stack(settings, vocab_size, CPU)


def probabilities(logits: list[float], settings: SamplingSettings) -> Tensor:
    return next_token_probabilities(
        torch.tensor([logits]), rows_of(settings, vocab_size=len(logits))
    )[0]


def test_seen_tokens_are_penalised_once_and_away_from_likely() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0, 0.5]])
    is_seen = torch.tensor([[True, True, False, False]])
    penalised = penalise(logits, is_seen, torch.tensor([[2.0]]), torch.tensor([MIN_NEW_TOKENS]))
    assert penalised.tolist() == [[1.0, -4.0, 1.0, 0.5]]


def test_the_end_token_is_impossible_until_enough_tokens_exist() -> None:
    logits = torch.tensor([[0.0, 9.0]]).repeat(2, 1)
    steps = torch.tensor([MIN_NEW_TOKENS - 1, MIN_NEW_TOKENS])
    settings = rows_of(ALL, ALL, vocab_size=2)
    sampled = sample(logits, torch.zeros(2, 2, dtype=torch.bool), settings, steps, steps)
    assert sampled.tokens[0] == 0
    assert sampled.is_end.tolist() == [False, True]


def test_the_sequence_ends_when_the_end_token_is_the_likeliest_even_if_another_is_drawn() -> None:
    logits = torch.tensor([[1.0, 1.1]])
    is_seen = torch.zeros(1, 2, dtype=torch.bool)
    step = torch.tensor([MIN_NEW_TOKENS])
    drawn = set()
    for seed in range(50):
        sampled = sample(logits, is_seen, rows_of(ALL, vocab_size=2), torch.tensor([seed]), step)
        drawn.add(sampled.tokens.item())
        assert sampled.is_end.item()
    assert drawn == {0, 1}


def test_top_k_keeps_ties_of_the_last_place() -> None:
    kept = probabilities([1.0, 3.0, 2.0, 2.0], SamplingSettings(top_k=2))
    assert (kept > 0).tolist() == [False, True, True, True]


def test_top_p_drops_the_token_that_crosses_and_ignores_temperature() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log().tolist()
    for temperature in (0.5, 1.0, 5.0):
        settings = SamplingSettings(top_k=None, top_p=0.79, temperature=temperature)
        assert (probabilities(logits, settings) > 0).tolist() == [True, False, False]
    settings = SamplingSettings(top_k=None, top_p=0.81)
    assert (probabilities(logits, settings) > 0).tolist() == [True, True, False]


def test_the_likeliest_token_survives_any_top_p() -> None:
    settings = SamplingSettings(top_k=None, top_p=0.01)
    assert probabilities([0.1, 0.2, 0.0], settings).tolist() == [0.0, 1.0, 0.0]


def test_temperature_zero_is_greedy() -> None:
    assert probabilities([1.0, 1.5, 0.5], SamplingSettings(temperature=0.0)).tolist() == [0, 1, 0]


def test_rows_of_a_batch_do_not_affect_each_other() -> None:
    torch.manual_seed(0)
    settings = [
        SamplingSettings(),
        ALL,
        SamplingSettings(top_k=1),
        SamplingSettings(top_p=0.5, temperature=0.6),
        SamplingSettings(top_k=3, repetition_penalty=2.0),
    ]
    num_rows, vocab_size = len(settings), 300
    logits = torch.randn(num_rows, vocab_size) * 3
    is_seen = torch.rand(num_rows, vocab_size) < 0.2
    seeds, steps = torch.arange(num_rows), torch.tensor([0, 5, 30, 11, 10])
    together = sample(logits, is_seen, rows_of(*settings, vocab_size=vocab_size), seeds, steps)
    for row in range(num_rows):
        only = slice(row, row + 1)
        alone = sample(
            logits[only],
            is_seen[only],
            rows_of(settings[row], vocab_size=vocab_size),
            seeds[only],
            steps[only],
        )
        assert alone.tokens[0] == together.tokens[row]
        assert alone.is_end[0] == together.is_end[row]


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    expected = torch.tensor([0.5, 0.3, 0.15, 0.05])
    num_draws = 20_000
    sampled = sample(
        expected.log().expand(num_draws, -1),
        torch.zeros(num_draws, 4, dtype=torch.bool),
        rows_of(*[ALL] * num_draws, vocab_size=4),
        seeds=torch.arange(num_draws),
        steps=torch.full((num_draws,), 20),
    )
    frequencies = sampled.tokens.bincount(minlength=4) / num_draws
    assert (frequencies - expected).abs().max() < 0.015


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", 1e39),  # infinite in float32
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 1e-40),
        ("repetition_penalty", float("inf")),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        SamplingSettings(**{name: value})
