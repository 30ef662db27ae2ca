"""The normalising flow between what the voice says and what the speaker sounds like."""

import torch
from torch import Tensor, nn

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.wavenet import WaveNet


class Coupling(nn.Module):
    """Shifts the second half of the channels by a function of the first (mean only)."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        half, hidden = config.latent_channels // 2, config.hidden_channels
        self.pre = nn.Conv1d(half, hidden, 1)
        self.wavenet = WaveNet(
            hidden, config.wavenet_kernel_size, config.flow_layers, config.speaker_dim
        )
        self.post = nn.Conv1d(hidden, half, 1)
        # Starts as the identity.
        for parameter in self.post.parameters():
            nn.init.zeros_(parameter)

    def shift(self, x: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """The shift (batch, half, frame) for the first half ``x`` (batch, half, frame)."""
        hidden = self.wavenet(self.pre(x) * mask, mask, speaker)
        shift: Tensor = self.post(hidden) * mask
        return shift

    def forward(self, x: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, self.shift(first, mask, speaker) + second * mask], dim=1)

    def inverse(self, x: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """Undo `forward`."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, (second - self.shift(first, mask, speaker)) * mask], dim=1)


class Flow(nn.Module):
    """Couplings, each followed by a reversal of the channels."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(Coupling(config) for _ in range(config.flow_couplings))

    def forward(self, z: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """Posterior latent to prior latent; all (batch, latent_channel, frame)."""
        for coupling in self.couplings:
            z = coupling(z, mask, speaker).flip(1)
        return z

    def inverse(self, z_prior: Tensor, mask: Tensor, speaker: Tensor) -> Tensor:
        """Prior latent to posterior latent; undoes `forward`."""
        z = z_prior
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            z = coupling.inverse(z.flip(1), mask, speaker)
        return z
