"""Chunked = whole, batched = alone, again = before."""

import random
from dataclasses import replace

import pytest
import torch

from models.gpt_sovits.s2.decoding import (
    Window,
    decode,
    decode_windows,
    encode_segments,
    stream_exact,
)
from models.gpt_sovits.s2.segment import Segment, frame_noise
from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.unit.s2.voices import SMALL, small_segment, small_voice

TOLERANCE = 1e-4


@pytest.mark.parametrize(("first", "following"), [(1, 4), (8, 25), (50, 1000), (1000, 1)])
@torch.inference_mode()
def test_streamed_chunks_joined_equal_the_whole(
    voice: Synthesizer, first: int, following: int
) -> None:
    segment = small_segment(45, seed=3)
    (whole,) = decode(voice, [segment])
    chunks = list(stream_exact(voice, segment, first, following))
    assert len(chunks[0]) == min(first, 90) * SMALL.hop_length
    torch.testing.assert_close(torch.cat(chunks), whole, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_segments_of_several_voices_sound_the_same_in_a_batch_as_alone(voice: Synthesizer) -> None:
    segments = [
        small_segment(30, seed=1),
        small_segment(7, seed=2, speed=0.8),
        small_segment(19, seed=3, noise_scale=0.0),
        small_segment(1, seed=4, speed=1.5),
    ]
    for batched, segment in zip(decode(voice, segments), segments, strict=True):
        (alone,) = decode(voice, [segment])
        torch.testing.assert_close(batched, alone, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_windows_of_several_segments_share_a_batch(voice: Synthesizer) -> None:
    segments = [small_segment(40, seed=5), small_segment(25, seed=6)]
    encoded = encode_segments(voice, segments)
    wholes = decode(voice, segments)
    windows = [Window(encoded[0], 0, 11), Window(encoded[1], 20, 50), Window(encoded[0], 60, 62)]
    hop = SMALL.hop_length
    for part, window, row in zip(decode_windows(voice, windows), windows, (0, 1, 0), strict=True):
        expected = wholes[row][window.start * hop : window.stop * hop]
        torch.testing.assert_close(part, expected, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_a_seed_names_the_noise(voice: Synthesizer) -> None:
    first, second = small_segment(10, seed=7), small_segment(10, seed=7)
    assert torch.equal(*decode(voice, [first]), *decode(voice, [second]))
    other = Segment(first.semantic_tokens, first.phoneme_ids, first.speaker, seed=8)
    assert not torch.equal(*decode(voice, [first]), *decode(voice, [other]))


def test_noise_of_a_stretch_is_a_stretch_of_the_noise() -> None:
    whole = frame_noise(seed=11, start_frame=0, num_frames=50, num_channels=6)
    part = frame_noise(seed=11, start_frame=20, num_frames=5, num_channels=6)
    assert torch.equal(part, whole[:, 20:25])


@pytest.mark.parametrize(("speed", "num_frames"), [(1.0, 40), (1.25, 33), (0.8, 51)])
@torch.inference_mode()
def test_speed_sets_the_length(voice: Synthesizer, speed: float, num_frames: int) -> None:
    (waveform,) = decode(voice, [small_segment(20, seed=9, speed=speed)])
    assert len(waveform) == num_frames * SMALL.hop_length


@torch.inference_mode()
def test_a_voice_prepared_for_inference_streams_what_the_plain_one_decodes(
    voice: Synthesizer,
) -> None:
    segment = small_segment(30, seed=12)
    (expected,) = decode(voice, [segment])
    chunks = stream_exact(small_voice().prepare_for_inference(), segment, 5, 20)
    torch.testing.assert_close(torch.cat(list(chunks)), expected, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_a_bfloat16_generator_stays_close_to_float32(voice: Synthesizer) -> None:
    segment = small_segment(20, seed=10)
    (expected,) = decode(voice, [segment])
    fast = small_voice().prepare_for_inference(torch.bfloat16)
    (waveform,) = decode(fast, [segment])
    noise = (waveform - expected).square().mean()
    assert waveform.dtype == torch.float32
    assert 10 * torch.log10(expected.square().mean() / noise) > 25


@pytest.mark.parametrize(("start", "stop"), [(-1, 4), (4, 4), (0, 21), (15, 10)])
@torch.inference_mode()
def test_a_window_outside_its_segment_is_refused(voice: Synthesizer, start: int, stop: int) -> None:
    (encoded,) = encode_segments(voice, [small_segment(10, seed=0)])
    with pytest.raises(ValueError, match=r"non-empty part of 0:20"):
        Window(encoded, start, stop)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("semantic_tokens", torch.zeros(0, dtype=torch.int64)),
        ("phoneme_ids", torch.zeros(1, 3, dtype=torch.int64)),
        ("semantic_tokens", torch.ones(4)),
        ("phoneme_ids", torch.ones(4, dtype=torch.int32)),
        ("speaker", torch.full((SMALL.speaker_dim,), float("nan"))),
        ("speaker", torch.ones(SMALL.speaker_dim, dtype=torch.int64)),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
        ("speed", 0.0),
        ("speed", 1e-9),
        ("speed", float("inf")),
        ("speed", float("nan")),
        ("noise_scale", 10.5),
        ("noise_scale", float("inf")),
        ("noise_scale", -0.1),
        ("noise_scale", float("nan")),
    ],
)
def test_an_impossible_segment_is_refused_by_field(field: str, value: object) -> None:
    fields = {**vars(small_segment(5, seed=0)), field: value}
    with pytest.raises(ValueError, match=field):
        Segment(**fields)


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63 - 1])
@torch.inference_mode()
def test_every_64_bit_seed_names_noise(voice: Synthesizer, seed: int) -> None:
    (waveform,) = decode(voice, [replace(small_segment(4, seed=0), seed=seed)])
    (other,) = decode(voice, [replace(small_segment(4, seed=0), seed=seed ^ 1)])
    assert waveform.isfinite().all()
    assert not torch.equal(waveform, other)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("phoneme_ids", torch.tensor([3, SMALL.num_phonemes]), r"must lie in \[0, 732\)"),
        ("phoneme_ids", torch.tensor([-1, 3]), r"must lie in \[0, 732\)"),
        ("speaker", torch.zeros(3), "3 channels; this voice needs 48"),
    ],
)
@torch.inference_mode()
def test_a_segment_the_voice_does_not_fit_is_refused(
    voice: Synthesizer, field: str, value: torch.Tensor, message: str
) -> None:
    segment = replace(small_segment(4, seed=0), **{field: value})
    with pytest.raises(ValueError, match=message):
        decode(voice, [small_segment(9, seed=1), segment])


def test_a_batch_of_no_segments_is_refused(voice: Synthesizer) -> None:
    with pytest.raises(ValueError, match="no segments"):
        decode(voice, [])


@torch.inference_mode()
def test_any_cutting_of_any_length_equals_the_whole(voice: Synthesizer) -> None:
    draw = random.Random(0)
    for seed in range(12):
        segment = small_segment(
            draw.choice([1, 2, 3, 17, 33]), seed, speed=draw.choice([1.0, 0.7, 1.3])
        )
        (whole,) = decode(voice, [segment])
        chunks = stream_exact(voice, segment, draw.randint(1, 90), draw.choice([9, 14, 200]))
        torch.testing.assert_close(torch.cat(list(chunks)), whole, atol=TOLERANCE, rtol=0)
