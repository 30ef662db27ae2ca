"""Around every request: its id, its timings, and a bound on its body.

The id is Serve's: its proxy gives every request one, keeps the caller's `x-request-id` where there
is one, and repeats it on the reply.
"""

from __future__ import annotations

import time

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import PayloadTooLarge
from serve_app.problems import render
from serve_app.request_context import enter_request

MAX_BODY_BYTES = 1 << 20


class RequestContextMiddleware:
    """Makes id and timings known to the request's code; refuses bodies over `MAX_BODY_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        timings = enter_request(headers.get("x-request-id", "-"))
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                timings.add("total", time.perf_counter() - started)
                MutableHeaders(scope=message)["server-timing"] = timings.header()
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
