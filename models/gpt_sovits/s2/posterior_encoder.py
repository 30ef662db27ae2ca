"""Spectrogram -> latent; used in training only."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.wavenet import WaveNet


class Posterior(NamedTuple):
    """A sample and the Gaussian it came from; all (batch, latent_channel, frame)."""

    z: Tensor
    mean: Tensor
    log_std: Tensor


class PosteriorEncoder(nn.Module):
    """Linear spectrogram to a diagonal Gaussian per frame (upstream ``enc_q``)."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        self.pre = nn.Conv1d(config.spec_bins, config.hidden_channels, 1)
        self.wavenet = WaveNet(
            config.hidden_channels,
            config.wavenet_kernel_size,
            config.posterior_layers,
            config.speaker_dim,
        )
        self.out = nn.Conv1d(config.hidden_channels, 2 * config.latent_channels, 1)

    def forward(self, spec: Tensor, mask: Tensor, speaker: Tensor, noise: Tensor) -> Posterior:
        """Encode (batch, bin, frame); ``noise`` is standard normal, shaped as the latent.

        No gradient reaches the speaker embedding from here, as in the reference.
        """
        hidden = self.wavenet(self.pre(spec) * mask, mask, speaker.detach())
        mean, log_std = (self.out(hidden) * mask).chunk(2, dim=1)
        return Posterior((mean + noise * torch.exp(log_std)) * mask, mean, log_std)
