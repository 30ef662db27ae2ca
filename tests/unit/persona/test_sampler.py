"""Drawing: seeded, inside the nucleus, steered away from what was drawn before."""

from __future__ import annotations

import pytest
import torch

from deployments.engine.persona.sampler import Sampler
from models.persona.persona import Sampling

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -2.0])


def draws(sampling: Sampling, seed: int, count: int = 30) -> list[int]:
    sampler = Sampler(sampling, seed, len(LOGITS))
    return [sampler.draw(LOGITS) for _ in range(count)]


def test_the_same_seed_draws_the_same() -> None:
    assert draws(Sampling(), seed=7) == draws(Sampling(), seed=7)
    assert draws(Sampling(), seed=7) != draws(Sampling(), seed=8)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    # Probabilities 0.64, 0.23, 0.09, 0.03, 0.01.
    sampling = Sampling(temperature=1.0, top_p=0.8, repetition_penalty=1.0)

    assert set(draws(sampling, seed=0, count=300)) == {0, 1}


def test_temperature_zero_takes_the_likeliest() -> None:
    sampling = Sampling(temperature=0.0, repetition_penalty=1.0)

    assert draws(sampling, seed=0, count=3) == [0, 0, 0]


def test_a_penalty_makes_room_for_what_was_not_drawn_yet() -> None:
    sampling = Sampling(temperature=0.0, repetition_penalty=2.0)

    # 2.0 falls to 1.0, which still comes first; equal logits go to the earlier.
    sampler = Sampler(sampling, 0, 3)
    logits = torch.tensor([2.0, 1.5, -0.5])
    assert [sampler.draw(logits) for _ in range(3)] == [0, 1, 0]


def test_what_is_ruled_out_is_never_drawn() -> None:
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0])
    sampler = Sampler(Sampling(top_p=1.0), 0, 4)

    assert {sampler.draw(logits) for _ in range(50)} == {1, 3}


@pytest.mark.parametrize("extreme", [{"temperature": 1e-40}, {"top_p": 1e-300}])
def test_the_least_a_caller_may_ask_for_takes_the_likeliest(extreme: dict[str, float]) -> None:
    sampling = Sampling(**{"repetition_penalty": 1.0, **extreme})

    assert draws(sampling, seed=0, count=3) == [0, 0, 0]
