"""The Zonos engine: speaker, controls and what was said before, around its two stages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ray.serve.handle import DeploymentHandle

from deployments.driver.catalog import Catalog, Style, Voice
from deployments.driver.continuity import alone
from deployments.driver.loudness import apply_gain, gain_to_target
from deployments.driver.measured_gain import MEASURED_TEXTS, MeasuredGains
from deployments.driver.retry import repeated
from deployments.driver.speech_engine import Utterance, Waveform
from deployments.driver.zonos_stages import SpokenCodes, ZonosStages
from deployments.engine.speech.zonos_protocol import CodeRequest
from deployments.messages import PronouncedSegment
from models.zonos.codes import FRAME_RATE_HZ, MAX_FRAMES, SAMPLE_RATE
from models.zonos.columns import Frame
from models.zonos.conditions import Conditions
from models.zonos.published import PublishedZonosVoice
from models.zonos.symbols import SPACE, language_id

_MEASURED_SEED = 0
# The network was trained on 30 s: at its ordinary pace, eight leave room for the longest segment.
_MAX_TAIL_FRAMES = int(8 * FRAME_RATE_HZ)


@dataclass(frozen=True)
class Tail:
    """A segment that the next one goes on from: what was said, and how it sounded.

    Both are needed: speech that is not in the text would take the place of text that is.
    """

    phoneme_ids: tuple[int, ...]
    frames: tuple[Frame, ...]


class ZonosEngine:
    """Drives `ZonosBackbone` and `ZonosDecoder` for voices of published speakers.

    How loud a voice speaks is measured once per version, on a fixed sentence. Each segment of a
    text goes on from the one before, as far as that is short and ended by itself, so that a long
    text is spoken as one.

    Args:
        backbone, decoder, text_frontend: handles of the stages.
        catalog: gives a voice's speaker.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        backbone: DeploymentHandle[Any],
        decoder: DeploymentHandle[Any],
        text_frontend: DeploymentHandle[Any],
        catalog: Catalog,
    ) -> None:
        self._stages = ZonosStages(backbone, decoder)
        self._text_frontend = text_frontend
        self._catalog = catalog
        self._gains = MeasuredGains()

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Waveform]:
        """See `SpeechEngine`; chunks last 0.4 s first, then 2 s."""
        link = utterance.link or alone()
        with link.left_in_the_end():
            gain = await self._gain(utterance.voice)
            conditions = await self._conditions(utterance)
            tail: Tail | None = await link.before
            request = _request(utterance, conditions, tail)
            spoken = SpokenCodes(
                request.prompt, lambda: link.leave(_tail(utterance.segment, spoken))
            )
            async with aclosing(self._stages.speak(request, spoken)) as waveforms:
                async for waveform in waveforms:
                    yield apply_gain(waveform, gain)

    async def prepare(self, voice: Voice, style: Style) -> None:
        """Measure how loud the voice speaks, which loads its checkpoint too."""
        await self._gain(voice)

    async def _conditions(self, utterance: Utterance) -> Conditions:
        conditions = utterance.style.conditions
        assert conditions is not None  # every style of a Zonos voice has them
        return replace(
            conditions,
            speaker=await asyncio.to_thread(self._catalog.speaker, utterance.voice),
            language_id=language_id(utterance.segment.segment.language),
        )

    async def _gain(self, voice: Voice) -> float:
        return await self._gains.of(voice.record, lambda: self._measure_gain(voice))

    async def _measure_gain(self, voice: Voice) -> float:
        spoken = voice.language.partition("-")[0]  # en-us speaks English
        language = spoken if spoken in MEASURED_TEXTS else "ko"
        style = voice.style(language, "neutral", 1.0, seed=_MEASURED_SEED)
        segments: list[PronouncedSegment] = await repeated(
            "TextFrontend",
            lambda: self._text_frontend.analyze_for_zonos.remote(
                MEASURED_TEXTS[language], language, {}
            ),
        )
        chunks = []
        for segment in segments:
            utterance = Utterance(segment, voice, style, _MEASURED_SEED)
            request = _request(utterance, await self._conditions(utterance), None)
            chunks += [waveform async for waveform in self._stages.speak(request, SpokenCodes())]
        return await asyncio.to_thread(gain_to_target, np.concatenate(chunks), self.sample_rate)


def _request(utterance: Utterance, conditions: Conditions, tail: Tail | None) -> CodeRequest:
    assert isinstance(utterance.voice.settings, PublishedZonosVoice)
    ids = tuple(utterance.segment.segment.phoneme_ids)
    if tail is not None and not _leaves_room(tail, len(ids), conditions.speaking_rate):
        tail = None
    if tail is not None:  # between the mark for the begin and the text
        ids = (ids[0], *tail.phoneme_ids, SPACE, *ids[1:])
    return CodeRequest(
        checkpoint=utterance.voice.settings.checkpoint,
        phoneme_ids=ids,
        conditions=conditions,
        seed=utterance.seed,
        prompt=tail.frames if tail is not None else (),
        priority=utterance.priority,
    )


def _leaves_room(tail: Tail, num_symbols: int, speaking_rate: float | None) -> bool:
    """Whether a segment ends within the 30 s behind a tail; one that is spoken slowly may not."""
    room_s = (MAX_FRAMES - len(tail.frames)) / FRAME_RATE_HZ
    return speaking_rate is None or num_symbols <= speaking_rate * room_s


def _tail(segment: PronouncedSegment, spoken: SpokenCodes) -> Tail | None:
    """What the next segment may go on from; nothing of one that was cut off, or is too long."""
    frames = spoken.frames
    if spoken.finish_reason != "stop" or not 0 < len(frames) <= _MAX_TAIL_FRAMES:
        return None
    return Tail(tuple(segment.segment.phoneme_ids[1:-1]), frames)
