"""What is known of a fine-tuning before it runs: that it fits, and where it is pushed."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from models.storage import RecordId
from tests.training.fake_hub import fake_hub
from tests.training.persona_runs import base_model, persona_args, write_base
from training.finetune_persona import main
from training.loops.persona.args import PersonaArgs
from training.loops.persona.estimate import estimate
from training.loops.persona.run import num_updates
from training.loops.strict import ConfigError, read_config
from training.persona.character import Character
from training.persona.publication import push_to_hub
from training.publishing.versions import PublishedVersion

ROOT = Path(__file__).parents[2]
EEVE = ROOT / "training/persona/bases/eeve-korean-instruct-10.8b.json"
EEVE_RUN = ROOT / "training/configs/finetune_persona_eeve.yaml"


@pytest.mark.parametrize("path", sorted((ROOT / "training/configs").glob("finetune_persona_*")))
def test_shipped_configuration_is_accepted(path: Path) -> None:
    assert read_config(path, PersonaArgs).epochs == 3


@pytest.mark.parametrize("path", sorted((ROOT / "training/persona/characters").iterdir()))
def test_shipped_character_is_accepted(path: Path) -> None:
    assert Character.load(path).persona_id == path.stem


def test_parameters_are_those_of_the_real_network(tmp_path: Path) -> None:
    write_base(tmp_path)
    model = base_model()
    projections = [
        part
        for name, part in model.named_modules()
        if name.endswith("_proj") and hasattr(part, "in_features")
    ]

    found = estimate(persona_args(), tmp_path / "config.json")

    assert found.base_parameters == sum(p.numel() for p in model.parameters())
    assert found.num_adapted_layers == len(projections) == 14
    assert found.adapter_parameters == 8 * sum(
        part.in_features + part.out_features for part in projections
    )
    assert found.base_gib == found.base_parameters * 4 / 2**30


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_qlora_of_eeve_fits_a_gpu_of_24_gb(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--config", str(EEVE_RUN), "--dry-run", str(EEVE)]

    assert main([*command, "--gpu-gib", "22"]) == 0
    assert main([*command, "--gpu-gib", "6"]) == 1

    said = capsys.readouterr().out
    assert "base: 10,804,924,416 parameters" in said
    assert "adapter: 62,914,560 parameters on 336 layers" in said
    assert "fits a GPU of 22 GiB" in said and "does not fit a GPU of 6 GiB" in said


def test_projection_that_no_layer_is_called_by_is_refused(tmp_path: Path) -> None:
    write_base(tmp_path)
    args = persona_args(lora={"target_modules": ["q_proj", "qkv_proj"]})
    with pytest.raises(ConfigError, match="no layer called qkv_proj"):
        estimate(args, tmp_path / "config.json")


def test_precision_of_training_has_to_be_served() -> None:
    with pytest.raises(ValueError, match="serves_in lacks bfloat16"):
        persona_args(precision="bfloat16")


def test_updates_are_counted_as_they_will_be_made() -> None:
    assert num_updates(persona_args(batch_size=4, accumulate=2, epochs=3), 340) == 129
    assert num_updates(persona_args(batch_size=4, num_workers=2, epochs=1), 9) == 2
    assert num_updates(persona_args(max_updates=5), 340) == 5


# The client of the hub hands httpx its files in a way that httpx no longer likes.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_hub_gets_the_files_of_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret0123456789")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the fake hub speaks LFS alone
    published = PublishedVersion(
        RecordId("baeu", "1"), {"README.md": b"card", "persona.json": b"{}"}
    )
    publishing = {"serves_in": ["float32"], "licence": "MIT"}

    with fake_hub("hf_secret0123456789") as hub:
        to = {"repository": "somebody/baeu", "endpoint": hub.endpoint}
        address = push_to_hub(persona_args(publishing=publishing | {"hub": to}), published)

        assert address == f"{hub.endpoint}/somebody/baeu/commit/1"
        assert hub.files == published.files
        assert hub.messages == ["Publish persona baeu@1"]
    assert push_to_hub(persona_args(), published) is None
