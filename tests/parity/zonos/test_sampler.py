"""The sampler against the reference: penalty, every filter and their order, the draw."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.zonos.codes import END_CODE
from models.zonos.sampling import (
    SamplingRows,
    SamplingSettings,
    next_code_probabilities,
    penalise,
    sample,
)
from tests.parity.zonos.comparison import relative_error
from tests.parity.zonos.fill import GOLDEN, zonos_filler_for

FILE_NAME = "sampling.npz"
CASES: dict[str, dict[str, Any]] = GOLDEN.json("sampling.json")["cases"]
PENALTY_CASES = [name for name in CASES if name.startswith("penalty.")]
DRAWN_CASES = [name for name in CASES if not name.startswith("penalty.")]
NUM_LOGITS = 1025  # the reference pads by one more, which can't be drawn
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return GOLDEN.arrays(FILE_NAME)


def logits() -> Tensor:
    """(1, codebook, logit), the end code forbidden where it is in generation."""
    made = zonos_filler_for(FILE_NAME).values("in.logits", (1, 9, 1026), scale=3.0)[
        ..., :NUM_LOGITS
    ]
    made[:, 1:, END_CODE] = -torch.inf
    return made


def recent(golden: dict[str, np.ndarray], settings: SamplingSettings) -> Tensor:
    """(1, column, codebook): the columns that the penalty looks at."""
    history = torch.from_numpy(golden["history"]).transpose(1, 2)
    return history[:, -settings.repetition_penalty_window :]


def race(case: str) -> Tensor:
    """The reference's exponential noise, (1, codebook, logit)."""
    unit = zonos_filler_for(FILE_NAME).unit(f"q.{case}", 9 * 1026) / np.sqrt(3.0)
    noise = np.maximum((-np.log1p(-(unit + 1.0) / 2.0)).astype(np.float32), 1e-20)
    return torch.from_numpy(noise).view(1, 9, 1026)[..., :NUM_LOGITS]


@pytest.mark.parametrize("case", PENALTY_CASES)
def test_penalised_logits_equal_the_reference(case: str, golden: dict[str, np.ndarray]) -> None:
    settings = SamplingSettings(**CASES[case])
    rows = SamplingRows.stack([settings], CPU)
    penalised = penalise(logits(), recent(golden, settings), rows.penalties)
    expected = golden[case][..., :NUM_LOGITS]
    is_finite = np.isfinite(expected)
    assert np.array_equal(penalised.isfinite().numpy(), is_finite)
    assert relative_error(penalised[torch.from_numpy(is_finite)], expected[is_finite]) <= 1e-6


@pytest.mark.parametrize("case", DRAWN_CASES)
def test_probabilities_and_drawn_codes_equal_the_reference(
    case: str, golden: dict[str, np.ndarray]
) -> None:
    settings = SamplingSettings(**{"min_p": 0.0, **CASES[case]})
    rows = SamplingRows.stack([settings], CPU)
    penalised = penalise(logits(), recent(golden, settings), rows.penalties)

    probabilities = next_code_probabilities(penalised, rows)

    assert relative_error(probabilities[0], golden[f"probs.{case}"][:, :NUM_LOGITS]) <= 1e-5
    assert (probabilities[0] > 0).sum(-1).tolist() == golden[f"nonzero.{case}"].tolist()
    drawn = (probabilities / race(case)).argmax(-1)
    assert drawn[0].tolist() == golden[f"token.{case}"].tolist()


@pytest.mark.parametrize(("name", "has_history"), [("greedy", True), ("greedy_no_history", False)])
def test_greedy_codes_equal_the_reference(
    name: str, has_history: bool, golden: dict[str, np.ndarray]
) -> None:
    settings = SamplingSettings(temperature=0.0)
    history = recent(golden, settings)
    seen = history if has_history else torch.full_like(history, 1025)
    zero = torch.zeros(1, dtype=torch.int64)
    codes = sample(logits(), seen, SamplingRows.stack([settings], CPU), seeds=zero, steps=zero)
    assert codes[0].tolist() == golden[name].tolist()
