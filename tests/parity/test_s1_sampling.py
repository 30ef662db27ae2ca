"""The sampling filter against the reference: surviving tokens and their probabilities.

Vectors and tolerance: tests/parity/data/gpt_sovits_v2/README.md, ``s1_sampling*``.
"""

import numpy as np
import torch

from models.gpt_sovits.s1.sampling import (
    MIN_NEW_TOKENS,
    SamplingRows,
    SamplingSettings,
    next_token_probabilities,
    penalise,
)
from tests.parity.s1_reference import GOLDEN

TOLERANCE = 1e-6
ARRAYS = GOLDEN.arrays("s1_sampling.npz")
SETTINGS = [SamplingSettings(**case) for case in GOLDEN.json("s1_sampling_cases.json")]


def penalised_logits() -> tuple[torch.Tensor, SamplingRows]:
    """All cases as the rows of one batch."""
    logits = torch.from_numpy(ARRAYS["logits"]).expand(len(SETTINGS), -1)
    is_seen = torch.zeros(logits.shape, dtype=torch.bool)
    is_seen[:, torch.from_numpy(ARRAYS["previous_tokens"][0])] = True
    rows = SamplingRows.stack(SETTINGS, logits.shape[1], logits.device)
    steps = torch.full((len(SETTINGS),), MIN_NEW_TOKENS)
    return penalise(logits, is_seen, rows.repetition_penalty, steps), rows


def test_penalised_logits_equal_the_reference() -> None:
    penalised, _ = penalised_logits()
    expected = ARRAYS["logits_after_inplace_penalty"][0]
    np.testing.assert_allclose(penalised[0], expected, rtol=0, atol=TOLERANCE)


def test_surviving_tokens_and_probabilities_equal_the_reference_in_a_mixed_batch() -> None:
    probabilities = next_token_probabilities(*penalised_logits())
    for case, row in enumerate(probabilities):
        expected = np.zeros(len(row), dtype=np.float32)
        expected[ARRAYS[f"case{case}_ids"]] = ARRAYS[f"case{case}_probs"]
        np.testing.assert_array_equal(row > 0, expected > 0)
        np.testing.assert_allclose(row, expected, rtol=0, atol=TOLERANCE)
