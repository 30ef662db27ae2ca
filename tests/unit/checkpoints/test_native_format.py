"""Our own format: saved = loaded, and broken files are named."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints import Checkpoint, CheckpointError, Kind, read_native, write_native
from models.checkpoints.tree import from_json, to_json
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic

CONFIG = S1Config(
    num_semantic_tokens=10, num_phonemes=7, bert_dim=6, hidden_dim=8, num_heads=2, num_layers=1,
    feed_forward_dim=32,
)  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "voice.json"
    write_native(path, Checkpoint(Kind.S1, CONFIG, Text2Semantic(CONFIG).state_dict()))
    return path


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_what_was_saved_is_loaded_with_its_bits_and_precision(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    state = {key: value.to(dtype) for key, value in Text2Semantic(CONFIG).state_dict().items()}
    extras = {"info": "x", "config": {"lengths": (1, 2), "rates": [0.1, None, True]}}
    write_native(tmp_path / "voice.json", Checkpoint(Kind.S1, CONFIG, state, "weight", extras))
    loaded = read_native(tmp_path / "voice.json")
    assert (loaded.kind, loaded.config) == (Kind.S1, CONFIG)
    assert (loaded.container, loaded.extras) == ("weight", extras)
    assert loaded.state.keys() == state.keys()
    for key, tensor in state.items():
        assert loaded.state[key].dtype == dtype
        assert torch.equal(loaded.state[key], tensor)


def test_trees_of_every_kind_of_value_survive() -> None:
    tree: dict[Any, Any] = {
        "none": None, "flags": [True, False], "numbers": [1, -2.5, 10**20], "text": "한국어",
        "tuple": (1, (2, [3])), "ints": {0: "a", 1: {"b": 2}}, "empty": [{}, [], ()],
        "looks_tagged": {"$tuple": [1]},
    }  # fmt: skip
    tensors: dict[str, torch.Tensor] = {}
    through_json = json.loads(json.dumps(to_json(tree, tensors)))
    assert from_json(through_json, tensors) == tree
    assert tensors == {}


def test_a_value_that_is_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot keep object at /a/1"):
        to_json({"a": [1, object()]}, {})


def test_the_name_must_end_in_json(tmp_path: Path) -> None:
    checkpoint = Checkpoint(Kind.S1, CONFIG, Text2Semantic(CONFIG).state_dict())
    with pytest.raises(ValueError, match=r"must end in \.json"):
        write_native(tmp_path / "voice.ckpt", checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2, not 1"),
        ({"kind": "other"}, "'other' is not a valid Kind; allowed"),
        ({"container": 1}, "container is a int"),
        ({"config": None}, "the configuration is not an object"),
        ({"config": {"hidden": 3}}, r"unknown configuration fields \['hidden'\]; allowed"),
        ({"config": {"num_heads": 0}}, "num_heads must be 1 or more"),
        ({"config": {"num_heads": "4"}}, "bad configuration"),
        ({"config": {"num_layers": 1.5}}, "its sizes make no network"),
        ({"config": {}}, "lacks weights"),
        ({"extras": 3}, "extras is a int, not an object"),
        ({"extras": {"$tensor": []}}, "its extras are malformed"),
        ({"extras": {"a": {"$pairs": [1]}}}, "its extras are malformed"),
        ({"extras": {"$tensor": "/a"}}, r"voice\.extras\.safetensors: lacks tensor '/a'"),
    ],
)
def test_a_changed_description_is_refused_with_its_fault(
    saved: Path, change: dict[str, Any], message: str
) -> None:
    saved.write_text(json.dumps(json.loads(saved.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        read_native(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is not JSON"), ("{", "is not JSON"), ("[]", "holds a list"), ("[" * 10**5, "not JSON")],
)
def test_a_broken_description_is_refused(saved: Path, content: str, message: str) -> None:
    saved.write_text(content)
    with pytest.raises(CheckpointError, match=message):
        read_native(saved)


def test_missing_and_damaged_weights_are_named(saved: Path) -> None:
    weights = saved.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"voice\.safetensors: is damaged"):
        read_native(saved)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"voice\.safetensors: no such file"):
        read_native(saved)
    with pytest.raises(CheckpointError, match=r"absent\.json: no such file"):
        read_native(saved.with_name("absent.json"))


def test_a_huge_header_is_refused_before_it_is_read(saved: Path) -> None:
    weights = saved.with_suffix(".safetensors")
    weights.write_bytes((90 * 10**6).to_bytes(8, "little") + b" " * 100)
    with pytest.raises(CheckpointError, match=r"a header of 90000000 bytes; at most 4194304"):
        read_native(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_refused(tmp_path: Path, value: float) -> None:
    state = Text2Semantic(CONFIG).state_dict()
    state["output.weight"][1, 2] = value
    write_native(tmp_path / "voice.json", Checkpoint(Kind.S1, CONFIG, state))
    with pytest.raises(CheckpointError, match=r"output\.weight has values that are not finite"):
        read_native(tmp_path / "voice.json")


def test_a_write_that_fails_leaves_what_was_there(saved: Path) -> None:
    before = {path.name: path.read_bytes() for path in saved.parent.iterdir()}
    other = Checkpoint(Kind.S1, CONFIG, {"unsaved": torch.zeros(3).to_sparse()})
    with pytest.raises((NotImplementedError, RuntimeError, ValueError)):
        write_native(saved, other)
    assert {path.name: path.read_bytes() for path in saved.parent.iterdir()} == before


def test_extras_of_the_checkpoint_that_is_replaced_go_with_it(saved: Path) -> None:
    state = Text2Semantic(CONFIG).state_dict()
    with_tensor = Checkpoint(Kind.S1, CONFIG, state, "weight", {"moment": torch.ones(2)})
    write_native(saved, with_tensor)
    assert saved.with_suffix(".extras.safetensors").is_file()
    write_native(saved, Checkpoint(Kind.S1, CONFIG, state))
    assert sorted(path.name for path in saved.parent.iterdir()) == [
        "voice.json",
        "voice.safetensors",
    ]
    assert read_native(saved).extras == {}


def test_a_process_killed_while_it_writes_leaves_no_half_file(saved: Path) -> None:
    before = {path.name: path.read_bytes() for path in saved.parent.iterdir()}
    program = """
import os, signal, sys
from pathlib import Path
from models.checkpoints.replacing import replacing
with replacing(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program, str(saved)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {name: (saved.parent / name).read_bytes() for name in before} == before
