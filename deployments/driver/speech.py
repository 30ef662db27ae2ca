"""Text to audio over the graph: analysed by the front end, spoken segment by segment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.serve.handle import DeploymentHandle

from deployments.calls import call
from deployments.driver.catalog import Style, Voice
from deployments.driver.overlap import in_order
from deployments.driver.request_context import current_timings
from deployments.messages import PronouncedSegment, SegmentRequest
from models.kokoro.model import SAMPLE_RATE

__all__ = ["SAMPLE_RATE", "Speech"]


class Speech:
    """Drives the stages between text and waveform.

    Args:
        text_frontend: handle of `TextFrontend`.
        kokoro_voice: handle of `KokoroVoice`.
    """

    def __init__(
        self, text_frontend: DeploymentHandle[Any], kokoro_voice: DeploymentHandle[Any]
    ) -> None:
        self._text_frontend = text_frontend
        self._kokoro_voice = kokoro_voice

    async def analyze(self, text: str, style: Style) -> list[PronouncedSegment]:
        """The segments of a text.

        Raises:
            InvalidInput: it can't be spoken.
        """
        with current_timings().measure("text"):
            segments: list[PronouncedSegment] = await call(
                self._text_frontend.analyze.remote(text, style.language, style.dictionary)
            )
        return segments

    async def analyze_all(
        self, texts: AsyncIterator[str], style: Style
    ) -> AsyncIterator[PronouncedSegment]:
        """The segments of texts, each perhaps only just written."""
        async for text in texts:
            for segment in await self.analyze(text, style):
                yield segment

    def say(
        self, segments: AsyncIterator[PronouncedSegment], voice: Voice, style: Style
    ) -> AsyncIterator[NDArray[np.float32]]:
        """Speak segments in order.

        Returns:
            Mono waveforms at `SAMPLE_RATE`, to be played one after the other. The next segment is
            being made while one is delivered; closing the iterator ends all work.
        """

        async def speak(segment: PronouncedSegment) -> AsyncIterator[NDArray[np.float32]]:
            request = SegmentRequest(segment, voice.settings, style.emotion, style.speed)
            with current_timings().measure("voice"):
                yield await call(self._kokoro_voice.synthesize.remote(request))

        return in_order(segments, speak)
