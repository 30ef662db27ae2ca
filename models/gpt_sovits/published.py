"""GPT-SoVITS checkpoints and voices as they are published: their JSON, and features as bytes.

    checkpoints/<id>/<version>/checkpoint.json, s1.json + .safetensors, s2.json + .safetensors
    voices/<id>/<version>/voice.json, reference-<n>.flac, reference-<n>.safetensors

A published version never changes. The JSON is written last, so a reader never sees half of one.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Literal, TypeVar, get_args

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from safetensors import SafetensorError
from safetensors.torch import load, save

from models.gpt_sovits.pipeline import ReferenceFeatures
from models.gpt_sovits.s1.sampling import SamplingSettings
from models.gpt_sovits.s2.segment import DEFAULT_NOISE_SCALE, check_noise_scale

FAMILY = "gpt_sovits_v2"
ENGINE = "gpt_sovits"

EmotionName = Literal[
    "happiness", "sadness", "disgust", "fear", "surprise", "anger", "other", "neutral"
]
EMOTION_NAMES: tuple[EmotionName, ...] = get_args(EmotionName)

SslName = Literal["whisper-base", "hubert-base"]

Published = TypeVar("Published", "PublishedCheckpoint", "PublishedVoice")

_STRICT = ConfigDict(extra="forbid", strict=True)
_MAX_FEATURE_BYTES = 4 * 2**20  # ten seconds of prompt take some 10 kB


class PublishedError(ValueError):
    """What is stored of a checkpoint or a voice can't be used."""


_REFERENCE = SamplingSettings()


# Not strict: configurations of training hold it as well, as a mapping.
@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PublishedSampling:
    """How weights are best drawn from; the defaults are the reference's, for weights of its size.

    `noise_scale` is S2's, the rest as in `SamplingSettings`.
    """

    top_k: int | None = _REFERENCE.top_k
    top_p: float = _REFERENCE.top_p
    temperature: float = _REFERENCE.temperature
    repetition_penalty: float = _REFERENCE.repetition_penalty
    noise_scale: float = DEFAULT_NOISE_SCALE

    def __post_init__(self) -> None:
        self.tokens()
        check_noise_scale(self.noise_scale)

    def tokens(self) -> SamplingSettings:
        """What of it is S1's."""
        return SamplingSettings(self.top_k, self.top_p, self.temperature, self.repetition_penalty)


@checked_dataclass(frozen=True, config=_STRICT)
class PublishedCheckpoint:
    """One version of a pair of S1 and S2, and the SSL encoder its tokens are made with."""

    checkpoint_id: str
    version: str
    family: Literal["gpt_sovits_v2"]
    ssl: SslName
    description: str
    licence: str
    created_at: str
    metrics: dict[str, float]
    sampling: PublishedSampling = PublishedSampling()


@checked_dataclass(frozen=True, config=_STRICT)
class PublishedReference:
    """One clip of a voice; its files lie beside `voice.json`."""

    clip: str
    transcript: str
    language: str
    emotions: dict[EmotionName, float]
    """Weight of each emotion that is heard in the clip, 0 to 1."""
    features: str


@checked_dataclass(frozen=True, config=_STRICT)
class Consent:
    """That the speaker agreed to be registered, as the caller declared it."""

    given: Literal[True]
    at: str


@checked_dataclass(frozen=True, config=_STRICT)
class PublishedVoice:
    """One version of a voice of the `gpt_sovits` engine."""

    voice_id: str
    version: str
    engine: Literal["gpt_sovits"]
    language: str
    description: str
    licence: str
    created_at: str
    checkpoint: str
    """`id@version` of the weights; voices that share them share batches."""
    references: tuple[PublishedReference, ...]
    consent: Consent | None
    owner: str | None
    """Id of the API key that registered it."""
    training: dict[str, Any] | None
    """Summary of the data and metrics of a trained voice."""


def checkpoint_from_json(content: bytes) -> PublishedCheckpoint:
    """Raises `PublishedError` unless it is exactly a checkpoint's document."""
    return _validated(PublishedCheckpoint, content)


def voice_from_json(content: bytes) -> PublishedVoice:
    """Raises `PublishedError` unless it is exactly a voice's document, with a reference."""
    voice = _validated(PublishedVoice, content)
    if not voice.references:
        raise PublishedError(f"voice {voice.voice_id} has no reference clip")
    return voice


def to_json(published: PublishedCheckpoint | PublishedVoice) -> bytes:
    """What is stored as `checkpoint.json` or `voice.json`."""
    return json.dumps(asdict(published), ensure_ascii=False, indent=1).encode()


def features_to_bytes(features: ReferenceFeatures) -> bytes:
    """A reference's features as safetensors."""
    return save(
        {
            "speaker": features.speaker.float().contiguous(),
            "prompt_phoneme_ids": features.prompt_phoneme_ids.contiguous(),
            "prompt_tokens": features.prompt_tokens.contiguous(),
        }
    )


def features_from_bytes(content: bytes) -> ReferenceFeatures:
    """Read what `features_to_bytes` wrote.

    Raises:
        PublishedError: it is too large, no safetensors, or holds other tensors than those three.
    """
    if len(content) > _MAX_FEATURE_BYTES:
        raise PublishedError(f"{len(content)} bytes of features; at most {_MAX_FEATURE_BYTES}")
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise PublishedError(f"features can't be read: {error}") from None
    expected = {
        "speaker": torch.float32,
        "prompt_phoneme_ids": torch.int64,
        "prompt_tokens": torch.int64,
    }
    found = {name: tensor.dtype for name, tensor in tensors.items() if tensor.ndim == 1}
    if found != expected or len(tensors) != len(expected):
        raise PublishedError(f"features hold {sorted(tensors)}; expected vectors {expected}")
    return ReferenceFeatures(**tensors)


def _validated(kind: type[Published], content: bytes) -> Published:
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5]
        )
        raise PublishedError(faults) from None
