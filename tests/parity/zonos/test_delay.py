"""The delay pattern against the reference, there and back."""

from typing import Any

import pytest
import torch

from models.zonos.delay import delay, revert
from tests.parity.zonos.fill import GOLDEN

CASES: list[dict[str, Any]] = GOLDEN.json("delay.json")


@pytest.mark.parametrize("case_idx", range(len(CASES)))
def test_delayed_and_reverted_codes_equal_the_reference(case_idx: int) -> None:
    case = CASES[case_idx]
    codes = torch.tensor(case["codes"]).T
    assert delay(codes).T.tolist() == case["delayed"]
    assert revert(torch.tensor(case["delayed"]).T).T.tolist() == case["reverted"]
