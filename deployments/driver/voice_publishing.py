"""Registers and deletes voices: checks what is asked, has the clip encoded, publishes the result.

registration = VoiceRegistration(encoder, store, embedded_store())
registered = await registration.register(Registration(audio, consent=True), owner=None)
await registration.delete(registered.voice.voice_id, owner=None)
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from ray.serve.handle import DeploymentHandle

from deployments.calls import call
from deployments.driver.emotion import NEUTRAL, Weights
from deployments.driver.voice_versions import NewReference, VoiceVersions
from deployments.driver.zonos_voice_versions import ZonosVoiceVersions
from deployments.errors import (
    ConsentMissing,
    InvalidInput,
    NotReady,
    UnsupportedEmotion,
    UnsupportedEngine,
    UnsupportedLanguage,
)
from deployments.voice_encoder import (
    LANGUAGES,
    ClipRequest,
    EncodedClip,
    EncodedSpeaker,
    SpeakerRequest,
)
from models.audio.clip.checking import ClipReport
from models.gpt_sovits.published import EMOTION_NAMES, ENGINE, EmotionName, PublishedVoice
from models.storage import ObjectStore, StorageUnavailable
from models.text.errors import TextError
from models.zonos import published as zonos
from models.zonos.published import PublishedZonosVoice
from models.zonos.symbols import zonos_language

ENGINES = (ENGINE, zonos.ENGINE)
"""Engines whose voices are made of a clip."""

MAX_DESCRIPTION_CHARS = 500

Result = TypeVar("Result")

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_RETRY_AFTER_S = 5


@dataclass(frozen=True)
class Registration:
    """A clip that is to become a voice, or another clip of a voice.

    Args:
        audio: the file as it was uploaded.
        consent: that the speaker agreed, as the caller declares it.
        speaker_id: id of the voice; one is made up when None. An id of the caller's own gets the
            clip added, unless its voice is of Zonos, which takes one clip.
        transcript: what is said; recognised when None. Zonos needs none.
        language: of the clip.
        emotions: what is heard in it: weights from 0 to 1 of the eight names. Zonos needs none.
        engine: one of `ENGINES`.
        description: of the voice, for people; one that exists keeps its own.
        request_key: names the request, such as the id of its job; done again, it is done once.
    """

    audio: bytes
    consent: bool
    speaker_id: str | None = None
    transcript: str | None = None
    language: str = "ko"
    emotions: Mapping[str, float] = field(default_factory=lambda: {NEUTRAL: 1.0})
    engine: str = ENGINE
    description: str = ""
    request_key: str | None = None


@dataclass(frozen=True)
class RegisteredVoice:
    """The version that was published.

    Args:
        voice: its document.
        clip: what was measured; None where an earlier run of the same request published it.
        heard: what was recognised in the clip; None as above, and for Zonos.
    """

    voice: PublishedVoice | PublishedZonosVoice
    clip: ClipReport | None
    heard: str | None


class VoiceRegistration:
    """Registers and deletes voices.

    Args:
        encoder: handle of the `VoiceEncoder` deployment.
        store: where voices are published.
        embedded: voices that ship with the project.
    """

    def __init__(
        self, encoder: DeploymentHandle[Any], store: ObjectStore, embedded: ObjectStore
    ) -> None:
        self._encoder = encoder
        self._versions = VoiceVersions(store, embedded)
        self._zonos_versions = ZonosVoiceVersions(self._versions)

    async def register(
        self,
        registration: Registration,
        owner: str | None,
        before_publishing: Callable[[], None] = lambda: None,
    ) -> RegisteredVoice:
        """Make a voice of a clip, or add the clip to a voice of the same owner.

        Cancelled before it publishes, this leaves nothing; later it goes on to its end and returns,
        as if it had not been cancelled: a version of a voice is there as a whole or not at all.

        Args:
            registration: what is asked for.
            owner: id of the caller's API key; None where no keys are asked for.
            before_publishing: called, in a thread, before anything is stored; what it raises is
                raised, and nothing is.

        Raises:
            InvalidInput: see `check_registration`, and `VoiceEncoderServer.encode`.
            VoiceExists: the id is taken by an embedded voice or another owner's, or was taken by
                another call meanwhile.
            NotReady, Overloaded: try again later.
        """
        check_registration(registration)
        voice_id = registration.speaker_id or new_voice_id()
        key = _call_key(registration.request_key)
        if registration.engine == zonos.ENGINE:
            return await self._register_for_zonos(
                voice_id, key, registration, owner, before_publishing
            )
        try:
            base = await asyncio.to_thread(self._versions.to_extend, voice_id, owner)
            if base is not None:
                was_published = await asyncio.to_thread(self._versions.has_clip_of, base, key)
                if was_published:
                    return RegisteredVoice(base, clip=None, heard=None)
            encoded = await self._encoded(registration, base)
            new = NewReference(encoded, registration.language, _weights(registration.emotions), key)

            def publish() -> PublishedVoice:
                before_publishing()
                return self._publish(voice_id, registration, new, base, owner)

            voice = await _brought_to_an_end(asyncio.to_thread(publish))
        except StorageUnavailable as error:
            raise NotReady(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error
        return RegisteredVoice(voice, encoded.report, encoded.heard)

    async def _register_for_zonos(
        self,
        voice_id: str,
        key: str,
        registration: Registration,
        owner: str | None,
        before_publishing: Callable[[], None],
    ) -> RegisteredVoice:
        """See `register`."""
        versions = self._zonos_versions
        try:
            standing = await asyncio.to_thread(versions.published, voice_id, key, owner)
            if standing is not None:
                return RegisteredVoice(standing, clip=None, heard=None)
            request = SpeakerRequest(registration.audio)
            encoded: EncodedSpeaker = await call(self._encoder.encode_speaker.remote(request))

            def publish() -> PublishedZonosVoice:
                before_publishing()
                language = zonos_language(registration.language)
                description = registration.description
                return versions.create(voice_id, encoded, key, language, description, owner)

            voice = await _brought_to_an_end(asyncio.to_thread(publish))
        except StorageUnavailable as error:
            raise NotReady(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error
        return RegisteredVoice(voice, encoded.report, heard=None)

    async def delete(self, voice_id: str, owner: str | None) -> None:
        """Delete a voice and its files.

        Raises:
            UnknownVoice: there is none that the caller can see.
            ReadOnlyRecord: it ships with the project, or is everybody's.
            NotReady: the store does not answer.
        """
        _check_id(voice_id)
        try:
            await asyncio.to_thread(self._versions.delete, voice_id, owner)
        except StorageUnavailable as error:
            raise NotReady(str(error), {"retry_after_s": _RETRY_AFTER_S}) from error

    async def _encoded(
        self, registration: Registration, base: PublishedVoice | None
    ) -> EncodedClip:
        request = ClipRequest(
            audio=registration.audio,
            language=registration.language,
            transcript=registration.transcript,
            checkpoint=base.checkpoint if base else None,
            same_speaker_as=await asyncio.to_thread(self._versions.clip, base) if base else None,
        )
        return cast(EncodedClip, await call(self._encoder.encode.remote(request)))

    def _publish(
        self,
        voice_id: str,
        registration: Registration,
        new: NewReference,
        base: PublishedVoice | None,
        owner: str | None,
    ) -> PublishedVoice:
        if base is None:
            return self._versions.create(voice_id, new, registration.description, owner)
        return self._versions.extend(voice_id, new, owner)


async def _brought_to_an_end(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of work that is not broken off when whoever awaits it is cancelled."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


def new_voice_id() -> str:
    """An id that no voice has."""
    return f"voice_{secrets.token_hex(8)}"


def check_registration(registration: Registration) -> None:
    """Refuse what can be refused without the clip; cheap, so that nothing is accepted in vain.

    Raises:
        InvalidInput: its subclass says what is wrong.
    """
    if not registration.consent:
        raise ConsentMissing(
            "consent must be true: that the person who speaks agreed to have this voice made"
        )
    if registration.engine not in ENGINES:
        raise UnsupportedEngine(
            f"voices of engine {registration.engine[:40]!r} can't be registered; "
            f"allowed: {', '.join(ENGINES)}",
            {"supported": list(ENGINES)},
        )
    _check_language(registration)
    if registration.speaker_id is not None:
        _check_id(registration.speaker_id)
    if len(registration.description) > MAX_DESCRIPTION_CHARS:
        raise InvalidInput(
            f"the description has {len(registration.description)} characters; "
            f"at most {MAX_DESCRIPTION_CHARS} are allowed",
            {"limit": MAX_DESCRIPTION_CHARS},
        )
    _weights(registration.emotions)


def _check_language(registration: Registration) -> None:
    if registration.engine == zonos.ENGINE:
        try:
            zonos_language(registration.language)
        except TextError as error:
            raise UnsupportedLanguage(str(error)) from error
    elif registration.language not in LANGUAGES:
        raise UnsupportedLanguage(
            f"clips in {registration.language[:40]!r} can't be registered; "
            f"allowed: {', '.join(LANGUAGES)}",
            {"supported": list(LANGUAGES)},
        )


def _check_id(voice_id: str) -> None:
    if not _ID.fullmatch(voice_id):
        raise InvalidInput(f"{voice_id[:80]!r} is not an id: 1 to 64 of a-z 0-9 _ -")


def _weights(emotions: Mapping[str, float]) -> Weights:
    if unknown := sorted(set(emotions) - set(EMOTION_NAMES)):
        raise UnsupportedEmotion(
            f"emotion {unknown[0][:40]!r} is not known; known: {', '.join(EMOTION_NAMES)}",
            {"supported": list(EMOTION_NAMES)},
        )
    if not all(0 <= weight <= 1 for weight in emotions.values()) or not any(emotions.values()):
        raise UnsupportedEmotion("weights of emotions must be from 0 to 1, and one more than 0")
    return {cast(EmotionName, name): float(weight) for name, weight in emotions.items()}


def _call_key(request_key: str | None) -> str:
    if request_key is None:
        return secrets.token_hex(6)
    return hashlib.sha256(request_key.encode()).hexdigest()[:12]
