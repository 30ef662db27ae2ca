"""Checks a request's API key before a byte of its body is read."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import Unauthorized
from serve_app.access.keys import KeyRing
from serve_app.access.rate import RateLimit

PUBLIC_PATHS = frozenset({"/health", "/ready", "/docs", "/openapi.json"})
"""Answered without a key: they tell how the service is, nothing of what it holds."""


class AccessMiddleware:
    """Names the caller in `scope["state"]["caller"]`: the name of its key, or None without keys.

    Args:
        keys: no key at all lets everybody in.
        rate: applied to every key by itself.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, rate: RateLimit) -> None:
        self._app = app
        self._keys = keys
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            caller = self._caller(scope)
            if caller is not None:
                self._rate.take(caller)
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> str | None:
        if self._keys.is_empty or scope["path"] in PUBLIC_PATHS:
            return None
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        key = self._keys.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Unauthorized("send a valid API key as: Authorization: Bearer <key>")
        return key.name
