"""Registered voices of Zonos in a store: one clip each, so one version until it is deleted."""

from __future__ import annotations

from datetime import UTC, datetime

from deployments.driver.voice_versions import VoiceVersions, require_engine
from deployments.errors import DamagedRecord, VoiceExists
from deployments.voice_encoder import EncodedSpeaker
from models.gpt_sovits.published import Consent, PublishedError
from models.zonos.published import (
    ENGINE,
    PublishedZonosVoice,
    to_json,
    zonos_voice_from_json,
)


class ZonosVoiceVersions:
    """Publishes voices of Zonos. All calls block.

    Args:
        versions: of all registered voices.
    """

    def __init__(self, versions: VoiceVersions) -> None:
        self._versions = versions

    def published(self, voice_id: str, key: str, owner: str | None) -> PublishedZonosVoice | None:
        """The voice, if this very call has published it before; None where there is none.

        Raises:
            VoiceExists: the id stands for another voice.
            DamagedRecord: what is stored can't be read.
        """
        document = self._versions.standing(voice_id, owner)
        if document is None:
            return None
        require_engine(voice_id, document, ENGINE)
        try:
            voice = zonos_voice_from_json(document)
        except PublishedError as error:
            raise DamagedRecord(f"voice {voice_id} can't be read: {error}") from error
        if voice.clip != _clip_name(key):
            raise VoiceExists(
                f"voice {voice_id!r} exists; a voice of {ENGINE} has one clip: choose another id, "
                "or delete it first"
            )
        return voice

    def create(
        self,
        voice_id: str,
        encoded: EncodedSpeaker,
        key: str,
        language: str,
        description: str,
        owner: str | None,
    ) -> PublishedZonosVoice:
        """Publish a voice, unless an attempt at the same call just has.

        Args:
            encoded: its clip, and the speaker heard in it.
            key: names the call; letters and digits.
            language: of the clip, as Zonos knows it.

        Raises:
            VoiceExists: another call was faster.
        """
        standing = self.published(voice_id, key, owner)
        if standing is not None:
            return standing
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        voice = PublishedZonosVoice(
            voice_id=voice_id,
            version=self._versions.first_version(voice_id),
            engine="zonos",
            language=language,
            description=description,
            licence=encoded.licence,
            created_at=now,
            checkpoint=encoded.checkpoint,
            clip=_clip_name(key),
            speaker=f"reference-{key}.safetensors",
            consent=Consent(given=True, at=now),
            owner=owner,
        )
        files = {voice.clip: encoded.clip, voice.speaker: encoded.speaker}
        if self._versions.publish(voice_id, voice.version, files, to_json(voice)):
            return voice
        try:
            standing = self.published(voice_id, key, owner)
        except VoiceExists:
            standing = None
        if standing is None:
            self._versions.discard(voice_id, voice.version, list(files))
            raise VoiceExists(f"voice {voice_id!r} was registered by another call meanwhile")
        return standing


def _clip_name(key: str) -> str:
    return f"reference-{key}.flac"
