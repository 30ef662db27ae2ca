"""S2's training losses, one function each; all return a scalar.

Weights are upstream's: 45 on the mel term, 1 on the others (feature matching carries its own 2).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.gpt_sovits.s2.discriminator import Verdict

MEL_WEIGHT = 45.0
KL_WEIGHT = 1.0


def mel_loss(target_log_mel: Tensor, log_mel: Tensor) -> Tensor:
    """Mean absolute difference of two log-mel spectrograms, (batch, mel, frame)."""
    return (target_log_mel - log_mel).abs().mean()


def kl_loss(
    z_prior: Tensor,
    posterior_log_std: Tensor,
    prior_mean: Tensor,
    prior_log_std: Tensor,
    mask: Tensor,
) -> Tensor:
    """KL divergence of posterior to prior, one sample, per real frame (summed over channels).

    Args:
        z_prior: the posterior's sample sent through the flow, (batch, channel, frame).
        posterior_log_std, prior_mean, prior_log_std: same shape.
        mask: (batch, 1, frame).
    """
    z_prior, prior_mean, prior_log_std = z_prior.float(), prior_mean.float(), prior_log_std.float()
    per_channel = prior_log_std - posterior_log_std.float() - 0.5
    per_channel = per_channel + 0.5 * (z_prior - prior_mean).square() * torch.exp(
        -2.0 * prior_log_std
    )
    return (per_channel * mask).sum() / mask.sum()


def feature_matching_loss(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """Twice the mean absolute difference of each feature map, summed; real ones are constants."""
    return 2 * _total(
        [
            (real_map.float().detach() - fake_map.float()).abs().mean()
            for real_verdict, fake_verdict in zip(real, fake, strict=True)
            for real_map, fake_map in zip(
                real_verdict.feature_maps, fake_verdict.feature_maps, strict=True
            )
        ]
    )


def generator_loss(fake: Sequence[Verdict]) -> Tensor:
    """Least-squares loss of the generator: its output should be scored 1 (Mao et al., 2017)."""
    return _total([(1 - verdict.score.float()).square().mean() for verdict in fake])


def discriminator_loss(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """Least-squares loss of the discriminators: real scored 1, fake scored 0."""
    return _total(
        [
            (1 - ours.score.float()).square().mean() + theirs.score.float().square().mean()
            for ours, theirs in zip(real, fake, strict=True)
        ]
    )


def commitment_loss(features: Tensor, quantized: Tensor) -> Tensor:
    """Mean squared distance of projected SSL features to their (constant) codebook vectors.

    Zero by definition while the quantiser is frozen, so only a voice that trains its own
    ``ssl_proj`` uses it.
    """
    return (quantized.detach() - features).square().mean()


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()
