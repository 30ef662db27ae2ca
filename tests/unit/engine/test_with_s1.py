"""The engine over the real S1 decoder: two checkpoints, sequences of all lengths, cancels."""

import random
from dataclasses import replace

import pytest
import torch

from deployments.engine.batching.engine import BatchingEngine
from deployments.engine.batching.loop_detector import is_looping
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import DecodingBatch, S1Request, StepResult, generate
from tests.unit.s1.conftest import TINY, random_network, random_request

CAPACITY = 2000


@pytest.fixture(scope="module")
def decoders() -> dict[str, S1Decoder]:
    torch.set_num_threads(1)
    first = S1Decoder(random_network(TINY))
    network = random_network(TINY)
    with torch.no_grad():
        network.output.weight.neg_()  # a checkpoint that says something else
    return {"first": first, "second": S1Decoder(network)}


def test_sequences_of_two_checkpoints_have_the_tokens_they_have_alone(
    decoders: dict[str, S1Decoder],
) -> None:
    chance = random.Random(0)
    engine: BatchingEngine[S1Request, int] = BatchingEngine(100, is_looping)
    for name, decoder in decoders.items():
        engine.add_group(name, DecodingBatch(decoder, 4, CAPACITY), num_slots=4)
    jobs = {
        f"s{i}": (chance.choice(["first", "second"]), random_request(TINY, i)) for i in range(24)
    }
    tokens: dict[str, list[int]] = {name: [] for name in jobs}
    reasons: dict[str, str] = {}
    for name, (group, request) in jobs.items():
        engine.submit(name, group, request)
    engine.cancel("s3")
    while engine.has_work:
        for event in engine.step():
            if event.token is not None:
                tokens[event.sequence_id].append(event.token)
            if event.finish_reason is not None:
                reasons[event.sequence_id] = event.finish_reason
        engine.cancel("s5")
    for name, (group, request) in jobs.items():
        alone = generate(decoders[group], request).tokens.tolist()[len(request.generated_prefix) :]
        if reasons.get(name) in ("stop", "length"):
            assert tokens[name] == alone
        else:  # cancelled, or cut off in a loop
            assert tokens[name] == alone[: len(tokens[name])]
    assert {"s3", "s5"}.isdisjoint(reasons)
    assert list(reasons.values()).count("failed") == 0


def test_a_request_that_does_not_fit_is_refused_alone(decoders: dict[str, S1Decoder]) -> None:
    engine: BatchingEngine[S1Request, int] = BatchingEngine(max_waiting=100)
    engine.add_group("first", DecodingBatch(decoders["first"], 2, capacity=16), num_slots=2)
    engine.submit("large", "first", random_request(TINY, 0))
    (event,) = engine.step()
    assert (event.finish_reason, type(event.error)) == ("failed", ValueError)
    assert not engine.has_work


class Breaking(DecodingBatch):
    """Raises in one step and in every one with `unlucky`, when it has computed already."""

    def __init__(self, decoder: S1Decoder, unlucky: S1Request) -> None:
        super().__init__(decoder, 4, CAPACITY)
        self._unlucky = unlucky
        self._members: dict[int, S1Request] = {}
        self._num_steps = 0

    def join(self, request: S1Request) -> int:
        slot = super().join(request)
        self._members[slot] = request
        return slot

    def step(self) -> list[StepResult]:
        results = super().step()
        self._num_steps += 1
        members = {self._members[result.slot].seed for result in results}
        if self._unlucky.seed in members or self._num_steps == 20:
            raise torch.OutOfMemoryError("no memory")
        return results


def test_after_a_broken_step_the_others_have_the_tokens_they_have_alone(
    decoders: dict[str, S1Decoder],
) -> None:
    requests = [replace(random_request(TINY, seed), max_new_tokens=20) for seed in range(6)]
    engine: BatchingEngine[S1Request, int] = BatchingEngine(100, is_looping)
    engine.add_group("first", Breaking(decoders["first"], unlucky=requests[2]), num_slots=4)
    for request in requests:
        engine.submit(str(request.seed), "first", request)
    tokens: dict[str, list[int]] = {str(request.seed): [] for request in requests}
    failed = []
    while engine.has_work:
        for event in engine.step():
            if event.token is not None:
                tokens[event.sequence_id].append(event.token)
            if event.error is not None:
                failed.append(event.sequence_id)
    assert failed == ["2"]
    for request in requests:
        if request.seed != 2:
            alone = generate(decoders["first"], request).tokens.tolist()
            assert tokens[str(request.seed)] == alone
