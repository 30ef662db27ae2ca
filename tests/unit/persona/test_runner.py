"""The runner: cached equals uncached, beside others equals alone, a head gives its logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deployments.engine.persona.runner import Row, Runner
from tests.unit.persona.tiny import tiny_model

TOKEN_IDS = [2, *(260 + (7 * idx) % 40 for idx in range(60))]
HEAD_IDS = [1, 261, 270, 280]


def logits_after(runner: Runner, token_ids: list[int], num_cached: int = 0) -> Tensor:
    """What `step` says after `token_ids`, of which the first were read before."""
    cached = runner.read(token_ids[:num_cached], None)
    cache = runner.read(token_ids[num_cached:-1], None, after=cached)
    return runner.step([Row(cache, token_ids[-1], runner.head(HEAD_IDS), None)])[0]


@pytest.mark.parametrize("num_cached", [0, 1, 20, 45, 60])
def test_reading_in_pieces_equals_the_plain_model(num_cached: int) -> None:
    with torch.inference_mode():
        logits = tiny_model()(input_ids=torch.tensor([TOKEN_IDS])).logits[0, -1, HEAD_IDS]

    ours = logits_after(Runner(tiny_model(), num_rows=4), TOKEN_IDS, num_cached)

    torch.testing.assert_close(ours, logits, rtol=1e-5, atol=1e-6)


def test_token_by_token_equals_at_once() -> None:
    runner = Runner(tiny_model(), num_rows=2)
    head = runner.head(HEAD_IDS)

    cache = runner.read(TOKEN_IDS[:10], None)
    for token_id in TOKEN_IDS[10:]:
        (logits,) = runner.step([Row(cache, token_id, head, None)])

    torch.testing.assert_close(logits, logits_after(runner, TOKEN_IDS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_the_same_to_the_last_bit_beside_others(dtype: torch.dtype) -> None:
    runner = Runner(tiny_model().to(dtype), num_rows=4)
    head = runner.head(HEAD_IDS)
    lengths = [5, 60, 33, 12]

    def row(length: int) -> Row:
        cache = runner.read(TOKEN_IDS[: length - 1], None)
        return Row(cache, TOKEN_IDS[length - 1], head, None)

    alone = [runner.step([row(length)])[0] for length in lengths]
    together = runner.step([row(length) for length in lengths])

    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


def test_what_is_read_after_a_cache_leaves_it_as_it_was() -> None:
    runner = Runner(tiny_model(), num_rows=2)
    prefix = runner.read(TOKEN_IDS[:40], None)

    first = runner.read(TOKEN_IDS[40:], None, after=prefix)
    second = runner.read(TOKEN_IDS[40:], None, after=prefix)

    head = runner.head(HEAD_IDS)
    rows = [Row(cache, 5, head, None) for cache in (first, second)]
    logits = runner.step(rows)
    assert torch.equal(logits[0], logits[1])
