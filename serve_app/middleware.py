"""Around every request: its id, its timings, the reply to what went wrong; HEAD.

The id is Serve's: its proxy gives every request one, keeps the caller's `x-request-id` where there
is one, and repeats it on the reply.
"""

from __future__ import annotations

import logging
import re
import time

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.driver.request_context import enter_request
from deployments.errors import InvalidInput
from deployments.metrics import RequestMetrics
from deployments.problems import to_speech_error
from serve_app.problems import render

logger = logging.getLogger("ray.serve")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class RequestContextMiddleware:
    """Makes id and timings known to the request's code; answers every error that leaves it.

    The outermost of our layers, so that errors nobody expected are answered, timed and logged too.
    """

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["state"] = dict(scope.get("state", {}))
        request_id = Headers(scope=scope).get("x-request-id", "-")
        is_id = _REQUEST_ID.fullmatch(request_id) is not None
        timings = enter_request(request_id if is_id else "-")
        started = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timings.add("total", time.perf_counter() - started)
                MutableHeaders(scope=message)["server-timing"] = timings.header()
            await send(message)

        try:
            if not is_id:
                raise InvalidInput(
                    "x-request-id is not 1 to 128 of letters, digits and . _ : / + = -"
                )
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return
        except Exception as error:
            if status is not None:
                raise  # no status is left to send: the server breaks the connection off
            reply = render(Request(scope), to_speech_error(error))
            await reply(scope, receive, send_with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int | None, duration_s: float) -> None:
        """Count and log what became of a request; nothing of what it said. Serve adds its id."""
        route = getattr(scope.get("route"), "path", "none")
        slug = scope["state"].get("error_slug")
        if slug is not None:
            self._metrics.failed(slug, route)
        logger.info(
            "%s %s %s %.0f ms",
            scope["method"],
            route,
            status or "left",
            1000 * duration_s,
            extra={"caller": scope["state"].get("caller"), "error": slug},
        )


class HeadMiddleware:
    """Answers HEAD wherever there is a GET, as GET would, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)
