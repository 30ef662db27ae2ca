import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message

from deployments.driver.request_context import current_request_id, current_timings
from deployments.metrics import RequestMetrics
from serve_app import body
from serve_app.access.keys import ApiKey, KeyRing, new_key
from serve_app.access.middleware import AccessMiddleware
from serve_app.access.rate import RateLimit
from serve_app.body import MAX_BODY_BYTES, MAX_UPLOAD_BYTES, BodyMiddleware
from serve_app.middleware import HeadMiddleware, RequestContextMiddleware


def application(*keys: ApiKey) -> ASGIApp:
    app = FastAPI()

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        with current_timings().measure("work"):
            return body | {"request_id": current_request_id()}

    @app.post("/breaks")
    async def breaks() -> None:
        raise RuntimeError("secret path")

    @app.post("/register_speaker")
    async def upload(request: Request) -> int:
        return len(await request.body())

    @app.get("/whoami")
    async def whoami(request: Request) -> str | None:
        return request.state.caller

    app.add_middleware(BodyMiddleware)
    app.add_middleware(AccessMiddleware, keys=KeyRing(keys, None), rate=RateLimit(3, lambda: 1))
    app.add_middleware(RequestContextMiddleware, metrics=RequestMetrics())
    return HeadMiddleware(app)


def send(method: str, path: str, *keys: ApiKey, **request: object) -> httpx.Response:
    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(application(*keys))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **request)  # type: ignore[arg-type]

    return asyncio.run(sent())


def post(path: str, **request: object) -> httpx.Response:
    return send("POST", path, **request)


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


def test_only_a_clip_may_be_larger() -> None:
    content = bytes(MAX_BODY_BYTES + 1)
    assert post("/register_speaker", content=content).json() == len(content)
    assert post("/register_speaker", content=bytes(MAX_UPLOAD_BYTES + 1)).status_code == 413


@pytest.mark.parametrize("request_id", ["a b", "x" * 129, "<script>", "%s\t", ""])
def test_a_request_id_that_is_none_is_refused_and_not_repeated(request_id: str) -> None:
    reply = send("GET", "/whoami", headers={"x-request-id": request_id})
    assert (reply.status_code, reply.json()["instance"]) == (400, "-")


def test_head_is_get_without_its_body() -> None:
    get, head = send("GET", "/whoami"), send("HEAD", "/whoami")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert send("HEAD", "/echo").status_code == 405


def test_a_key_names_the_caller_and_nothing_else_does() -> None:
    key, token = new_key("alice")
    known = {"authorization": f"Bearer {token}"}
    assert send("GET", "/whoami", key, headers=known).json() == "alice"
    assert send("GET", "/whoami").json() is None
    for authorization in ("", "Bearer", f"Basic {token}", "Bearer wrong", f"Bearer {key.sha256}"):
        reply = send("GET", "/whoami", key, headers={"authorization": authorization})
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")


def test_a_body_is_not_read_for_a_caller_without_a_key() -> None:
    read = []

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            read.append(True)
            yield bytes(1000)

    key, _ = new_key("alice")
    assert send("POST", "/register_speaker", key, content=chunks()).status_code == 401
    assert read == []


def test_a_key_that_asks_too_often_is_told_when_to_come_back() -> None:
    key, token = new_key("alice")

    async def statuses() -> list[int]:
        transport = httpx.ASGITransport(application(key))
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, headers=headers) as client:
            replies = [await client.get("http://test/whoami") for _ in range(4)]
        assert replies[-1].headers["retry-after"] == "20"
        return [reply.status_code for reply in replies]

    assert asyncio.run(statuses()) == [200, 200, 200, 429]


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
    monkeypatch.setattr(body, "MAX_BODY_WAIT_S", 0.05)
    sent = asyncio.run(converse([{"type": "http.request", "body": b"{", "more_body": True}]))
    assert sent[0]["status"] == 408


def test_half_a_body_is_not_taken_for_the_whole() -> None:
    half = {"type": "http.request", "body": b'{"a": "b"}', "more_body": True}
    assert asyncio.run(converse([half, {"type": "http.disconnect"}])) == []
