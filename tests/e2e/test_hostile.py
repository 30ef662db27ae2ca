"""Callers who mean no good, or do not know what they do: a typed 4xx, and nobody else notices."""

import asyncio
import time

import httpx
import pytest

from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

POSTS = ["/synthesize", "/assistant", "/v1/audio/speech", "/v1/chat/completions"]
JSON = {"content-type": "application/json"}

CONTENTS = {
    "nothing": b"",
    "half a document": b'{"text": ',
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "deeply nested lists": b"[" * 500_000,
    "deeply nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "NaN": b'{"speed": NaN, "seed": Infinity, "text": "x"}',
    "a huge number": b'{"seed": 1' + b"0" * 10_000 + b"}",
    "a tiny number": b'{"speed": 1e-9999999}',
    "the same key often": b"{" + b'"text": "a",' * 10_000 + b'"text": "b"}',
    "many keys": b"{" + b",".join(b'"k%d": 1' % i for i in range(50_000)) + b"}",
    "a lone surrogate": b'{"model": "tts-1", "voice": "sinip", "input": "\\ud800"}',
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", CONTENTS)
def test_a_document_that_is_none_is_refused(client: httpx.Client, path: str, name: str) -> None:
    reply = client.post(path, content=CONTENTS[name], headers=JSON)
    assert 400 <= reply.status_code < 500, reply.text[:300]
    assert len(reply.content) < 20_000
    form = "application/json" if path.startswith("/v1/") else "application/problem+json"
    assert reply.headers["content-type"] == form


@pytest.mark.parametrize("path", POSTS)
def test_a_body_of_another_type_is_refused_as_such(client: httpx.Client, path: str) -> None:
    for content_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "/"):
        reply = client.post(path, content=b"{}", headers={"content-type": content_type})
        assert reply.status_code == 415, (content_type, reply.text)


@pytest.mark.parametrize(
    "name",
    ["..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "~root", "C:%5Cx", "a" * 300, "가", "@", "x@"],
)
@pytest.mark.parametrize("path", ["/speakers/{}", "/characters/{}", "/jobs/{}", "/jobs/{}/audio"])
def test_a_name_that_is_a_trick_finds_nothing(client: httpx.Client, path: str, name: str) -> None:
    assert client.get(path.format(name)).status_code in (400, 404)


@pytest.mark.parametrize("value", ["a b", "x" * 300, "<b>", "a;b"])
def test_a_request_id_that_is_none_is_refused(client: httpx.Client, value: str) -> None:
    assert client.get("/health", headers={"x-request-id": value}).status_code == 400


def test_head_and_wrong_methods_are_answered(client: httpx.Client) -> None:
    for path in ("/health", "/ready", "/speakers", "/v1/models", "/docs", "/openapi.json"):
        reply = client.head(path)
        assert (reply.status_code, reply.content) == (200, b"")
    assert client.get("/synthesize").status_code == 405
    assert client.put("/v1/audio/speech").json()["error"]["code"] == "http-error"


@pytest.mark.slow
def test_two_hundred_slow_senders_are_cut_and_disturb_nobody(service: Service) -> None:
    """A byte a second each; cut with 408 after 30 s, while four others are served as usual."""
    body = {"model": "tts-1", "voice": "sinip", "input": "안녕하세요.", "response_format": "pcm"}

    async def first_audio_s(client: httpx.AsyncClient) -> float:
        started = time.monotonic()
        async with client.stream("POST", "/v1/audio/speech", json=body) as reply:
            assert reply.status_code == 200
            async for _ in reply.aiter_raw():
                return time.monotonic() - started
        raise AssertionError("no audio")

    async def four_listeners(client: httpx.AsyncClient, until: float) -> list[float]:
        async def one() -> list[float]:
            found = [await first_audio_s(client)]
            while time.monotonic() < until:
                found.append(await first_audio_s(client))
            return found

        return sorted(sum(await asyncio.gather(*(one() for _ in range(4))), []))

    async def slow_sender() -> tuple[int, float]:
        url = httpx.URL(service.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        started = time.monotonic()
        writer.write(
            b"POST /synthesize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        status = asyncio.create_task(reader.readline())
        while not status.done() and time.monotonic() < started + 60:
            writer.write(b" ")
            await asyncio.wait({status}, timeout=1)
        line = await status
        writer.close()
        return int(line.split()[1]), time.monotonic() - started

    async def scenario() -> None:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            await first_audio_s(client)
            unloaded = await four_listeners(client, time.monotonic() + 10)
            senders = [asyncio.create_task(slow_sender()) for _ in range(200)]
            await asyncio.sleep(2)
            loaded = await four_listeners(client, time.monotonic() + 20)
            ends = await asyncio.gather(*senders)
        assert {status for status, _ in ends} == {408}
        assert all(29 < duration_s < 40 for _, duration_s in ends)
        p95 = [times[int(0.95 * (len(times) - 1))] for times in (unloaded, loaded)]
        print(f"first audio p95 {p95[0]:.2f} s unloaded, {p95[1]:.2f} s beside slow senders")
        assert p95[1] < 2 * p95[0]

    asyncio.run(scenario())
