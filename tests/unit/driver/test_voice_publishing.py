"""Registration with a stand-in for the encoder: what is published, who wins, what is left."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deployments.driver.catalog import Catalog
from deployments.driver.voice_publishing import (
    Registration,
    VoiceRegistration,
    check_registration,
    new_voice_id,
)
from deployments.driver.voice_versions import MAX_REFERENCES, VoiceVersions
from deployments.errors import (
    ConsentMissing,
    InvalidInput,
    NotReady,
    Overloaded,
    ReadOnlyRecord,
    SpeechError,
    UnknownVoice,
    UnsupportedEmotion,
    UnsupportedEngine,
    UnsupportedLanguage,
    VoiceExists,
)
from deployments.voice_encoder import ClipRequest, EncodedClip
from models.audio.clip import ClipReport
from models.gpt_sovits.published import features_from_bytes, features_to_bytes, voice_from_json
from models.storage import FolderStore, StorageUnavailable, embedded_store
from tests.gpt_sovits_store import random_features

pytestmark = pytest.mark.anyio

REPORT = ClipReport(4.2, 4.0, -20.0, 40.0, 0.0, 0.9)


@dataclass
class Response:
    """What a handle's call returns: an awaitable that can be cancelled."""

    result: Awaitable[EncodedClip]

    def __await__(self) -> Generator[Any, None, EncodedClip]:
        return self.result.__await__()

    def cancel(self) -> None:
        pass


@dataclass
class Encoder:
    """Answers with noise; the requests it saw are kept.

    Args:
        before: awaited before each answer.
    """

    before: Callable[[], Awaitable[None]] | None = None
    seen: list[ClipRequest] = field(default_factory=list)

    @property
    def encode(self) -> Encoder:
        return self

    def remote(self, request: ClipRequest) -> Response:
        return Response(self._answer(request))

    async def _answer(self, request: ClipRequest) -> EncodedClip:
        self.seen.append(request)
        if self.before is not None:
            await self.before()
        seed = len(self.seen)
        return EncodedClip(
            checkpoint=request.checkpoint or "small@1",
            licence="Apache-2.0",
            clip=b"fLaC of " + request.audio,
            features=features_to_bytes(random_features(seed)),
            transcript=request.transcript or "안녕하세요.",
            heard="안녕하세요",
            report=REPORT,
        )


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def registration(store: FolderStore, encoder: Encoder) -> VoiceRegistration:
    return VoiceRegistration(encoder, store, embedded_store())  # type: ignore[arg-type]


def clip(speaker_id: str | None = None, audio: bytes = b"clip", **others: Any) -> Registration:
    return Registration(audio=audio, consent=True, speaker_id=speaker_id, **others)


def files(store: FolderStore) -> list[str]:
    return sorted(
        str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()
    )


async def test_a_registered_voice_is_stored_with_consent_and_can_be_used(
    store: FolderStore, registration: VoiceRegistration
) -> None:
    registered = await registration.register(clip("mina", description="나"), owner="key-1")

    voice = registered.voice
    assert (registered.clip, registered.heard) == (REPORT, "안녕하세요")
    assert voice == voice_from_json(store.read("voices/mina/1/voice.json"))
    assert (voice.owner, voice.checkpoint, voice.description) == ("key-1", "small@1", "나")
    assert voice.consent is not None and voice.consent.at == voice.created_at
    (reference,) = voice.references
    assert store.read(f"voices/mina/1/{reference.clip}") == b"fLaC of clip"
    features_from_bytes(store.read(f"voices/mina/1/{reference.features}"))
    found = Catalog([store, embedded_store()]).voice("mina")
    assert (str(found.record), found.owner, found.emotions) == ("mina@1", "key-1", ("neutral",))


async def test_an_id_is_made_up_when_none_is_given(registration: VoiceRegistration) -> None:
    first = await registration.register(clip(), owner=None)
    second = await registration.register(clip(), owner=None)
    assert first.voice.voice_id.startswith("voice_")
    assert first.voice.voice_id != second.voice.voice_id
    check_registration(clip(new_voice_id()))


async def test_a_clip_of_an_emotion_makes_a_new_version_and_leaves_the_old_one(
    store: FolderStore, registration: VoiceRegistration, encoder: Encoder
) -> None:
    first = await registration.register(clip("mina"), owner="key-1")
    happy = clip("mina", b"happy", emotions={"happiness": 1.0}, transcript="신난다!")
    second = await registration.register(happy, owner="key-1")

    assert encoder.seen[1].checkpoint == first.voice.checkpoint
    assert encoder.seen[1].same_speaker_as == b"fLaC of clip"
    assert (first.voice.version, second.voice.version) == ("1", "2")
    assert second.voice.references[0] == first.voice.references[0]
    assert second.voice.references[1].emotions == {"happiness": 1.0}
    assert second.voice.consent == first.voice.consent
    for reference, content in zip(second.voice.references, (b"clip", b"happy"), strict=True):
        assert store.read(f"voices/mina/2/{reference.clip}") == b"fLaC of " + content
    catalog = Catalog([store, embedded_store()])
    assert catalog.voice("mina").emotions == ("neutral", "happiness")
    assert catalog.voice("mina@1").emotions == ("neutral",)


async def test_of_concurrent_registrations_of_one_id_exactly_one_wins(
    store: FolderStore,
) -> None:
    barrier = asyncio.Barrier(6)  # all have seen that the id is free
    encoder = Encoder(before=lambda: _passed(barrier))
    registration = VoiceRegistration(encoder, store, embedded_store())  # type: ignore[arg-type]
    results = await asyncio.gather(
        *(registration.register(clip("mina", f"{i}".encode()), f"key-{i}") for i in range(6)),
        return_exceptions=True,
    )
    (winner,) = (result for result in results if not isinstance(result, BaseException))
    assert [type(result) for result in results].count(VoiceExists) == 5
    assert voice_from_json(store.read("voices/mina/1/voice.json")) == winner.voice
    names = (winner.voice.references[0].clip, winner.voice.references[0].features)
    assert files(store) == sorted(
        ["voices/mina/current.json"] + [f"voices/mina/1/{name}" for name in ("voice.json", *names)]
    )


async def test_clips_added_at_the_same_time_are_all_kept(store: FolderStore) -> None:
    barrier = asyncio.Barrier(5)
    registration = VoiceRegistration(Encoder(), store, embedded_store())  # type: ignore[arg-type]
    await registration.register(clip("mina"), owner=None)
    adding = VoiceRegistration(
        Encoder(before=lambda: _passed(barrier)),  # type: ignore[arg-type]
        store,
        embedded_store(),
    )
    added = [clip("mina", f"clip {i}".encode()) for i in range(5)]
    await asyncio.gather(*(adding.register(each, owner=None) for each in added))

    voice = Catalog([store]).voice("mina")
    assert str(voice.record) == "mina@6"
    document = voice_from_json(store.read("voices/mina/6/voice.json"))
    contents = {store.read(f"voices/mina/6/{each.clip}") for each in document.references}
    assert contents == {b"fLaC of clip", *(b"fLaC of " + each.audio for each in added)}
    assert len(files(store)) == 1 + sum(1 + 2 * version for version in range(1, 7))


async def test_a_request_done_again_is_done_once(
    store: FolderStore, registration: VoiceRegistration, encoder: Encoder
) -> None:
    request = clip("mina", request_key="job_1")
    first = await registration.register(request, owner=None)
    store.delete("voices/mina/current.json")  # as if the first run had died before writing it
    again = await registration.register(request, owner=None)
    assert again.voice == first.voice
    assert (again.clip, len(encoder.seen)) == (None, 1)
    assert str(Catalog([store]).voice("mina").record) == "mina@1"


async def test_two_attempts_at_one_registration_at_once_make_one_voice(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_encoded, both_wrote = asyncio.Barrier(2), threading.Barrier(2)
    registration = VoiceRegistration(
        Encoder(before=lambda: _passed(both_encoded)),  # type: ignore[arg-type]
        store,
        embedded_store(),
    )
    create = FolderStore.create

    def create_after_both_wrote(self: FolderStore, key: str, content: bytes) -> None:
        both_wrote.wait(10)
        create(self, key, content)

    monkeypatch.setattr(FolderStore, "create", create_after_both_wrote)
    request = clip("mina", request_key="job_1")
    attempts = (registration.register(request, owner="key-1") for _ in range(2))
    first, second = await asyncio.gather(*attempts)

    assert first.voice == second.voice
    (reference,) = first.voice.references
    assert store.read(f"voices/mina/1/{reference.clip}") == b"fLaC of clip"
    features_from_bytes(store.read(f"voices/mina/1/{reference.features}"))


@pytest.mark.parametrize("is_new", [True, False])
async def test_an_attempt_that_was_overtaken_finds_its_clip_published(
    store: FolderStore, registration: VoiceRegistration, is_new: bool
) -> None:
    if not is_new:
        await registration.register(clip("mina"), owner="key-1")
    request = clip("mina", emotions={"anger": 1.0}, request_key="job_1")

    async def overtake() -> None:
        await registration.register(request, owner="key-1")

    slow = VoiceRegistration(Encoder(before=overtake), store, embedded_store())  # type: ignore[arg-type]
    registered = await slow.register(request, owner="key-1")
    assert registered.voice.version == ("1" if is_new else "2")
    assert [each for each in files(store) if each.startswith("voices/mina/3")] == []
    assert str(Catalog([store]).voice("mina").record) == f"mina@{registered.voice.version}"


async def test_a_half_written_voice_does_not_exist_and_can_be_registered(
    store: FolderStore, registration: VoiceRegistration
) -> None:
    store.write("voices/mina/1/reference-0-abc.flac", b"a run that died")
    registered = await registration.register(clip("mina"), owner=None)
    assert registered.voice.version == "1"


async def test_a_deleted_voice_leaves_no_clip_and_its_versions_never_come_back(
    store: FolderStore, registration: VoiceRegistration
) -> None:
    await registration.register(clip("mina"), owner="key-1")
    await registration.register(clip("mina", emotions={"anger": 1.0}), owner="key-1")
    await registration.delete("mina", owner="key-1")

    assert files(store) == ["voices/mina/deleted.json"]
    catalog = Catalog([store, embedded_store()])
    for reference in ("mina", "mina@1", "mina@2"):
        with pytest.raises(UnknownVoice):
            catalog.voice(reference)
    with pytest.raises(UnknownVoice):
        await registration.delete("mina", owner="key-1")
    registered = await registration.register(clip("mina"), owner="key-2")
    assert (registered.voice.version, registered.voice.owner) == ("3", "key-2")


async def test_a_deletion_that_broke_off_is_completed_and_no_version_comes_back(
    store: FolderStore, registration: VoiceRegistration, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        await registration.register(clip("mina", f"{number}".encode()), owner=None)
    delete_tree = FolderStore.delete_tree

    def dying_after_the_newest(self: FolderStore, prefix: str) -> None:
        if prefix == "voices/mina/2":  # names are in the order of text: 1, 10, 2
            raise StorageUnavailable("down")
        delete_tree(self, prefix)

    with monkeypatch.context() as broken:
        broken.setattr(FolderStore, "delete_tree", dying_after_the_newest)
        with pytest.raises(NotReady):
            await registration.delete("mina", owner=None)
    await registration.delete("mina", owner=None)
    assert files(store) == ["voices/mina/deleted.json"]
    assert (await registration.register(clip("mina"), owner=None)).voice.version == "11"


async def test_a_clip_added_while_the_voice_is_deleted_does_not_bring_it_back(
    store: FolderStore, registration: VoiceRegistration
) -> None:
    await registration.register(clip("mina"), owner=None)

    async def delete() -> None:
        await registration.delete("mina", owner=None)

    adding = VoiceRegistration(Encoder(before=delete), store, embedded_store())  # type: ignore[arg-type]
    with pytest.raises(UnknownVoice, match="deleted meanwhile"):
        await adding.register(clip("mina"), owner=None)
    assert files(store) == ["voices/mina/deleted.json"]


async def test_a_deletion_that_misses_a_version_takes_it_along(
    store: FolderStore, registration: VoiceRegistration, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registration.register(clip("mina"), owner=None)
    versions = VoiceVersions(store, embedded_store())
    create = FolderStore.create

    def create_after_a_deletion(self: FolderStore, key: str, content: bytes) -> None:
        versions.delete("mina", None)
        create(self, key, content)

    monkeypatch.setattr(FolderStore, "create", create_after_a_deletion)
    with pytest.raises(UnknownVoice, match="deleted meanwhile"):
        await registration.register(clip("mina"), owner=None)
    assert files(store) == ["voices/mina/deleted.json"]
    assert json.loads(store.read("voices/mina/deleted.json")) == {"last_version": 2}


@pytest.mark.parametrize(
    ("owner", "caller", "error"),
    [
        ("key-1", "key-2", UnknownVoice),  # that it exists is nobody else's business
        (None, "key-2", ReadOnlyRecord),
        ("key-1", "key-1", None),
        ("key-1", None, None),
        (None, None, None),
    ],
)
async def test_a_voice_is_deleted_by_its_owner(
    registration: VoiceRegistration,
    owner: str | None,
    caller: str | None,
    error: type[SpeechError] | None,
) -> None:
    await registration.register(clip("mina"), owner=owner)
    if error is None:
        await registration.delete("mina", caller)
        return
    with pytest.raises(error):
        await registration.delete("mina", caller)


async def test_another_owners_voice_and_an_embedded_one_are_not_extended(
    registration: VoiceRegistration, encoder: Encoder
) -> None:
    await registration.register(clip("mina"), owner="key-1")
    with pytest.raises(VoiceExists, match="not yours"):
        await registration.register(clip("mina"), owner="key-2")
    with pytest.raises(VoiceExists, match="ships with the project"):
        await registration.register(clip("bujang"), owner=None)
    assert len(encoder.seen) == 1  # refused before any work


async def test_an_embedded_voice_is_never_deleted(registration: VoiceRegistration) -> None:
    with pytest.raises(ReadOnlyRecord):
        await registration.delete("bujang", owner=None)


async def test_a_voice_takes_no_more_clips_than_its_bound(
    registration: VoiceRegistration,
) -> None:
    for _ in range(MAX_REFERENCES):
        await registration.register(clip("mina"), owner=None)
    with pytest.raises(InvalidInput, match=f"{MAX_REFERENCES} clips, as many"):
        await registration.register(clip("mina"), owner=None)


async def test_a_clip_in_another_language_is_not_added(registration: VoiceRegistration) -> None:
    await registration.register(clip("mina"), owner=None)
    with pytest.raises(InvalidInput, match="speaks 'ko'"):
        await registration.register(clip("mina", language="en"), owner=None)


async def test_an_encoder_that_refuses_leaves_nothing(store: FolderStore) -> None:
    async def refuse() -> None:
        raise Overloaded("4 clips wait already", {"retry_after_s": 5})

    registration = VoiceRegistration(Encoder(before=refuse), store, embedded_store())  # type: ignore[arg-type]
    with pytest.raises(Overloaded):
        await registration.register(clip("mina"), owner=None)
    assert files(store) == []


async def test_a_registration_cancelled_while_its_clip_is_encoded_leaves_nothing(
    store: FolderStore,
) -> None:
    encoding = asyncio.Event()

    async def never() -> None:
        encoding.set()
        await asyncio.Event().wait()

    registration = VoiceRegistration(Encoder(before=never), store, embedded_store())  # type: ignore[arg-type]
    registering = asyncio.create_task(registration.register(clip("mina"), owner=None))
    await encoding.wait()
    registering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await registering
    assert files(store) == []


async def test_a_registration_cancelled_while_it_publishes_is_published_whole(
    store: FolderStore, registration: VoiceRegistration, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing, cancelled = threading.Event(), threading.Event()
    write = FolderStore.write

    def write_slowly(self: FolderStore, key: str, content: bytes) -> None:
        publishing.set()
        cancelled.wait(10)
        write(self, key, content)

    monkeypatch.setattr(FolderStore, "write", write_slowly)
    registering = asyncio.create_task(registration.register(clip("mina"), owner=None))
    await asyncio.to_thread(publishing.wait, 10)
    registering.cancel()
    await asyncio.sleep(0)
    cancelled.set()
    registered = await registering
    assert voice_from_json(store.read("voices/mina/1/voice.json")) == registered.voice
    (reference,) = registered.voice.references
    assert files(store) == sorted(
        f"voices/mina/{name}"
        for name in (
            "current.json",
            "1/voice.json",
            f"1/{reference.clip}",
            f"1/{reference.features}",
        )
    )


async def test_what_forbids_publishing_leaves_nothing(
    store: FolderStore, registration: VoiceRegistration
) -> None:
    def forbid() -> None:
        assert files(store) == []
        raise InvalidInput("not any more")

    with pytest.raises(InvalidInput, match="not any more"):
        await registration.register(clip("mina"), None, before_publishing=forbid)
    assert files(store) == []


async def test_a_store_that_fails_is_told_as_not_ready(tmp_path: Path) -> None:
    (tmp_path / "voices").write_text("a file where a folder belongs")
    registration = VoiceRegistration(
        Encoder(),  # type: ignore[arg-type]
        FolderStore(tmp_path),
        embedded_store(),
    )
    with pytest.raises(NotReady):
        await registration.register(clip("mina"), owner=None)


@pytest.mark.parametrize(
    ("registration_", "error", "message"),
    [
        (replace(clip(), consent=False), ConsentMissing, "consent must be true"),
        (clip(engine="kokoro"), UnsupportedEngine, "'kokoro' can't .* allowed: gpt_sovits"),
        (clip(engine="x" * 99), UnsupportedEngine, "x{40}'"),
        (clip(language="zh"), UnsupportedLanguage, "allowed: ko, en"),
        (clip("../mina"), InvalidInput, "not an id"),
        (clip("Mina"), InvalidInput, "not an id"),
        (clip("m" * 65), InvalidInput, "not an id"),
        (clip("mina@1"), InvalidInput, "not an id"),
        (clip("mina\n"), InvalidInput, "not an id"),
        (clip(description="d" * 501), InvalidInput, "501 characters; at most 500"),
        (clip(emotions={"joy": 1.0}), UnsupportedEmotion, "'joy' is not known"),
        (clip(emotions={"anger": float("nan")}), UnsupportedEmotion, "from 0 to 1"),
        (clip(emotions={"anger": 2.0}), UnsupportedEmotion, "from 0 to 1"),
        (clip(emotions={"anger": 0.0}), UnsupportedEmotion, "more than 0"),
        (clip(emotions={}), UnsupportedEmotion, "more than 0"),
    ],
)
async def test_what_can_not_be_registered_is_refused_before_any_work(
    registration: VoiceRegistration,
    encoder: Encoder,
    registration_: Registration,
    error: type[SpeechError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        check_registration(registration_)
    with pytest.raises(error, match=message):
        await registration.register(registration_, owner=None)
    assert encoder.seen == []


async def _passed(barrier: asyncio.Barrier) -> None:
    await barrier.wait()
