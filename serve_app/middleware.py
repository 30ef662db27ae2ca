"""Around every request: its id, its timings, and a bound on its body.

The id is Serve's: its proxy gives every request one, keeps the caller's `x-request-id` where there
is one, and repeats it on the reply.
"""

from __future__ import annotations

import asyncio
import time

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.driver.request_context import enter_request
from deployments.errors import PayloadTooLarge, RequestTimeout
from deployments.problems import to_speech_error
from serve_app.problems import render

MAX_BODY_BYTES = 1 << 20
MAX_BODY_WAIT_S = 30


class RequestContextMiddleware:
    """Makes id and timings known to the request's code; bounds its body in bytes and seconds.

    The outermost of our layers, so that errors nobody expected are answered, timed and logged too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        timings = enter_request(headers.get("x-request-id", "-"))
        started = time.perf_counter()
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                timings.add("total", time.perf_counter() - started)
                MutableHeaders(scope=message)["server-timing"] = timings.header()
            await send(message)

        try:
            body = await _read_body_in_time(headers, receive)
            await self._app(scope, _replay(body, receive), send_with_headers)
        except ClientDisconnect:
            return
        except Exception as error:
            if has_started:
                raise  # no status is left to send: the server breaks the connection off
            reply = render(Request(scope), to_speech_error(error))
            await reply(scope, receive, send_with_headers)


async def _read_body_in_time(headers: Headers, receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(MAX_BODY_WAIT_S):
            return await _read_body(headers, receive)
    except TimeoutError:
        raise RequestTimeout(f"the body did not arrive within {MAX_BODY_WAIT_S} s") from None


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLarge: as soon as that is known.
        ClientDisconnect: the client left before it had sent everything.
    """
    declared = headers.get("content-length", "0")
    too_large = PayloadTooLarge(
        f"the body is larger than {MAX_BODY_BYTES} bytes", {"limit": MAX_BODY_BYTES}
    )
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise too_large
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
