"""S2's networks in one module: what a checkpoint holds and what training runs."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.flow import Flow
from models.gpt_sovits.s2.generator import Generator
from models.gpt_sovits.s2.layers import fold_weight_norm, length_mask
from models.gpt_sovits.s2.posterior_encoder import Posterior, PosteriorEncoder
from models.gpt_sovits.s2.prior_encoder import Prior, PriorEncoder
from models.gpt_sovits.s2.quantizer import Codebook
from models.gpt_sovits.s2.reference_encoder import ReferenceEncoder


@dataclass(frozen=True)
class TrainingBatch:
    """Padded training items; spectrogram and SSL features share the 50 Hz clock."""

    ssl_features: Tensor
    """(batch, frame, ssl_dim)"""
    spec: Tensor
    """(batch, bin, frame), zero in padding"""
    spec_lens: Tensor
    """(batch,) int64"""
    phoneme_ids: Tensor
    """(batch, phoneme) int64"""
    phoneme_lens: Tensor
    """(batch,) int64"""


class TrainingOutput(NamedTuple):
    """What the losses need."""

    waveform: Tensor
    """(batch, 1, segment_frames * hop_length), the decoded slices"""
    prior: Prior
    posterior: Posterior
    z_prior: Tensor
    """The posterior's sample sent through the flow, (batch, latent_channel, frame)."""
    ssl_projected: Tensor
    """(batch, ssl_dim, token) before quantisation"""
    quantized: Tensor
    """(batch, ssl_dim, token)"""


class Synthesizer(nn.Module):
    """All weights of an S2 voice and nothing else: what belongs to a request is an argument.

    Args:
        config: sizes.
        has_posterior: build the posterior encoder, which training needs and published voices
            lack.
    """

    def __init__(self, config: S2Config, has_posterior: bool = False) -> None:
        super().__init__()
        self.config = config
        self.ssl_proj = nn.Conv1d(config.ssl_dim, config.ssl_dim, 2, stride=2)
        self.codebook = Codebook(config.codebook_size, config.ssl_dim)
        self.reference_encoder = ReferenceEncoder(config)
        self.prior_encoder = PriorEncoder(config)
        self.posterior_encoder = PosteriorEncoder(config) if has_posterior else None
        self.flow = Flow(config)
        self.generator = Generator(config)

    @torch.no_grad()
    def speaker_embedding(self, ref_specs: list[Tensor]) -> Tensor:
        """The voice of one or several clips: each is encoded alone, then all are averaged.

        Args:
            ref_specs: linear spectrograms (bin, frame).

        Returns:
            (speaker_dim,).

        Raises:
            ValueError: no clip, a clip of the wrong shape, or one that gives no finite embedding.
        """
        if not ref_specs:
            raise ValueError("ref_specs is empty; a voice needs at least one clip")
        for spec in ref_specs:
            if spec.dim() != 2 or spec.shape[0] != self.config.spec_bins or not spec.shape[1]:
                raise ValueError(
                    f"a reference spectrogram has shape {tuple(spec.shape)}; it must "
                    f"be ({self.config.spec_bins}, frames)"
                )
        embeddings = [
            self.reference_encoder(
                spec.unsqueeze(0), torch.tensor([spec.shape[1]], device=spec.device)
            )
            for spec in ref_specs
        ]
        speaker = torch.stack(embeddings).mean(dim=0)[0, :, 0]
        if not bool(speaker.isfinite().all()):
            raise ValueError("ref_specs give an embedding that is not finite")
        return speaker

    @torch.no_grad()
    def extract_latent(self, ssl_features: Tensor) -> Tensor:
        """Semantic tokens of SSL features, two frames to a token; an odd last frame is dropped.

        Args:
            ssl_features: (batch, frame, ssl_dim) at 50 Hz.

        Returns:
            (batch, frame // 2) int64 at 25 Hz.

        Raises:
            ValueError: features of another shape, fewer than two frames, or not finite.
        """
        if ssl_features.dim() != 3 or ssl_features.shape[2] != self.config.ssl_dim:
            raise ValueError(
                f"ssl_features have shape {tuple(ssl_features.shape)}; "
                f"it must be (batch, frame, {self.config.ssl_dim})"
            )
        if ssl_features.shape[1] < 2:
            raise ValueError(
                f"ssl_features have {ssl_features.shape[1]} frames; a token needs at least 2"
            )
        if not bool(ssl_features.isfinite().all()):
            raise ValueError("ssl_features hold values that are not finite")
        return self.codebook.encode(self.project_ssl(ssl_features))

    def project_ssl(self, ssl_features: Tensor) -> Tensor:
        """What the codebook quantises: (batch, ssl_dim, frame // 2)."""
        # (batch, frame, channel) -> (batch, channel, frame): a convolution follows.
        projected: Tensor = self.ssl_proj(ssl_features.transpose(1, 2))
        return projected

    def content(self, semantic_tokens: Tensor) -> Tensor:
        """Codebook vectors on the frame clock: (batch, token) -> (batch, ssl_dim, 2 * token)."""
        return self.codebook.decode(semantic_tokens).repeat_interleave(2, dim=2)

    def synthesize(self, z_prior: Tensor, lens: Tensor, speaker: Tensor) -> Tensor:
        """Inverse flow and generator.

        Args:
            z_prior: (batch, latent_channel, frame), a sample of the prior.
            lens: (batch,) int64, real frames; padding does not influence them.
            speaker: (batch, speaker_dim, 1).

        Returns:
            (batch, frame * hop_length) float32 in [-1, 1], zero in padding.
        """
        mask = length_mask(lens, z_prior.shape[2]).to(z_prior)
        return self.vocode(self.flow.inverse(z_prior, mask, speaker) * mask, lens, speaker)

    def vocode(self, z: Tensor, lens: Tensor, speaker: Tensor) -> Tensor:
        """The generator alone, in its own dtype; arguments and result as `synthesize`."""
        dtype = self.generator.conv_pre.weight.dtype
        row_lens = None if bool((lens == z.shape[2]).all()) else lens.tolist()
        waveform: Tensor = self.generator(z.to(dtype), speaker.to(dtype), row_lens)
        return waveform.squeeze(1).float()

    def forward(
        self,
        batch: TrainingBatch,
        posterior_noise: Tensor,
        slice_starts: Tensor,
        rows_from_prior: Tensor | None = None,
    ) -> TrainingOutput:
        """One training pass; the voice is taken from the target itself.

        Args:
            batch: targets.
            posterior_noise: standard normal, (batch, latent_channel, frame).
            slice_starts: (batch,) int64, first latent frame of the slice that is decoded.
            rows_from_prior: (batch,) bool, rows decoded from the prior's mean, as serving does,
                instead of from the posterior; None, as in the reference: no row.

        Raises:
            ValueError: no posterior encoder, or tokens and spectrogram of different length.
        """
        if self.posterior_encoder is None:
            raise ValueError("this voice has no posterior encoder; build it with has_posterior")
        num_frames = batch.spec.shape[2]
        if batch.ssl_features.shape[1] // 2 * 2 != num_frames:
            raise ValueError(
                f"{batch.ssl_features.shape[1]} SSL frames give another length than "
                f"{num_frames} spectrogram frames; pad both to one even number"
            )
        mask = length_mask(batch.spec_lens, num_frames).to(batch.spec)
        speaker = self.reference_encoder(batch.spec, batch.spec_lens)
        # Projection and codebook are frozen: S1 was trained on their tokens.
        with torch.no_grad():
            ssl_projected = self.project_ssl(batch.ssl_features)
            tokens = self.codebook.encode(ssl_projected)
            content = self.content(tokens)
        prior = self.prior_encoder(
            content, batch.spec_lens, batch.phoneme_ids, batch.phoneme_lens, speaker
        )
        posterior = self.posterior_encoder(batch.spec, mask, speaker, posterior_noise)
        z_prior = self.flow(posterior.z, mask, speaker)
        z = posterior.z
        if rows_from_prior is not None:
            z_served = self.flow.inverse(prior.mean, mask, speaker)
            z = torch.where(rows_from_prior[:, None, None], z_served, z)
        z_slice = slice_frames(z, slice_starts, self.config.segment_frames)
        waveform = self.generator(z_slice, speaker)
        return TrainingOutput(
            waveform, prior, posterior, z_prior, ssl_projected, self.codebook.decode(tokens)
        )

    def prepare_for_inference(self, generator_dtype: torch.dtype = torch.float32) -> "Synthesizer":
        """Fold weight norm, lay out and cast the generator, set eval mode; in place, returns self.

        The generator is nearly all of the arithmetic; the small rest stays float32. In float32
        the output stays the same.
        """
        fold_weight_norm(self)
        self.generator.use_channels_last()
        self.generator.to(generator_dtype)
        return self.eval().requires_grad_(False)


def draw_slice_starts(uniform: Tensor, lens: Tensor, segment_frames: int) -> Tensor:
    """Random starts of training slices, ``floor(u * (len - segment + 1))``.

    Args:
        uniform: (batch,) in [0, 1).
        lens: (batch,) int64, each at least ``segment_frames``.
        segment_frames: length of a slice.

    Returns:
        (batch,) int64.

    Raises:
        ValueError: an item is shorter than a slice.
    """
    if bool((lens < segment_frames).any()):
        raise ValueError(
            f"an item has {int(lens.min())} frames; training needs {segment_frames} or more"
        )
    return (uniform * (lens - segment_frames + 1)).long()


def slice_frames(x: Tensor, starts: Tensor, num_frames: int) -> Tensor:
    """``num_frames`` frames of each row of (batch, channel, frame), from ``starts`` (batch,)."""
    return torch.stack(
        [row[:, start : start + num_frames] for row, start in zip(x, starts.tolist(), strict=True)]
    )
