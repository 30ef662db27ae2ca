"""Steps of fixed shapes draw what plain steps draw; what is captured on a GPU runs eagerly here."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import DecodingBatch, S1Request, generate
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s1.sampling import SamplingSettings
from models.gpt_sovits.s1.static_step import SlotState, StaticSteps, bucket

MakeRequest = Callable[[S1Config, int], S1Request]

CAPACITY = 600


def finished(batch: DecodingBatch, requests: list[S1Request]) -> list[tuple[list[int], str]]:
    """Tokens and ending of each request; they join when a slot is free, one before each step."""
    waiting, running = list(range(len(requests))), dict[int, int]()
    tokens: list[list[int]] = [request.generated_prefix.tolist() for request in requests]
    reasons = [""] * len(requests)
    while waiting or running:
        if waiting and batch.num_free_slots:
            idx = waiting.pop(0)
            running[batch.join(requests[idx])] = idx
        for result in batch.step():
            idx = running[result.slot]
            if result.token is not None:
                tokens[idx].append(result.token)
            if result.finish_reason is not None:
                reasons[running.pop(result.slot)] = result.finish_reason
    return list(zip(tokens, reasons, strict=True))


@pytest.mark.parametrize("num_slots", [1, 3, 5])
def test_static_steps_draw_the_tokens_that_plain_steps_draw(
    tiny_decoder: S1Decoder, make_request: MakeRequest, num_slots: int
) -> None:
    requests = [make_request(tiny_decoder.config, seed) for seed in range(12)]
    requests[4] = replace(requests[4], max_new_tokens=30, generated_prefix=torch.arange(9))
    static = DecodingBatch(tiny_decoder, num_slots, CAPACITY, has_static_steps=True)
    for request, (tokens, reason) in zip(requests, finished(static, requests), strict=True):
        alone = generate(tiny_decoder, request)
        assert (tokens, reason) == (alone.tokens.tolist(), alone.finish_reason)


def test_a_sequence_that_fills_its_slot_to_the_last_position_ends_as_it_does_alone(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    request = replace(make_request(tiny_decoder.config, 3), max_new_tokens=40)
    static = DecodingBatch(tiny_decoder, 1, request.max_positions, has_static_steps=True)
    assert finished(static, [request])[0][0] == generate(tiny_decoder, request).tokens.tolist()


def test_rows_without_a_sequence_touch_no_other_slot(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    batch = DecodingBatch(tiny_decoder, 3, CAPACITY, has_static_steps=True)
    slots = [batch.join(make_request(tiny_decoder.config, seed)) for seed in (0, 1)]
    batch.leave(slots[1])
    before = batch.cache.entries[:, :, 1:3].clone()
    batch.step()  # one sequence in a bucket of two rows
    assert torch.equal(batch.cache.entries[:, :, 1:3], before)


def test_a_sequence_that_overflows_ends_alone_in_static_steps_too(
    tiny_network: Text2Semantic, make_request: MakeRequest
) -> None:
    decoder = S1Decoder(tiny_network)
    batch = DecodingBatch(decoder, 2, CAPACITY, has_static_steps=True)
    request = replace(make_request(decoder.config, 1), max_new_tokens=30)
    for _ in range(2):
        batch.join(request)
    batch._logits[0, 5] = torch.nan
    assert [(result.slot, result.finish_reason) for result in batch.step()][0] == (0, "not_finite")
    assert batch.active_slots == [1]


def test_a_bucket_is_the_smallest_power_of_two_that_holds_the_batch() -> None:
    assert [bucket(size, 2) for size in (1, 2, 3, 4, 5, 9)] == [2, 2, 4, 4, 8, 16]
    assert [bucket(size, 16) for size in (1, 16, 17)] == [16, 16, 32]


@pytest.mark.parametrize(
    ("row_bucket", "programs"), [(2, {(2, 256), (2, 512), (4, 256), (4, 512)}), (4, {(4, 608)})]
)
def test_a_program_is_made_per_bucket_and_only_one_where_tokens_may_not_depend_on_the_load(
    tiny_network: Text2Semantic, row_bucket: int, programs: set[tuple[int, int]]
) -> None:
    decoder = S1Decoder(tiny_network, row_bucket=row_bucket)
    cache = decoder.new_cache(4 + 1, CAPACITY)
    vocab_size = decoder.config.vocab_size
    state = SlotState(
        torch.zeros(5, vocab_size),
        torch.zeros(5, dtype=torch.int64),
        torch.zeros(5, dtype=torch.int64),
        torch.zeros(5, vocab_size, dtype=torch.bool),
    )
    steps = StaticSteps(decoder, cache, state)
    for slots, length in (([0], 9), ([1, 2], 300), ([0, 1, 3], 20), ([0, 1, 2, 3], 400)):
        cache.lengths[slots[-1]] = length
        steps.step(slots, [SamplingSettings()] * len(slots))
        cache.lengths[slots[-1]] = 0
    assert set(steps._programs) == programs
