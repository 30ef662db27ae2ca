"""A small OpenAI-compatible server on loopback that says what a test wants to hear."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse


@dataclass
class Script:
    """What the server answers, and what it was asked.

    Args:
        pieces: of the lines it says, one list for each request; the last one is said again.
        pause_s: before each piece.
        status: of its replies; with anything but 200 it says `error`, and when to come back.
        garbage: what it says after each piece.
        asked: bodies of the requests.
        keys: what they carried as `Authorization`.
        left: set when a client has closed its stream.
    """

    pieces: list[list[str]] = field(default_factory=lambda: [["밥 ", "먹자", "."]])
    pause_s: float = 0.0
    status: int = 200
    error: str = "no"
    retry_after_s: int = 0
    garbage: bytes = b""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)


@contextmanager
def openai_server(script: Script) -> Iterator[str]:
    """Run the server; the base URL a client needs."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_application(script), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _application(script: Script) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        script.keys.append(request.headers.get("authorization"))
        if script.status != 200:
            headers = {"retry-after": str(script.retry_after_s)}
            return JSONResponse({"error": {"message": script.error}}, script.status, headers)
        pieces = script.pieces[min(len(script.asked), len(script.pieces) - 1)]
        script.asked.append(body)
        return StreamingResponse(_events(script, pieces), media_type="text/event-stream")

    return app


async def _events(script: Script, pieces: list[str]) -> AsyncIterator[str | bytes]:
    try:
        for piece in pieces:
            await asyncio.sleep(script.pause_s)
            yield _event({"content": piece}, None)
            yield script.garbage
        yield _event({}, "stop")
        yield "data: [DONE]\n\n"
    except asyncio.CancelledError:
        script.left.set()
        raise


def _event(delta: dict[str, str], finish_reason: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n"
