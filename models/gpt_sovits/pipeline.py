"""One segment of speech from phonemes and a voice: S1 and S2 in a row, without a service around.

    reference = encode_reference(synthesizer, ssl_encoder, clips, prompt_phoneme_ids)
    for waveform in speak(decoder, synthesizer, SpeechRequest(phoneme_ids, reference, seed=1)):
        ...

The service runs the same two stages in batches and produces the same audio.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from models.audio.load import Audio
from models.audio.resample import resample
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s1.generation import MAX_NEW_TOKENS, DecodingBatch, S1Request, generate
from models.gpt_sovits.s1.sampling import SamplingSettings
from models.gpt_sovits.s2.decoding import stream_exact
from models.gpt_sovits.s2.early_streaming import stream_early
from models.gpt_sovits.s2.reference_audio import reference_spectrogram
from models.gpt_sovits.s2.segment import DEFAULT_NOISE_SCALE, Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.ssl.encoder import SSL_SAMPLE_RATE, SslEncoder, reference_features

# A first chunk of 0.4 s is heard early; longer ones after it waste less on context.
FIRST_CHUNK_FRAMES = 20
NEXT_CHUNK_FRAMES = 100
EARLY_CHUNK_TOKENS = 16


@dataclass(frozen=True)
class ReferenceFeatures:
    """A voice as S1 and S2 see it; computed once, when the voice is registered."""

    speaker: Tensor
    """(speaker_dim,), averaged over the clips"""
    prompt_phoneme_ids: Tensor
    """(phoneme,) int64 of what the first clip says; empty without a transcript"""
    prompt_tokens: Tensor
    """(token,) int64 of the first clip; empty without a transcript"""


@dataclass(frozen=True)
class SpeechRequest:
    """One segment to speak. The same request gives the same waveform."""

    phoneme_ids: Tensor
    """(phoneme,) int64 of the target text"""
    reference: ReferenceFeatures
    seed: int
    sampling: SamplingSettings = SamplingSettings()
    speed: float = 1.0
    noise_scale: float = DEFAULT_NOISE_SCALE
    max_new_tokens: int = MAX_NEW_TOKENS


def encode_reference(
    synthesizer: Synthesizer,
    ssl_encoder: SslEncoder,
    clips: list[Audio],
    prompt_phoneme_ids: Tensor,
) -> ReferenceFeatures:
    """Turn reference clips into a voice.

    Args:
        synthesizer: the S2 that will speak.
        ssl_encoder: the encoder its semantic tokens are made with.
        clips: mono clips; the first, of 3 to 10 s, is the prompt, all give timbre.
        prompt_phoneme_ids: (phoneme,) int64 of the first clip's transcript; empty for a voice
            without prompt, whose first clip may then be of any length.

    Raises:
        ValueError: no clip, a prompt of the wrong length, or an encoder of the wrong width.
    """
    if ssl_encoder.dim != synthesizer.config.ssl_dim:
        raise ValueError(
            f"the SSL encoder gives {ssl_encoder.dim} channels; "
            f"the voice's tokens need {synthesizer.config.ssl_dim}"
        )
    speaker = synthesizer.speaker_embedding(
        [
            reference_spectrogram(clip.waveform, clip.sample_rate, synthesizer.config)
            for clip in clips
        ]
    )
    prompt_tokens = torch.zeros(0, dtype=torch.int64)
    if len(prompt_phoneme_ids):
        prompt = resample(clips[0].waveform, clips[0].sample_rate, SSL_SAMPLE_RATE)
        features = reference_features(ssl_encoder, prompt)
        prompt_tokens = synthesizer.extract_latent(features)[0]
    return ReferenceFeatures(speaker, prompt_phoneme_ids, prompt_tokens)


def speak(decoder: S1Decoder, synthesizer: Synthesizer, request: SpeechRequest) -> Iterator[Tensor]:
    """Speak once all tokens are known, in chunks that joined equal the whole.

    Yields:
        (samples,) float32 in [-1, 1] at the voice's sample rate.

    Raises:
        ValueError: ids out of range, or settings that are.
    """
    tokens = generate(decoder, semantic_request(decoder, request)).tokens
    segment = _segment_of(request)(tokens)
    yield from stream_exact(synthesizer, segment, FIRST_CHUNK_FRAMES, NEXT_CHUNK_FRAMES)


def speak_early(
    decoder: S1Decoder,
    synthesizer: Synthesizer,
    request: SpeechRequest,
    chunk_tokens: int = EARLY_CHUNK_TOKENS,
) -> Iterator[Tensor]:
    """Speak while tokens are still being generated; sooner, and not quite the same.

    Args:
        decoder, synthesizer: the two stages.
        request: what to speak.
        chunk_tokens: new tokens that S2 waits for, 1 or more.

    Yields and raises as `speak` does.
    """
    chunks = _token_chunks(decoder, semantic_request(decoder, request), chunk_tokens)
    yield from stream_early(synthesizer, _segment_of(request), chunks)


def semantic_request(decoder: S1Decoder, request: SpeechRequest) -> S1Request:
    """S1's part of a request: the prompt's phonemes and tokens come before the target's."""
    reference = request.reference
    phoneme_ids = torch.cat([reference.prompt_phoneme_ids, request.phoneme_ids])
    return S1Request(
        phoneme_ids=phoneme_ids,
        bert_features=neutral_bert_features(len(phoneme_ids), decoder.config.bert_dim),
        prompt_tokens=reference.prompt_tokens,
        seed=request.seed,
        sampling=request.sampling,
        max_new_tokens=request.max_new_tokens,
    )


def neutral_bert_features(num_phonemes: int, bert_dim: int) -> Tensor:
    """(phoneme, bert channel) for every language but Chinese: zeros, which S1 was trained with."""
    return torch.zeros(num_phonemes, bert_dim)


def _segment_of(request: SpeechRequest) -> partial[Segment]:
    """S2's part of a request, less the tokens; it never sees the prompt."""
    return partial(
        Segment,
        phoneme_ids=request.phoneme_ids,
        speaker=request.reference.speaker,
        seed=request.seed,
        speed=request.speed,
        noise_scale=request.noise_scale,
    )


def _token_chunks(decoder: S1Decoder, request: S1Request, chunk_tokens: int) -> Iterator[Tensor]:
    if chunk_tokens < 1:
        raise ValueError(f"chunk_tokens is {chunk_tokens}; it must be 1 or more")
    batch = DecodingBatch(decoder, num_slots=1, capacity=request.max_positions)
    batch.join(request)
    tokens: list[int] = []
    is_finished = False
    while not is_finished:
        (result,) = batch.step()
        is_finished = result.finish_reason is not None
        if result.token is not None:
            tokens.append(result.token)
        if len(tokens) == chunk_tokens or (is_finished and tokens):
            yield torch.tensor(tokens, dtype=torch.int64)
            tokens = []
