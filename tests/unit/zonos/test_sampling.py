"""Codes are drawn row by row: what one sequence is given changes nothing for another."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.zonos.codes import END_CODE, MASK_CODE, NUM_LOGITS
from models.zonos.sampling import (
    SamplingRows,
    SamplingSettings,
    next_code_probabilities,
    penalise,
    sample,
)

CPU = torch.device("cpu")
SETTINGS = [
    SamplingSettings(),
    SamplingSettings(temperature=0.0),
    SamplingSettings(min_p=0.0),
    SamplingSettings(temperature=0.6, top_k=30, min_p=0.0),
    SamplingSettings(top_p=0.8, min_p=0.0),
    SamplingSettings(linear=0.5, conf=0.4, min_p=0.0),
    SamplingSettings(linear=0.65, conf=-0.08, quad=0.16),
    SamplingSettings(repetition_penalty=1.2, repetition_penalty_window=7),
]

BORDERS = [
    SamplingSettings(temperature=5e-324),
    SamplingSettings(temperature=1e-6),
    SamplingSettings(temperature=100.0, min_p=0.0),
    SamplingSettings(min_p=1.0),
    SamplingSettings(top_k=1),
    SamplingSettings(top_k=NUM_LOGITS),
    SamplingSettings(top_p=5e-324),
    SamplingSettings(top_p=1.0),
    SamplingSettings(linear=5e-324),
    SamplingSettings(linear=10.0, conf=10.0, quad=10.0),
    SamplingSettings(linear=10.0, conf=-10.0, quad=-10.0),
    SamplingSettings(repetition_penalty=0.01, repetition_penalty_window=64),
    SamplingSettings(repetition_penalty=100.0, repetition_penalty_window=64),
]


def draw(logits: Tensor, history: Tensor, settings: list[SamplingSettings], step: int) -> Tensor:
    rows = SamplingRows.stack(settings, CPU)
    seeds = torch.arange(len(settings)) + 100
    return sample(logits, history, rows, seeds, torch.full_like(seeds, step))


def random_logits(num_rows: int) -> Tensor:
    return 3.0 * torch.randn(num_rows, 9, NUM_LOGITS, generator=torch.Generator().manual_seed(0))


def random_history(num_rows: int, num_columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, MASK_CODE + 1, (num_rows, num_columns, 9), generator=generator)


def padded(history: Tensor, settings: SamplingSettings) -> Tensor:
    """As it would come: the window, and mask before it."""
    window = settings.repetition_penalty_window
    return torch.cat((torch.full_like(history[:-window], MASK_CODE), history[-window:]))


def test_a_row_draws_the_same_codes_whatever_stands_beside_it() -> None:
    logits, columns = random_logits(len(SETTINGS)), random_history(len(SETTINGS), 7)
    history = torch.stack([padded(h, s) for h, s in zip(columns, SETTINGS, strict=True)])
    together = draw(logits, history, SETTINGS, step=5)
    for row, settings in enumerate(SETTINGS):
        rows = SamplingRows.stack([settings], CPU)
        seed, step = torch.tensor([100 + row]), torch.tensor([5])
        own_history = history[row : row + 1, -settings.repetition_penalty_window :]
        alone = sample(logits[row : row + 1], own_history, rows, seed, step)
        assert torch.equal(alone[0], together[row])


def test_the_end_code_is_drawn_for_codebook_0_alone() -> None:
    logits = torch.zeros(1, 9, NUM_LOGITS)
    logits[..., END_CODE] = 50.0
    history = torch.full((1, 2, 9), MASK_CODE)
    for settings in (SamplingSettings(), SamplingSettings(temperature=0.0)):
        codes = draw(logits, history, [settings], step=0)
        assert codes[0, 0] == END_CODE
        assert (codes[0, 1:] < END_CODE).all()


def test_mask_in_the_history_penalises_nothing() -> None:
    logits = random_logits(1)
    greedy = SamplingSettings(temperature=0.0)
    without = replace(greedy, repetition_penalty=1.0)
    nothing = torch.full((1, 2, 9), MASK_CODE)
    assert torch.equal(
        draw(logits, nothing, [greedy], 0), draw(logits, random_history(1, 2), [without], 0)
    )


def test_seed_and_step_alone_decide_the_draw() -> None:
    logits, nothing = torch.zeros(1, 9, NUM_LOGITS), torch.full((1, 2, 9), MASK_CODE)
    plain = SamplingSettings(min_p=0.0)
    assert torch.equal(draw(logits, nothing, [plain], 3), draw(logits, nothing, [plain], 3))
    assert not torch.equal(draw(logits, nothing, [plain], 3), draw(logits, nothing, [plain], 4))


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e30])
@pytest.mark.parametrize("settings", BORDERS, ids=str)
def test_at_the_borders_of_the_ranges_there_is_always_a_code_to_draw(
    settings: SamplingSettings, scale: float
) -> None:
    logits = scale * random_logits(1)
    history = torch.full((1, settings.repetition_penalty_window, 9), 7)
    rows = SamplingRows.stack([settings], CPU)
    probabilities = next_code_probabilities(penalise(logits, history, rows.penalties), rows)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1, 9))
    assert (draw(logits, history, [settings], step=0)[0, 1:] < END_CODE).all()


@pytest.mark.parametrize(
    "settings", [{"temperature": 5e-324}, {"top_p": 5e-324}, {"top_k": 1}, {"min_p": 1.0}]
)
def test_the_narrowest_choice_is_the_likeliest_code(settings: dict[str, Any]) -> None:
    logits, nothing = random_logits(1), torch.full((1, 2, 9), MASK_CODE)
    greedy = draw(logits, nothing, [SamplingSettings(temperature=0.0)], step=0)
    assert torch.equal(draw(logits, nothing, [SamplingSettings(**settings)], step=0), greedy)


@pytest.mark.parametrize("settings", [
    {"temperature": -0.1}, {"temperature": float("nan")}, {"min_p": 1.1}, {"top_p": -0.1},
    {"top_k": -1}, {"top_k": 2**70}, {"linear": -1.0}, {"conf": 11.0}, {"quad": float("inf")},
    {"repetition_penalty": 0.0}, {"repetition_penalty_window": 0},
    {"repetition_penalty_window": 65},
])  # fmt: skip
def test_settings_out_of_range_are_refused_with_the_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        SamplingSettings(**settings)
