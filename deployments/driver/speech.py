"""Text to audio over the graph: analysed by the front end, spoken segment by segment."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.serve.handle import DeploymentHandle

from deployments.driver.catalog import Catalog, Style, Voice
from deployments.driver.continuity import Link, linked
from deployments.driver.gpt_sovits_engine import GptSovitsEngine
from deployments.driver.iteration import closing
from deployments.driver.kokoro_engine import KokoroEngine
from deployments.driver.overlap import in_order
from deployments.driver.request_context import current_timings
from deployments.driver.resampling import resampled
from deployments.driver.retry import repeated
from deployments.driver.speech_engine import SpeechEngine, Utterance, Waveform
from deployments.driver.zonos_engine import ZonosEngine
from deployments.engine.batching.priority import Priority
from deployments.errors import NotReady, UnspeakableText
from deployments.messages import PronouncedSegment
from deployments.metrics import RequestMetrics
from models.gpt_sovits import published
from models.kokoro import voice as kokoro
from models.zonos import published as zonos

SAMPLE_RATE = 24_000
"""Hz of a reply that asks for no other; OpenAI's `pcm` has this rate."""


@dataclass(frozen=True)
class SpokenChunk:
    """A piece of a segment's audio.

    Args:
        index: of the segment, from 0.
        segment: what is said.
        waveform: (samples,) float32 in [-1, 1], mono; perhaps empty.
        is_last: nothing of this segment follows.
    """

    index: int
    segment: PronouncedSegment
    waveform: Waveform
    is_last: bool


class Speech:
    """Drives the stages between text and waveform.

    Args:
        text_frontend: handle of `TextFrontend`.
        engines: by the name that voices call them.
        metrics: told of all audio.
        priority: of everything that is spoken: whether somebody listens.
    """

    def __init__(
        self,
        text_frontend: DeploymentHandle[Any],
        engines: Mapping[str, SpeechEngine],
        metrics: RequestMetrics,
        priority: Priority = "interactive",
    ) -> None:
        self._text_frontend = text_frontend
        self._engines = engines
        self._metrics = metrics
        self._priority = priority

    async def prepare(self, voice: Voice, style: Style) -> None:
        """Do ahead what the first request of a voice and emotion would wait for."""
        await self._engine_of(voice).prepare(voice, style)

    async def analyze(self, text: str, style: Style) -> list[PronouncedSegment]:
        """The segments of a text.

        Raises:
            InvalidInput: it can't be spoken.
            NotReady: what reads it is not installed.
        """
        asked: tuple[Any, ...] = (text, style.language, style.dictionary)
        method = self._text_frontend.analyze
        if style.conditions is not None:
            method = self._text_frontend.analyze_for_zonos
            asked = (*asked, style.conditions.speaking_rate)
        with current_timings().measure("text"):
            segments: list[PronouncedSegment] = await repeated(
                "TextFrontend", lambda: method.remote(*asked)
            )
        return segments

    async def analyze_each(
        self, texts: AsyncIterator[str], style: Style
    ) -> AsyncGenerator[tuple[str, list[PronouncedSegment]]]:
        """Texts, each perhaps only just written, with their segments.

        One in which nothing can be read aloud is left out, as long as another can.

        Raises:
            UnspeakableText: nothing can be read aloud in any of them.
        """
        unspeakable: UnspeakableText | None = None
        is_spoken = False
        async with closing(texts):
            async for text in texts:
                try:
                    segments = await self.analyze(text, style)
                except UnspeakableText as error:
                    unspeakable = error
                    continue
                is_spoken = True
                yield text, segments
        if unspeakable is not None and not is_spoken:
            raise unspeakable

    async def analyze_all(
        self, texts: AsyncIterator[str], style: Style
    ) -> AsyncGenerator[PronouncedSegment]:
        """The segments of `analyze_each`, one after the other."""
        async with aclosing(self.analyze_each(texts, style)) as analyzed:
            async for _, segments in analyzed:
                for segment in segments:
                    yield segment

    async def say(
        self,
        segments: AsyncIterator[PronouncedSegment],
        voice: Voice,
        style: Style,
        sample_rate: int = SAMPLE_RATE,
        *,
        route: str,
    ) -> AsyncGenerator[Waveform]:
        """The audio of `spoken`, without what it belongs to; no piece is empty."""
        async with aclosing(
            self.spoken(segments, voice, style, sample_rate, route=route)
        ) as chunks:
            async for chunk in chunks:
                if len(chunk.waveform):
                    yield chunk.waveform

    def spoken(
        self,
        segments: AsyncIterator[PronouncedSegment],
        voice: Voice,
        style: Style,
        sample_rate: int = SAMPLE_RATE,
        *,
        route: str,
    ) -> AsyncGenerator[SpokenChunk]:
        """Speak segments in order.

        The next segment is being made while one is delivered: it is in S1 while this one is in S2.
        A segment's audio depends on nothing but its text, its index, the voice and the style; with
        engines that go on from what was said, on the segments before it as well.

        Args:
            sample_rate: Hz of the audio; an engine's own rate is converted, segment by segment.
            route: whom it is spoken for, in the metrics.

        Returns:
            Pieces to be played one after the other; closing the iterator ends all work.

        Raises:
            NotReady: the voice's engine is not part of this service.
        """
        engine = self._engine_of(voice)

        async def speak(place: tuple[int, PronouncedSegment, Link]) -> AsyncGenerator[SpokenChunk]:
            index, segment, link = place
            seed = segment_seed(style.seed, index)
            utterance = Utterance(segment, voice, style, seed, self._priority, link)
            async with (
                aclosing(engine.speak(utterance)) as waveforms,
                aclosing(resampled(waveforms, engine.sample_rate, sample_rate)) as chunks,
            ):
                async for waveform in chunks:
                    yield SpokenChunk(index, segment, waveform, is_last=False)
            yield SpokenChunk(index, segment, np.zeros(0, np.float32), is_last=True)

        return self._metrics.measured(
            in_order(linked(segments), speak),
            route=route,
            engine=voice.engine,
            voice=voice.record.name,
            sample_rate=sample_rate,
        )

    def _engine_of(self, voice: Voice) -> SpeechEngine:
        engine = self._engines.get(voice.engine)
        if engine is None:
            raise NotReady(
                f"voice {voice.record} is of engine {voice.engine}, which this service does not run"
            )
        return engine


def speech_over(
    text_frontend: DeploymentHandle[Any],
    kokoro_voice: DeploymentHandle[Any],
    semantic_decoder: DeploymentHandle[Any],
    vocoder: DeploymentHandle[Any],
    catalog: Catalog,
    *,
    zonos_backbone: DeploymentHandle[Any] | None = None,
    zonos_decoder: DeploymentHandle[Any] | None = None,
    metrics: RequestMetrics,
    priority: Priority = "interactive",
) -> Speech:
    """A driver of all speech engines of the graph, by the handles of their stages.

    Args:
        zonos_backbone, zonos_decoder: None where the service runs no Zonos.
        metrics, priority: see `Speech`.
    """
    engines: dict[str, SpeechEngine] = {
        kokoro.ENGINE: KokoroEngine(kokoro_voice),
        published.ENGINE: GptSovitsEngine(semantic_decoder, vocoder, text_frontend, catalog),
    }
    if zonos_backbone is not None and zonos_decoder is not None:
        engines[zonos.ENGINE] = ZonosEngine(zonos_backbone, zonos_decoder, text_frontend, catalog)
    return Speech(text_frontend, engines, metrics, priority)


def segment_seed(seed: int, index: int) -> int:
    """The seed of one segment: neighbours share nothing, and any process derives the same."""
    digest = hashlib.blake2b(struct.pack("<qq", seed, index), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
