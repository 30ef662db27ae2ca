"""Notices as SQS messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployments.jobs.notices.errors import NoticeRefused
from models.storage import AwsAccess


class QueueSender:
    """Sends notices to the queue of their kind; blocks.

    Args:
        queue_urls: the queue of each type of job that has one.
        access: how SQS is reached.
    """

    def __init__(self, queue_urls: Mapping[str, str], access: AwsAccess) -> None:
        self._queue_urls = dict(queue_urls)
        self._client = access.client("sqs") if queue_urls else None

    def has_queue_for(self, job_type: str) -> bool:
        """Whether anybody is told of such jobs."""
        return job_type in self._queue_urls

    def send(self, notice: Mapping[str, Any]) -> None:
        """Send one notice.

        Raises:
            NoticeRefused: the queue did not take it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        assert self._client is not None, "has_queue_for was not asked"
        url = self._queue_urls[notice["type"]]
        message = {
            "QueueUrl": url,
            "MessageBody": json.dumps(notice, ensure_ascii=False),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": notice[name]}
                for name in ("event_id", "type", "status")
            },
        }
        if url.endswith(".fifo"):
            message["MessageGroupId"] = notice["type"]
            message["MessageDeduplicationId"] = notice["event_id"]
        try:
            self._client.send_message(**message)
        except ClientError as error:
            raise NoticeRefused(f"SQS: {error.response['Error'].get('Code')}") from None
        except BotoCoreError as error:
            raise NoticeRefused(f"SQS: {type(error).__name__}") from None
