"""The engine over guidance pairs of nine code streams: batched, cancelled, broken and gone on."""

import random

import pytest
import torch

from deployments.engine.batching.engine import BatchingEngine
from models.zonos.columns import Frame
from models.zonos.generation import StepResult, ZonosBatch, ZonosRequest, generate
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import weight_of
from tests.zonos_network import random_request, random_zonos

CAPACITY = 128


@pytest.fixture(scope="module")
def decoders() -> dict[str, GuidedDecoder]:
    return {"first": GuidedDecoder(random_zonos()), "second": GuidedDecoder(random_zonos(seed=1))}


@pytest.fixture(scope="module")
def requests() -> list[ZonosRequest]:
    return [random_request(random_zonos(), seed) for seed in range(8)]


def run(
    engine: BatchingEngine[ZonosRequest, Frame], cancelled: str | None = None
) -> tuple[dict[str, list[Frame]], dict[str, str]]:
    """Frames and finish reasons by sequence."""
    frames: dict[str, list[Frame]] = {}
    reasons: dict[str, str] = {}
    num_steps = 0
    while engine.has_work:
        for event in engine.step():
            if event.token is not None:
                frames.setdefault(event.sequence_id, []).append(event.token)
            if event.finish_reason is not None:
                reasons[event.sequence_id] = event.finish_reason
        num_steps += 1
        if cancelled is not None and num_steps == 12:
            engine.cancel(cancelled)
    return frames, reasons


def test_sequences_of_two_checkpoints_have_the_frames_they_have_alone(
    decoders: dict[str, GuidedDecoder], requests: list[ZonosRequest]
) -> None:
    chance = random.Random(0)
    engine: BatchingEngine[ZonosRequest, Frame] = BatchingEngine(100)
    for name, decoder in decoders.items():
        engine.add_group(name, ZonosBatch(decoder, 2, CAPACITY), num_slots=2)
    groups = {str(request.seed): chance.choice(list(decoders)) for request in requests}
    for request in requests:
        engine.submit(str(request.seed), groups[str(request.seed)], request)
    frames, reasons = run(engine)
    alone = {str(r.seed): generate(decoders[groups[str(r.seed)]], r) for r in requests}
    assert frames == {name: generation.frames for name, generation in alone.items()}
    endings = {"end": "stop", "length": "length"}
    assert reasons == {name: endings[g.finish_reason] for name, g in alone.items()}


def test_cancelling_frees_both_rows_for_the_sequence_that_waits(
    decoders: dict[str, GuidedDecoder], requests: list[ZonosRequest]
) -> None:
    decoder = decoders["first"]
    first, second = [request for request in requests if request.max_new_frames > 10][:2]
    engine: BatchingEngine[ZonosRequest, Frame] = BatchingEngine(100)
    batch = ZonosBatch(decoder, 1, CAPACITY)
    engine.add_group("first", batch, num_slots=1)
    engine.submit("cancelled", "first", first)
    engine.submit("waiting", "first", second)
    frames, reasons = run(engine, cancelled="cancelled")
    assert list(reasons) == ["waiting"]
    assert frames["waiting"] == generate(decoder, second).frames
    assert batch.num_free_slots == 1


class Breaking(ZonosBatch):
    """Raises in every twelfth step, when it has computed already."""

    num_steps = 0

    def step(self) -> list[StepResult]:
        results = super().step()
        self.num_steps += 1
        if self.num_steps == 12:
            raise torch.OutOfMemoryError("no memory")
        return results


def test_after_a_broken_step_all_go_on_with_the_frames_they_have_alone(
    decoders: dict[str, GuidedDecoder], requests: list[ZonosRequest]
) -> None:
    decoder = decoders["first"]
    engine: BatchingEngine[ZonosRequest, Frame] = BatchingEngine(100)
    engine.add_group("first", Breaking(decoder, 4, CAPACITY), num_slots=4)
    for request in requests:
        engine.submit(str(request.seed), "first", request)
    frames, _ = run(engine)
    assert frames == {str(r.seed): generate(decoder, r).frames for r in requests}


def test_a_network_that_overflows_fails_its_sequence_and_spoils_no_other(
    requests: list[ZonosRequest],
) -> None:
    healthy = GuidedDecoder(random_zonos())
    expected = {str(r.seed): generate(healthy, r) for r in requests}
    network = random_zonos()
    # One code makes the network overflow: whoever draws it fails, and nobody else.
    unlucky = max((g.frames for g in expected.values()), key=len)[0][0]
    weight_of(network.embeddings[0])[unlucky] = torch.inf
    decoder = GuidedDecoder(network)
    engine: BatchingEngine[ZonosRequest, Frame] = BatchingEngine(100)
    engine.add_group("first", ZonosBatch(decoder, 2, CAPACITY), num_slots=2)
    for request in requests:
        engine.submit(str(request.seed), "first", request)
    frames, reasons = run(engine)
    failed = {name for name, reason in reasons.items() if reason == "failed"}
    assert failed and failed != set(expected)
    for name, generation in expected.items():
        if name not in failed:
            assert frames[name] == generation.frames
