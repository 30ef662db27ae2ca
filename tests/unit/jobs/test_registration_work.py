"""What a job that makes a voice asks of the registration, and when it may not publish any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.driver.voice_publishing import RegisteredVoice, Registration
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import voice_id_of
from deployments.jobs.job import JobOutput, JobRequest
from deployments.jobs.store import JobCanceled, JobStore
from deployments.jobs.work import RegistrationWork
from models.gpt_sovits.published import Consent, PublishedVoice
from models.storage import FolderStore
from tests.unit.jobs.jobs import new_request


class Registering:
    """Publishes a voice without a clip, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Registration, str | None]] = []
        self.published: list[str] = []

    async def register(
        self, registration: Registration, owner: str | None, before_publishing: Callable[[], None]
    ) -> RegisteredVoice:
        self.asked.append((registration, owner))
        await asyncio.to_thread(before_publishing)
        assert registration.speaker_id is not None
        self.published.append(registration.speaker_id)
        voice = PublishedVoice(
            voice_id=registration.speaker_id,
            version="1",
            engine="gpt_sovits",
            language="ko",
            description="",
            licence="Apache-2.0",
            created_at="2026-11-22T00:00:00.000Z",
            checkpoint="small@1",
            references=(),
            consent=Consent(given=True, at="2026-11-22T00:00:00.000Z"),
            owner=owner,
            training=None,
        )
        return RegisteredVoice(voice, clip=None, heard=None)


def registered(store: JobStore, request: JobRequest, registering: Registering) -> JobOutput:
    registration: Any = registering
    files = AttemptFiles(store.objects, request.id, 1)
    return asyncio.run(RegistrationWork(registration).register(request, files))


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(FolderStore(tmp_path))


def accepted(store: JobStore) -> JobRequest:
    request = new_request("register_speaker", input={"consent": True}, owner="key-1")
    store.accept(request, upload=b"clip")
    return request


def test_a_registration_is_told_its_clip_its_owner_and_whose_job_it_is(store: JobStore) -> None:
    request, registering = accepted(store), Registering()
    output = registered(store, request, registering)
    ((asked, owner),) = registering.asked
    assert (asked.audio, asked.request_key, owner) == (b"clip", request.id, "key-1")
    assert output.voice == f"{voice_id_of(request.id)}@1"


def test_a_registration_that_publishes_can_not_be_canceled_any_more(store: JobStore) -> None:
    request = accepted(store)
    registered(store, request, Registering())
    assert not store.decide(request.id, "cancel")


def test_a_registration_that_was_canceled_publishes_nothing(store: JobStore) -> None:
    request, registering = accepted(store), Registering()
    store.decide(request.id, "cancel")
    with pytest.raises(JobCanceled):
        registered(store, request, registering)
    assert registering.published == []
