"""Published adapters: read whole, or refused with the reason."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.persona.adapter_files import Adapter, AdapterError, AdapterFiles
from models.storage import FolderStore
from tests.unit.persona.adapters import lora_weights, publish_adapter
from tests.unit.persona.personas import make_persona

PERSONA = make_persona()
_HEADER = b'{"x":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}'
FOUR_BITS = len(_HEADER).to_bytes(8, "little") + _HEADER + b"\0"


def load(root: Path, ref: str = "tester@1") -> Adapter:
    return AdapterFiles([FolderStore(root)]).load(ref)


def test_an_adapter_is_what_was_published(tmp_path: Path) -> None:
    publish_adapter(tmp_path, PERSONA, seed=3)

    adapter = load(tmp_path)

    wanted = lora_weights(3)
    assert 2 * len(adapter.layers) == len(wanted)
    for path, pair in adapter.layers.items():
        assert torch.equal(pair.a, wanted[f"base_model.model.{path}.lora_A.weight"])
        assert torch.equal(pair.b, wanted[f"base_model.model.{path}.lora_B.weight"])
    assert adapter.scaling == 2.0


def test_the_first_layer_that_has_a_version_is_read(tmp_path: Path) -> None:
    for name, seed in (("upper", 1), ("lower", 2)):
        publish_adapter(tmp_path / name, PERSONA, seed=seed)
    layers = [FolderStore(tmp_path / name) for name in ("empty", "upper", "lower")]

    adapter = AdapterFiles(layers).load("tester@1")

    assert adapter.info == load(tmp_path / "upper").info


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": {"peft_type": "IA3"}}, "peft_type is 'IA3'"),
        ({"config": {"r": 4}}, "r is 4 .* 2 in persona.json"),
        ({"config": {"lora_alpha": 5}}, "lora_alpha is 5"),
        ({"config": {"base_model_name_or_path": "huge"}}, "base_model_name_or_path is 'huge'"),
        ({"config": {"revision": "other"}}, "revision is 'other'"),
        ({"config": {"target_modules": ["q_proj"]}}, "target_modules are"),
        ({"config": {"target_modules": ".*"}}, "target_modules are"),
        ({"config": {"target_modules": [["q_proj"]]}}, "target_modules are"),
        ({"config": {"bias": "all"}}, "bias is 'all'"),
        ({"config": {"use_dora": True}}, "use_dora is set"),
        ({"config": {"some_later_variant": {"x": 1}}}, "some_later_variant is set"),
        ({"config": {"init_lora_weights": "pissa"}}, "init_lora_weights is 'pissa'"),
        ({"info": {"weights_sha256": "0" * 64}}, "sha256 of adapter_model.safetensors is"),
        (
            {"lines": "밥.", "info": {"lines_sha256": "0" * 64}},
            "sha256 of training_lines.txt is",
        ),
        ({"info": {"lines_sha256": "0" * 64}}, "training_lines.txt is missing"),
        ({"lines": "밥" * 400_000}, "training_lines.txt has 1200000 bytes; at most 1048576"),
        ({"weights": b"no tensors"}, "is not safetensors"),
        ({"weights": pickle.dumps({"lora": [1]})}, "is not safetensors"),
        ({"weights": FOUR_BITS}, "holds numbers of type 'F4'"),
        ({"weights": {"base_model.model.x.weight": torch.zeros(2, 2)}}, "no half of a pair"),
        ({"weights": {"base_model.model.x.lora_A.weight": torch.zeros(2)}}, "no half of a pair"),
        (
            {"weights": {"base_model.model.q_proj.lora_A.weight": torch.zeros(2, 2).int()}},
            "int32 .* no half of a pair",
        ),
        (
            {"weights": {"base_model.model.q_proj.lora_A.weight": torch.full((2, 2), torch.nan)}},
            "lora_A.weight holds what is no number",
        ),
        (
            {"weights": {"base_model.model.q_proj.lora_A.weight": torch.zeros(2, 2)}},
            "q_proj has only lora_A",
        ),
        (
            {
                "weights": {
                    "base_model.model.lm_head.lora_A.weight": torch.zeros(2, 2),
                    "base_model.model.lm_head.lora_B.weight": torch.zeros(2, 2),
                }
            },
            "lm_head is none of the target modules",
        ),
        (
            {
                "weights": {
                    "base_model.model.q_proj.lora_A.weight": torch.zeros(3, 2),
                    "base_model.model.q_proj.lora_B.weight": torch.zeros(2, 3),
                }
            },
            "q_proj has rank 3 and 3, not 2",
        ),
    ],
)
def test_what_is_no_plain_adapter_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    publish_adapter(tmp_path, PERSONA, **changes)

    with pytest.raises(AdapterError, match=f"adapter of tester@1: .*{reason}"):
        load(tmp_path)


def _without_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def _broken_config(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def _endless_config(folder: Path) -> None:
    (folder / "adapter_config.json").write_bytes(b" " * (64 * 1024 + 1))


def _listed_config(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("[]")


def _renamed(folder: Path) -> None:
    persona = folder / "persona.json"
    persona.write_text(persona.read_text().replace('"tester"', '"other"'))


def _broken_persona(folder: Path) -> None:
    (folder / "persona.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_weights, "adapter_model.safetensors is missing; adapters are read as safeten"),
        (_broken_config, "adapter_config.json is not JSON"),
        (_endless_config, "has 65537 bytes; at most 65536 are read"),
        (_listed_config, "holds a list"),
        (_broken_persona, "persona tester@1 can't be read"),
        (_renamed, "persona tester@1 calls itself other@1"),
    ],
)
def test_a_damaged_version_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    publish_adapter(tmp_path, PERSONA)
    damage(tmp_path / "personas" / "tester" / "1")

    with pytest.raises(AdapterError, match=reason):
        load(tmp_path)


@pytest.mark.parametrize("ref", ["tester", "../tester@1", "nobody@1"])
def test_what_is_not_stored_is_refused(tmp_path: Path, ref: str) -> None:
    with pytest.raises(AdapterError, match="is not (of the form|stored)"):
        load(tmp_path, ref)
