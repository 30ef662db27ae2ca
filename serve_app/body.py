"""Reads a request's body, bounded in bytes and in seconds, before a route sees it."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import Overloaded, PayloadTooLarge, RequestTimeout

MAX_BODY_BYTES = 1 << 20
MAX_UPLOAD_BYTES = 16 << 20
UPLOAD_PATHS = frozenset({"/register_speaker", "/v1/audio/voices"})
MAX_BODY_WAIT_S = 30

_MAX_HELD_BYTES = 256 << 20


class BodyMiddleware:
    """Hands the application whole bodies only.

    A client that sends a byte a second holds a coroutine, no thread and no stage; all bodies that
    are being received together hold a bounded number of bytes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_UPLOAD_BYTES if scope["path"] in UPLOAD_PATHS else MAX_BODY_BYTES
        try:
            async with asyncio.timeout(MAX_BODY_WAIT_S):
                body = await self._read(Headers(scope=scope), receive, limit)
        except TimeoutError:
            raise RequestTimeout(f"the body did not arrive within {MAX_BODY_WAIT_S} s") from None
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive, limit: int) -> bytes:
        """The whole body.

        Raises:
            PayloadTooLarge: as soon as that is known.
            Overloaded: too much is being received from others.
            ClientDisconnect: the client left before it had sent everything.
        """
        declared = headers.get("content-length", "0")
        too_large = PayloadTooLarge(f"the body is larger than {limit} bytes", {"limit": limit})
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise too_large
        body = bytearray()
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientDisconnect
                chunk: bytes = message.get("body", b"")
                self._held_bytes += len(chunk)
                body += chunk
                if len(body) > limit:
                    raise too_large
                if self._held_bytes > _MAX_HELD_BYTES:
                    raise Overloaded("too much is being uploaded at once", {"retry_after_s": 5})
                if not message.get("more_body", False):
                    return bytes(body)
        finally:
            self._held_bytes -= len(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand out the body that was read already, then whatever the client sends next."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay
