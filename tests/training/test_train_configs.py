"""Configurations: those that ship are valid, those that make no sense are refused with why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s2.config import S2Config
from training.loops.s1.args import S1Args, ScaledAdamArgs
from training.loops.s2.args import S2Args
from training.loops.schedule import EpochDecay, Linear, S1Reference, Schedule, Steps
from training.loops.strict import ConfigError, read_config

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
MINIMAL: dict[str, Any] = {"network": {}, "batch_size": 4, "epochs": 1}


def test_the_full_configurations_are_the_published_models_with_the_stated_defaults() -> None:
    s1 = read_config(CONFIGS / "train_s1.yaml", S1Args)
    s2 = read_config(CONFIGS / "train_s2.yaml", S2Args)
    assert (s1.network, s1.batch_size, s1.accumulate, s1.epochs) == (S1Config(), 8, 32, 300)
    assert s1.optimizer == ScaledAdamArgs(lr=S1Reference())
    assert (s2.network, s2.batch_size, s2.epochs) == (S2Config(), 16, 100)
    assert s2.lr == EpochDecay(start=1e-4, factor=0.999875)
    assert (s2.betas, s2.eps, s2.weight_decay, s2.text_lr_scale) == ((0.8, 0.99), 1e-9, 0.01, 0.4)


def test_the_small_configurations_share_a_tokenizer() -> None:
    s1 = read_config(CONFIGS / "train_s1_small.yaml", S1Args)
    s2 = read_config(CONFIGS / "train_s2_small.yaml", S2Args)
    assert s1.network is not None and s2.network is not None
    assert s1.network.num_semantic_tokens == s2.network.codebook_size == 512
    assert s2.network.ssl_dim == 512
    assert s2.network.segment_frames * s2.network.hop_length == 9600


def test_a_configuration_survives_the_way_to_a_worker() -> None:
    args = read_config(CONFIGS / "train_s2_small.yaml", S2Args)
    assert S2Args.model_validate(args.model_dump(mode="json")) == args


@pytest.mark.parametrize(
    ("name", "kind"),
    [("train_s1_small_more.yaml", S1Args), ("train_s2_small_more.yaml", S2Args)],
)
def test_a_base_is_found_from_where_a_worker_runs(
    name: str, kind: type[S1Args] | type[S2Args], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    args = read_config(CONFIGS / name, kind)
    monkeypatch.chdir(tmp_path)
    again = kind.model_validate(args.model_dump(mode="json"))
    assert again == args
    assert again.base is not None and again.base.is_absolute()


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        (S1Args, {"lerning_rate": 1}, "lerning_rate: Extra inputs are not permitted"),
        (S1Args, {"network": {"layers": 3}}, "network.layers: Unexpected keyword argument"),
        (S1Args, {"network": {"num_heads": 7}}, "hidden_dim must be a multiple of"),
        (S1Args, {"base": "a.ckpt"}, "give either network"),
        (S1Args, {"network": None}, "give either network"),
        (S1Args, {"num_workers": 3}, "batch_size 4 cannot be shared evenly by 3 workers"),
        (S1Args, {"optimizer": {"kind": "sgd"}}, "does not match any of the expected tags"),
        (S1Args, {"epochs": 0}, "epochs: Input should be greater than or equal to 1"),
        (S2Args, {"max_crop_frames": 81}, "must be even"),
        (S2Args, {"max_crop_frames": 20}, "a segment alone has 32"),
        (
            S2Args,
            {"network": None, "base": "s2.json", "max_crop_frames": 20, "segment_frames": 24},
            "a segment alone has 24",
        ),
        (S2Args, {"base_discriminators": "d.pth"}, "base_discriminators without base"),
        (S2Args, {"discriminator_divisor": 3}, "discriminator_divisor: Input should be 1, 2"),
        (S2Args, {"lr": {"kind": "steps", "points": []}}, "at least 1 item"),
        (
            S2Args,
            {"lr": {"kind": "linear", "points": [[5, 1.0], [5, 2.0]]}},
            r"points must ascend by update; they are at \[5, 5\]",
        ),
    ],
)
def test_a_bad_configuration_is_refused_with_its_reason(
    tmp_path: Path, kind: type[S1Args] | type[S2Args], change: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | change))
    with pytest.raises(ConfigError, match=reason) as refused:
        read_config(path, kind)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"), [("- a list", "must hold a mapping"), ("a: [", "is not YAML")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=reason):
        read_config(path, S1Args)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        read_config(tmp_path / "nowhere.yaml", S1Args)


def test_steps_hold_until_the_next_point() -> None:
    schedule = Steps(points=[(10, 0.5), (20, 1.0)])
    assert [schedule.value(update, 0) for update in (0, 10, 19, 20, 99)] == [0.5, 0.5, 0.5, 1, 1]


def test_lines_join_their_points_and_hold_at_both_ends() -> None:
    schedule = Linear(points=[(10, 1.0), (20, 0.0)])
    values = [schedule.value(update, 0) for update in (0, 10, 15, 20, 99)]
    assert values == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_the_reference_decays_once_before_its_first_epoch() -> None:
    schedule = EpochDecay(start=1e-4, factor=0.999875)
    assert schedule.value(7, 0) == pytest.approx(0.999875e-4)
    assert schedule.value(7, 99) == pytest.approx(1e-4 * 0.999875**100)


def test_s1_starts_with_one_large_step() -> None:
    assert [S1Reference().value(update, 0) for update in (0, 1, 50_000)] == [0.01, 0.002, 0.002]


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ValidationError, match="cosine"):
        TypeAdapter(Schedule).validate_python({"kind": "cosine"})
