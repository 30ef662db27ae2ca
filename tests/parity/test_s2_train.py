"""One training step of S2 against the reference: forward, losses and every gradient norm."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.audio.mel import log_mel_spectrogram
from models.audio.spectrogram import linear_spectrogram
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.discriminator import Discriminators, Verdict
from models.gpt_sovits.s2.losses import (
    KL_WEIGHT,
    MEL_WEIGHT,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    kl_loss,
    mel_loss,
)
from models.gpt_sovits.s2.synthesizer import (
    Synthesizer,
    TrainingBatch,
    TrainingOutput,
    slice_frames,
)
from models.gpt_sovits.s2.upstream_keys import to_upstream
from tests.parity.fill import filler_for
from tests.parity.s2_voice import (
    GOLDEN,
    assert_near,
    golden_discriminators,
    shape_of,
    voice_for,
)

SIZES = ("tiny", pytest.param("full", marks=pytest.mark.slow))


@dataclass(frozen=True)
class Step:
    """A golden training step beside ours."""

    size: str
    golden: dict[str, np.ndarray]
    losses: dict[str, Any]
    voice: Synthesizer
    discriminators: Discriminators
    batch: TrainingBatch
    out: TrainingOutput
    target_slice: Tensor
    target_mel: Tensor
    mel: Tensor

    def verdicts(self, *, frozen_generator: bool = False) -> tuple[list[Verdict], list[Verdict]]:
        fake = self.out.waveform.detach() if frozen_generator else self.out.waveform
        return self.discriminators(self.target_slice), self.discriminators(fake)

    def channels(self, x: Tensor) -> Tensor:
        """What the file stores of a latent: every channel (tiny) or every sixth (full)."""
        return x.detach() if self.size == "tiny" else x.detach()[:, ::6]

    def bands(self, mel: Tensor) -> Tensor:
        """What the file stores of a mel spectrogram: every band (tiny) or every eighth (full)."""
        return mel.detach() if self.size == "tiny" else mel.detach()[:, ::8]

    def parts(self) -> dict[str, Tensor]:
        real, fake = self.verdicts()
        prior, posterior = self.out.prior, self.out.posterior
        return {
            "gen": generator_loss(fake),
            "fm": feature_matching_loss(real, fake),
            "mel": MEL_WEIGHT * mel_loss(self.target_mel, self.mel),
            "kl": KL_WEIGHT
            * kl_loss(self.out.z_prior, posterior.log_std, prior.mean, prior.log_std, prior.mask),
        }


def _batch(
    size: str, golden: dict[str, np.ndarray], file_name: str, num_frames: int, config: S2Config
) -> tuple[TrainingBatch, Tensor]:
    """The batch, ``num_frames`` wide, and its (batch, samples) waveforms, zero-padded."""
    filler, hop = filler_for(file_name), config.hop_length
    lens = torch.from_numpy(golden["spec_lengths"])
    waves = torch.zeros(len(lens), num_frames * hop)
    spec = torch.zeros(len(lens), config.spec_bins, num_frames)
    ssl = torch.from_numpy(
        filler.normalish(f"s2/{size}/tr_ssl", (len(lens), config.ssl_dim, num_frames))
    ).clone()
    for item, length in enumerate(lens.tolist()):
        wave = torch.from_numpy(
            filler.waveform(f"s2/{size}/tr{item}", length * hop, config.sample_rate)
        )
        waves[item, : len(wave)] = wave
        spec[item, :, :length] = linear_spectrogram(wave[None])[0]
        ssl[item, :, length:] = 0
    batch = TrainingBatch(
        ssl_features=ssl.transpose(1, 2),
        spec=spec,
        spec_lens=lens,
        phoneme_ids=torch.from_numpy(golden["text"]),
        phoneme_lens=torch.from_numpy(golden["text_lengths"]),
    )
    return batch, waves


@pytest.fixture(scope="module", params=SIZES)
def step(request: pytest.FixtureRequest) -> Iterator[Step]:
    size = request.param
    file_name, losses_name = f"s2_{size}_train.npz", f"s2_{size}_train_losses.json"
    golden, losses = GOLDEN.arrays(file_name), GOLDEN.json(losses_name)
    voice = voice_for(file_name, size)
    (noise_key,) = losses["losses"]["noise_keys"]
    shape = shape_of(noise_key)
    noise = torch.from_numpy(filler_for(losses_name).normalish(noise_key, shape))
    batch, waves = _batch(size, golden, file_name, shape[2], voice.config)
    starts = torch.from_numpy(golden["ids_slice"])
    out = voice(batch, noise, starts)
    hop, frames = voice.config.hop_length, voice.config.segment_frames
    target_mel = slice_frames(log_mel_spectrogram(batch.spec), starts, frames)
    yield Step(
        size=size,
        golden=golden,
        losses=losses,
        voice=voice,
        discriminators=golden_discriminators(filler_for(file_name).salt),
        batch=batch,
        out=out,
        target_slice=slice_frames(waves[:, None], starts * hop, frames * hop),
        target_mel=target_mel,
        mel=log_mel_spectrogram(linear_spectrogram(out.waveform[:, 0])),
    )


def test_posterior_flow_and_prior_equal_the_reference(step: Step) -> None:
    out = step.out
    assert_near(step.channels(out.posterior.z), step.golden["z"])
    assert_near(step.channels(out.posterior.mean), step.golden["m_q"])
    assert_near(step.channels(out.posterior.log_std), step.golden["logs_q"])
    assert_near(step.channels(out.z_prior), step.golden["z_p"])
    assert_near(step.channels(out.prior.mean), step.golden["m_p"])
    assert_near(step.channels(out.prior.log_std), step.golden["logs_p"])


def test_quantised_content_equals_the_reference(step: Step) -> None:
    on_frame_clock = step.out.quantized.repeat_interleave(2, dim=2)
    assert_near(on_frame_clock[:, ::48, ::4], step.golden["quantized_nonzero"])


def test_decoded_slices_and_their_mel_equal_the_reference(step: Step) -> None:
    stored = step.golden["y_hat"]
    assert_near(step.out.waveform.detach()[..., : stored.shape[2]], stored)
    assert_near(step.bands(step.target_mel), step.golden["mel_slice_gt"])
    assert_near(step.bands(step.mel), step.golden["mel_slice_hat"])


def test_discriminators_equal_the_reference(step: Step) -> None:
    real, fake = step.verdicts()
    assert [verdict.score.numel() for verdict in real] == step.golden["disc_sizes"].tolist()
    for verdicts, name in ((real, "disc_out_real"), (fake, "disc_out_fake")):
        scores = torch.cat([verdict.score.detach().flatten() for verdict in verdicts])
        assert_near(scores, step.golden[name])
    means = torch.stack(
        [torch.stack([m.detach().abs().mean() for m in v.feature_maps[:6]]) for v in real]
    )
    assert_near(means, step.golden["fmap_means_real"])


def test_every_loss_equals_the_reference(step: Step) -> None:
    parts, expected = step.parts(), step.losses["losses"]
    real, fake = step.verdicts(frozen_generator=True)
    ours = {
        "loss_gen": parts["gen"],
        "loss_fm": parts["fm"],
        "loss_mel_c45": parts["mel"],
        "loss_kl": parts["kl"],
        "loss_gen_all": torch.stack(list(parts.values())).sum(),
        "loss_disc": discriminator_loss(real, fake),
    }
    assert {name: loss.item() for name, loss in ours.items()} == pytest.approx(
        {name: expected[name] for name in ours}, rel=1e-4
    )


def test_every_discriminators_share_of_the_losses_equals_the_reference(step: Step) -> None:
    real, fake = step.verdicts()
    expected = step.losses["losses"]
    assert [generator_loss([each]).item() for each in fake] == pytest.approx(
        expected["gen_each"], rel=1e-4
    )
    both = [discriminator_loss([r], [f]).item() for r, f in zip(real, fake, strict=True)]
    pairs = zip(expected["disc_real"], expected["disc_fake"], strict=True)
    assert both == pytest.approx([sum(pair) for pair in pairs], rel=1e-4)


def _gradient_norms(module: nn.Module, loss: Tensor) -> dict[str, float | None]:
    """L2 norm of the loss's gradient by upstream key; None where none arrives."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return to_upstream(
        {
            name: None if gradient is None else gradient.norm().item()
            for name, gradient in zip(names, gradients, strict=True)
        }
    )


def _assert_same_norms(norms: dict[str, float | None], expected: dict[str, float | None]) -> None:
    assert norms.keys() == expected.keys()
    assert {key for key, norm in norms.items() if norm is None} == {
        key for key, norm in expected.items() if norm is None
    }
    for key, norm in norms.items():
        reference = expected[key]
        if norm is None or reference is None:
            continue
        # Norms around 1e-7 are rounding of sums that cancel: compared absolutely.
        tolerance = 2e-3 * reference if reference > 1e-5 else 1e-5
        assert abs(norm - reference) <= tolerance, f"{key}: {norm} instead of {reference}"


def test_every_generator_gradient_equals_the_reference(step: Step) -> None:
    total = torch.stack(list(step.parts().values())).sum()
    _assert_same_norms(_gradient_norms(step.voice, total), step.losses["g_grad_l2"])


def test_every_discriminator_gradient_equals_the_reference(step: Step) -> None:
    real, fake = step.verdicts(frozen_generator=True)
    norms = _gradient_norms(step.discriminators, discriminator_loss(real, fake))
    _assert_same_norms(norms, step.losses["d_grad_l2"])
