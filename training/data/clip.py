"""One recording to one or more clips: plain functions, the same with and without Ray."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.audio.load import Audio, AudioError, AudioLimits, load_audio
from models.audio.resample import resample
from models.recognition import Recognizer, character_error_rate, letters_only
from models.ssl.encoder import SSL_SAMPLE_RATE, SslEncoder
from models.text.errors import TextError
from models.text.frontend import analyze
from models.text.splitting import SplitLimits
from models.text.symbols import symbols
from training.data.checks import (
    check_length,
    check_sound,
    check_speaking_rate,
    check_speech,
)
from training.data.config import Augmentation, PrepareConfig
from training.data.labels import with_label
from training.data.prepared import SAMPLE_RATE
from training.data.slicing import cut_at_silence, deal_out
from training.data.sources import COPY_PREFIX, Rejected, Rejection, Source

# One clip is one item however many sentences it has.
_WHOLE = SplitLimits(max_chars=10_000, min_chars=10_000, first_chars=None)
_MAX_SOURCE_BYTES = 1 << 30
_MIXED_PEAK, _MIXED_SHARE = 0.95, 0.5
# The reference feeds HuBERT samples of this size; its voices' tokens depend on it.
_HUBERT_SCALE = 1145.14
# Two spectrogram frames, one token: audio, features and tokens of a clip then end together.
_TOKEN_SAMPLES = 1_280


@dataclass(frozen=True)
class Clip:
    """Everything that is stored of a clip, but its semantic tokens."""

    name: str
    speaker: str
    language: str
    text: str
    reading: str
    """The text as it is read aloud: numbers and signs in words."""
    phonemes: list[str]
    duration_s: float
    labels: dict[str, str]
    is_augmented: bool
    samples: NDArray[np.int16]
    """(samples,) at 32 kHz, a multiple of 1280"""
    ssl_features: Tensor
    """(frame, ssl_dim) float16"""


@dataclass(frozen=True)
class Tools:
    """What a worker loads once."""

    encoder: SslEncoder
    ssl_scale: float
    """What samples are multiplied with before they are encoded."""
    recognizer: Recognizer | None


@dataclass(frozen=True)
class _Utterance:
    """A recording, or a piece of one."""

    name: str
    text: str
    audio: Audio
    """At its native rate: what was cut off is hard to see in resampled audio."""
    heard: str | None = None
    """What was recognised, if that was done already."""


def load_tools(config: PrepareConfig) -> Tools:
    """Load the networks a configuration asks for.

    Raises:
        models.assets.AssetError: a packaged model was never fetched.
        OSError: the HuBERT folder has no model.
    """
    threads = config.threads_per_worker
    recognizer = Recognizer(threads) if config.recognition else None
    if config.ssl.folder is not None:
        from models.ssl.hubert import HubertEncoder

        return Tools(HubertEncoder.load(config.ssl.folder), _HUBERT_SCALE, recognizer)
    from models.ssl.whisper import WhisperEncoder

    return Tools(WhisperEncoder.load(threads), 1.0, recognizer)


def prepare_source(
    source: Source, config: PrepareConfig, tools: Tools
) -> Iterator[Clip | Rejection]:
    """The clips of a recording, and what was dropped of it and why; bad input never raises."""
    origin = source.origin
    try:
        source = with_label(source, getattr(config.input, "fields", None))
        recording = read_recording(Path(source.audio), config.checks.max_source_s)
        utterances = list(_utterances(source, recording, config, tools))
    except Exception as error:
        yield _rejection(origin, error)
        return
    for utterance in utterances:
        try:
            yield from _clips(utterance, source, config, tools)
        except Exception as error:
            is_piece = utterance.name != source.name
            yield _rejection(f"{origin} {utterance.name}" if is_piece else origin, error)


def read_recording(path: Path, max_s: float) -> Audio:
    """Mono samples of a file, at its native rate.

    Raises:
        Rejected: not audio, too long, cut off before its declared end, or not finite.
    """
    try:
        _check_complete(path)
        audio = load_audio(path, AudioLimits(max_bytes=_MAX_SOURCE_BYTES, max_seconds=max_s))
        num_declared = soundfile.info(path).frames
    except FileNotFoundError as error:
        raise Rejected("missing audio", "the file is gone") from error
    except AudioError as error:
        raise Rejected("unreadable audio", str(error)) from error
    except (OSError, soundfile.LibsndfileError) as error:
        raise Rejected("unreadable audio", f"{error}") from error
    if len(audio.waveform) < num_declared:
        raise Rejected(
            "truncated audio", f"{len(audio.waveform)} of {num_declared} samples can be decoded"
        )
    return audio


def phonemes_of(text: str, language: str) -> tuple[str, list[str]]:
    """How a text is read aloud, and its phonemes, as the service's front end gives them.

    Raises:
        Rejected: text that can't be read aloud, or of a language without a front end.
    """
    try:
        segments = analyze(text, language, limits=_WHOLE)
    except TextError as error:
        raise Rejected("unusable text", str(error)) from error
    names = symbols()
    reading = " ".join(" ".join(segment.reading for segment in segments).split())
    return reading, [names[idx] for segment in segments for idx in segment.phoneme_ids]


def mix_level(waveform: Tensor) -> Tensor:
    """Half the clip, half the clip at a peak of 0.95, as the reference stores its audio."""
    peak = waveform.abs().max()
    return waveform / peak * (_MIXED_PEAK * _MIXED_SHARE) + (1 - _MIXED_SHARE) * waveform


def degraded(
    waveform: Tensor, sample_rate: int, name: str, settings: Augmentation
) -> Tensor | None:
    """The clip behind some silence and under some noise, or None where none is wanted.

    Whether and how depends on the name and the seed alone.
    """
    draw = random.Random(f"{settings.seed}/{name}")
    if draw.random() >= settings.share:
        return None
    silence = int(draw.uniform(*settings.silence_s) * sample_rate)
    sd = 10 ** (draw.uniform(*settings.noise_db) / 20)
    generator = torch.Generator().manual_seed(draw.getrandbits(63))
    longer = torch.cat([waveform.new_zeros(silence), waveform])
    return longer + sd * torch.randn(len(longer), generator=generator)


def _rejection(origin: str, error: Exception) -> Rejection:
    """A line of the report for whatever a recording made fail: the next one may be fine."""
    if isinstance(error, Rejected):
        return Rejection(origin, error.reason, error.detail)
    return Rejection(origin, "unexpected error", repr(error)[:500])


def _utterances(
    source: Source, recording: Audio, config: PrepareConfig, tools: Tools
) -> Iterator[_Utterance]:
    if recording.duration_s <= config.checks.max_s:
        yield _Utterance(source.name, source.text, recording)
        return
    if tools.recognizer is None:
        raise Rejected(
            "too long",
            f"{recording.duration_s:.1f} s; at most {config.checks.max_s:g} s, "
            "as slicing needs recognition",
        )
    samples = _at_rate(recording, SSL_SAMPLE_RATE).numpy()
    spans = cut_at_silence(samples, config.checks.max_s)
    heard = [
        tools.recognizer.transcribe(samples[start:stop], SSL_SAMPLE_RATE, source.language)
        for start, stop in spans
    ]
    parts = deal_out(source.text, heard)
    for span, text, words in zip(spans, parts, heard, strict=True):
        start, stop = (at * recording.sample_rate // SSL_SAMPLE_RATE for at in span)
        first, end = (at * SAMPLE_RATE // SSL_SAMPLE_RATE for at in span)
        name = f"{Path(source.name).stem}_{first:010d}_{end:010d}.wav"
        piece = Audio(recording.waveform[start:stop], recording.sample_rate)
        yield _Utterance(name, text, piece, words)


def _clips(
    utterance: _Utterance, source: Source, config: PrepareConfig, tools: Tools
) -> Iterator[Clip]:
    checks, audio = config.checks, utterance.audio
    check_length(audio.duration_s, checks)
    text = phonemes_of(utterance.text, source.language)
    check_sound(audio.waveform.numpy(), audio.sample_rate, checks)
    check_speech(_at_rate(audio, SSL_SAMPLE_RATE).numpy(), checks)
    check_speaking_rate(len(text[1]), audio.duration_s, checks)
    _check_transcript(utterance, text[0], source.language, config, tools)
    waveform = _at_rate(audio, SAMPLE_RATE)
    yield _clip(utterance, source, text, waveform, tools)
    if config.augmentation is not None:
        copy = degraded(waveform, SAMPLE_RATE, utterance.name, config.augmentation)
        if copy is not None:
            noisy = replace(utterance, name=COPY_PREFIX + utterance.name)
            yield replace(_clip(noisy, source, text, copy, tools), is_augmented=True)


def _at_rate(audio: Audio, sample_rate: int) -> Tensor:
    return resample(audio.waveform, audio.sample_rate, sample_rate)


def _clip(
    utterance: _Utterance,
    source: Source,
    text: tuple[str, list[str]],
    waveform: Tensor,
    tools: Tools,
) -> Clip:
    num_samples = len(waveform) // _TOKEN_SAMPLES * _TOKEN_SAMPLES
    mixed = mix_level(waveform[:num_samples])
    features = tools.encoder.encode(
        resample(mixed, SAMPLE_RATE, SSL_SAMPLE_RATE)[None] * tools.ssl_scale
    )[0]
    reading, phonemes = text
    return Clip(
        name=utterance.name,
        speaker=source.speaker,
        language=source.language,
        text=" ".join(utterance.text.split()),
        reading=reading,
        phonemes=phonemes,
        duration_s=num_samples / SAMPLE_RATE,
        labels=source.labels or {},
        is_augmented=False,
        samples=(mixed * 32_768).round().clamp(-32_768, 32_767).to(torch.int16).numpy(),
        ssl_features=features.to(torch.float16),
    )


def _check_transcript(
    utterance: _Utterance, reading: str, language: str, config: PrepareConfig, tools: Tools
) -> None:
    """Compare with what is heard; numbers may be written either way."""
    if config.recognition is None or tools.recognizer is None:
        return
    heard, audio = utterance.heard, utterance.audio
    if heard is None:
        heard = tools.recognizer.transcribe(audio.waveform.numpy(), audio.sample_rate, language)
    written = [text for text in (utterance.text, reading) if letters_only(text)]
    rate = min(character_error_rate([(text, heard)]) for text in written)
    if rate > config.recognition.max_character_error_rate:
        raise Rejected("transcript contradicted", f"heard {heard[:80]!r}, error rate {rate:.2f}")


def _check_complete(path: Path) -> None:
    """A RIFF file says how long it is; libsndfile reads a shorter one without complaint."""
    with path.open("rb") as file:
        header = file.read(12)
        size = file.seek(0, 2)
    if header[:4] != b"RIFF" or header[8:] != b"WAVE":
        return
    declared = int.from_bytes(header[4:8], "little") + 8
    if declared > size:
        raise Rejected("truncated audio", f"{size} of {declared} bytes are there")
