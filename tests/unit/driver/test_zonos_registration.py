"""Voices of Zonos, registered with a stand-in for the encoder."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deployments.driver.catalog import Catalog
from deployments.driver.voice_publishing import Registration, VoiceRegistration
from deployments.errors import UnsupportedLanguage, VoiceExists
from deployments.voice_encoder import EncodedSpeaker, SpeakerRequest
from models.audio.clip import ClipReport
from models.storage import FolderStore, embedded_store
from models.zonos.published import PublishedZonosVoice, speaker_to_bytes
from tests.gpt_sovits_store import publish_small_voices

pytestmark = pytest.mark.anyio

REPORT = ClipReport(4.2, 4.0, -20.0, 40.0, 0.0, 0.9)
REGISTRATION = Registration(b"clip", consent=True, speaker_id="narrator", engine="zonos")


@dataclass
class Response:
    encoded: EncodedSpeaker

    def __await__(self) -> Generator[Any, None, EncodedSpeaker]:
        yield from ()
        return self.encoded

    def cancel(self) -> None:
        """It has ended already."""


@dataclass
class Encoder:
    """Answers with the same speaker; the requests it saw are kept."""

    seen: list[SpeakerRequest] = field(default_factory=list)

    @property
    def encode_speaker(self) -> Encoder:
        return self

    def remote(self, request: SpeakerRequest) -> Response:
        self.seen.append(request)
        speaker = speaker_to_bytes(torch.arange(128.0))
        return Response(EncodedSpeaker("small@1", "Apache-2.0", b"fLaC", speaker, REPORT))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def registration(store: FolderStore, encoder: Encoder) -> VoiceRegistration:
    return VoiceRegistration(encoder, store, embedded_store())  # type: ignore[arg-type]


async def test_a_registered_voice_has_its_speaker_and_its_consent(
    registration: VoiceRegistration, store: FolderStore
) -> None:
    registered = await registration.register(replace(REGISTRATION, language="en"), owner="key")
    voice = Catalog([store]).voice("narrator")
    assert isinstance(voice.settings, PublishedZonosVoice)
    assert voice.settings == registered.voice
    assert voice.settings.consent is not None and voice.owner == "key"
    assert (voice.language, voice.settings.checkpoint) == ("en-us", "small@1")
    assert torch.equal(Catalog([store]).speaker(voice), torch.arange(128.0))
    assert store.read(f"voices/narrator/1/{voice.settings.clip}") == b"fLaC"
    assert registered.clip == REPORT


async def test_a_request_done_again_is_done_once(
    registration: VoiceRegistration, encoder: Encoder
) -> None:
    asked = replace(REGISTRATION, request_key="job")
    first = await registration.register(asked, owner=None)
    second = await registration.register(asked, owner=None)
    assert second.voice == first.voice
    assert len(encoder.seen) == 1


async def test_a_voice_takes_no_second_clip(registration: VoiceRegistration) -> None:
    await registration.register(REGISTRATION, owner=None)
    with pytest.raises(VoiceExists, match="has one clip"):
        await registration.register(REGISTRATION, owner=None)


async def test_voices_of_two_engines_do_not_share_an_id(
    registration: VoiceRegistration, store: FolderStore
) -> None:
    publish_small_voices(store.root)
    with pytest.raises(VoiceExists, match="is of engine 'gpt_sovits'"):
        await registration.register(replace(REGISTRATION, speaker_id="alto"), owner=None)
    await registration.register(REGISTRATION, owner=None)
    with pytest.raises(VoiceExists, match="is of engine 'zonos'"):
        await registration.register(replace(REGISTRATION, engine="gpt_sovits"), owner=None)


async def test_a_deleted_voice_leaves_nothing_and_its_version_does_not_come_back(
    registration: VoiceRegistration, store: FolderStore
) -> None:
    await registration.register(REGISTRATION, owner=None)
    await registration.delete("narrator", owner=None)
    assert store.children("voices/narrator") == ["deleted.json"]
    again = await registration.register(REGISTRATION, owner=None)
    assert again.voice.version == "2"


async def test_a_clip_may_be_in_every_language_of_zonos(registration: VoiceRegistration) -> None:
    registered = await registration.register(replace(REGISTRATION, language="ja"), owner=None)
    assert registered.voice.language == "ja"
    with pytest.raises(UnsupportedLanguage, match="known: af, am"):
        await registration.register(replace(REGISTRATION, language="tlh"), owner=None)
