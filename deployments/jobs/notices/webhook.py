"""Notices as webhooks, signed as https://www.standardwebhooks.com asks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpcore
from pydantic import SecretStr

from deployments.errors import InvalidInput
from deployments.jobs.notices.addresses import CheckedNetwork, is_public
from deployments.jobs.notices.errors import NoticeImpossible, NoticeRefused
from deployments.jobs.notices.settings import webhook_key

_TIMEOUT_S = 10.0
_GONE = 410


def check_url(url: str, allow_private: bool) -> None:
    """Refuse at once what could never be sent; names are only looked up when it is.

    Raises:
        InvalidInput: not an https URL of a public host, or it carries credentials.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"webhook_url is not a URL: {error}") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput("webhook_url must be written in printable ASCII, without spaces")
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes or not host:
        raise InvalidInput(f"webhook_url must be a URL that begins with {schemes[0]}://")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("webhook_url must not carry credentials")
    if not _is_host(host):
        raise InvalidInput("webhook_url: the host is not a name that can be looked up")
    if not allow_private and not _may_be_public(host):
        raise InvalidInput("webhook_url must name a public host")


def signature(key: bytes, event_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: HMAC-SHA256 of id, time and body."""
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class WebhookSender:
    """Posts notices to the URLs that callers gave.

    Args:
        secret: signs them.
        allow_private: private addresses and plain http are allowed.
        ssl_context: whose certificates are trusted; the usual ones by default.
    """

    def __init__(
        self, secret: SecretStr, allow_private: bool, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._key = webhook_key(secret)
        self._allow_private = allow_private
        # Made once: reading all certificates takes 70 ms, in which the event loop stands still.
        self._ssl_context = ssl_context or httpcore.default_ssl_context()

    async def send(self, url: str, notice: Mapping[str, Any]) -> None:
        """Post one notice once, and see that it is taken.

        Raises:
            NoticeRefused: no answer in time, or one other than 200 to 299, redirects included.
            NoticeImpossible: the receiver is gone for good, or may not be spoken to.
        """
        try:
            check_url(url, self._allow_private)
        except InvalidInput as error:
            raise NoticeImpossible(error.detail) from None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status = await self._post(url, notice)
        except TimeoutError:
            raise NoticeRefused(f"webhook: no answer within {_TIMEOUT_S:.0f} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise NoticeRefused(f"webhook: {type(error).__name__}") from None
        if status == _GONE:
            raise NoticeImpossible("webhook: 410 Gone")
        if not 200 <= status < 300:
            raise NoticeRefused(f"webhook: status {status}")

    async def _post(self, url: str, notice: Mapping[str, Any]) -> int:
        event_id, timestamp = str(notice["event_id"]), int(time.time())
        event = {
            "type": f"job.{notice['status']}",
            "timestamp": notice["occurred_at"],
            "data": notice,
        }
        body = json.dumps(event, ensure_ascii=False).encode()
        headers: dict[bytes | str, bytes | str] = {
            "host": urlsplit(url).netloc,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": "baewoo-webhooks",
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, event_id, timestamp, body),
        }
        # httpcore and not httpx: no redirects, no proxies from the environment, own connections.
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._ssl_context, network_backend=CheckedNetwork(self._allow_private)
        ) as pool:
            # The status is all that counts: the receiver's body is never read.
            async with pool.stream("POST", url, headers=headers, content=body) as reply:
                return reply.status


def _is_host(host: str) -> bool:
    """False for what no resolver takes: labels that are empty or longer than 63 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _may_be_public(host: str) -> bool:
    """False for addresses that are not public; a name may still turn out to be one of those."""
    try:
        return is_public(host)
    except ValueError:
        name = host.removesuffix(".")
        return name != "localhost" and not name.endswith((".localhost", ".local", ".internal"))
