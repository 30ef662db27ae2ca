"""The guide as vLLM calls it: a line that can't go on ends, and nothing is raised."""

from __future__ import annotations

from pathlib import Path

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


def test_training_lines_are_read_byte_for_byte(tmp_path: Path) -> None:
    file = tmp_path / "training_lines.txt"
    file.write_bytes("가\r나\n".encode())  # no line break to Python's universal ones alone

    lines = vllm_guide._training_lines(str(file))

    assert lines.completions("가", max_chars=1, beginnings=[[" "]]) == {" "}


def test_a_line_ends_where_training_lines_leave_no_choice(tmp_path: Path) -> None:
    file = tmp_path / "training_lines.txt"
    first = TOKENIZER.convert_tokens_to_ids("가")
    file.write_text("".join(f"가{text[:1]}\n" for text in CHOICES.beginnings[0]))
    sampling = Sampling(max_copied_chars=1)
    lines = vllm_guide._training_lines(str(file))
    guide = vllm_guide._guide(TOKENIZER, CHOICES, "polite", sampling, 0, [], lines)

    found = guide([], [first], torch.zeros(NUM_TOKENS)).isfinite().nonzero().flatten().tolist()

    assert TOKENIZER.eos_token_id in found
    assert vllm_guide.no_number_id(TOKENIZER) not in found
