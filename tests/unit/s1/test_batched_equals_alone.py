"""A sequence has the same tokens alone, in any batch, and after an interruption."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import DecodingBatch, S1Request, generate
from models.gpt_sovits.s1.network import Text2Semantic

MakeRequest = Callable[[S1Config, int], S1Request]
Outcome = tuple[list[int], str]

# The published widths, which decide what the kernels do; fewer layers, to afford 200 seeds.
FULL_WIDTH = S1Config(num_layers=4)


def outcome_alone(decoder: S1Decoder, request: S1Request) -> Outcome:
    generation = generate(decoder, request)
    return generation.tokens.tolist(), generation.finish_reason


class RestlessServer:
    """Runs requests in one batch; sequences join at random times, and some are thrown out.

    What was generated of those comes back later as the ``generated_prefix`` of a new request.
    """

    def __init__(self, decoder: S1Decoder, batch_size: int, capacity: int) -> None:
        self.batch = DecodingBatch(decoder, batch_size, capacity)
        self.draw = random.Random(batch_size)
        self.tokens: dict[int, list[int]] = {}  # by seed
        self.running: dict[int, S1Request] = {}  # by slot
        self.outcomes: dict[int, Outcome] = {}  # by seed

    def run(self, requests: list[S1Request]) -> dict[int, Outcome]:
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
            tokens = self.tokens.setdefault(seed, [])
            if result.token is not None:
                tokens.append(result.token)
            if result.finish_reason is not None:
                del self.running[result.slot]
                self.outcomes[seed] = (tokens, result.finish_reason)

    def _throw_out(self, slot: int) -> S1Request:
        request = self.running.pop(slot)
        self.batch.leave(slot)
        prefix = torch.tensor(self.tokens.get(request.seed, []), dtype=torch.int64)
        return replace(request, generated_prefix=prefix)


def assert_batched_equals_alone(
    decoder: S1Decoder, requests: list[S1Request], batch_sizes: list[int]
) -> None:
    alone = {request.seed: outcome_alone(decoder, request) for request in requests}
    capacity = max(request.max_positions for request in requests)
    for batch_size in batch_sizes:
        assert RestlessServer(decoder, batch_size, capacity).run(requests) == alone


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_are_those_of_the_sequence_alone(
    tiny_network: Text2Semantic, dtype: torch.dtype, make_request: MakeRequest
) -> None:
    decoder = S1Decoder(tiny_network, dtype)  # in bfloat16, a batch of 16 is one row bucket
    requests = [make_request(decoder.config, seed) for seed in range(24)]
    assert_batched_equals_alone(decoder, requests, [1, 2, 3, 8, 16])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokens_are_those_of_the_sequence_alone_for_200_seeds_in_batches_of_1_to_16(
    make_network: Callable[[S1Config], Text2Semantic], dtype: torch.dtype, make_request: MakeRequest
) -> None:
    decoder = S1Decoder(make_network(FULL_WIDTH), dtype)
    requests = [make_request(FULL_WIDTH, seed) for seed in range(200)]
    assert_batched_equals_alone(decoder, requests, list(range(1, 17)))


def test_logits_at_the_published_widths_have_the_same_bits_in_every_batch(
    make_network: Callable[[S1Config], Text2Semantic], make_request: MakeRequest
) -> None:
    config = S1Config(num_layers=2)
    decoder = S1Decoder(make_network(config))
    requests = [make_request(config, seed) for seed in range(16)]
    cache = decoder.new_cache(num_slots=16, capacity=128)
    alone = []
    for request in requests:
        decoder.prefill(*prefill_arguments(request), cache, 0)
        alone.append(decoder.decode(torch.tensor([7]), [0], cache)[0])
    for batch_size in (2, 3, 5, 8, 11, 16):
        slots = random.Random(batch_size).sample(range(16), batch_size)
        for request, slot in zip(requests, slots, strict=False):
            decoder.prefill(*prefill_arguments(request), cache, slot)
        logits = decoder.decode(torch.full((batch_size,), 7), slots, cache)
        assert torch.equal(logits, torch.stack(alone[:batch_size]))


def prefill_arguments(request: S1Request) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return request.phoneme_ids, request.bert_features, request.prompt_tokens


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_generation_goes_on_from_any_prefix_as_if_never_interrupted(
    tiny_network: Text2Semantic, dtype: torch.dtype, make_request: MakeRequest
) -> None:
    decoder = S1Decoder(tiny_network, dtype)
    request = replace(make_request(decoder.config, 3), max_new_tokens=100)
    whole = generate(decoder, request)
    for length in (0, 1, 2, 10, 11, len(whole.tokens) - 1):
        interrupted = replace(request, generated_prefix=whole.tokens[:length])
        continued = generate(decoder, interrupted)
        assert continued.tokens.tolist() == whole.tokens.tolist()
        assert continued.finish_reason == whole.finish_reason


def test_replayed_logits_have_the_bits_of_step_by_step_decoding(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    request = make_request(tiny_decoder.config, 5)
    tokens = torch.arange(70) % tiny_decoder.config.num_semantic_tokens
    cache = tiny_decoder.new_cache(num_slots=2, capacity=200)
    for slot in (0, 1):
        tiny_decoder.prefill(*prefill_arguments(request), cache, slot)
    for token in tokens:
        stepped = tiny_decoder.decode(token[None], [0], cache)[0]
    replayed = tiny_decoder.replay(tokens, cache, slot=1)
    assert torch.equal(replayed, stepped)
