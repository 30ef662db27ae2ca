import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from serve_app import streaming
from serve_app.streaming import LiveReply, begun


class Making:
    """An endless body that knows whether it is still being made."""

    is_going_on = True

    async def pieces(self, pause_s: float) -> AsyncGenerator[bytes]:
        try:
            while True:
                await asyncio.sleep(pause_s)
                yield b"piece"
        finally:
            self.is_going_on = False


def test_what_does_not_begin_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_FIRST_WAIT_S", 0.02)
    making = Making()
    with pytest.raises(TimeoutError):
        asyncio.run(begun(making.pieces(3600)))
    assert not making.is_going_on


def test_a_reply_that_nobody_hears_is_made_no_further() -> None:
    making = Making()

    async def leave_after_three() -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) == 3:
                await asyncio.sleep(3600)  # as when the listener takes nothing any more

        async def receive() -> Message:
            await asyncio.sleep(3600)
            raise AssertionError("unreachable")

        reply = LiveReply(making.pieces(0))
        task = asyncio.create_task(reply({"type": "http", "asgi": {}}, receive, send))
        while len(sent) < 3:
            await asyncio.sleep(0)
        assert making.is_going_on
        task.cancel()
        await asyncio.wait({task})
        assert not making.is_going_on

    asyncio.run(leave_after_three())
