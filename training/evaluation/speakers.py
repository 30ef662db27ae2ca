"""Voices that can be evaluated: of a running service, or spoken here by the models alone."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np
import torch

from models import assets
from models.checkpoints import load_s1, load_s2
from models.gpt_sovits import pipeline as gpt_sovits
from models.gpt_sovits.published import (
    PublishedVoice,
    checkpoint_from_json,
    features_from_bytes,
    voice_from_json,
)
from models.gpt_sovits.s1.decoder import S1Decoder
from models.kokoro.pipeline import KokoroEngine
from models.kokoro.pipeline import speak as speak_kokoro
from models.kokoro.voice import ENGINE as KOKORO
from models.kokoro.voice import KokoroVoice
from models.storage import ObjectNotFound, ObjectStore, VersionedRecords
from models.text.frontend import analyze
from training.evaluation.recording import Recording, decode

_TIMEOUT_S = 300.0
_PAUSE_S = 0.3
_CHECKPOINT_FILES = ("s1.json", "s1.safetensors", "s2.json", "s2.safetensors")


class SpeakingFailed(ValueError):
    """A text was not spoken."""


class Speaker(Protocol):
    """One voice."""

    @property
    def voice(self) -> str:
        """Its id, with the version where that is known."""

    @property
    def engine(self) -> str:
        """What speaks."""

    def speak(self, text: str) -> Recording:
        """Speak a text; `ValueError` if that can't be done."""

    def clips(self) -> list[Recording]:
        """Recordings of the speaker that the voice was made from; none for an invented one."""


class ServiceSpeaker:
    """A voice of a running service, over `POST /v1/audio/speech`.

    Args:
        client: its base address is that of the service.
        voice: `id` or `id@version`.
        language: of the texts.
    """

    engine = "service"

    def __init__(self, client: httpx.Client, voice: str, language: str = "ko") -> None:
        self.voice = voice
        self._client = client
        self._language = language

    def speak(self, text: str) -> Recording:
        body = {
            "model": "tts-1",
            "input": text,
            "voice": self.voice,
            "response_format": "wav",
            "language": self._language,
        }
        try:
            response = self._client.post("/v1/audio/speech", json=body)
        except httpx.HTTPError as error:
            raise SpeakingFailed(f"{type(error).__name__}: {error}") from None
        if response.status_code != httpx.codes.OK:
            raise SpeakingFailed(f"{response.status_code}: {response.text[:500]}")
        return decode(response.content)

    def clips(self) -> list[Recording]:
        return []


class KokoroSpeaker:
    """A voice of the `kokoro` engine, spoken in this process."""

    engine = KOKORO

    def __init__(self, voice: KokoroVoice, engine: KokoroEngine) -> None:
        self.voice = f"{voice.voice_id}@{voice.version}"
        self._voice = voice
        self._engine = engine

    def speak(self, text: str) -> Recording:
        return Recording(speak_kokoro(text, self._voice, self._engine), self._engine.sample_rate)

    def clips(self) -> list[Recording]:
        return []


class GptSovitsSpeaker:
    """A published voice of the `gpt_sovits` engine, spoken in this process.

    Args:
        voice: as published.
        stores: layers that hold it and its checkpoint.

    Attributes:
        decoder, synthesizer: its S1 and S2.
        reference: its first clip.
        language: that it speaks.
        ssl: the encoder that its tokens are made with.
        sampling: how it is drawn from.

    Raises:
        models.storage.StorageError: a file is missing.
        ValueError: one can't be used.
    """

    engine = "gpt_sovits"

    def __init__(self, voice: PublishedVoice, stores: Sequence[ObjectStore]) -> None:
        self.voice = f"{voice.voice_id}@{voice.version}"
        self.language = voice.language
        self._voice = voice
        self._stores = stores
        checkpoints = VersionedRecords(stores, "checkpoints", "{version}/checkpoint.json")
        record = checkpoints.resolve(voice.checkpoint)
        published = checkpoint_from_json(checkpoints.read_bytes(record))
        self.ssl, self.sampling = published.ssl, published.sampling
        with tempfile.TemporaryDirectory() as folder:
            for name in _CHECKPOINT_FILES:
                content = _read(stores, f"checkpoints/{record.name}/{record.version}/{name}")
                (Path(folder) / name).write_bytes(content)
            self.decoder = S1Decoder(load_s1(Path(folder) / "s1.json"))
            self.synthesizer = load_s2(Path(folder) / "s2.json")
        self.reference = features_from_bytes(self._file(voice.references[0].features))

    def speak(self, text: str) -> Recording:
        sample_rate = self.synthesizer.config.sample_rate
        pause = np.zeros(round(_PAUSE_S * sample_rate), np.float32)
        parts = []
        for segment in analyze(text, self.language):
            request = gpt_sovits.SpeechRequest(
                torch.tensor(segment.phoneme_ids),
                self.reference,
                seed=zlib.crc32(segment.text.encode()),
                sampling=self.sampling.tokens(),
                noise_scale=self.sampling.noise_scale,
            )
            chunks = gpt_sovits.speak(self.decoder, self.synthesizer, request)
            parts += [*(chunk.numpy() for chunk in chunks), pause]
        return Recording(np.concatenate(parts), sample_rate)

    def clips(self) -> list[Recording]:
        return [decode(self._file(reference.clip)) for reference in self._voice.references]

    def _file(self, name: str) -> bytes:
        return _read(self._stores, f"voices/{self._voice.voice_id}/{self._voice.version}/{name}")


def _read(stores: Sequence[ObjectStore], key: str) -> bytes:
    """An object of the first layer that has it."""
    for store in stores:
        try:
            return store.read(key)
        except ObjectNotFound:
            continue
    raise ObjectNotFound(f"no object {key!r}")


class LocalVoices:
    """Opens voices of a storage root and of those that ship; each engine is loaded once."""

    def __init__(self, stores: Sequence[ObjectStore], num_threads: int = 1) -> None:
        self._stores = stores
        self._records = VersionedRecords(stores, "voices", "{version}/voice.json")
        self._num_threads = num_threads
        self._kokoro: KokoroEngine | None = None

    def open(self, reference: str) -> Speaker:
        """The voice `id` or `id@version`.

        Raises:
            models.storage.StorageError: there is none.
            ValueError: its document, or a file of it, can't be used.
        """
        record = self._records.resolve(reference)
        document = self._records.read(record)
        if document.get("engine") == KOKORO:
            if self._kokoro is None:
                self._kokoro = KokoroEngine(assets.ensure(assets.KOKORO), self._num_threads)
            return KokoroSpeaker(KokoroVoice.from_document(document), self._kokoro)
        voice = voice_from_json(self._records.read_bytes(record))
        return GptSovitsSpeaker(voice, self._stores)


def service_client(url: str) -> httpx.Client:
    """A client of a running service; `BAEWOO_API_KEY` is its bearer token, if it is set."""
    key = os.environ.get("BAEWOO_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S)
