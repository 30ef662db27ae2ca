"""Published files load strictly; what is wrong with one is said, with its name."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoints import CheckpointError
from models.zonos.checkpoint import HybridCheckpointError, read_zonos
from models.zonos.network import Zonos
from tests.zonos_network import TINY, write_zonos


@pytest.fixture
def folder(tmp_path: Path, network: Zonos) -> Path:
    write_zonos(tmp_path, network)
    return tmp_path


def test_weights_come_back_as_they_were_written(folder: Path, network: Zonos) -> None:
    read = read_zonos(folder)
    assert not read.training
    assert read.config == network.config
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in read.state_dict().items())


def test_weights_are_converted_to_the_precision_asked_for(folder: Path) -> None:
    tensors = read_zonos(folder, torch.bfloat16).state_dict().values()
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: no such file"):
        read_zonos(folder)


def test_missing_unknown_and_misshapen_weights_are_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    norm = weights.pop("backbone.norm_f.weight")
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"lacks weights: backbone\.norm_f\.weight"):
        read_zonos(folder)
    save_file(weights | {"backbone.norm_f.weight": norm, "heads.9.weight": norm.clone()}, path)
    with pytest.raises(CheckpointError, match=r"has unknown weights: heads\.9\.weight"):
        read_zonos(folder)
    save_file(weights | {"backbone.norm_f.weight": norm[1:].clone()}, path)
    with pytest.raises(CheckpointError, match=r"norm_f\.weight has shape \(63,\)"):
        read_zonos(folder)


def change(section: str | None, **fields: Any) -> dict[str, Any]:
    config = copy.deepcopy(TINY)
    (config if section is None else config[section]).update(fields)
    return config


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({}, "must have the sections"),
        (change(None, eos_token_id=5), "eos_token_id .* is 5; it must be 1024"),
        (change(None, pad_vocab_to_multiple_of=16), "it must be 8"),
        (change(None, extra=1), "unknown entries"),
        (change("backbone", rms_norm=True), "rms_norm of backbone is True; it must be False"),
        (change("backbone", attn_cfg=None), "lacks attn_cfg"),
        (change("backbone", n_layer="2"), "must have n_layer"),
        (change("backbone", d_model=10**9), "hidden_dim must be 1 to 65536"),
        (change("backbone", n_layer=400, attn_layer_idx=list(range(400))), "num_layers must be"),
        (change("prefix_conditioner", projection="none"), "projection"),
    ],
)
def test_a_configuration_that_can_not_be_followed_is_refused(
    folder: Path, config: dict[str, Any], fault: str
) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json: bad configuration: .*{fault}"):
        read_zonos(folder)


def test_the_hybrid_is_refused_with_a_type_of_its_own(folder: Path) -> None:
    hybrid = change("backbone", ssm_cfg={"layer": "Mamba2"}, attn_layer_idx=[0])
    (folder / "config.json").write_text(json.dumps(hybrid))
    with pytest.raises(HybridCheckpointError, match="use Zonos-v0.1-transformer"):
        read_zonos(folder)
