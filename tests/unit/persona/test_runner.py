"""The runner: cached equals uncached, and a head of some tokens gives those tokens' logits."""

from __future__ import annotations

import pytest
import torch

from deployments.engine.persona.runner import Runner
from tests.unit.persona.tiny import tiny_model

TOKEN_IDS = [2, *(260 + (7 * idx) % 40 for idx in range(60))]
HEAD_IDS = [1, 261, 270, 280]


@pytest.mark.parametrize("num_cached", [1, 20, 45, 60])
def test_reading_after_a_cached_prefix_equals_reading_everything(num_cached: int) -> None:
    model = tiny_model()
    runner = Runner(model)
    head = runner.head(HEAD_IDS)
    with torch.inference_mode():
        whole = model(input_ids=torch.tensor([TOKEN_IDS])).logits[0, -1, HEAD_IDS]

    cache = runner.copy(runner.prefix(TOKEN_IDS[:num_cached]))
    logits = runner.extend(cache, TOKEN_IDS[num_cached:], head)

    torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-5)


def test_token_by_token_equals_at_once() -> None:
    runner = Runner(tiny_model())
    head = runner.head(HEAD_IDS)
    at_once = runner.extend(runner.prefix(TOKEN_IDS[:10]), TOKEN_IDS[10:], head)

    cache = runner.prefix(TOKEN_IDS[:10])
    for token_id in TOKEN_IDS[10:]:
        logits = runner.extend(cache, [token_id], head)

    torch.testing.assert_close(logits, at_once, rtol=1e-4, atol=1e-5)


def test_extending_a_copy_leaves_the_prefix_as_it_was() -> None:
    runner = Runner(tiny_model())
    prefix = runner.prefix(TOKEN_IDS[:40])
    before = runner.copy(prefix)

    runner.extend(runner.copy(prefix), TOKEN_IDS[40:], runner.head(HEAD_IDS))

    unchanged = runner.extend(prefix, TOKEN_IDS[40:], runner.head(HEAD_IDS))
    torch.testing.assert_close(
        unchanged, runner.extend(before, TOKEN_IDS[40:], runner.head(HEAD_IDS)), rtol=0, atol=0
    )
