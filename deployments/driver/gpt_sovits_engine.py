"""The two-stage engine: the voice's features and loudness around S1 and S2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
from ray.serve.handle import DeploymentHandle

from deployments.driver.catalog import Catalog, Style, Voice
from deployments.driver.loudness import apply_gain, gain_to_target
from deployments.driver.measured_gain import MEASURED_TEXTS, MeasuredGains
from deployments.driver.retry import repeated
from deployments.driver.speech_engine import Utterance, Waveform
from deployments.driver.two_stages import TwoStageRequest, TwoStages
from deployments.engine.speech.protocol import SAMPLE_RATE
from deployments.messages import PronouncedSegment
from models.gpt_sovits.published import PublishedVoice

_MEASURED_SEED = 0


class GptSovitsEngine:
    """Drives `SemanticDecoder` and `Vocoder` for voices of published checkpoints.

    How loud a voice speaks is measured once per version and emotion, on a fixed sentence; what
    limits peaks afterwards has no memory, so a stream sounds as a whole does.

    Args:
        semantic_decoder, vocoder, text_frontend: handles of the stages.
        catalog: gives a voice's features.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        semantic_decoder: DeploymentHandle[Any],
        vocoder: DeploymentHandle[Any],
        text_frontend: DeploymentHandle[Any],
        catalog: Catalog,
    ) -> None:
        self._stages = TwoStages(semantic_decoder, vocoder)
        self._text_frontend = text_frontend
        self._catalog = catalog
        self._gains = MeasuredGains()

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Waveform]:
        """See `SpeechEngine`; exact chunks last 0.4 s first, then up to 2 s, early ones 0.6 s."""
        voice, style = utterance.voice, utterance.style
        gain = await self._gain(voice, style.emotion_idx)
        request = await self._request(
            utterance.segment, voice, style.emotion_idx, utterance.seed, style.speed
        )
        request = replace(request, priority=utterance.priority)
        is_early = style.streaming == "early"
        speak = self._stages.speak_early if is_early else self._stages.speak
        async with aclosing(speak(request)) as waveforms:
            async for waveform in waveforms:
                yield apply_gain(waveform, gain)

    async def prepare(self, voice: Voice, style: Style) -> None:
        """Measure how loud the voice speaks, which loads its checkpoint too."""
        await self._gain(voice, style.emotion_idx)

    async def _request(
        self, segment: PronouncedSegment, voice: Voice, emotion_idx: int, seed: int, speed: float
    ) -> TwoStageRequest:
        assert isinstance(voice.settings, PublishedVoice)
        reference = await asyncio.to_thread(self._catalog.features, voice, emotion_idx)
        return TwoStageRequest(
            checkpoint=voice.settings.checkpoint,
            phoneme_ids=tuple(segment.segment.phoneme_ids),
            reference=reference,
            seed=seed,
            speed=speed,
        )

    async def _gain(self, voice: Voice, emotion_idx: int) -> float:
        return await self._gains.of(
            (voice.record, emotion_idx), lambda: self._measure_gain(voice, emotion_idx)
        )

    async def _measure_gain(self, voice: Voice, emotion_idx: int) -> float:
        segments: list[PronouncedSegment] = await repeated(
            "TextFrontend",
            lambda: self._text_frontend.analyze.remote(
                MEASURED_TEXTS.get(voice.language, MEASURED_TEXTS["ko"]), voice.language, {}
            ),
        )
        chunks = []
        for segment in segments:
            request = await self._request(segment, voice, emotion_idx, _MEASURED_SEED, 1.0)
            chunks += [waveform async for waveform in self._stages.speak(request)]
        return await asyncio.to_thread(gain_to_target, np.concatenate(chunks), self.sample_rate)
