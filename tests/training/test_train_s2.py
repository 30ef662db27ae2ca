"""S2 learns in both phases, an interruption costs nothing, and workers share a batch exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.audio.spectrogram import linear_spectrogram
from models.checkpoints import CheckpointError, load_s2, read_native
from models.gpt_sovits.s2.layers import length_mask
from models.gpt_sovits.s2.synthesizer import slice_frames
from tests.training.train_clips import S2_TINY, MadeUpClip, made_up_clips, made_up_tokenizer
from training.loops.journal import read_metrics
from training.loops.loop import train
from training.loops.s2.args import S2Args
from training.loops.s2.data import S2TrainingBatch, num_frames, read_crop
from training.loops.s2.stage import S2Stage
from training.loops.s2.stft_loss import multi_resolution_stft_loss
from training.loops.strict import ConfigError
from training.loops.world import World

CLIPS = made_up_clips(14)


def args_with(**changes: Any) -> S2Args:
    values: dict[str, Any] = {
        "network": S2_TINY,
        "batch_size": 2,
        "epochs": 100,
        "max_updates": 4,
        "discriminator_divisor": 8,
        "lr": {"kind": "steps", "points": [[0, 2e-3]]},
        "gan_from_update": 2,
        "stft_weight": {"kind": "steps", "points": [[0, 1.0], [2, 0.0]]},
        "max_crop_frames": 20,
        "log_every_updates": 1,
        "validation": {"every_updates": 3, "num_samples": 1, "max_clips": 1, "share": 0.1},
        # After every update.
        "checkpoints": {"every_minutes": 1e-9},
    }
    return S2Args.model_validate(values | changes)


def stage_of(args: S2Args, world: World | None = None) -> S2Stage:
    return S2Stage(args, CLIPS, made_up_tokenizer(), world or World())


def first_batch(stage: S2Stage) -> S2TrainingBatch:
    return stage.data.collate(stage.data.sampler.epoch(0)[0])


def stop_after(num_updates: int) -> Any:
    answers = iter([False] * num_updates + [True])
    return lambda: next(answers)


@pytest.mark.parametrize(("precision", "share"), [("fp32", 0.0), ("bf16", 0.0), ("bf16", 1.0)])
def test_one_batch_is_learned_without_discriminators(precision: str, share: float) -> None:
    stage = stage_of(args_with(gan_from_update=1000, precision=precision, prior_share=share))
    batch = first_batch(stage)
    mel = [float(stage.update([batch], update, 0).losses["mel"]) for update in range(25)]
    assert mel[-1] < 0.6 * mel[0]


def test_discriminators_learn_to_tell_sound_from_what_the_generator_makes() -> None:
    rate = {"kind": "steps", "points": [[0, 1e-3]]}
    stage = stage_of(args_with(gan_from_update=0, discriminator_lr=rate))
    batch = first_batch(stage)
    made = [stage.update([batch], update, 0).losses for update in range(12)]
    assert made[-1]["discriminator"] < 0.7 * made[0]["discriminator"]
    assert all(bool(loss.isfinite()) for losses in made for loss in losses.values())


def test_discriminators_join_when_they_are_told_to_and_not_before() -> None:
    stage = stage_of(args_with())
    before = {n: p.clone() for n, p in stage.discriminators.named_parameters()}
    batch = first_batch(stage)
    first = stage.update([batch], 1, 0)
    assert set(first.losses) == {"mel", "stft", "kl"}
    assert all(torch.equal(p, before[n]) for n, p in stage.discriminators.named_parameters())
    second = stage.update([batch], 2, 0)
    assert set(second.losses) == {"discriminator", "mel", "adversarial", "feature_matching", "kl"}
    assert not all(torch.equal(p, before[n]) for n, p in stage.discriminators.named_parameters())


def test_rows_from_the_prior_sound_as_they_are_served_and_the_others_as_before() -> None:
    stage = stage_of(args_with(prior_share=0.5, batch_size=8))
    batch = first_batch(stage)
    chosen = batch.rows_from_prior
    assert chosen is not None and 0 < int(chosen.sum()) < len(chosen)
    synthesizer = stage.synthesizer.eval()
    # At the start the flow is the identity; a shift in it tells the two directions apart.
    for coupling in synthesizer.flow.couplings:
        nn.init.constant_(coupling.get_submodule("post").bias, 0.3)
    with torch.no_grad():
        mixed = synthesizer(batch.inputs, batch.posterior_noise, batch.slice_starts, chosen)
        plain = synthesizer(batch.inputs, batch.posterior_noise, batch.slice_starts)
        starts, width = batch.slice_starts, S2_TINY.segment_frames
        frames = batch.inputs.spec.shape[2]
        mask = length_mask(batch.inputs.spec_lens, frames).to(mixed.prior.mean)
        speaker = synthesizer.reference_encoder(batch.inputs.spec, batch.inputs.spec_lens)
        served = synthesizer.flow.inverse(mixed.prior.mean, mask, speaker)
        expected = synthesizer.generator(slice_frames(served, starts, width), speaker)
    assert torch.equal(mixed.waveform[~chosen], plain.waveform[~chosen])
    assert torch.equal(mixed.waveform[chosen], expected[chosen])
    assert not torch.equal(mixed.waveform[chosen], plain.waveform[chosen])


@pytest.mark.parametrize(
    ("share", "taught", "untaught"),
    [(0.0, "posterior_encoder.", "prior_encoder."), (1.0, "prior_encoder.", "posterior_encoder.")],
)
def test_the_sound_teaches_the_path_that_made_it(share: float, taught: str, untaught: str) -> None:
    without_kl = {"kind": "steps", "points": [[0, 0.0]]}
    stage = stage_of(args_with(prior_share=share, kl_weight=without_kl))
    gradients = gradients_of(stage, stage.data.sampler.epoch(0)[0])
    largest = {
        path: max(
            float(gradient.abs().max())
            for name, gradient in gradients.items()
            if name.startswith(path)
        )
        for path in (taught, untaught)
    }
    assert largest[untaught] == 0 < largest[taught]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path, share: float) -> None:
    args = args_with(prior_share=share)
    assert train(stage_of(args), args, tmp_path / "whole")
    parts = tmp_path / "parts"
    for stops in (1, 2):  # the second after the discriminators have joined
        assert not train(stage_of(args), args, parts, should_stop=stop_after(stops))
    assert train(stage_of(args), args, parts)
    for kind in ("train", "validation"):
        assert read_metrics(parts, kind) == read_metrics(tmp_path / "whole", kind)
    for name in ("s2", "discriminators"):
        ours, theirs = (
            read_native(r / "last" / f"{name}.json") for r in (parts, tmp_path / "whole")
        )
        for key, tensor in theirs.state.items():
            assert torch.equal(ours.state[key], tensor), key


@pytest.mark.parametrize(("crop", "share"), [(20, 0.0), (20, 0.5), (None, 0.0)])
def test_the_gradients_of_two_workers_add_up_to_those_of_one(
    crop: int | None, share: float
) -> None:
    args = args_with(batch_size=4, gan_from_update=0, max_crop_frames=crop, prior_share=share)
    draws = stage_of(args).data.sampler.epoch(0)[0]
    whole, first, second = (
        gradients_of(stage_of(args, World(rank, size)), draws)
        for rank, size in ((0, 1), (0, 2), (1, 2))
    )
    assert whole.keys() == first.keys() == second.keys()
    for name, gradient in whole.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(
            first[name] + second[name], gradient, rtol=1e-3, atol=1e-4 * scale + 1e-6, msg=name
        )


def gradients_of(stage: S2Stage, draws: Any, num_batches: int = 1) -> dict[str, Tensor]:
    """What a worker would send to the others, of both networks."""
    reference_encoder = stage.synthesizer.reference_encoder.eval()
    # Its dropout is not configured, and is drawn for the rows of a worker.
    reference_encoder.train = lambda mode: reference_encoder  # type: ignore[method-assign]
    for step in (stage.generator_step, stage.discriminator_step):
        step.step = lambda: 0.0  # type: ignore[method-assign]
    stage.update([stage.data.collate(draws)] * num_batches, 0, 0)
    named = [*stage.synthesizer.named_parameters(), *stage.discriminators.named_parameters()]
    return {name: p.grad for name, p in named if p.grad is not None}


def test_accumulated_batches_weigh_as_much_as_one() -> None:
    args = args_with(gan_from_update=0)
    draws = stage_of(args).data.sampler.epoch(0)[0]
    once, twice = (gradients_of(stage_of(args), draws, number) for number in (1, 2))
    assert once.keys() == twice.keys()
    for name, gradient in once.items():
        torch.testing.assert_close(twice[name], gradient, rtol=1e-4, atol=1e-4, msg=name)


def test_the_tokenizer_stays_as_it_is_and_exact() -> None:
    stage = stage_of(args_with(precision="bf16"))
    batch = first_batch(stage)
    seen: list[Tensor] = []
    encode = stage.synthesizer.codebook.encode
    stage.synthesizer.codebook.encode = lambda x: seen.append(encode(x)) or seen[-1]  # type: ignore
    stage.update([batch], 0, 0)
    with torch.no_grad():
        exact = encode(stage.synthesizer.project_ssl(batch.inputs.ssl_features))
    assert torch.equal(seen[0], exact)
    state = stage.synthesizer.state_dict()
    for name, tensor in made_up_tokenizer().items():
        assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("start", [0, 2, 8, 22])
def test_a_crop_is_that_part_of_the_whole_clip(start: int) -> None:
    clip = MadeUpClip(3, 21)
    spec = linear_spectrogram(clip.waveform()[None])[0]
    crop = read_crop(clip, S2_TINY, start, 20)
    torch.testing.assert_close(crop.spec, spec[:, start : start + 20], rtol=1e-4, atol=1e-4)
    samples = slice(start * 640, (start + 20) * 640)
    assert torch.equal(crop.waveform, clip.waveform()[samples])
    assert torch.equal(crop.ssl_features, clip.ssl_features()[start : start + 20])


def test_what_is_to_be_said_is_where_the_slice_is() -> None:
    stage = stage_of(args_with(network=replace(S2_TINY, segment_frames=8)))
    draws = stage.data.sampler.epoch(0)[0]
    batch = stage.data.collate(draws)
    assert torch.equal(stage.data.collate(draws).target, batch.target)
    assert batch.target.shape[2] == 8 * S2_TINY.hop_length
    for row, start in enumerate(batch.slice_starts.tolist()):
        spec = linear_spectrogram(batch.target[row])[0]
        # The windows of these frames lie within the slice, where both see the same samples.
        within = batch.inputs.spec[row, :, start + 2 : start + 6]
        torch.testing.assert_close(spec[:, 2:6], within, rtol=1e-3, atol=1e-3)


def test_disturbed_copies_and_clips_of_the_wrong_length_are_no_targets() -> None:
    others = [
        replace(MadeUpClip(50, 25), is_augmented=True),
        MadeUpClip(51, 12),
        MadeUpClip(52, 25 * 60),
    ]
    ours, same = (
        S2Stage(args_with(), clips, made_up_tokenizer(), World()).data.sampler.durations_s
        for clips in ([*CLIPS, *others], CLIPS)
    )
    assert ours == same


def test_a_clip_shorter_than_it_claims_is_named() -> None:
    class Claiming(MadeUpClip):
        @property
        def duration_s(self) -> float:
            return 9.0

        def waveform(self) -> Tensor:
            return torch.zeros(16_000)

    clip = Claiming(1, 20)
    with pytest.raises(ConfigError, match="clip-1 has 16000 samples"):
        read_crop(clip, S2_TINY, 0, num_frames(clip, S2_TINY))


def test_fine_tuning_starts_from_a_run_and_from_a_published_voice(tmp_path: Path) -> None:
    args = args_with(max_updates=1, export={"precision": "fp32"})
    train(stage_of(args), args, tmp_path)
    whole = load_s2(tmp_path / "last" / "s2.json")
    tuned = stage_of(
        args_with(
            network=None,
            base=tmp_path / "last/s2.json",
            base_discriminators=tmp_path / "last/discriminators.json",
        )
    )
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tuned.synthesizer.state_dict()[name], tensor), name
    published = stage_of(args_with(network=None, base=tmp_path / "export/s2.json"))
    for name, tensor in published.synthesizer.state_dict().items():
        is_fresh = name.startswith("posterior_encoder.") and not torch.equal(
            tensor, whole.state_dict()[name]
        )
        assert is_fresh or torch.equal(tensor, whole.state_dict()[name]), name


@pytest.fixture(scope="module")
def wide_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained base whose generator has room to be widened by half."""
    folder = tmp_path_factory.mktemp("base")
    args = args_with(network=replace(S2_TINY, upsample_channels=64), max_updates=1)
    train(stage_of(args), args, folder)
    return folder / "last/s2.json"


@pytest.mark.parametrize("width", [64, 96, 192])
def test_a_widened_generator_sounds_as_before(wide_base: Path, width: int) -> None:
    base = load_s2(wide_base)
    stage = stage_of(args_with(network=None, base=wide_base, widen_to=width))
    assert stage.weights()["s2"].config == replace(base.config, upsample_channels=width)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, S2_TINY.latent_channels, 9, generator=generator)
    speaker = torch.randn(2, S2_TINY.speaker_dim, 1, generator=generator)
    with torch.no_grad():
        expected, ours = base.generator(z, speaker), stage.synthesizer.generator(z, speaker)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    for name, tensor in base.state_dict().items():
        if not name.startswith("generator."):
            assert torch.equal(stage.synthesizer.state_dict()[name], tensor), name


def test_copies_in_a_widened_generator_go_their_own_ways(wide_base: Path) -> None:
    stage = stage_of(args_with(network=None, base=wide_base, widen_to=128, gan_from_update=100))
    generator = stage.synthesizer.generator
    layers = {
        "conv_pre": generator.conv_pre.weight,
        "inner": generator.get_parameter("resblocks.1.dilated.0.parametrizations.weight.original1"),
    }
    before = {name: weight.detach().clone() for name, weight in layers.items()}
    batch = first_batch(stage)
    for update in range(10):
        stage.update([batch], update, 0)
    for name, weight in layers.items():
        moved = (weight.detach() - before[name]).flatten(1)
        originals, copies = moved.chunk(2)
        apart = torch.cdist(copies, originals).min(dim=1).values.mean()
        assert apart > 0.2 * moved.norm(dim=1).mean(), name


def test_a_widened_generator_goes_on_and_is_published(wide_base: Path, tmp_path: Path) -> None:
    args = args_with(network=None, base=wide_base, widen_to=96, segment_frames=6)
    assert train(stage_of(args), args, tmp_path / "whole")
    assert not train(stage_of(args), args, tmp_path / "parts", should_stop=stop_after(2))
    assert train(stage_of(args), args, tmp_path / "parts")
    ours, theirs = (read_native(tmp_path / r / "last" / "s2.json") for r in ("parts", "whole"))
    for key, tensor in theirs.state.items():
        assert torch.equal(ours.state[key], tensor), key
    published = load_s2(tmp_path / "whole" / "export" / "s2.json").config
    assert (published.upsample_channels, published.segment_frames) == (96, 6)


def test_a_generator_is_not_made_narrower_nor_of_uneven_width(wide_base: Path) -> None:
    for width, message in ((32, "has 64 channels already"), (65, "widen_to: .* a multiple of")):
        with pytest.raises(ConfigError, match=message):
            stage_of(args_with(network=None, base=wide_base, widen_to=width))


def test_a_base_can_be_decoded_in_longer_slices(wide_base: Path) -> None:
    stage = stage_of(args_with(network=None, base=wide_base, segment_frames=16))
    batch = first_batch(stage)
    assert batch.target.shape[2] == 16 * S2_TINY.hop_length
    assert float(stage.update([batch], 0, 0).losses["mel"]) > 0


@pytest.mark.parametrize("name", ["segment_frames", "widen_to"])
def test_what_is_about_a_base_needs_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} without base"):
        args_with(**{name: 64})


def test_a_published_voice_has_its_exact_tokenizer_and_no_posterior_encoder(tmp_path: Path) -> None:
    args = args_with(max_updates=1)
    train(stage_of(args), args, tmp_path)
    exported = read_native(tmp_path / "export" / "s2.json")
    assert not exported.has_posterior
    assert {path.name for path in (tmp_path / "export").iterdir()} == {"s2.json", "s2.safetensors"}
    for name, tensor in made_up_tokenizer().items():
        assert torch.equal(exported.state[name], tensor), name
    others = {t.dtype for n, t in exported.state.items() if n not in made_up_tokenizer()}
    assert others == {torch.float16}


def test_data_with_other_tokens_than_the_bases_is_refused(tmp_path: Path) -> None:
    args = args_with(max_updates=1)
    train(stage_of(args), args, tmp_path)
    other = made_up_tokenizer()
    other["codebook.embed"] = other["codebook.embed"] + 1
    tuning = args_with(network=None, base=tmp_path / "last" / "s2.json")
    with pytest.raises(ConfigError, match="prepare the data with the base's tokenizer"):
        S2Stage(tuning, CLIPS, other, World())


def test_a_codebook_of_another_size_is_refused() -> None:
    network = replace(S2_TINY, codebook_size=32)
    with pytest.raises(ConfigError, match=r"codebook is \(16, 6\); .* are \(32, 6\)"):
        stage_of(args_with(network=network))


def test_a_base_of_another_network_is_refused(tmp_path: Path) -> None:
    args = args_with(max_updates=1)
    train(stage_of(args), args, tmp_path)
    judges = tmp_path / "last" / "discriminators.json"
    with pytest.raises(ConfigError, match="is no S2 checkpoint"):
        stage_of(args_with(network=None, base=judges))
    with pytest.raises(CheckpointError, match="no such file"):
        stage_of(args_with(network=None, base=tmp_path / "no.json"))


def test_the_stft_loss_is_zero_for_the_target_alone() -> None:
    target = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    assert multi_resolution_stft_loss(target, target) == 0
    assert multi_resolution_stft_loss(0.5 * target, target) > 0.5


def test_a_silent_target_does_not_outweigh_all_others() -> None:
    wave = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    silent = multi_resolution_stft_loss(wave, torch.zeros_like(wave))
    # Without a floor under the norm it would be thousands.
    assert silent < 3 * multi_resolution_stft_loss(torch.zeros_like(wave), wave)


def test_the_stft_loss_compares_row_by_row() -> None:
    waves, targets = torch.randn(2, 2, 4000, generator=torch.Generator().manual_seed(0))
    rows = [multi_resolution_stft_loss(waves[i : i + 1], targets[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(multi_resolution_stft_loss(waves, targets), sum(rows) / 2)
