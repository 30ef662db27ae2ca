"""From phonemes and clips to sound, with small networks."""

import pytest
import torch
from torch import Tensor

from models.audio.load import Audio
from models.gpt_sovits.pipeline import (
    FIRST_CHUNK_FRAMES,
    ReferenceFeatures,
    SpeechRequest,
    encode_reference,
    semantic_request,
    speak,
    speak_early,
)
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import generate
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s2.decoding import decode
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.unit.s2.voices import SMALL


class FrameMeans:
    """An SSL encoder of the small voice's width."""

    dim = SMALL.ssl_dim
    reference_padding_samples = 9_600

    def encode(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(1, 320, 320)
        return frames[:, :, : self.dim] * 5


@pytest.fixture(scope="module")
def decoder() -> S1Decoder:
    torch.manual_seed(0)
    config = S1Config(
        num_semantic_tokens=SMALL.codebook_size,
        bert_dim=8,
        hidden_dim=32,
        num_heads=2,
        num_layers=2,
        feed_forward_dim=64,
    )
    return S1Decoder(Text2Semantic(config).eval())


def _clip(seconds: float, seed: int, sample_rate: int = 24_000) -> Audio:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(int(seconds * sample_rate), generator=generator)
    return Audio(0.1 * noise, sample_rate)


@pytest.fixture(scope="module")
def reference(voice: Synthesizer) -> ReferenceFeatures:
    return encode_reference(voice, FrameMeans(), [_clip(3.0, 1)], torch.arange(20, 32))


def _request(reference: ReferenceFeatures, seed: int = 3) -> SpeechRequest:
    return SpeechRequest(torch.arange(40, 60), reference, seed, max_new_tokens=50)


def test_speech_is_the_target_tokens_decoded_without_the_prompt(
    decoder: S1Decoder, voice: Synthesizer, reference: ReferenceFeatures
) -> None:
    request = _request(reference)
    tokens = generate(decoder, semantic_request(decoder, request)).tokens
    segment = Segment(tokens, request.phoneme_ids, reference.speaker, seed=request.seed)
    (expected,) = decode(voice, [segment])

    chunks = list(speak(decoder, voice, request))

    assert len(chunks[0]) == FIRST_CHUNK_FRAMES * SMALL.hop_length
    torch.testing.assert_close(torch.cat(chunks), expected, atol=1e-4, rtol=0)


def test_a_request_always_sounds_the_same_and_another_seed_does_not(
    decoder: S1Decoder, voice: Synthesizer, reference: ReferenceFeatures
) -> None:
    first, again, other = (
        torch.cat(list(speak(decoder, voice, _request(reference, seed)))) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("chunk_tokens", [10, 16, 1000])
def test_early_speech_is_as_long_as_its_tokens(
    decoder: S1Decoder, voice: Synthesizer, reference: ReferenceFeatures, chunk_tokens: int
) -> None:
    request = _request(reference)
    num_tokens = len(generate(decoder, semantic_request(decoder, request)).tokens)
    chunks = list(speak_early(decoder, voice, request, chunk_tokens))
    missing = num_tokens * SMALL.samples_per_token - sum(len(chunk) for chunk in chunks)
    # Each joint may drop up to 320 samples where the waveforms agree better.
    assert 0 <= missing <= 320 * (len(chunks) - 2)


def test_early_speech_of_one_chunk_is_exact_speech(
    decoder: S1Decoder, voice: Synthesizer, reference: ReferenceFeatures
) -> None:
    request = _request(reference)
    early = torch.cat(list(speak_early(decoder, voice, request, chunk_tokens=1000)))
    exact = torch.cat(list(speak(decoder, voice, request)))
    torch.testing.assert_close(early, exact, atol=1e-4, rtol=0)


def test_all_clips_give_timbre_and_the_first_one_the_prompt(voice: Synthesizer) -> None:
    clips, phonemes = [_clip(3.0, 1), _clip(1.0, 2)], torch.arange(5)
    both = encode_reference(voice, FrameMeans(), clips, phonemes)
    first = encode_reference(voice, FrameMeans(), clips[:1], phonemes)
    second = encode_reference(voice, FrameMeans(), clips[1:], phonemes[:0])
    assert torch.equal(both.prompt_tokens, first.prompt_tokens)
    torch.testing.assert_close(both.speaker, (first.speaker + second.speaker) / 2)


def test_a_voice_without_transcript_has_no_prompt_and_speaks(
    decoder: S1Decoder, voice: Synthesizer
) -> None:
    reference = encode_reference(
        voice, FrameMeans(), [_clip(1.0, 1)], torch.zeros(0, dtype=torch.int64)
    )
    assert len(reference.prompt_tokens) == 0
    assert torch.cat(list(speak(decoder, voice, _request(reference)))).abs().max() > 0


def test_a_prompt_of_the_wrong_length_is_refused(voice: Synthesizer) -> None:
    with pytest.raises(ValueError, match="between 3 and 10 s"):
        encode_reference(voice, FrameMeans(), [_clip(2.5, 1)], torch.arange(5))


def test_an_encoder_of_the_wrong_width_is_refused(voice: Synthesizer) -> None:
    encoder = FrameMeans()
    encoder.dim = 768
    with pytest.raises(ValueError, match="768 channels"):
        encode_reference(voice, encoder, [_clip(3.0, 1)], torch.arange(5))


def test_chunks_without_tokens_are_refused(
    decoder: S1Decoder, voice: Synthesizer, reference: ReferenceFeatures
) -> None:
    with pytest.raises(ValueError, match="chunk_tokens is 0"):
        next(speak_early(decoder, voice, _request(reference), chunk_tokens=0))
