"""The reference clips of a voice: their audio as it is kept, and the features made of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch

from models.audio.clip import prompt_phoneme_ids
from models.audio.load import Audio, load_audio
from models.gpt_sovits.pipeline import encode_reference
from models.gpt_sovits.published import PublishedReference, SslName, features_to_bytes
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.ssl.encoder import SslEncoder
from models.ssl.hubert import HubertEncoder
from models.ssl.whisper import WhisperEncoder
from training.publishing.config import ReferenceArgs

OpenEncoder = Callable[[SslName], SslEncoder]


@dataclass(frozen=True)
class EncodedReference:
    """One clip, ready to be stored: its entry in `voice.json`, and the two files it names."""

    published: PublishedReference
    files: dict[str, bytes]


def encode(
    args: ReferenceArgs, idx: int, synthesizer: Synthesizer, encoder: SslEncoder
) -> EncodedReference:
    """Turn a clip into a reference of a voice.

    Raises:
        OSError, models.audio.load.AudioError: the clip can't be read.
        models.text.errors.TextError: the transcript can't.
        ValueError: a prompt that is not of 3 to 10 s, or an encoder of the wrong width.
    """
    clip = _flac(load_audio(args.clip))
    phonemes = prompt_phoneme_ids(args.transcript, args.language) if args.transcript else []
    # Decoded again: the features belong to the clip that is kept.
    features = encode_reference(
        synthesizer, encoder, [load_audio(clip)], torch.tensor(phonemes, dtype=torch.int64)
    )
    published = PublishedReference(
        clip=f"reference-{idx}.flac",
        transcript=args.transcript,
        language=args.language,
        emotions=dict(args.emotions),
        features=f"reference-{idx}.safetensors",
    )
    files = {published.clip: clip, published.features: features_to_bytes(features)}
    return EncodedReference(published, files)


def encoder_opener(hubert_folder: Path | None, num_threads: int) -> OpenEncoder:
    """Opens the SSL encoder that a checkpoint names."""

    def open_encoder(name: SslName) -> SslEncoder:
        if name == "whisper-base":
            return WhisperEncoder.load(num_threads)
        if hubert_folder is None:
            raise ValueError(f"weights of {name} need hubert_folder, which is not configured")
        return HubertEncoder.load(hubert_folder)

    return open_encoder


def _flac(audio: Audio) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio.waveform.numpy(), audio.sample_rate, "PCM_16", format="FLAC")
    return buffer.getvalue()
