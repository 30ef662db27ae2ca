"""The cached decoder computes what the network does, and refuses what it cannot."""

from collections.abc import Callable

import pytest
import torch

from models.decoding.layers import DecodingLinear
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import S1Request
from models.gpt_sovits.s1.network import Text2Semantic

MakeRequest = Callable[[S1Config, int], S1Request]


def test_cached_logits_equal_the_full_forward_pass(
    tiny_network: Text2Semantic, tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    request = make_request(tiny_network.config, 7)
    new_tokens = torch.tensor([3, 1, 4, 1, 5, 9])
    tokens = torch.cat((request.prompt_tokens, new_tokens))
    with torch.no_grad():
        expected = tiny_network(
            request.phoneme_ids[None],
            request.bert_features[None],
            torch.tensor([len(request.phoneme_ids)]),
            tokens[None],
            torch.tensor([len(tokens)]),
        )[0, len(request.prompt_tokens) :]
    cache = tiny_decoder.new_cache(num_slots=3, capacity=100)
    logits = [
        tiny_decoder.prefill(
            request.phoneme_ids, request.bert_features, request.prompt_tokens, cache, slot=1
        )
    ]
    logits += [tiny_decoder.decode(token[None], [1], cache)[0] for token in new_tokens]
    torch.testing.assert_close(torch.stack(logits), expected, rtol=0, atol=1e-5)


def test_bfloat16_stays_close_to_float32(
    tiny_network: Text2Semantic, tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    request = make_request(tiny_network.config, 7)
    arguments = (request.phoneme_ids, request.bert_features, request.prompt_tokens)
    exact = tiny_decoder.prefill(*arguments, tiny_decoder.new_cache(1, 100), slot=0)
    half = S1Decoder(tiny_network, torch.bfloat16)
    rounded = half.prefill(*arguments, half.new_cache(1, 100), slot=0)
    assert (rounded - exact).norm() < 0.05 * exact.norm()


# oneDNN's kernels promise nothing about this; decoding rests on it (see linear.py).
@pytest.mark.parametrize(
    ("in_features", "out_features"),
    [(512, 1536), (512, 512), (512, 2048), (2048, 512), (512, 1025), (1024, 512)],
)
def test_a_float32_row_has_the_same_bits_in_every_block_of_two_rows_or_more(
    in_features: int, out_features: int
) -> None:
    torch.manual_seed(0)
    linear = DecodingLinear(torch.nn.Linear(in_features, out_features), torch.float32)
    rows = torch.randn(96, in_features)
    together = linear(rows)
    for num_rows in (*range(2, 34), 48, 64):
        chosen = torch.randperm(96)[:num_rows]
        assert torch.equal(linear(rows[chosen]), together[chosen])


@pytest.mark.parametrize("num_rows", [1, 4, 16, 32])
def test_a_bfloat16_row_has_the_same_bits_in_every_block_of_one_size(num_rows: int) -> None:
    torch.manual_seed(0)
    linear = DecodingLinear(torch.nn.Linear(512, 2048), torch.bfloat16, has_relu=True)
    rows = torch.randn(32, 512).bfloat16()
    padding = torch.zeros(num_rows - 1, 512).bfloat16()
    alone = torch.stack([linear(torch.cat((row[None], padding)))[0] for row in rows])
    for _ in range(5):
        chosen = torch.randperm(32)[:num_rows]
        assert torch.equal(linear(rows[chosen]), alone[chosen])


def test_a_slot_is_reused_without_a_trace_of_its_former_sequence(
    tiny_decoder: S1Decoder, make_request: MakeRequest
) -> None:
    first, second = (make_request(tiny_decoder.config, seed) for seed in (8, 9))
    cache = tiny_decoder.new_cache(num_slots=1, capacity=100)

    def next_logits(request: S1Request) -> torch.Tensor:
        tiny_decoder.prefill(
            request.phoneme_ids, request.bert_features, request.prompt_tokens, cache, slot=0
        )
        return tiny_decoder.decode(torch.tensor([2]), [0], cache)

    fresh = next_logits(second)
    next_logits(first)
    assert torch.equal(next_logits(second), fresh)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phoneme_ids": torch.zeros(0, dtype=torch.int64)}, r"phoneme_ids must be \(phoneme,\)"),
        ({"phoneme_ids": torch.tensor([0, 20])}, r"phoneme_ids must be in \[0, 20\)"),
        ({"bert_features": torch.zeros(2, 11)}, r"bert_features must be \(2, 12\)"),
        ({"prompt_tokens": torch.tensor([40])}, r"prompt_tokens must be in \[0, 40\)"),
        ({"prompt_tokens": torch.zeros(31, dtype=torch.int64)}, "exceed the cache's 32 positions"),
    ],
)
def test_a_malformed_prompt_is_refused_with_what_is_allowed(
    tiny_decoder: S1Decoder, change: dict[str, torch.Tensor], message: str
) -> None:
    prompt = {
        "phoneme_ids": torch.tensor([0, 1]),
        "bert_features": torch.zeros(2, 12),
        "prompt_tokens": torch.tensor([3]),
    }
    cache = tiny_decoder.new_cache(num_slots=1, capacity=32)
    with pytest.raises(ValueError, match=message):
        tiny_decoder.prefill(**(prompt | change), cache=cache, slot=0)


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([0, 1], "slot 1 is full: the cache holds 16 positions"),
        ([0, 2], "slot 2 holds no sequence"),
        ([0, 3], "slot 3 does not exist; there are 3"),
        ([0, -1], "slot -1 does not exist"),
        ([0] * 14, "slot 0 is full"),
        ([0], "2 tokens for 1 slots; need one each"),
    ],
)
def test_a_step_that_one_slot_cannot_take_is_refused_for_all(
    tiny_decoder: S1Decoder, slots: list[int], message: str
) -> None:
    cache = tiny_decoder.new_cache(num_slots=3, capacity=16)
    none = torch.zeros(0, dtype=torch.int64)
    for slot, length in ((0, 3), (1, 16)):
        phoneme_ids = torch.zeros(length, dtype=torch.int64)
        tiny_decoder.prefill(phoneme_ids, torch.zeros(length, 12), none, cache, slot)
    tokens = torch.ones(max(2, len(slots)), dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        tiny_decoder.decode(tokens, slots, cache)
    assert cache.lengths == [3, 16, 0]


@pytest.mark.parametrize(
    ("dtype", "row_bucket", "message"),
    [
        (torch.float16, None, "must be float32 or bfloat16"),
        (torch.float32, 1, "must be 2 or more"),
        (torch.bfloat16, 0, "must be 1 or more"),
    ],
)
def test_an_unsupported_decoder_is_refused(
    tiny_network: Text2Semantic, dtype: torch.dtype, row_bucket: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        S1Decoder(tiny_network, dtype, row_bucket)
