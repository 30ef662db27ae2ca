"""Tells everybody who is to be told that a job has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import BaseModel

from deployments.jobs.ids import folder_of, now
from deployments.jobs.job import Job, JobRequest
from deployments.jobs.notices.errors import NoticeImpossible, NoticeRefused
from deployments.jobs.notices.event import event_id_of, notice_of
from deployments.jobs.notices.settings import NoticeSettings
from deployments.jobs.notices.sqs import QueueSender
from deployments.jobs.notices.webhook import WebhookSender
from deployments.jobs.store import encode
from models.storage import AwsAccess, ObjectNotFound, ObjectStore

logger = logging.getLogger("ray.serve")

RETRY_DELAYS_S = (1.0, 5.0, 25.0, 125.0)


class Delivery(BaseModel):
    """How a job's notices went: `sent`, or why they were given up."""

    event_id: str
    at: str
    outcomes: dict[str, str]


class Notifier:
    """Sends each notice at least once, in bounded attempts, and writes down how that went.

    Args:
        objects: the storage root.
        settings: where notices go.
        access: how SQS is reached.
        retry_delays_s: pauses between attempts; one attempt more than pauses.
    """

    def __init__(
        self,
        objects: ObjectStore,
        settings: NoticeSettings,
        access: AwsAccess,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    ) -> None:
        self._objects = objects
        self._queues = QueueSender(settings.queue_urls, access)
        self._webhooks = (
            WebhookSender(settings.webhook_secret, settings.webhook_allow_private)
            if settings.webhook_secret is not None
            else None
        )
        self._retry_delays_s = tuple(retry_delays_s)

    async def tell(self, request: JobRequest, job: Job) -> None:
        """Send the notices of a finished job, unless that is known to be done."""
        sends = self._sends(request, notice_of(job, self._objects))
        if not sends or await asyncio.to_thread(self._is_told, job.id):
            return
        outcomes = await asyncio.gather(
            *(self._insist(job.id, channel, send) for channel, send in sends.items())
        )
        delivery = Delivery(
            event_id=event_id_of(job.id),
            at=now(),
            outcomes=dict(zip(sends, outcomes, strict=True)),
        )
        await asyncio.to_thread(self._objects.write, _key(job.id), encode(delivery))

    def _sends(
        self, request: JobRequest, notice: dict[str, Any]
    ) -> dict[str, Callable[[], Awaitable[None]]]:
        sends: dict[str, Callable[[], Awaitable[None]]] = {}
        if self._queues.has_queue_for(request.type):
            sends["sqs"] = lambda: asyncio.to_thread(self._queues.send, notice)
        url, webhooks = request.webhook_url, self._webhooks
        if url is not None and webhooks is not None:
            sends["webhook"] = lambda: webhooks.send(url, notice)
        return sends

    def _is_told(self, job_id: str) -> bool:
        try:
            self._objects.size(_key(job_id))
        except ObjectNotFound:
            return False
        return True

    async def _insist(self, job_id: str, channel: str, send: Callable[[], Awaitable[None]]) -> str:
        """Send until it is taken or given up; returns how it went."""
        for delay_s in (*self._retry_delays_s, None):
            try:
                await send()
                return "sent"
            except NoticeRefused as error:
                is_over = delay_s is None or isinstance(error, NoticeImpossible)
                reason = str(error)
            except Exception as error:
                # A notice that can't be sent must not keep its job in the queue for ever.
                logger.exception("notice of %s by %s failed", job_id, channel)
                is_over, reason = True, type(error).__name__
            logger.warning("notice of %s by %s not taken: %s", job_id, channel, reason)
            if is_over or delay_s is None:
                break
            await asyncio.sleep(delay_s)
        return f"given up: {reason}"


def _key(job_id: str) -> str:
    return f"{folder_of(job_id)}/notified.json"
