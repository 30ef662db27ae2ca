"""Stages that die in the middle of a stream when a test wants it, and eyes to watch them."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any

import ray
from ray import serve

from deployments.engine.speech.protocol import (
    EarlyAudio,
    EarlyRequest,
    SemanticRequest,
    TokenChunk,
    Waveform,
    WaveformRequest,
)
from deployments.semantic_decoder import SemanticDecoder
from deployments.vocoder import Vocoder

SIGNALS = "signals"


@ray.remote(num_cpus=0)
class Signals:
    """Says once to each stage that was doomed that it is, and when it is to die."""

    def __init__(self) -> None:
        self._doomed: set[str] = set()
        self._is_heard: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._requests: dict[str, list[Any]] = defaultdict(list)

    async def doom(self, stage: str) -> None:
        """The next call of this stage ends with its process."""
        self._doomed.add(stage)
        self._is_heard[stage].clear()
        self._requests[stage].clear()

    async def begin(self, stage: str, request: Any) -> bool:
        """A call begins; whether its stage is to die of it."""
        self._requests[stage].append(request)
        is_doomed = stage in self._doomed
        self._doomed.discard(stage)
        return is_doomed

    async def requests(self, stage: str) -> list[Any]:
        """What the stage was asked since it was doomed."""
        return self._requests[stage]

    async def hear(self, stage: str) -> None:
        """An item of the stage has reached the test."""
        self._is_heard[stage].set()

    async def wait_until_heard(self, stage: str) -> None:
        await self._is_heard[stage].wait()


class FragileDecoder(SemanticDecoder):
    """S1 that hands over five tokens at a time and may die after the first five."""

    async def generate(self, request: SemanticRequest) -> AsyncGenerator[TokenChunk]:
        signals = ray.get_actor(SIGNALS)
        is_doomed = await signals.begin.remote("SemanticDecoder", request)
        async for chunk in super().generate(request):
            yield chunk
            if is_doomed:
                await signals.wait_until_heard.remote("SemanticDecoder")
                os._exit(1)


class FragileVocoder(Vocoder):
    """S2 that may die after its first chunk, or instead of an early one."""

    async def synthesize(self, request: WaveformRequest) -> AsyncGenerator[Waveform]:
        signals = ray.get_actor(SIGNALS)
        is_doomed = await signals.begin.remote("Vocoder", request)
        async for waveform in super().synthesize(request):
            yield waveform
            if is_doomed:
                await signals.wait_until_heard.remote("Vocoder")
                os._exit(1)

    async def synthesize_early(self, request: EarlyRequest) -> EarlyAudio:
        if await ray.get_actor(SIGNALS).begin.remote("Vocoder", request):
            os._exit(1)
        return await super().synthesize_early(request)


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Root:
    """Holds the graph together; the tests speak to the stages themselves."""

    def __init__(self, *stages: Any) -> None:
        self._stages = stages


class HeardHandle:
    """A handle whose items are reported to `Signals` as they arrive."""

    def __init__(self, handle: Any, stage: str) -> None:
        self._handle = handle
        self._stage = stage

    def options(self, **options: Any) -> HeardHandle:
        return HeardHandle(self._handle.options(**options), self._stage)

    def __getattr__(self, method: str) -> Any:
        return _HeardMethod(getattr(self._handle, method), self._stage)


class _HeardMethod:
    def __init__(self, method: Any, stage: str) -> None:
        self._method = method
        self._stage = stage

    def remote(self, *args: Any) -> _HeardResponse:
        return _HeardResponse(self._method.remote(*args), self._stage)


class _HeardResponse:
    def __init__(self, response: Any, stage: str) -> None:
        self._response = response
        self._stage = stage

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for item in self._response:
            await ray.get_actor(SIGNALS).hear.remote(self._stage)
            yield item

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response.__await__()  # type: ignore[no-any-return]

    def cancel(self) -> None:
        self._response.cancel()
