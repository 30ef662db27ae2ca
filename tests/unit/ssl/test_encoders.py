from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import HubertConfig, HubertModel

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.ssl.encoder import SslEncoder, reference_features
from models.ssl.hubert import HubertEncoder


@pytest.fixture(scope="module")
def hubert() -> HubertEncoder:
    """HuBERT's convolution stack, and a transformer of a few channels."""
    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embedding_groups=4,
        num_conv_pos_embeddings=16,
    )
    return HubertEncoder(HubertModel(config))


class StandInEncoder:
    """512 channels at 50 Hz, as a Whisper encoder gives."""

    dim = 512
    reference_padding_samples = 4_800

    def encode(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(1, 320, 320)
        return frames.mean(dim=2, keepdim=True) * torch.ones(self.dim)


def test_hubert_base_has_the_width_of_published_voices() -> None:
    with torch.device("meta"):
        encoder = HubertEncoder(HubertModel(HubertConfig()))
    assert encoder.dim == S2Config().ssl_dim


def test_hubert_is_read_from_a_folder(hubert: HubertEncoder, tmp_path: Path) -> None:
    hubert.model.save_pretrained(tmp_path)
    waveform = torch.randn(1, 4_000)
    assert torch.equal(HubertEncoder.load(tmp_path).encode(waveform), hubert.encode(waveform))


def test_hubert_gives_fifty_frames_a_second(hubert: HubertEncoder) -> None:
    features = hubert.encode(torch.randn(2, 16_000))
    assert features.shape == (2, (16_000 - 80) // 320, hubert.dim)


def test_hubert_sees_the_waveform_as_it_is(hubert: HubertEncoder) -> None:
    waveform = torch.randn(1, 8_000) + 0.3
    with torch.inference_mode():
        expected = hubert.model(waveform).last_hidden_state
    assert torch.equal(hubert.encode(waveform), expected)


def test_hubert_features_do_not_depend_on_the_batch(hubert: HubertEncoder) -> None:
    waveforms = torch.randn(3, 6_000)
    torch.testing.assert_close(
        hubert.encode(waveforms)[1:2], hubert.encode(waveforms[1:2]), atol=1e-5, rtol=1e-4
    )


def test_a_reference_is_followed_by_zeros(hubert: HubertEncoder) -> None:
    waveform = torch.randn(48_000)
    expected = hubert.encode(torch.cat([waveform, torch.zeros(9_600)])[None])
    assert torch.equal(reference_features(hubert, waveform), expected)


@pytest.mark.parametrize("num_samples", [47_999, 160_001])
def test_a_reference_outside_three_to_ten_seconds_is_refused(num_samples: int) -> None:
    with pytest.raises(ValueError, match="between 3 and 10 s"):
        reference_features(StandInEncoder(), torch.zeros(num_samples))


@pytest.mark.parametrize("num_samples", [48_000, 160_000])
def test_another_encoder_makes_tokens_for_a_small_voice(num_samples: int) -> None:
    encoder: SslEncoder = StandInEncoder()
    voice = Synthesizer(S2Config(ssl_dim=encoder.dim, codebook_size=32, upsample_channels=32))
    features = reference_features(encoder, torch.randn(num_samples))
    tokens = voice.extract_latent(features)
    assert tokens.shape == (1, (num_samples + 4_800) // 640)
    assert 0 <= int(tokens.min()) and int(tokens.max()) < 32
