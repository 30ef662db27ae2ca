"""The guide as vLLM calls it: a line that can't go on ends, and nothing is raised."""

from __future__ import annotations

import pytest
import torch

from deployments.engine.persona.choices import Choices
from models.persona.persona import Sampling
from models.persona.vocabulary import vocabulary_of
from tests.unit.persona.tiny import tiny_tokenizer

vllm_guide = pytest.importorskip("deployments.engine.persona.vllm_guide", exc_type=ImportError)

TOKENIZER = tiny_tokenizer()
CHOICES = Choices(vocabulary_of(TOKENIZER, "hangul"), torch.empty(0))
NUM_TOKENS = len(TOKENIZER)


def drawable(logits: torch.Tensor) -> set[int]:
    """The tokens that a new line may draw from these logits."""
    guide = vllm_guide._guide(TOKENIZER, CHOICES, None, Sampling(), 0, [], None)
    found = guide([], [], logits)
    assert not found.isnan().any()
    return set(found.isfinite().nonzero().flatten().tolist())


def test_a_line_draws_from_its_script_alone() -> None:
    assert drawable(torch.zeros(NUM_TOKENS)) == set(CHOICES.token_ids)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_leaves_the_token_that_no_other_line_draws(value: float) -> None:
    logits = torch.zeros(NUM_TOKENS)
    logits[CHOICES.token_ids[7]] = value

    only = vllm_guide.no_number_id(TOKENIZER)

    assert drawable(logits) == {only}
    assert only not in CHOICES.token_ids
