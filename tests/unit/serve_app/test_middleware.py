import asyncio

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from deployments.driver.request_context import current_request_id, current_timings
from serve_app import middleware
from serve_app.middleware import MAX_BODY_BYTES, RequestContextMiddleware


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequestContextMiddleware)

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        with current_timings().measure("work"):
            return body | {"request_id": current_request_id()}

    @app.post("/breaks")
    async def breaks() -> None:
        raise RuntimeError("secret path")

    return app


def post(path: str, **request: object) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, **request)  # type: ignore[arg-type]

    return asyncio.run(send())


def test_a_route_knows_its_request_and_its_timings_are_told() -> None:
    reply = post("/echo", json={"a": "b"}, headers={"x-request-id": "r-1"})
    assert reply.json() == {"a": "b", "request_id": "r-1"}
    assert "work;dur=" in reply.headers["server-timing"]
    assert "total;dur=" in reply.headers["server-timing"]


def test_an_unexpected_error_is_a_problem_that_tells_nothing() -> None:
    reply = post("/breaks", json={})
    assert (reply.status_code, reply.json()["status"]) == (500, 500)
    assert "secret" not in reply.text
    assert "total;dur=" in reply.headers["server-timing"]


def test_a_body_over_the_limit_is_refused_whether_declared_or_not() -> None:
    assert post("/echo", content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413

    async def chunks() -> object:
        for _ in range(2 + MAX_BODY_BYTES // 65536):
            yield b" " * 65536

    assert post("/echo", content=chunks()).status_code == 413


async def converse(messages: list[Message]) -> list[Message]:
    """What the application sends to a client that sends `messages`, then nothing more."""
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/echo", "headers": [], "query_string": b""}
    await application()(scope, receive, send)
    return sent


def test_a_body_that_does_not_arrive_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MAX_BODY_WAIT_S", 0.05)
    sent = asyncio.run(converse([{"type": "http.request", "body": b"{", "more_body": True}]))
    assert sent[0]["status"] == 408


def test_half_a_body_is_not_taken_for_the_whole() -> None:
    half = {"type": "http.request", "body": b'{"a": "b"}', "more_body": True}
    assert asyncio.run(converse([half, {"type": "http.disconnect"}])) == []
