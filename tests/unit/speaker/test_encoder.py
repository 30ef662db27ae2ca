"""The speaker encoder gives what the package its weights come from gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.speaker import SpeakerEncoder, ensure_speaker_encoder
from models.speaker.encoder import window_starts
from tests.unit.speaker.signals import CASES, SAMPLE_RATE, voiced

GOLDEN = Path(__file__).parent / "data" / "resemblyzer.npz"


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    return SpeakerEncoder(ensure_speaker_encoder())


def signal(seconds: float, pitch_hz: float, amplitude: float = 0.3) -> Tensor:
    return torch.from_numpy(voiced(seconds, pitch_hz, amplitude))


@pytest.mark.parametrize("case_idx", range(len(CASES)))
def test_embeddings_equal_the_reference(encoder: SpeakerEncoder, case_idx: int) -> None:
    golden = np.load(GOLDEN)
    waveform = signal(*CASES[case_idx])
    assert len(encoder.embed_windows(waveform, SAMPLE_RATE)) == golden["num_windows"][case_idx]
    torch.testing.assert_close(
        encoder.embed(waveform, SAMPLE_RATE),
        torch.from_numpy(golden["embeddings"][case_idx]),
        atol=1e-5,
        rtol=0,
    )


def test_an_embedding_is_a_unit_vector(encoder: SpeakerEncoder) -> None:
    embedding = encoder.embed(signal(2, 150), SAMPLE_RATE)
    assert embedding.shape == (256,)
    assert float(embedding.norm()) == pytest.approx(1)
    assert float(embedding.min()) >= 0


def test_a_quiet_clip_has_the_speaker_of_the_same_clip_raised(encoder: SpeakerEncoder) -> None:
    quiet, very_quiet = signal(2, 150, 0.01), signal(2, 150, 0.0001)
    torch.testing.assert_close(
        encoder.embed(quiet, SAMPLE_RATE), encoder.embed(very_quiet, SAMPLE_RATE), atol=1e-5, rtol=0
    )


def test_the_sample_rate_does_not_change_the_speaker(encoder: SpeakerEncoder) -> None:
    waveform = signal(3, 130)
    doubled = torch.from_numpy(np.repeat(waveform.numpy(), 2))  # crude, yet the same speaker
    similarity = encoder.embed(waveform, SAMPLE_RATE) @ encoder.embed(doubled, 2 * SAMPLE_RATE)
    assert float(similarity) > 0.95


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (torch.zeros(0), "needs"),
        (torch.zeros(1, 16_000), "needs"),
        (torch.zeros(16_000), "silent"),
        (torch.full((16_000,), torch.nan), "not finite"),
    ],
)
def test_what_is_no_speech_has_no_speaker(
    encoder: SpeakerEncoder, waveform: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        encoder.embed(waveform, SAMPLE_RATE)


def test_one_sample_is_one_window(encoder: SpeakerEncoder) -> None:
    assert encoder.embed_windows(torch.ones(1), SAMPLE_RATE).shape == (1, 256)


def test_the_last_window_is_kept_while_three_quarters_of_it_are_covered() -> None:
    needed = 77 * 160 + int(0.75 * 25_600)
    assert window_starts(needed) == [0, 77]
    assert window_starts(needed - 1) == [0]
