"""Zonos' two stages in a row over the graph, each of which may lose its replica on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.serve.handle import DeploymentHandle

from deployments.calls import Response
from deployments.driver.request_context import current_timings
from deployments.driver.retry import repeated, resumed
from deployments.driver.speech_engine import Waveform
from deployments.engine.speech.zonos_protocol import CodeRequest, CodeWindow, FrameChunk
from deployments.errors import GenerationFailed
from models.zonos.codes import NUM_CODEBOOKS
from models.zonos.columns import Frame
from models.zonos.windows import next_window

logger = logging.getLogger("ray.serve")

Codes = NDArray[np.int16]


class SpokenCodes:
    """The frames of a segment as they come: those it goes on from, then its own.

    Args:
        prompt: frames before it, which are seen and not heard.
        on_complete: told when no more will come.
    """

    def __init__(
        self, prompt: tuple[Frame, ...] = (), on_complete: Callable[[], None] = lambda: None
    ) -> None:
        self._on_complete = on_complete
        self._chunks = [np.array(prompt, np.int16).reshape(-1, NUM_CODEBOOKS)]
        self.num_prompt_frames = len(prompt)
        self.num_frames = len(prompt)
        self.finish_reason: str | None = None

    def add(self, chunk: FrameChunk) -> None:
        self._chunks.append(chunk.frames)
        self.num_frames += len(chunk.frames)
        self.finish_reason = chunk.finish_reason
        if chunk.finish_reason is not None:
            self._on_complete()

    @property
    def codes(self) -> Codes:
        """(frame, codebook), the prompt included."""
        if len(self._chunks) > 1:
            self._chunks = [np.concatenate(self._chunks)]
        return self._chunks[0]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Those of the segment alone."""
        return tuple(tuple(frame) for frame in self.codes[self.num_prompt_frames :].tolist())


class ZonosStages:
    """Speaks a segment. Closing an iterator ends the work of both stages.

    Args:
        backbone, decoder: handles of `ZonosBackbone` and `ZonosDecoder`.
    """

    def __init__(self, backbone: DeploymentHandle[Any], decoder: DeploymentHandle[Any]) -> None:
        self._frame_chunks = backbone.options(stream=True)
        self._decoder = decoder

    async def speak(self, request: CodeRequest, spoken: SpokenCodes) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) at 44.1 kHz that joined are what all codes sound like at once.

        Args:
            request: without frames generated before.
            spoken: is filled with the codes.
        """
        num_decoded = spoken.num_prompt_frames
        is_first = True
        started = time.perf_counter()
        decoding_s = 0.0
        try:
            async with aclosing(self._generated(request, spoken)) as chunks:
                async for chunk in chunks:
                    spoken.add(chunk)
                    is_complete = chunk.finish_reason is not None
                    while window := next_window(
                        num_decoded, spoken.num_frames, is_complete, is_first
                    ):
                        decoding_started = time.perf_counter()
                        codes = spoken.codes[window.first : window.last]
                        start, stop = window.start - window.first, window.stop - window.first
                        waveform = await self._sound(
                            CodeWindow(request.checkpoint, codes, start, stop, request.priority)
                        )
                        decoding_s += time.perf_counter() - decoding_started
                        num_decoded, is_first = window.stop, False
                        yield waveform
        finally:
            current_timings().add("s1", time.perf_counter() - started - decoding_s)
            current_timings().add("s2", decoding_s)

    async def _generated(
        self, request: CodeRequest, spoken: SpokenCodes
    ) -> AsyncGenerator[FrameChunk]:
        """The frames of a segment as the backbone hands them over, to the last."""

        def rest() -> Response:
            wanted = replace(request, generated_prefix=spoken.frames)
            return self._frame_chunks.generate.remote(wanted)

        async with aclosing(resumed("ZonosBackbone", rest)) as chunks:
            async for chunk in chunks:
                assert isinstance(chunk, FrameChunk)
                yield chunk
                if chunk.finish_reason is not None:
                    if chunk.finish_reason != "stop":
                        logger.warning(
                            "%d phonemes were cut off after %d frames: %s",
                            *(len(request.phoneme_ids), spoken.num_frames, chunk.finish_reason),
                        )
                    return
        raise GenerationFailed("the codes broke off")

    async def _sound(self, window: CodeWindow) -> Waveform:
        waveform: Waveform = await repeated(
            "ZonosDecoder", lambda: self._decoder.decode.remote(window)
        )
        return waveform
