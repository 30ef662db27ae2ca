import pytest
import torch
from torch import Tensor

from models.ssl.encoder import SSL_SAMPLE_RATE, SslEncoder, reference_features
from models.ssl.whisper import MAX_CLIP_SAMPLES, WhisperEncoder


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    return WhisperEncoder.load()


@pytest.fixture(scope="module")
def speechlike() -> Tensor:
    """Four seconds of noise whose spectrum and level keep changing."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4 * SSL_SAMPLE_RATE, generator=generator)
    times = torch.arange(len(noise)) / SSL_SAMPLE_RATE
    return noise.cumsum(0).sub(noise.cumsum(0).mean()) / 400 * torch.sin(9 * times).abs()


def test_it_is_an_ssl_encoder_of_512_channels(encoder: WhisperEncoder) -> None:
    as_protocol: SslEncoder = encoder
    assert as_protocol.dim == 512


@pytest.mark.parametrize("num_samples", [320, 16_000, 16_159, 16_160, 16_319, 16_320])
def test_every_20_ms_give_a_frame(
    encoder: WhisperEncoder, speechlike: Tensor, num_samples: int
) -> None:
    features = encoder.encode(speechlike[None, :num_samples])
    assert features.shape == (1, num_samples // 320, encoder.dim)
    assert features.dtype == torch.float32 and bool(features.isfinite().all())


def test_the_longest_clip_is_encoded(encoder: WhisperEncoder) -> None:
    clip = torch.randn(1, MAX_CLIP_SAMPLES, generator=torch.Generator().manual_seed(1))
    assert encoder.encode(clip).shape == (1, MAX_CLIP_SAMPLES // 320, encoder.dim)


def test_a_row_of_a_batch_is_encoded_as_if_alone(
    encoder: WhisperEncoder, speechlike: Tensor
) -> None:
    loud, quiet = speechlike[:16_000], speechlike[16_000:32_000] / 10
    together = encoder.encode(torch.stack([loud, quiet]))
    alone = torch.cat([encoder.encode(loud[None]), encoder.encode(quiet[None])])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_level_changes_nothing(encoder: WhisperEncoder, speechlike: Tensor) -> None:
    clip = speechlike[None, :32_000]
    # Dividing by a power of two is exact, so what differs is rounding inside the mel.
    torch.testing.assert_close(encoder.encode(clip), encoder.encode(clip / 8), atol=2e-3, rtol=1e-3)


def test_a_prompt_is_encoded_as_the_same_clip_in_training(
    encoder: WhisperEncoder, speechlike: Tensor
) -> None:
    expected = encoder.encode(speechlike[None])
    assert torch.equal(reference_features(encoder, speechlike), expected)


@pytest.mark.parametrize("shape", [(1, 319), (1, MAX_CLIP_SAMPLES + 1), (16_000,)])
def test_what_the_encoder_has_no_positions_for_is_refused(
    encoder: WhisperEncoder, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="waveform has"):
        encoder.encode(torch.zeros(shape))
