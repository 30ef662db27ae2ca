"""What a segment should sound like, before any speaker's flow: tokens and phonemes -> prior."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gpt_sovits.s2.attention import MultiHeadAttention
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.encoder import RelativeEncoder
from models.gpt_sovits.s2.layers import length_mask


class Prior(NamedTuple):
    """A diagonal Gaussian per latent frame."""

    mean: Tensor
    """(batch, latent_channel, frame), zero in padding."""
    log_std: Tensor
    """(batch, latent_channel, frame), zero in padding."""
    lens: Tensor
    """(batch,) int64, real frames of each row."""

    @property
    def mask(self) -> Tensor:
        """(batch, 1, frame) float, 1 where a frame is real."""
        return length_mask(self.lens, self.mean.shape[2]).to(self.mean)


class MultiReferenceTimbre(nn.Module):
    """Content attends to phonemes, and the speaker is added (MRTE).

    ``y = attention(content, phonemes) + content + speaker``, at ``mrte_channels``.
    """

    def __init__(self, num_channels: int, mrte_channels: int, num_heads: int) -> None:
        super().__init__()
        self.content_in = nn.Conv1d(num_channels, mrte_channels, 1)
        self.text_in = nn.Conv1d(num_channels, mrte_channels, 1)
        self.attention = MultiHeadAttention(mrte_channels, num_heads)
        self.out = nn.Conv1d(mrte_channels, num_channels, 1)

    def forward(
        self,
        content: Tensor,
        content_mask: Tensor,
        text: Tensor,
        text_mask: Tensor,
        speaker: Tensor,
    ) -> Tensor:
        """Mix content (batch, channel, frame) with text (batch, channel, phoneme)."""
        content = self.content_in(content * content_mask)
        text = self.text_in(text * text_mask)
        pair_mask = content_mask.unsqueeze(3) * text_mask.unsqueeze(2)
        mixed = self.attention(content * content_mask, text * text_mask, pair_mask)
        out: Tensor = self.out((mixed + content + speaker) * content_mask)
        return out


class PriorEncoder(nn.Module):
    """Semantic vectors and phonemes to the prior of every latent frame (upstream ``enc_p``)."""

    def __init__(self, config: S2Config) -> None:
        super().__init__()
        hidden = config.hidden_channels

        def encoder(num_layers: int) -> RelativeEncoder:
            return RelativeEncoder(
                hidden,
                config.filter_channels,
                config.num_heads,
                num_layers,
                config.kernel_size,
                config.dropout,
            )

        self.content_in = nn.Conv1d(config.ssl_dim, hidden, 1)
        self.content_encoder = encoder(config.num_layers // 2)
        self.phoneme_embedding = nn.Embedding(config.num_phonemes, hidden)
        self.text_encoder = encoder(config.num_layers)
        self.mrte = MultiReferenceTimbre(hidden, config.mrte_channels, config.mrte_heads)
        self.joint_encoder = encoder(config.num_layers // 2)
        self.out = nn.Conv1d(hidden, 2 * config.latent_channels, 1)

    def forward(
        self,
        content: Tensor,
        content_lens: Tensor,
        phoneme_ids: Tensor,
        phoneme_lens: Tensor,
        speaker: Tensor,
    ) -> Prior:
        """The prior at normal speed.

        Args:
            content: (batch, ssl_dim, frame), quantised vectors on the 50 Hz frame clock.
            content_lens: (batch,) int64, real frames.
            phoneme_ids: (batch, phoneme) int64; phoneme_lens: (batch,).
            speaker: (batch, speaker_dim, 1).
        """
        hidden = self.encode(content, content_lens, phoneme_ids, phoneme_lens, speaker)
        return self.project(hidden, content_lens)

    def encode(
        self,
        content: Tensor,
        content_lens: Tensor,
        phoneme_ids: Tensor,
        phoneme_lens: Tensor,
        speaker: Tensor,
    ) -> Tensor:
        """Everything up to the joint encoder; (batch, hidden, frame), arguments as `forward`."""
        mask = length_mask(content_lens, content.shape[2]).to(content)
        text_mask = length_mask(phoneme_lens, phoneme_ids.shape[1]).to(content)
        hidden = self.content_encoder(self.content_in(content * mask) * mask, mask)
        # The embedding feeds convolutions: (batch, phoneme, channel) -> (batch, channel, phoneme).
        text = self.text_encoder(self.phoneme_embedding(phoneme_ids).transpose(1, 2), text_mask)
        mixed = self.mrte(hidden, mask, text, text_mask, speaker)
        joint: Tensor = self.joint_encoder(mixed, mask)
        return joint

    def project(self, hidden: Tensor, lens: Tensor) -> Prior:
        """Mean and log standard deviation from joint features (batch, hidden, frame)."""
        mask = length_mask(lens, hidden.shape[2]).to(hidden)
        mean, log_std = (self.out(hidden) * mask).chunk(2, dim=1)
        return Prior(mean, log_std, lens)


def num_frames_at_speed(num_frames: int, speed: float) -> int:
    """Latent frames after a change of speed: unchanged at 1, else ``int(n / speed) + 1``."""
    return num_frames if speed == 1.0 else int(num_frames / speed) + 1


def change_speed(hidden: Tensor, lens: Tensor, speeds: list[float]) -> tuple[Tensor, Tensor]:
    """Stretch each row's real frames by linear interpolation (corners not aligned).

    Rows are stretched one by one, so a row's result does not depend on the batch it is in.

    Args:
        hidden: (batch, channel, frame).
        lens: (batch,) int64.
        speeds: one factor per row, > 0; 1 leaves the row as it is.

    Returns:
        Stretched features padded with zeros, and their (batch,) lengths.

    Raises:
        ValueError: a speed is not positive.
    """
    if any(not speed > 0 for speed in speeds):
        raise ValueError(f"speeds are {speeds}; each must be greater than 0")
    if all(speed == 1.0 for speed in speeds):
        return hidden, lens
    old_lens = lens.tolist()
    new_lens = [num_frames_at_speed(n, s) for n, s in zip(old_lens, speeds, strict=True)]
    out = hidden.new_zeros(*hidden.shape[:2], max(new_lens))
    for row, (old, new) in enumerate(zip(old_lens, new_lens, strict=True)):
        kept = hidden[row : row + 1, :, :old]
        out[row, :, :new] = (
            kept[0]
            if speeds[row] == 1.0
            else F.interpolate(kept, size=new, mode="linear", align_corners=False)[0]
        )
    return out, torch.tensor(new_lens, device=lens.device)
