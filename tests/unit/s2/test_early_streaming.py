"""Partial-token streaming: lengths, joints, and where it meets the exact path."""

from functools import partial

import pytest
import torch
from torch import Tensor

from models.gpt_sovits.s2.decoding import decode
from models.gpt_sovits.s2.early_streaming import (
    decode_early_chunk,
    fade_latents,
    join_waveforms,
    stream_early,
)
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.unit.s2.voices import SMALL, small_segment


def _stream(voice: Synthesizer, segment: Segment, sizes: list[int]) -> list[Tensor]:
    settings = {key: value for key, value in vars(segment).items() if key != "semantic_tokens"}
    return list(
        stream_early(voice, partial(Segment, **settings), segment.semantic_tokens.split(sizes))
    )


@torch.inference_mode()
def test_tokens_that_arrive_at_once_give_the_exact_waveform(voice: Synthesizer) -> None:
    segment = small_segment(30, seed=1)
    (whole,) = decode(voice, [segment])
    torch.testing.assert_close(torch.cat(_stream(voice, segment, [30])), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sizes", [[20, 20], [16, 16, 8], [20, 3, 3, 14], [12, 1]])
@torch.inference_mode()
def test_chunks_add_up_to_the_segment_less_what_the_joints_moved(
    voice: Synthesizer, sizes: list[int]
) -> None:
    chunks = _stream(voice, small_segment(sum(sizes), seed=2), sizes)
    missing = sum(sizes) * SMALL.samples_per_token - sum(len(chunk) for chunk in chunks)
    assert len(chunks) == len(sizes) + 1
    assert 0 <= missing <= 320 * (len(sizes) - 1)


@pytest.mark.parametrize("speed", [0.8, 1.25])
@torch.inference_mode()
def test_speed_applies_to_every_chunk(voice: Synthesizer, speed: float) -> None:
    total = torch.cat(_stream(voice, small_segment(40, seed=3, speed=speed), [20, 20]))
    # Each chunk is stretched to a whole frame more, and the joint may drop 320 samples.
    expected = 40 * SMALL.samples_per_token / speed
    assert abs(len(total) - expected) <= 2 * SMALL.hop_length


def test_the_latent_fade_starts_at_the_old_chunk_and_ends_near_the_new() -> None:
    old, new = torch.zeros(3, 30), torch.ones(3, 24)
    faded = fade_latents(old, new, overlap_tokens=2)
    # sin(pi k / 2L) for k < L = 4 frames, then the new chunk untouched.
    expected = torch.sin(torch.arange(4) * torch.pi / 8)
    torch.testing.assert_close(faded[0, :4], expected)
    assert torch.equal(faded[:, 4:], new[:, 4:])


def test_a_wave_cut_in_two_is_joined_without_a_trace() -> None:
    wave = torch.sin(torch.arange(8000) * 0.05) * torch.linspace(0.2, 1.0, 8000)
    joined = join_waveforms(wave[:4000], wave[4000 - 640 :], overlap_samples=640)
    torch.testing.assert_close(joined, wave[4000 - 640 :], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("num_new", "overlap"), [(0, 2), (11, 2), (5, 0)])
def test_impossible_chunks_are_refused(voice: Synthesizer, num_new: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="at least 1 of each"):
        decode_early_chunk(voice, small_segment(10, seed=0), num_new, overlap)
