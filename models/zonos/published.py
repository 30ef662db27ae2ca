"""Zonos checkpoints and voices as they are published: their JSON, and a speaker as bytes.

    checkpoints/<id>/<version>/checkpoint.json, config.json + model.safetensors as published,
        dac/config.json + dac/model.safetensors, speaker.json + speaker.safetensors
    voices/<id>/<version>/voice.json, reference-<key>.flac and .safetensors

A published version never changes. The JSON is written last, so a reader never sees half of one.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Literal, TypeVar

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.gpt_sovits.published import Consent, PublishedError
from models.zonos.conditions import SPEAKER_DIM

FAMILY = "zonos_v0_1"
ENGINE = "zonos"

DAC_FOLDER = "dac"

Published = TypeVar("Published", "PublishedZonosCheckpoint", "PublishedZonosVoice")

_STRICT = ConfigDict(extra="forbid", strict=True)
_SPEAKER_KEY = "speaker"
_MAX_SPEAKER_BYTES = 2**16


@checked_dataclass(frozen=True, config=_STRICT)
class PublishedZonosCheckpoint:
    """One version of a backbone, with the codec and the speaker network that belong to it."""

    checkpoint_id: str
    version: str
    family: Literal["zonos_v0_1"]
    description: str
    licence: str
    created_at: str


@checked_dataclass(frozen=True, config=_STRICT)
class PublishedZonosVoice:
    """One version of a voice of the `zonos` engine: a speaker, heard in one clip."""

    voice_id: str
    version: str
    engine: Literal["zonos"]
    language: str
    """Of the clip, as Zonos knows it; the voice speaks every language of the engine."""
    description: str
    licence: str
    created_at: str
    checkpoint: str
    """`id@version` of the weights; voices that share them share batches."""
    clip: str
    """What the speaker was heard in; lies beside `voice.json`."""
    speaker: str
    """File of the speaker's 128 numbers, beside it."""
    consent: Consent | None
    owner: str | None
    """Id of the API key that registered it."""


def zonos_checkpoint_from_json(content: bytes) -> PublishedZonosCheckpoint:
    """Raises `PublishedError` unless it is exactly a checkpoint's document."""
    return _validated(PublishedZonosCheckpoint, content)


def zonos_voice_from_json(content: bytes) -> PublishedZonosVoice:
    """Raises `PublishedError` unless it is exactly a voice's document."""
    return _validated(PublishedZonosVoice, content)


def to_json(published: PublishedZonosCheckpoint | PublishedZonosVoice) -> bytes:
    """What is stored as `checkpoint.json` or `voice.json`."""
    return json.dumps(asdict(published), ensure_ascii=False, indent=1).encode()


def speaker_to_bytes(speaker: Tensor) -> bytes:
    """A voice's (128,) numbers as safetensors."""
    return save({_SPEAKER_KEY: speaker.float().contiguous()})


def speaker_from_bytes(content: bytes) -> Tensor:
    """Read what `speaker_to_bytes` wrote.

    Raises:
        PublishedError: it is too large, no safetensors, or no (128,) finite numbers.
    """
    if len(content) > _MAX_SPEAKER_BYTES:
        raise PublishedError(f"{len(content)} bytes of a speaker; at most {_MAX_SPEAKER_BYTES}")
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise PublishedError(f"a speaker can't be read: {error}") from None
    speaker = tensors.get(_SPEAKER_KEY)
    if (
        speaker is None
        or len(tensors) != 1
        or speaker.shape != (SPEAKER_DIM,)
        or speaker.dtype != torch.float32
        or not speaker.isfinite().all()
    ):
        raise PublishedError(f"a speaker is ({SPEAKER_DIM},) finite float32 numbers and no more")
    return speaker


def _validated(kind: type[Published], content: bytes) -> Published:
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5]
        )
        raise PublishedError(faults) from None
