"""Segments -> waveform, whole or in exact chunks, alone or in batches.

The prior encoder attends over a whole segment and runs once; flow and generator are local, so any
window of a segment can be decoded alone when it is given the context of
:mod:`models.gpt_sovits.s2.receptive_field`. Decoding the whole is the window from 0 to the end:
there is one path, and chunks joined equal the whole up to float rounding.

Windows are independent of each other. A caller batches those of several requests, or decodes one
again after a failure, and gets the same samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import torch
from torch import Tensor

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.layers import length_mask
from models.gpt_sovits.s2.prior_encoder import Prior, change_speed
from models.gpt_sovits.s2.receptive_field import Context, flow_context, generator_context
from models.gpt_sovits.s2.segment import Segment, frame_noise, pad_rows
from models.gpt_sovits.s2.synthesizer import Synthesizer


@dataclass(frozen=True)
class EncodedSegment:
    """A segment after the prior encoder; all that its windows need."""

    mean: Tensor
    """(latent_channel, frame)"""
    log_std: Tensor
    """(latent_channel, frame)"""
    segment: Segment
    first_frame: int = 0
    """Which frame of the segment the first one is; names its noise."""

    @property
    def num_frames(self) -> int:
        return self.mean.shape[1]

    def sample(self, start: int, stop: int) -> Tensor:
        """The prior's sample for frames ``start`` to ``stop``: (latent_channel, stop - start)."""
        mean, log_std = self.mean[:, start:stop], self.log_std[:, start:stop]
        noise = frame_noise(
            self.segment.seed, self.first_frame + start, stop - start, len(mean)
        ).to(mean)
        return mean + noise * torch.exp(log_std) * self.segment.noise_scale


@dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop`` of a segment.

    Raises:
        ValueError: empty, or outside the segment.
    """

    encoded: EncodedSegment
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= self.encoded.num_frames:
            raise ValueError(
                f"window {self.start}:{self.stop} must be a non-empty part of "
                f"0:{self.encoded.num_frames}"
            )

    def widened(self, context: Context) -> "Window":
        """With context on both sides, as far as the segment reaches."""
        return Window(
            self.encoded,
            max(0, self.start - context.left),
            min(self.encoded.num_frames, self.stop + context.right),
        )


@torch.no_grad()
def encode_segments(synthesizer: Synthesizer, segments: list[Segment]) -> list[EncodedSegment]:
    """Run the prior encoder once on a batch of segments of any lengths, speeds and voices."""
    prior = encode_prior(synthesizer, segments)
    return [
        EncodedSegment(prior.mean[row, :, :num_frames], prior.log_std[row, :, :num_frames], segment)
        for row, (segment, num_frames) in enumerate(zip(segments, prior.lens.tolist(), strict=True))
    ]


def encode_prior(synthesizer: Synthesizer, segments: list[Segment]) -> Prior:
    """The padded prior of a batch of segments, at their speeds."""
    hidden, lens = encode_joint(synthesizer, segments)
    hidden, lens = change_speed(hidden, lens, [segment.speed for segment in segments])
    return synthesizer.prior_encoder.project(hidden, lens)


def encode_joint(synthesizer: Synthesizer, segments: list[Segment]) -> tuple[Tensor, Tensor]:
    """Joint-encoder features at normal speed, before any change of it.

    Returns:
        (batch, hidden_channel, frame), and the (batch,) int64 real frames.

    Raises:
        ValueError: no segments, or one with ids or a speaker the voice does not know.
    """
    if not segments:
        raise ValueError("there are no segments to encode; at least one is needed")
    for segment in segments:
        _check_fits(synthesizer.config, segment)
    tokens, token_lens = pad_rows([segment.semantic_tokens for segment in segments])
    phoneme_ids, phoneme_lens = pad_rows([segment.phoneme_ids for segment in segments])
    speaker = stack_speakers(segments)
    hidden = synthesizer.prior_encoder.encode(
        synthesizer.content(tokens), 2 * token_lens, phoneme_ids, phoneme_lens, speaker
    )
    return hidden, 2 * token_lens


def _check_fits(config: S2Config, segment: Segment) -> None:
    low, high = (int(bound) for bound in segment.phoneme_ids.aminmax())
    if low < 0 or high >= config.num_phonemes:
        raise ValueError(
            f"phoneme ids span {low} to {high}; they must lie in [0, {config.num_phonemes})"
        )
    if len(segment.speaker) != config.speaker_dim:
        raise ValueError(
            f"the speaker embedding has {len(segment.speaker)} channels; "
            f"this voice needs {config.speaker_dim}"
        )


def stack_speakers(segments: list[Segment]) -> Tensor:
    """(batch, speaker_dim, 1)."""
    return torch.stack([segment.speaker for segment in segments]).unsqueeze(2)


@torch.no_grad()
def decode_windows(synthesizer: Synthesizer, windows: list[Window]) -> list[Tensor]:
    """Decode windows, of one or of several segments, in one batch.

    Returns:
        Per window (frames * hop_length,) float32 in [-1, 1].
    """
    config = synthesizer.config
    near = [window.widened(generator_context(config)) for window in windows]
    far = [window.widened(flow_context(config)) for window in near]
    speaker = stack_speakers([window.encoded.segment for window in windows])
    z_prior, far_lens = pad_rows([w.encoded.sample(w.start, w.stop) for w in far])
    mask = length_mask(far_lens, z_prior.shape[2]).to(z_prior)
    z_far = synthesizer.flow.inverse(z_prior, mask, speaker)
    z_near, near_lens = pad_rows(
        [
            row[:, inner.start - outer.start : inner.stop - outer.start]
            for row, inner, outer in zip(z_far, near, far, strict=True)
        ]
    )
    waveforms = synthesizer.vocode(z_near, near_lens, speaker)
    hop = config.hop_length
    return [
        row[(window.start - inner.start) * hop : (window.stop - inner.start) * hop]
        for row, window, inner in zip(waveforms, windows, near, strict=True)
    ]


def decode(synthesizer: Synthesizer, segments: list[Segment]) -> list[Tensor]:
    """Decode whole segments in one batch; per segment (samples,) float32 in [-1, 1]."""
    encoded = encode_segments(synthesizer, segments)
    return decode_windows(synthesizer, [Window(each, 0, each.num_frames) for each in encoded])


def exact_windows(encoded: EncodedSegment, first_frames: int, next_frames: int) -> Iterator[Window]:
    """Cut a segment into a first window and following ones.

    Args:
        encoded: the segment.
        first_frames: length of the first window; short, for early audio.
        next_frames: length of the others; longer, as every window pays for its context.

    Raises:
        ValueError: a length is not positive.
    """
    if first_frames < 1 or next_frames < 1:
        raise ValueError(
            f"windows of {first_frames} and {next_frames} frames; both must be 1 or more"
        )
    start = 0
    for num_frames in chain([first_frames], repeat(next_frames)):
        if start >= encoded.num_frames:
            return
        stop = min(start + num_frames, encoded.num_frames)
        yield Window(encoded, start, stop)
        start = stop


def stream_exact(
    synthesizer: Synthesizer, segment: Segment, first_frames: int, next_frames: int
) -> Iterator[Tensor]:
    """The waveform of one segment in chunks that, joined, equal the whole."""
    (encoded,) = encode_segments(synthesizer, [segment])
    for window in exact_windows(encoded, first_frames, next_frames):
        yield decode_windows(synthesizer, [window])[0]
