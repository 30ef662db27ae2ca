"""Around every request: its id, its timings, and a bound on its body."""

from __future__ import annotations

import re
import time
from uuid import uuid4

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import PayloadTooLarge
from serve_app.problems import render
from serve_app.request_context import enter_request

MAX_BODY_BYTES = 1 << 20

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContextMiddleware:
    """Gives each request an id and timings, and refuses bodies over `MAX_BODY_BYTES`.

    A caller's own `x-request-id` is kept if it is harmless in a log line.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        offered = headers.get("x-request-id", "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else uuid4().hex
        timings = enter_request(request_id)
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                timings.add("total", time.perf_counter() - started)
                reply = MutableHeaders(scope=message)
                reply["x-request-id"] = request_id
                reply["server-timing"] = timings.header()
            await send(message)

        body = await _read_body(headers, receive)
        if body is None:
            refusal = PayloadTooLarge(
                f"the body is larger than {MAX_BODY_BYTES} bytes", {"limit": MAX_BODY_BYTES}
            )
            await render(Request(scope), refusal)(scope, receive, send_with_headers)
            return
        await self._app(scope, _replay(body, receive), send_with_headers)


async def _read_body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, or None as soon as it is known to be too large."""
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hand out the body that was read already, then whatever the client sends next."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay
