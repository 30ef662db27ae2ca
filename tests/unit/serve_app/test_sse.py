import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from serve_app import sse


def test_an_event_is_one_block_whatever_the_text_holds() -> None:
    written = sse.event({"text": "안녕\n\ndata: x\r\n"}, "text.delta").decode()
    name, data, *rest = written.split("\n")
    assert (name, rest) == ("event: text.delta", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"text": "안녕\n\ndata: x\r\n"}


async def collect(events: AsyncIterator[bytes], at_most: int = 100) -> list[bytes]:
    found = []
    stream = sse.event_stream(events).body_iterator
    async for piece in stream:
        found.append(piece)
        if len(found) == at_most:
            await stream.aclose()
    return found


def test_a_pause_is_filled_and_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_KEEP_ALIVE_S", 0.02)

    async def events() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.05)
        yield b"b"

    pieces = asyncio.run(collect(events()))
    assert [piece for piece in pieces if not piece.startswith(b":")] == [b"a", b"b"]
    assert pieces[1].startswith(b":")


def test_leaving_the_stream_ends_what_makes_it() -> None:
    ended = []

    async def events() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def leave() -> None:
        assert await collect(events(), at_most=2) == [b"a", b"b"]
        await asyncio.sleep(0.01)

    asyncio.run(leave())
    assert ended == [True]


def test_what_breaks_the_events_breaks_the_stream() -> None:
    async def events() -> AsyncIterator[bytes]:
        yield b"a"
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(collect(events()))
