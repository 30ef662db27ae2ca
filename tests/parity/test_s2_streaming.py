"""Two chunks of partial-token streaming against the reference implementation."""

import math

import pytest
import torch

from models.gpt_sovits.s2.early_streaming import best_joint, decode_early_chunk, join_waveforms
from models.gpt_sovits.s2.segment import Segment
from tests.parity.s2_voice import GOLDEN, SIZES, assert_near, reference_specs, voice_for

OVERLAP_TOKENS = 2


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_two_streamed_chunks_equal_the_reference(size: str) -> None:
    file_name = f"s2_{size}_streaming.npz"
    golden = GOLDEN.arrays(file_name)
    voice = voice_for(file_name, size)
    phones = torch.from_numpy(GOLDEN.arrays(f"s2_{size}_decode.npz")["phones"])[0]
    codes = torch.from_numpy(golden["codes"])[0, 0]
    num_first, _, num_joined, num_emitted = golden["lens"].tolist()
    num_first_tokens = num_first // voice.config.samples_per_token
    speaker = voice.speaker_embedding(reference_specs(file_name, size)[:1])

    def segment(num_tokens: int) -> Segment:
        return Segment(codes[:num_tokens], phones, speaker, seed=0, noise_scale=0.0)

    first = decode_early_chunk(voice, segment(num_first_tokens), num_first_tokens, OVERLAP_TOKENS)
    second = decode_early_chunk(
        voice, segment(len(codes)), len(codes) - num_first_tokens, OVERLAP_TOKENS, first
    )
    overlap_samples = OVERLAP_TOKENS * voice.config.samples_per_token
    joined = join_waveforms(first.waveform, second.waveform, overlap_samples)
    emitted = joined[:-overlap_samples]

    assert_near(first.latent, golden["latent1"][0])
    assert_near(second.latent, golden["latent2"][0])
    assert [len(first.waveform), len(second.waveform)] == golden["lens"][:2].tolist()
    stored_first, stored_second = golden["chunk1_wav"][0, 0], golden["chunk2_wav"][0, 0]
    assert_near(first.waveform[-len(stored_first) :], stored_first)
    assert_near(second.waveform[: len(stored_second)], stored_second)
    # The stored stretch begins with the cross-fade, so another joint would show in it.
    assert_near(emitted[: len(golden["sola_emitted2"])], golden["sola_emitted2"])
    assert len(emitted) == num_emitted
    assert len(first.waveform) - overlap_samples + len(joined) == num_joined


def test_the_joint_is_found_where_the_waveforms_agree() -> None:
    time = torch.arange(6000) / 32_000
    wave = torch.sin(2 * math.pi * (90 + 400 * time) * time)
    tail = wave[1000:3560]
    for offset in (0, 1, 77, 320):
        assert best_joint(tail, wave[1000 - offset :]) == offset
