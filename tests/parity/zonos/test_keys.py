"""Networks have exactly the published keys and shapes, and the hybrid is told apart."""

import copy
from typing import Any

import pytest
import torch

from models.zonos.config import BackboneConfig, HybridBackboneError, ZonosConfig
from models.zonos.network import Zonos
from tests.parity.zonos.fill import GOLDEN


def shapes_of(config: ZonosConfig) -> dict[str, list[int]]:
    with torch.device("meta"):
        network = Zonos(config)
    return {key: list(tensor.shape) for key, tensor in network.state_dict().items()}


@pytest.mark.parametrize("name", ["keys_full.json", "keys_tiny.json", "keys_tiny11.json"])
def test_keys_and_shapes_are_the_published_ones(name: str) -> None:
    keys = GOLDEN.json(name)
    assert shapes_of(ZonosConfig.from_upstream(keys["config"])) == keys["tensors"]


def test_the_default_sizes_are_those_of_the_published_transformer() -> None:
    config = ZonosConfig.from_upstream(GOLDEN.json("keys_full.json")["config"])
    assert config.backbone == BackboneConfig()


@pytest.mark.parametrize(
    "change",
    [
        {"ssm_cfg": {"layer": "Mamba2"}},  # what the hybrid's file says
        {"attn_layer_idx": [0, 4, 8]},
        {"ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [0, 4, 8]},
    ],
)
def test_a_hybrid_is_refused_by_name(change: dict[str, Any]) -> None:
    config = copy.deepcopy(GOLDEN.json("keys_full.json")["config"])
    config["backbone"].update(change)
    with pytest.raises(HybridBackboneError, match="hybrid"):
        ZonosConfig.from_upstream(config)


def test_the_published_hybrid_is_refused_by_name() -> None:
    with pytest.raises(HybridBackboneError, match="use Zonos-v0.1-transformer"):
        ZonosConfig.from_upstream(GOLDEN.json("keys_hybrid_full.json")["config"])
