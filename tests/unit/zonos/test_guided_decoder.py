"""Decoding with a cache equals the network over the whole sequence; what can't fit is refused."""

from typing import Any

import pytest
import torch

from models.zonos.codes import MASK_CODE
from models.zonos.config import BackboneConfig
from models.zonos.guided_decoder import GuidedDecoder
from models.zonos.network import Zonos
from tests.zonos_network import random_frames, random_request

START = torch.full((1, 9), MASK_CODE)


def test_prefill_decode_and_replay_equal_the_whole_sequence(
    network: Zonos, decoder: GuidedDecoder
) -> None:
    prefix = random_request(network, 0).prefix
    columns = torch.cat((START, torch.tensor(random_frames(20, seed=0))))
    cache = decoder.new_cache(num_slots=3, capacity=100)
    decoder.prefill(prefix, columns[:5], cache, slot=2)
    for column in columns[5:10]:
        (stepped,) = decoder.decode(column[None], [2], cache)
    replayed = decoder.replay(columns[10:], cache, slot=2)
    with torch.inference_mode():
        torch.testing.assert_close(stepped, network(prefix, columns[:10]), rtol=0, atol=1e-4)
        torch.testing.assert_close(replayed, network(prefix, columns), rtol=0, atol=1e-4)


def test_replayed_logits_have_the_bits_of_column_by_column_decoding(
    network: Zonos, decoder: GuidedDecoder
) -> None:
    prefix = random_request(network, 1).prefix
    columns = torch.tensor(random_frames(40, seed=1))
    cache = decoder.new_cache(num_slots=2, capacity=100)
    for slot in (0, 1):
        decoder.prefill(prefix, START, cache, slot)
    for column in columns:
        (stepped,) = decoder.decode(column[None], [0], cache)
    assert torch.equal(decoder.replay(columns, cache, slot=1), stepped)


def test_a_prefix_that_overflows_is_refused_and_spoils_nobody(
    network: Zonos, decoder: GuidedDecoder
) -> None:
    prefix = random_request(network, 2).prefix
    cache = decoder.new_cache(num_slots=1, capacity=100)
    expected = decoder.prefill(prefix, START, cache, slot=0)
    with pytest.raises(ValueError, match="logits are not finite"):
        decoder.prefill(torch.full_like(prefix, torch.nan), START, cache, slot=0)
    assert torch.equal(decoder.prefill(prefix, START, cache, slot=0), expected)


def test_shapes_and_codes_out_of_range_are_refused(network: Zonos, decoder: GuidedDecoder) -> None:
    prefix = random_request(network, 3).prefix
    cache = decoder.new_cache(num_slots=1, capacity=64)
    for bad_prefix in (prefix[:1], prefix[:, :0], prefix[..., :10], prefix[0]):
        with pytest.raises(ValueError, match="prefix must be"):
            decoder.prefill(bad_prefix, START, cache, slot=0)
    for bad_columns in (START[:0], START.float(), START[:, :8], START + 1, START - 2000):
        with pytest.raises(ValueError, match="columns|codes"):
            decoder.prefill(prefix, bad_columns, cache, slot=0)
    with pytest.raises(ValueError, match="slot 1 does not exist"):
        decoder.prefill(prefix, START, cache, slot=1)
    with pytest.raises(ValueError, match="exceed the cache's 64"):
        decoder.prefill(prefix, START.expand(65, -1), cache, slot=0)


def test_a_full_or_empty_slot_takes_no_column(network: Zonos, decoder: GuidedDecoder) -> None:
    cache = decoder.new_cache(num_slots=2, capacity=16)
    with pytest.raises(ValueError, match="slot 1 holds no sequence"):
        decoder.decode(START, [1], cache)
    decoder.prefill(torch.zeros(2, 14, 64), START, cache, slot=0)
    decoder.decode(START, [0], cache)
    with pytest.raises(ValueError, match="slot 0 is full"):
        decoder.decode(START, [0], cache)
    with pytest.raises(ValueError, match="1 columns for 2 slots"):
        decoder.decode(START, [0, 1], cache)


@pytest.mark.parametrize(("num_slots", "capacity"), [(0, 10), (1, 0), (1, 16_385)])
def test_a_cache_of_impossible_size_is_refused(
    decoder: GuidedDecoder, num_slots: int, capacity: int
) -> None:
    with pytest.raises(ValueError, match="num_slots|capacity"):
        decoder.new_cache(num_slots, capacity)


@pytest.mark.parametrize(("dtype", "row_bucket"), [
    (torch.float16, None), (torch.float32, 3), (torch.bfloat16, 0),
])  # fmt: skip
def test_a_dtype_or_bucket_that_pairs_do_not_fill_is_refused(
    network: Zonos, dtype: torch.dtype, row_bucket: int | None
) -> None:
    with pytest.raises(ValueError, match="dtype|row_bucket"):
        GuidedDecoder(network, dtype, row_bucket)


@pytest.mark.parametrize("sizes", [
    {"num_layers": 0}, {"num_layers": 257}, {"hidden_dim": 2**17}, {"hidden_dim": 2050},
    {"num_kv_heads": 3}, {"norm_eps": 0.0}, {"feed_forward_dim": "many"},
])  # fmt: skip
def test_sizes_that_make_no_network_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        BackboneConfig(**sizes)
