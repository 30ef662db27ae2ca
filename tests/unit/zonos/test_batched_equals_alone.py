"""A guided sequence has the same frames alone, in any batch, and after an interruption."""

import random
from dataclasses import replace

import pytest
import torch

from models.zonos.codes import END_CODE
from models.zonos.columns import Frame
from models.zonos.generation import Generation, ZonosBatch, ZonosRequest, generate
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos, weight_of
from models.zonos.sampling import SamplingSettings
from tests.zonos_network import random_request, random_zonos, zonos_json

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


class RestlessServer:
    """Runs requests in one batch; sequences join at random times, and some are thrown out.

    What was generated of those comes back later as the ``generated_prefix`` of a new request.
    """

    def __init__(self, decoder: GuidedDecoder, batch_size: int, capacity: int) -> None:
        self.batch = ZonosBatch(decoder, batch_size, capacity)
        self.draw = random.Random(batch_size)
        self.frames: dict[int, list[Frame]] = {}  # by seed
        self.running: dict[int, ZonosRequest] = {}  # by slot
        self.outcomes: dict[int, Generation] = {}  # by seed

    def run(self, requests: list[ZonosRequest]) -> dict[int, Generation]:
        waiting = list(requests)
        while waiting or self.running:
            while waiting and self.batch.num_free_slots and self.draw.random() < 0.7:
                request = waiting.pop(0)
                self.running[self.batch.join(request)] = request
            self._step()
            if self.running and self.draw.random() < 0.1:
                waiting.append(self._throw_out(self.draw.choice(sorted(self.running))))
        return self.outcomes

    def _step(self) -> None:
        for result in self.batch.step():
            seed = self.running[result.slot].seed
            frames = self.frames.setdefault(seed, [])
            if result.token is not None:
                frames.append(result.token)
            assert result.finish_reason != "not_finite"
            if result.finish_reason is not None:
                del self.running[result.slot]
                self.outcomes[seed] = Generation(frames, result.finish_reason)

    def _throw_out(self, slot: int) -> ZonosRequest:
        request = self.running.pop(slot)
        self.batch.leave(slot)
        return replace(request, generated_prefix=list(self.frames.get(request.seed, [])))


@both_dtypes
def test_frames_are_those_of_the_sequence_alone(network: Zonos, dtype: torch.dtype) -> None:
    # One row bucket for all batches: what a server in bfloat16 does, and nothing in float32.
    decoder = GuidedDecoder(network, dtype, row_bucket=16)
    requests = [random_request(network, seed) for seed in range(10)]
    alone = {request.seed: generate(decoder, request) for request in requests}
    assert {generation.finish_reason for generation in alone.values()} == {"end", "length"}
    capacity = max(request.max_positions for request in requests)
    for batch_size in (3, 8):
        assert RestlessServer(decoder, batch_size, capacity).run(requests) == alone


def test_logits_have_the_same_bits_in_every_batch_in_float32() -> None:
    # Widths that neither vectors nor blocks divide evenly among the rows.
    network = random_zonos(zonos_json(hidden_dim=512, num_layers=2, inner_dim=1000))
    decoder = GuidedDecoder(network)
    requests = [random_request(network, seed) for seed in range(8)]
    cache = decoder.new_cache(num_slots=8, capacity=128)
    first, column = torch.full((1, 9), 1025), torch.arange(9)[None]
    alone = []
    for request in requests:
        decoder.prefill(request.prefix, first, cache, 0)
        alone.append(decoder.decode(column, [0], cache)[0])
    for batch_size in (2, 3, 5, 8):
        slots = random.Random(batch_size).sample(range(8), batch_size)
        for request, slot in zip(requests, slots, strict=False):
            decoder.prefill(request.prefix, first, cache, slot)
        logits = decoder.decode(column.expand(batch_size, -1), slots, cache)
        assert torch.equal(logits, torch.stack(alone[:batch_size]))


@both_dtypes
def test_generation_goes_on_from_any_frame_as_if_never_interrupted(
    network: Zonos, dtype: torch.dtype
) -> None:
    decoder = GuidedDecoder(network, dtype)
    request = replace(random_request(network, 7), max_new_frames=30)
    whole = generate(decoder, request)
    for length in (0, 1, 2, 8, 9, 10, len(whole.frames) - 1):
        interrupted = replace(request, generated_prefix=whole.frames[:length])
        assert generate(decoder, interrupted) == whole


def test_generation_goes_on_behind_a_first_code_that_was_the_end_code(network: Zonos) -> None:
    """Upstream does not take it for the end, and gives 0 in its place."""
    request = replace(
        random_request(network, 2),
        sampling=SamplingSettings(temperature=0.0),
        prompt=(),
        max_new_frames=12,
    )
    first_code = generate(GuidedDecoder(network), request).frames[0][0]
    assert first_code != 0
    ending = random_zonos()
    head = weight_of(ending.heads[0])
    head[END_CODE] = 1.15 * head[first_code]
    decoder = GuidedDecoder(ending)

    whole = generate(decoder, request)

    assert whole.frames[0][0] == 0 and len(whole.frames) > 1
    assert generate(decoder, replace(request, generated_prefix=whole.frames[:1])) == whole


def test_a_sequence_that_leaves_frees_both_its_rows_for_the_next(decoder: GuidedDecoder) -> None:
    network = random_zonos()
    first, second, third = (random_request(network, seed) for seed in (1, 2, 3))
    capacity = max(request.max_positions for request in (first, second, third))
    batch = ZonosBatch(decoder, num_slots=2, capacity=capacity)
    slots = [batch.join(request) for request in (first, second)]
    with pytest.raises(ValueError, match="all 2 slots are taken"):
        batch.join(third)
    batch.step()
    batch.leave(slots[0])
    assert batch.active_slots == slots[1:]
    assert batch.join(third) == slots[0]
    outcomes: dict[int, list[Frame]] = {slot: [] for slot in slots}
    while batch.active_slots:
        for result in batch.step():
            outcomes[result.slot] += [result.token] if result.token else []
    assert outcomes[slots[0]] == generate(decoder, third).frames
    assert outcomes[slots[1]] == generate(decoder, second).frames
