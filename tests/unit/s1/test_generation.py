"""Limits, endings and slots of a decoding batch."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import DecodingBatch, S1Request, generate
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s1.sampling import MIN_NEW_TOKENS, SamplingSettings

MakeRequest = Callable[[S1Config, int], S1Request]


def decoder_preferring(network: Text2Semantic, token: int) -> S1Decoder:
    """A decoder of a network whose every logit vector peaks at one token."""
    network = type(network)(network.config).eval()
    with torch.no_grad():
        network.layers[-1].feed_forward_norm.weight.zero_()
        network.layers[-1].feed_forward_norm.bias.fill_(1.0)
        network.output.weight.zero_()
        network.output.weight[token] = 10.0
    return S1Decoder(network)


def test_the_end_token_is_held_back_for_the_first_tokens_and_is_not_part_of_the_result(
    tiny_network: Text2Semantic, make_request: MakeRequest
) -> None:
    config = tiny_network.config
    decoder = decoder_preferring(tiny_network, config.end_token)
    request = replace(make_request(config, 0), max_new_tokens=40)
    generation = generate(decoder, request)
    assert generation.finish_reason == "end"
    assert len(generation.tokens) == MIN_NEW_TOKENS
    assert generation.tokens.max() < config.end_token


def test_a_sequence_without_an_end_stops_at_its_limit(
    tiny_network: Text2Semantic, make_request: MakeRequest
) -> None:
    decoder = decoder_preferring(tiny_network, 5)
    sampling = SamplingSettings(top_k=1, repetition_penalty=1.0)
    for limit in (1, 2, 17):
        request = replace(make_request(decoder.config, 0), max_new_tokens=limit, sampling=sampling)
        generation = generate(decoder, request)
        assert generation.tokens.tolist() == [5] * limit
        assert generation.finish_reason == "length"


def test_another_seed_gives_other_tokens(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    request = replace(
        make_request(tiny_decoder.config, 0), max_new_tokens=30, sampling=SamplingSettings()
    )
    results = {tuple(generate(tiny_decoder, replace(request, seed=s)).tokens) for s in range(5)}
    assert len(results) == 5


def test_a_slot_that_is_left_goes_to_the_next_request(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    batch = DecodingBatch(tiny_decoder, num_slots=3, capacity=110)
    slots = [batch.join(make_request(tiny_decoder.config, seed)) for seed in range(3)]
    assert slots == [0, 1, 2]
    batch.leave(1)
    assert batch.active_slots == [0, 2]
    assert batch.join(make_request(tiny_decoder.config, 3)) == 1


def test_a_full_batch_an_unknown_slot_and_an_oversized_request_are_refused(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    batch = DecodingBatch(tiny_decoder, num_slots=1, capacity=120)
    with pytest.raises(ValueError, match="slot 0 holds no sequence"):
        batch.leave(0)
    request = make_request(tiny_decoder.config, 0)
    with pytest.raises(ValueError, match="the cache has 128 per sequence"):
        batch.join(replace(request, max_new_tokens=1500))
    batch.join(request)
    with pytest.raises(ValueError, match="all 1 slots are taken"):
        batch.join(request)


def test_a_request_that_cannot_join_leaves_the_batch_as_it_was(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    request = replace(make_request(tiny_decoder.config, 0), max_new_tokens=40)
    alone = generate(tiny_decoder, request).tokens.tolist()
    batch = DecodingBatch(tiny_decoder, num_slots=2, capacity=110)
    slot = batch.join(request)
    features = request.bert_features
    end = torch.full((1,), tiny_decoder.config.end_token)
    refused = [
        ({"bert_features": features[:, 1:]}, "bert_features must be"),
        ({"bert_features": torch.full_like(features, torch.nan)}, "bert_features must be finite"),
        ({"bert_features": torch.full_like(features, 1e38)}, "bert_features must be finite"),
        ({"generated_prefix": end}, "tokens must be in"),
        ({"prompt_tokens": end}, "prompt_tokens must be in"),
        ({"phoneme_ids": request.phoneme_ids - 100}, "phoneme_ids must be in"),
    ]
    tokens = []
    while batch.active_slots:
        if refused:
            change, message = refused.pop()
            with pytest.raises(ValueError, match=message):
                batch.join(replace(request, **change))
            assert batch.active_slots == [slot]
        tokens += [result.token for result in batch.step() if result.token is not None]
    assert not refused
    assert tokens == alone


def test_a_slot_that_saw_numbers_that_are_not_finite_is_clean_for_the_next_request(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    short = replace(make_request(tiny_decoder.config, 1), max_new_tokens=20)
    num_phonemes = 60  # longer than what the next request fills
    assert short.max_positions < num_phonemes
    bad = replace(
        short,
        phoneme_ids=torch.zeros(num_phonemes, dtype=torch.int64),
        bert_features=torch.full((num_phonemes, tiny_decoder.config.bert_dim), torch.nan),
    )
    batch = DecodingBatch(tiny_decoder, num_slots=1, capacity=110)
    with pytest.raises(ValueError, match="finite"):
        batch.join(bad)
    batch.join(short)
    tokens = []
    while batch.active_slots:
        tokens += [result.token for result in batch.step() if result.token is not None]
    assert tokens == generate(tiny_decoder, short).tokens.tolist()


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_refused(seed: int, make_request: MakeRequest) -> None:
    with pytest.raises(ValueError, match="seed must fit in 64 bits"):
        replace(make_request(S1Config(), 0), seed=seed)


@pytest.mark.parametrize("limit", [0, 1501])
def test_a_token_limit_out_of_range_is_refused(limit: int, make_request: MakeRequest) -> None:
    request = make_request(S1Config(), 0)
    with pytest.raises(ValueError, match="max_new_tokens must be 1 to 1500"):
        replace(request, max_new_tokens=limit)


def test_a_prefix_that_leaves_nothing_to_generate_is_refused(make_request: MakeRequest) -> None:
    request = make_request(S1Config(), 0)
    prefix = torch.zeros(request.max_new_tokens, dtype=torch.int64)
    with pytest.raises(ValueError, match="must be shorter than max_new_tokens"):
        replace(request, generated_prefix=prefix)


def test_logits_that_are_no_numbers_end_their_sequence_alone_and_leave_its_slot_clean(
    tiny_network: Text2Semantic, make_request: MakeRequest
) -> None:
    network = copy.deepcopy(tiny_network)
    with torch.no_grad():
        network.token_embedding.weight[7] = 3e38  # whoever draws this token overflows
    decoder = S1Decoder(network)
    requests = [
        replace(request, prompt_tokens=request.prompt_tokens[request.prompt_tokens != 7])
        for request in (make_request(network.config, seed) for seed in range(30))
    ]
    batch = DecodingBatch(decoder, num_slots=4, capacity=120)
    running: dict[int, int] = {}
    tokens: list[list[int]] = [[] for _ in requests]
    reasons: dict[int, str] = {}
    waiting = list(range(len(requests)))
    while waiting or running:
        while waiting and batch.num_free_slots:
            idx = waiting.pop(0)
            running[batch.join(requests[idx])] = idx
        for result in batch.step():
            idx = running[result.slot]
            if result.token is not None:
                tokens[idx].append(result.token)
            if result.finish_reason is not None:
                reasons[running.pop(result.slot)] = result.finish_reason
    assert "not_finite" in reasons.values()
    for idx, request in enumerate(requests):
        if reasons[idx] == "not_finite":
            assert tokens[idx][-1] == 7
            with pytest.raises(ValueError, match="not finite"):
                generate(decoder, request)
        else:
            assert tokens[idx] == generate(decoder, request).tokens.tolist()
