"""Speech from partial tokens, as the reference streams it.

Every chunk runs the prior encoder over all tokens so far but decodes only the new ones and a short
overlap; neighbouring chunks are cross-faded twice, in the latent and in the waveform. Audio starts
before a segment's tokens are complete, at a price: the encoder can't see what follows, so the
result differs from :mod:`models.gpt_sovits.s2.decoding` and nothing is promised about how much.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.gpt_sovits.s2.decoding import EncodedSegment, Window, decode_windows, encode_joint
from models.gpt_sovits.s2.prior_encoder import change_speed
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer

# With fewer new tokens than this the overlap grows to make up for them.
_MIN_NEW_TOKENS = 10
_FRAMES_PER_TOKEN = 2
# How far the joint may move to where the two waveforms agree best, in samples.
_JOINT_SEARCH_SAMPLES = 320
_ENERGY_FLOOR = 1e-8


@dataclass(frozen=True)
class EarlyChunk:
    """One decoded chunk; what the next one needs to join on."""

    latent: Tensor
    """(hidden_channel, frame) kept joint-encoder frames, after the cross-fade."""
    waveform: Tensor
    """(samples,) as decoded, before joining."""


@torch.no_grad()
def decode_early_chunk(
    synthesizer: Synthesizer,
    segment: Segment,
    num_new_tokens: int,
    overlap_tokens: int = 2,
    previous: EarlyChunk | None = None,
) -> EarlyChunk:
    """Decode the newest tokens of a growing segment.

    Args:
        synthesizer: the voice.
        segment: holds all tokens so far.
        num_new_tokens: how many of them no earlier chunk has decoded.
        overlap_tokens: tokens before them that are decoded again.
        previous: the chunk before; None for the first.

    Raises:
        ValueError: ``num_new_tokens`` or ``overlap_tokens`` is out of range.
    """
    num_tokens = len(segment.semantic_tokens)
    if not 0 < num_new_tokens <= num_tokens or overlap_tokens < 1:
        raise ValueError(
            f"{num_new_tokens} new of {num_tokens} tokens with an overlap of {overlap_tokens}; "
            "at least 1 of each is needed, and no more new tokens than there are"
        )
    hidden, _ = encode_joint(synthesizer, [segment])
    latent = hidden[0]
    overlap = overlap_tokens + max(0, _MIN_NEW_TOKENS - num_new_tokens)
    first_frame = 0
    if previous is not None:
        kept = min(_FRAMES_PER_TOKEN * (num_new_tokens + overlap), latent.shape[1])
        first_frame = latent.shape[1] - kept
        latent = fade_latents(previous.latent, latent[:, first_frame:], overlap)
    waveform = _decode_latent(synthesizer, segment, latent, first_frame)
    if previous is not None and overlap > overlap_tokens:
        num_kept = _num_samples(synthesizer, overlap_tokens + num_new_tokens, segment.speed)
        waveform = waveform[-num_kept:]
    return EarlyChunk(latent, waveform)


def stream_early(
    synthesizer: Synthesizer,
    segment_of: Callable[[Tensor], Segment],
    token_chunks: Iterable[Tensor],
    overlap_tokens: int = 2,
) -> Iterator[Tensor]:
    """The waveform of a segment while its tokens arrive.

    Unlike the reference, the last chunk is joined with care too, so the joint does not click.

    Args:
        synthesizer: the voice.
        segment_of: the segment for the (token,) tokens that have arrived so far.
        token_chunks: (token,) each, at least one token; the first at least ``overlap_tokens``.
        overlap_tokens: tokens decoded again in every chunk.

    Yields:
        (samples,) float32 per chunk, and one more for what was held back.

    Raises:
        ValueError: see :func:`decode_early_chunk`.
    """
    arrived: list[Tensor] = []
    previous: EarlyChunk | None = None
    for new_tokens in token_chunks:
        arrived.append(new_tokens)
        segment = segment_of(torch.cat(arrived))
        waveform, previous = next_early_waveform(
            synthesizer, segment, len(new_tokens), overlap_tokens, previous
        )
        yield waveform
    if previous is not None:
        yield previous.waveform


def next_early_waveform(
    synthesizer: Synthesizer,
    segment: Segment,
    num_new_tokens: int,
    overlap_tokens: int = 2,
    previous: EarlyChunk | None = None,
) -> tuple[Tensor, EarlyChunk]:
    """One step of :func:`stream_early`; all that a stream remembers is in its arguments.

    Args and errors as of :func:`decode_early_chunk`.

    Returns:
        (samples,) to be played now, and what the next step needs. Its waveform is what was held
        back: the end of the speech, if nothing follows.
    """
    chunk = decode_early_chunk(synthesizer, segment, num_new_tokens, overlap_tokens, previous)
    overlap_samples = _num_samples(synthesizer, overlap_tokens, segment.speed)
    joined = chunk.waveform
    if previous is not None:
        joined = join_waveforms(previous.waveform, joined, overlap_samples)
    longest_fade = _FRAMES_PER_TOKEN * (overlap_tokens + _MIN_NEW_TOKENS)
    held_back = EarlyChunk(chunk.latent[:, -longest_fade:], chunk.waveform[-overlap_samples:])
    return joined[:-overlap_samples], held_back


def fade_latents(previous: Tensor, latent: Tensor, overlap_tokens: int) -> Tensor:
    """Blend the overlap into the new latent with quarter sines.

    Args:
        previous, latent: (channel, frame); the last frames of ``previous`` and the first ones of
            ``latent`` are the same stretch of speech.
        overlap_tokens: its length; cut to what both have.
    """
    num_frames = min(_FRAMES_PER_TOKEN * overlap_tokens, previous.shape[1], latent.shape[1])
    phase = torch.arange(num_frames).to(latent) * (math.pi / 2 / num_frames)
    blended = latent[:, :num_frames] * torch.sin(phase)
    blended = blended + previous[:, -num_frames:] * torch.sin(phase + math.pi / 2)
    return torch.cat([blended, latent[:, num_frames:]], dim=1)


def join_waveforms(previous: Tensor, waveform: Tensor, overlap_samples: int) -> Tensor:
    """Cross-fade a chunk with the end of the one before, where the two agree best (SOLA).

    Args:
        previous: (samples,) as decoded; its last ``overlap_samples`` are faded out.
        waveform: (samples,) as decoded; its first samples are dropped up to the best joint.
        overlap_samples: length of the cross-fade; cut to what both have.

    Returns:
        (samples,), starting with the cross-fade.
    """
    overlap = min(overlap_samples, len(previous), len(waveform))
    tail = previous[-overlap:]
    waveform = waveform[best_joint(tail, waveform) :]
    window = torch.hann_window(2 * overlap, dtype=waveform.dtype, device=waveform.device)
    blended = waveform[:overlap] * window[:overlap] + tail * window[overlap:]
    return torch.cat([blended, waveform[overlap:]])


def best_joint(tail: Tensor, waveform: Tensor) -> int:
    """The offset in ``waveform`` that correlates best with ``tail``, normalised by energy."""
    search = waveform[: len(tail) + _JOINT_SEARCH_SAMPLES].view(1, 1, -1)
    products = F.conv1d(search, tail.view(1, 1, -1))
    energies = F.conv1d(search.square(), torch.ones_like(tail).view(1, 1, -1))
    return int((products / torch.sqrt(energies + _ENERGY_FLOOR)).argmax())


def _decode_latent(
    synthesizer: Synthesizer, segment: Segment, latent: Tensor, first_frame: int
) -> Tensor:
    """Waveform of kept latent frames, the first of which is ``first_frame`` of the segment."""
    lens = torch.tensor([latent.shape[1]], device=latent.device)
    hidden, lens = change_speed(latent[None], lens, [segment.speed])
    prior = synthesizer.prior_encoder.project(hidden, lens)
    encoded = EncodedSegment(
        prior.mean[0], prior.log_std[0], segment, int(first_frame / segment.speed)
    )
    return decode_windows(synthesizer, [Window(encoded, 0, encoded.num_frames)])[0]


def _num_samples(synthesizer: Synthesizer, num_tokens: int, speed: float) -> int:
    return math.ceil(num_tokens * synthesizer.config.samples_per_token / speed)
