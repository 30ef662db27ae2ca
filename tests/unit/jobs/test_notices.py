import asyncio
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from deployments.jobs.ids import folder_of
from deployments.jobs.job import AudioOutput, Job, JobOutput, JobRequest
from deployments.jobs.notices.errors import NoticeRefused
from deployments.jobs.notices.notifier import Notifier
from deployments.jobs.notices.settings import NoticeSettings
from deployments.jobs.notices.webhook import WebhookSender
from models.storage import AwsAccess, FolderStore, ObjectStore, open_store
from tests.unit.jobs.jobs import new_request
from tests.unit.jobs.receiver import receiver
from tests.unit.storage.aws_server import aws_server, new_bucket, new_queue

SECRET = SecretStr("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")
NO_PAUSES = (0.0, 0.0)


def finished(request: JobRequest) -> Job:
    audio = AudioOutput(
        url=f"/jobs/{request.id}/audio",
        format="wav",
        sample_rate_hz=24_000,
        duration_s=1.5,
        etag="e",
        file="audio-2.wav",
    )
    output = JobOutput(audio=audio, voice="sinip@1")
    done = {"status": "succeeded", "completed_at": "2026-11-22T00:00:00.000Z", "output": output}
    return request.as_job().model_copy(update=done)


def messages(queue_url: str) -> list[dict[str, object]]:
    client = aws_server().client("sqs")
    found: list[dict[str, object]] = []
    while received := client.receive_message(QueueUrl=queue_url).get("Messages"):
        found += [json.loads(message["Body"]) for message in received]
    return found


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.mark.parametrize("is_bucket", [True, False])
def test_a_notice_goes_to_the_queue_of_its_kind_and_says_where_the_audio_lies(
    objects: ObjectStore, is_bucket: bool
) -> None:
    bucket = new_bucket()
    if is_bucket:
        objects = open_store(f"s3://{bucket}/root", aws_server())
    queues = {"synthesize": new_queue(), "assistant": new_queue()}
    request = new_request(owner="key")
    job = finished(request)
    notifier = Notifier(objects, NoticeSettings(queues), aws_server())
    asyncio.run(notifier.tell(request, job))
    lies_at = f"s3://{bucket}/root/{folder_of(job.id)}/audio-2.wav"
    assert messages(queues["synthesize"]) == [
        {
            "schema_version": 1,
            "event_id": "evt_" + job.id.removeprefix("job_"),
            "job_id": job.id,
            "type": "synthesize",
            "status": "succeeded",
            "output": {
                "uri": lies_at if is_bucket else f"/jobs/{job.id}/audio",
                "etag": "e",
                "duration_s": 1.5,
            },
            "error": None,
            "occurred_at": job.completed_at,
        }
    ]
    assert messages(queues["assistant"]) == []


def test_a_notice_that_was_sent_is_not_sent_again_after_a_restart(objects: FolderStore) -> None:
    queues = {"synthesize": new_queue()}
    request = new_request()
    for _ in range(2):
        notifier = Notifier(objects, NoticeSettings(queues), aws_server())
        asyncio.run(notifier.tell(request, finished(request)))
    assert len(messages(queues["synthesize"])) == 1


def test_a_first_in_first_out_queue_drops_a_notice_sent_twice(objects: FolderStore) -> None:
    attributes = {"FifoQueue": "true"}
    client = aws_server().client("sqs")
    url = client.create_queue(QueueName="ends.fifo", Attributes=attributes)["QueueUrl"]
    request = new_request()
    notifier = Notifier(objects, NoticeSettings({"synthesize": url}), aws_server())
    asyncio.run(notifier.tell(request, finished(request)))
    objects.delete(f"{folder_of(request.id)}/notified.json")
    asyncio.run(notifier.tell(request, finished(request)))
    assert len(messages(url)) == 1


def test_without_a_queue_or_a_webhook_nothing_is_written(objects: FolderStore) -> None:
    request = new_request()
    asyncio.run(Notifier(objects, NoticeSettings(), AwsAccess()).tell(request, finished(request)))
    assert objects.children("jobs") == []


def test_a_webhook_and_a_queue_are_told_apart_from_each_other(objects: FolderStore) -> None:
    queue_url = aws_server().endpoint_url + "/123456789012/no-such-queue"  # type: ignore[operator]
    settings = NoticeSettings({"synthesize": queue_url}, SECRET, webhook_allow_private=True)
    with receiver([503, 204]) as (url, requests):
        request = new_request(webhook_url=url)
        notifier = Notifier(objects, settings, aws_server(), NO_PAUSES)
        asyncio.run(notifier.tell(request, finished(request)))
    assert len(requests) == 2
    assert requests[0].headers["webhook-id"] == requests[1].headers["webhook-id"]
    told = json.loads(requests[1].body)["data"]["output"]
    assert told == {"uri": f"/jobs/{request.id}/audio", "etag": "e", "duration_s": 1.5}
    stored = json.loads(objects.read(f"{folder_of(request.id)}/notified.json"))
    assert stored["outcomes"]["webhook"] == "sent"
    assert stored["outcomes"]["sqs"].startswith("given up: SQS: ")


@pytest.mark.parametrize(("statuses", "num_requests"), [([500] * 9, 3), ([301, 404, 200], 3)])
def test_attempts_are_bounded(objects: FolderStore, statuses: list[int], num_requests: int) -> None:
    settings = NoticeSettings({}, SECRET, webhook_allow_private=True)
    with receiver(statuses) as (url, requests):
        request = new_request(webhook_url=url)
        notifier = Notifier(objects, settings, AwsAccess(), NO_PAUSES)
        asyncio.run(notifier.tell(request, finished(request)))
    assert len(requests) == num_requests


def test_a_receiver_that_is_gone_for_good_is_asked_once(objects: FolderStore) -> None:
    settings = NoticeSettings({}, SECRET, webhook_allow_private=True)
    with receiver([410]) as (url, requests):
        request = new_request(webhook_url=url)
        notifier = Notifier(objects, settings, AwsAccess(), NO_PAUSES)
        asyncio.run(notifier.tell(request, finished(request)))
    assert len(requests) == 1
    stored = json.loads(objects.read(f"{folder_of(request.id)}/notified.json"))
    assert stored["outcomes"] == {"webhook": "given up: webhook: 410 Gone"}


def test_a_notice_that_fails_in_an_unknown_way_is_given_up(
    objects: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(self: WebhookSender, url: str, notice: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(WebhookSender, "send", failing)
    request = new_request(webhook_url="https://hook.example.com")
    notifier = Notifier(objects, NoticeSettings({}, SECRET), AwsAccess(), NO_PAUSES)
    asyncio.run(notifier.tell(request, finished(request)))
    stored = json.loads(objects.read(f"{folder_of(request.id)}/notified.json"))
    assert stored["outcomes"] == {"webhook": "given up: ZeroDivisionError"}


def test_an_unreachable_queue_is_refused_without_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deployments.jobs.notices.sqs import QueueSender
    from models.storage import aws

    monkeypatch.setattr(aws, "_MAX_ATTEMPTS", 1)
    access = AwsAccess("AKIAKEY", "very-secret", None, "us-east-1", "http://127.0.0.1:1")
    sender = QueueSender({"synthesize": "http://127.0.0.1:1/q"}, access)
    notice = {"type": "synthesize", "event_id": "e", "status": "failed"}
    with pytest.raises(NoticeRefused) as refused:
        sender.send(notice)
    assert str(refused.value) == "SQS: EndpointConnectionError"
