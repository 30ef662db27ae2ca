"""Every loss reaches the parts it should train, and no others."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.audio.mel import log_mel_spectrogram
from models.audio.spectrogram import linear_spectrogram
from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.losses import (
    commitment_loss,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    kl_loss,
    mel_loss,
)
from models.gpt_sovits.s2.synthesizer import Synthesizer, TrainingBatch, TrainingOutput
from tests.unit.s2.voices import SMALL, filled, small_voice


@pytest.fixture(scope="module")
def training_voice() -> Synthesizer:
    return small_voice(has_posterior=True)


@pytest.fixture(scope="module")
def discriminators() -> Discriminators:
    judges = Discriminators(width_divisor=8)
    judges.load_state_dict(filled(judges))
    return judges


@pytest.fixture
def out(training_voice: Synthesizer) -> TrainingOutput:
    output: TrainingOutput = training_voice(
        _batch(40), torch.randn(2, SMALL.latent_channels, 40), torch.tensor([0, 3])
    )
    return output


def _batch(num_frames: int) -> TrainingBatch:
    torch.manual_seed(0)
    return TrainingBatch(
        ssl_features=torch.randn(2, num_frames, SMALL.ssl_dim),
        spec=torch.rand(2, SMALL.spec_bins, num_frames),
        spec_lens=torch.tensor([num_frames, num_frames - 4]),
        phoneme_ids=torch.randint(SMALL.num_phonemes, (2, 9)),
        phoneme_lens=torch.tensor([9, 5]),
    )


def _trained_parts(module: nn.Module, loss: Tensor) -> set[str]:
    """Top-level parts of ``module`` in which every parameter gets a gradient from ``loss``.

    The biases of attention keys are left out: they shift all scores alike and change nothing.
    """
    named = [(n, p) for n, p in module.named_parameters() if not n.endswith("key.bias")]
    gradients = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    parts = {name.split(".")[0] for name, _ in named}
    return parts - {
        name.split(".")[0]
        for (name, _), gradient in zip(named, gradients, strict=True)
        if gradient is None or not gradient.any()
    }


def _mel(out: TrainingOutput) -> Tensor:
    log_mel = log_mel_spectrogram(linear_spectrogram(out.waveform[:, 0]))
    return mel_loss(torch.zeros_like(log_mel), log_mel)


def _kl(out: TrainingOutput) -> Tensor:
    prior = out.prior
    return kl_loss(out.z_prior, out.posterior.log_std, prior.mean, prior.log_std, prior.mask)


WAVEFORM_PARTS = {"reference_encoder", "posterior_encoder", "generator"}
PRIOR_PARTS = {"reference_encoder", "posterior_encoder", "prior_encoder", "flow"}


@pytest.mark.parametrize(
    ("loss_of", "parts"), [(_mel, WAVEFORM_PARTS), (_kl, PRIOR_PARTS)], ids=["mel", "kl"]
)
def test_reconstruction_and_prior_losses_train_their_parts(
    training_voice: Synthesizer,
    out: TrainingOutput,
    loss_of: Callable[[TrainingOutput], Tensor],
    parts: set[str],
) -> None:
    assert _trained_parts(training_voice, loss_of(out)) == parts


def test_adversarial_losses_train_the_generator_side(
    training_voice: Synthesizer, out: TrainingOutput, discriminators: Discriminators
) -> None:
    real = discriminators(torch.randn(2, 1, out.waveform.shape[2]))
    fake = discriminators(out.waveform)
    for loss in (generator_loss(fake), feature_matching_loss(real, fake)):
        gradients = torch.autograd.grad(loss, out.waveform, retain_graph=True)
        assert gradients[0].any(dim=2).all()


def test_discriminator_loss_trains_every_discriminator(discriminators: Discriminators) -> None:
    real, fake = (discriminators(torch.randn(2, 1, 4000)) for _ in range(2))
    loss = discriminator_loss(real, fake)
    gradients = torch.autograd.grad(loss, list(discriminators.parameters()))
    assert all(gradient.any() for gradient in gradients)


def test_feature_matching_holds_real_features_constant() -> None:
    judges = Discriminators(width_divisor=8)
    wave = torch.randn(1, 1, 2000, requires_grad=True)
    loss = feature_matching_loss(judges(wave), judges(torch.randn(1, 1, 2000)))
    (gradient,) = torch.autograd.grad(loss, wave, allow_unused=True)
    assert gradient is None


def test_commitment_loss_pulls_features_to_the_codebook(training_voice: Synthesizer) -> None:
    features = training_voice.project_ssl(torch.randn(1, 10, SMALL.ssl_dim))
    quantized = training_voice.codebook.decode(training_voice.codebook.encode(features))
    gradients = torch.autograd.grad(
        commitment_loss(features, quantized), list(training_voice.ssl_proj.parameters())
    )
    assert all(gradient.any() for gradient in gradients)


def test_kl_of_equal_gaussians_is_what_one_sample_says() -> None:
    # log_p - log_q - 1/2 + (z - m)^2 e^{-2 log_p} / 2 with log_p = log_q = 0 and z - m = 1.
    zeros, ones = torch.zeros(1, 4, 6), torch.ones(1, 4, 6)
    assert kl_loss(ones, zeros, zeros, zeros, torch.ones(1, 1, 6)).item() == 0.0
    assert kl_loss(2 * ones, zeros, zeros, zeros, torch.ones(1, 1, 6)).item() == 4 * 1.5


def test_a_voice_without_posterior_encoder_refuses_to_train(voice: Synthesizer) -> None:
    with pytest.raises(ValueError, match="no posterior encoder"):
        voice(_batch(40), torch.zeros(2, SMALL.latent_channels, 40), torch.tensor([0, 0]))


def test_features_and_spectrogram_of_different_length_are_refused(
    training_voice: Synthesizer,
) -> None:
    with pytest.raises(ValueError, match="41 spectrogram frames"):
        training_voice(_batch(41), torch.zeros(2, SMALL.latent_channels, 41), torch.zeros(2))


def test_an_unknown_discriminator_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width_divisor is 3"):
        Discriminators(width_divisor=3)
