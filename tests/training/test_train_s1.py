"""S1 learns, an interruption costs nothing, and workers share a batch exactly."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.checkpoints import CheckpointError, load_s1, write_upstream
from models.gpt_sovits.s1.network import Text2Semantic
from tests.training.train_clips import S1_TINY, MadeUpClip, made_up_clips, write_tokenizer
from training.loops.journal import read_metrics
from training.loops.launch import Job, run_locally
from training.loops.loop import Update, train
from training.loops.s1.args import S1Args
from training.loops.s1.data import S1TrainingBatch
from training.loops.s1.stage import S1Stage
from training.loops.strict import ConfigError
from training.loops.world import World

CLIPS = made_up_clips(30)
ADAMW = {"kind": "adamw", "lr": {"kind": "steps", "points": [[0, 3e-3]]}}
GUIDED = {"weight": {"kind": "steps", "points": [[0, 0.5]]}, "layers": [1]}
AUGMENTED: dict[str, Any] = {
    "pair_share": 0.4,
    "token_noise": {"max_rate": 0.3, "heavy_share": 0.2},
    "guided_attention": GUIDED,
    "preference": True,
}


def args_with(**changes: Any) -> S1Args:
    values: dict[str, Any] = {
        "network": S1_TINY,
        "batch_size": 4,
        "epochs": 100,
        "max_updates": 8,
        "optimizer": ADAMW,
        "log_every_updates": 1,
        "guided_attention": {"layers": [1]},
        "validation": {"every_updates": 4, "num_samples": 1, "share": 0.1},
        # After every update.
        "checkpoints": {"every_minutes": 1e-9},
    }
    return S1Args.model_validate(values | changes)


def stage_of(args: S1Args, world: World | None = None) -> S1Stage:
    return S1Stage(args, CLIPS, world or World())


def losses_of(folder: Path) -> list[float]:
    return [entry["cross_entropy"] for entry in read_metrics(folder, "train")]


def stop_after(num_updates: int) -> Any:
    answers = iter([False] * num_updates + [True])
    return lambda: next(answers)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_batch_is_learned_by_heart(precision: str) -> None:
    stage = stage_of(args_with(precision=precision))
    (batch, *_) = stage.data.sampler.epoch(0)
    collated = stage.data.collate(batch)
    losses = [float(stage.update([collated], u, 0).losses["cross_entropy"]) for u in range(80)]
    assert losses[-1] < 0.1 * losses[0]


def test_the_references_optimizer_learns_from_summed_losses() -> None:
    stage = stage_of(args_with(optimizer={"kind": "scaled_adam"}))
    (batch, *_) = stage.data.sampler.epoch(0)
    collated = stage.data.collate(batch)
    made = [stage.update([collated], update, 0) for update in range(150)]
    assert [update.others["lr"] for update in made[:3]] == [0.01, 0.002, 0.002]
    assert made[-1].losses["cross_entropy"] < 0.3 * made[0].losses["cross_entropy"]


def test_guidance_moves_attention_to_the_text() -> None:
    stage = stage_of(args_with(guided_attention=GUIDED))
    (batch, *_) = stage.data.sampler.epoch(0)
    collated = stage.data.collate(batch)
    losses = [float(stage.update([collated], u, 0).losses["guided_attention"]) for u in range(60)]
    assert losses[-1] < 0.5 * losses[0]


def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    args = args_with(**AUGMENTED, accumulate=2)
    assert train(stage_of(args), args, tmp_path / "whole")
    parts = tmp_path / "parts"
    assert not train(stage_of(args), args, parts, should_stop=stop_after(3))
    assert not train(stage_of(args), args, parts, should_stop=stop_after(2))
    assert train(stage_of(args), args, parts)
    assert losses_of(parts) == losses_of(tmp_path / "whole")
    assert read_metrics(parts, "validation") == read_metrics(tmp_path / "whole", "validation")
    for name in ("last", "best", "export"):
        ours, theirs = (load_s1(run / name / "s1.json") for run in (parts, tmp_path / "whole"))
        assert_equal_weights(ours, theirs)


def test_the_references_optimizer_goes_on_where_it_was(tmp_path: Path) -> None:
    args = args_with(optimizer={"kind": "scaled_adam"})
    train(stage_of(args), args, tmp_path / "whole")
    train(stage_of(args), args, tmp_path / "parts", should_stop=stop_after(5))
    train(stage_of(args), args, tmp_path / "parts")
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")


def test_a_run_goes_on_with_the_settings_it_is_given_now(tmp_path: Path) -> None:
    args = args_with()
    train(stage_of(args), args, tmp_path, should_stop=stop_after(2))
    changed = args_with(optimizer=ADAMW | {"betas": [0.5, 0.6], "weight_decay": 0.5})
    stage = stage_of(changed)
    train(stage, changed, tmp_path)
    (group,) = stage.gradients.optimizer.param_groups
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.6), 0.5)


def test_a_damaged_checkpoint_costs_only_the_updates_since_the_one_before(tmp_path: Path) -> None:
    args = args_with()
    train(stage_of(args), args, tmp_path / "whole")
    train(stage_of(args), args, tmp_path / "parts", should_stop=stop_after(5))
    newest = max((tmp_path / "parts" / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:1000])
    train(stage_of(args), args, tmp_path / "parts")
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")


def test_reading_ahead_changes_nothing(tmp_path: Path) -> None:
    for name, num_loaders in (("alone", 0), ("ahead", 1)):
        args = args_with(**AUGMENTED, num_loaders=num_loaders, max_updates=4)
        train(stage_of(args), args, tmp_path / name)
    assert losses_of(tmp_path / "ahead") == losses_of(tmp_path / "alone")


def test_sigterm_ends_a_run_with_a_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    args = args_with()

    def make_stage(args: S1Args, data: Path, world: World) -> S1Stage:
        stage = stage_of(args, world)
        update = stage.update

        def terminated(batches: list[S1TrainingBatch], number: int, epoch: int) -> Update:
            if number == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return update(batches, number, epoch)

        stage.update = terminated  # type: ignore[method-assign]
        return stage

    write_tokenizer(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert not run_locally(Job("tests", S1Args, make_stage), args, tmp_path, tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(losses_of(tmp_path / "run")) == 4
    assert (tmp_path / "run" / "export" / "s1.json").exists()
    train(stage_of(args), args, tmp_path / "whole")
    train(stage_of(args), args, tmp_path / "run")
    assert losses_of(tmp_path / "run") == losses_of(tmp_path / "whole")


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    args = args_with(checkpoints={"every_minutes": 1e-9, "keep": 2})
    train(stage_of(args), args, tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["update-000000007.pt", "update-000000008.pt"]


def test_a_run_that_gets_no_better_ends_early(tmp_path: Path) -> None:
    still = {"kind": "adamw", "lr": {"kind": "steps", "points": [[0, 0.0]]}}
    args = args_with(
        optimizer=still,
        max_updates=50,
        validation={"every_updates": 2, "num_samples": 0, "patience": 3},
    )
    assert train(stage_of(args), args, tmp_path)
    # The first is the best so far; three more are no better.
    assert len(read_metrics(tmp_path, "validation")) == 4


@pytest.mark.parametrize("optimizer", [ADAMW, {"kind": "scaled_adam"}], ids=["mean", "sum"])
def test_the_gradients_of_two_workers_add_up_to_those_of_one(optimizer: dict[str, Any]) -> None:
    args = args_with(**AUGMENTED, optimizer=optimizer)
    (draws, *_) = stage_of(args).data.sampler.epoch(0)
    gradients, losses = zip(
        *(
            gradients_of(stage_of(args, World(rank, size)), draws)
            for rank, size in ((0, 1), (0, 2), (1, 2))
        ),
        strict=True,
    )
    for whole, first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first + second, whole, rtol=1e-4, atol=1e-6)
    for name, whole in losses[0].items():
        torch.testing.assert_close(losses[1][name] + losses[2][name], whole)


def gradients_of(stage: S1Stage, draws: Any) -> tuple[list[Tensor], dict[str, Tensor]]:
    """What a worker would send to the others."""
    stage.gradients.step = lambda: 0.0  # type: ignore[method-assign]
    made = stage.update([stage.data.collate(draws)], 0, 0)
    return [p.grad for p in stage.network.parameters() if p.grad is not None], made.losses


def test_batches_of_an_update_weigh_as_much_as_one_batch_of_all() -> None:
    args = args_with(batch_size=2)
    (first, second, *_) = stage_of(args).data.sampler.epoch(0)
    apart = stage_of(args)
    apart.gradients.step = lambda: 0.0  # type: ignore[method-assign]
    apart.update([apart.data.collate(first), apart.data.collate(second)], 0, 0)
    halves = [gradients_of(stage_of(args), draws)[0] for draws in (first, second)]
    for parameter, one, two in zip(apart.network.parameters(), *halves, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, (one + two) / 2, rtol=1e-4, atol=1e-6)


def test_a_run_starts_from_a_base_of_either_format(tmp_path: Path) -> None:
    args = args_with(max_updates=1)
    train(stage_of(args), args, tmp_path)
    native = tmp_path / "last" / "s1.json"
    checkpoint = stage_of(args).weights()["s1"]
    write_upstream(tmp_path / "base.ckpt", checkpoint)
    tuned = stage_of(args_with(network=None, base=native))
    assert_equal_weights(tuned.network, load_s1(native))
    from_upstream = stage_of(args_with(network=None, base=tmp_path / "base.ckpt"))
    assert_equal_weights(from_upstream.network, load_s1(tmp_path / "base.ckpt"))


def test_a_base_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.json: no such file"):
        stage_of(args_with(network=None, base=tmp_path / "nothing.json"))


def test_exported_weights_are_half_the_size_and_build_the_network(tmp_path: Path) -> None:
    args = args_with(max_updates=1)
    train(stage_of(args), args, tmp_path)
    exported, whole = (tmp_path / name / "s1.safetensors" for name in ("export", "last"))
    assert exported.stat().st_size < 0.6 * whole.stat().st_size
    ours, theirs = load_s1(tmp_path / "export/s1.json"), load_s1(tmp_path / "last/s1.json")
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor.half().float()), name


def test_data_the_network_has_no_ids_for_is_refused() -> None:
    small = replace(S1_TINY, num_semantic_tokens=9)
    with pytest.raises(ConfigError, match="has semantic token 15; the network knows 0 to 8"):
        stage_of(args_with(network=small))


def test_guidance_of_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[5\] name a layer beyond the 2"):
        stage_of(args_with(guided_attention=GUIDED | {"layers": [5]}))


def test_clips_that_are_too_long_or_spoken_too_fast_are_left_out() -> None:
    class Hurried(MadeUpClip):
        @property
        def phoneme_ids(self) -> list[int]:
            return [1] * 80

    clips = [*CLIPS, Hurried(100, 20), MadeUpClip(101, 25 * 60)]
    stage = S1Stage(args_with(), clips, World())
    assert max(stage.data.sampler.durations_s) < 2.0
    same = S1Stage(args_with(), CLIPS, World())
    assert stage.data.sampler.durations_s == same.data.sampler.durations_s


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        stage_of(args_with(precision="fp16"))


def assert_equal_weights(ours: Text2Semantic, theirs: Text2Semantic) -> None:
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name
