"""Zonos' two stages driven from here, over stages that are made up and a codec that is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deployments.driver.catalog import Catalog, Style, Voice
from deployments.driver.controls import Controls
from deployments.driver.iteration import each
from deployments.driver.loudness import apply_gain
from deployments.driver.speech import Speech
from deployments.driver.zonos_engine import ZonosEngine
from deployments.engine.speech.zonos_decoding import CodecBatch
from deployments.engine.speech.zonos_protocol import CodeRequest, CodeWindow, FrameChunk, Waveform
from deployments.errors import InvalidInput, UnsupportedEmotion, UnsupportedLanguage
from deployments.messages import PronouncedSegment
from deployments.metrics import RequestMetrics
from models.storage import FolderStore
from models.text.frontend import Segment
from models.zonos.codes import SAMPLE_RATE
from models.zonos.symbols import BEGIN, END, SPACE, language_id
from tests.zonos_store import publish_zonos_voice, random_dac

CHUNK_FRAMES = 16


class Answer:
    """A call that has succeeded: items as a stream, or one by itself."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self._items:
            await asyncio.sleep(0)
            yield item

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        return self._items[0]

    def cancel(self) -> None:
        """It has ended already."""


@dataclass
class Stages:
    """Handles of all three stages; frames are random, and as many as `num_frames` says."""

    num_frames: int = 60
    finish_reason: str = "stop"
    requests: list[CodeRequest] = field(default_factory=list)
    rates: list[float | None] = field(default_factory=list)
    dac: CodecBatch = field(default_factory=lambda: CodecBatch(random_dac(), 1))

    def options(self, **options: Any) -> Stages:
        return self

    def __getattr__(self, method: str) -> Any:
        answers = {
            "generate": self._generate,
            "decode": self._decode,
            "analyze_for_zonos": self._analyze,
        }

        class Method:
            @staticmethod
            def remote(*args: Any) -> Answer:
                found = answers[method](*args)
                return Answer(found if method == "generate" else [found])

        return Method

    def _analyze(
        self, text: str, language: str, dictionary: object, rate: float | None = None
    ) -> list[PronouncedSegment]:
        self.rates.append(rate)
        return segments(text)

    def _generate(self, request: CodeRequest) -> list[FrameChunk]:
        self.requests.append(request)
        frames = frames_of(request.seed, self.num_frames)
        starts = range(0, self.num_frames, CHUNK_FRAMES)
        return [
            FrameChunk(
                frames[start : start + CHUNK_FRAMES],
                self.finish_reason if start == starts[-1] else None,  # type: ignore[arg-type]
            )
            for start in starts
        ]

    def _decode(self, window: CodeWindow) -> Waveform:
        self.dac.join(window)
        (decoded,) = self.dac.step()
        assert decoded.token is not None
        return decoded.token


def frames_of(seed: int, num_frames: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    draw = np.random.default_rng(abs(seed))
    return draw.integers(0, 1024, (num_frames, 9)).astype(np.int16)


def segments(text: str) -> list[PronouncedSegment]:
    """One for each word, its ids made of its letters."""
    words = text.split()
    return [
        PronouncedSegment(
            Segment(word, word, [BEGIN, *(40 + ord(c) % 50 for c in word), END], 0, 0, "ko"), word
        )
        for word in words
    ]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    store = FolderStore(tmp_path)
    publish_zonos_voice(store, "viola", "small@1", seed=1)
    return Catalog([store])


@pytest.fixture
def voice(catalog: Catalog) -> Voice:
    return catalog.voice("viola")


def said(stages: Stages, catalog: Catalog, voice: Voice, style: Style, text: str) -> list[Waveform]:
    """Chunks of a text at the engine's own rate, less those that measured the loudness."""
    engine = ZonosEngine(stages, stages, stages, catalog)  # type: ignore[arg-type]
    speech = Speech(stages, {"zonos": engine}, RequestMetrics())  # type: ignore[arg-type]

    async def scenario() -> list[Waveform]:
        await speech.prepare(voice, style)
        stages.requests.clear()
        spoken = speech.say(each(segments(text)), voice, style, SAMPLE_RATE, route="test")
        async with aclosing(spoken) as chunks:
            return [chunk async for chunk in chunks]

    return asyncio.run(scenario())


def test_what_is_streamed_is_the_sound_of_all_codes(catalog: Catalog, voice: Voice) -> None:
    stages = Stages(num_frames=300)
    chunks = said(stages, catalog, voice, voice.style("ko", "neutral", 1.0, seed=5), "하나")
    (request,) = stages.requests
    codes = torch.from_numpy(frames_of(request.seed, 300)[None].astype(np.int64))
    whole = random_dac().decode(codes)[0].numpy()
    heard = np.concatenate(chunks)
    gain = float(np.abs(heard).max() / np.abs(whole).max())
    assert len(chunks) == 3
    np.testing.assert_allclose(heard, apply_gain(whole, gain), atol=1e-3 * np.abs(heard).max())


def test_a_segment_goes_on_from_the_one_before(catalog: Catalog, voice: Voice) -> None:
    stages = Stages()
    said(stages, catalog, voice, voice.style("ko", "neutral", 1.0, seed=5), "하나 둘")
    first, second = stages.requests
    assert first.prompt == ()
    assert second.prompt == tuple(map(tuple, frames_of(first.seed, 60).tolist()))
    one, two = (tuple(segment.segment.phoneme_ids) for segment in segments("하나 둘"))
    assert first.phoneme_ids == one
    assert second.phoneme_ids == (*one[:-1], SPACE, *two[1:])


@pytest.mark.parametrize("stages", [Stages(finish_reason="length"), Stages(num_frames=700)])
def test_nothing_goes_on_from_what_was_cut_off_or_is_long(
    catalog: Catalog, voice: Voice, stages: Stages
) -> None:
    said(stages, catalog, voice, voice.style("ko", "neutral", 1.0, seed=5), "하나 둘")
    assert [request.prompt for request in stages.requests] == [(), ()]


@pytest.mark.parametrize(("num_frames", "num_prompt_frames"), [(60, 60), (600, 0)])
def test_slow_speech_goes_on_only_from_what_leaves_it_room(
    catalog: Catalog, voice: Voice, num_frames: int, num_prompt_frames: int
) -> None:
    stages = Stages(num_frames)
    slow = voice.style("ko", "neutral", 0.5, seed=5)
    said(stages, catalog, voice, slow, "하나 " + "가" * 200)  # 27 s at half the pace
    assert [len(request.prompt) for request in stages.requests] == [0, num_prompt_frames]


def test_the_backbone_is_told_the_speaker_the_language_and_the_controls(
    catalog: Catalog, voice: Voice
) -> None:
    stages = Stages()
    controls = Controls(speaking_rate=12.0, pitch_std=90.0, fmax=16_000.0)
    weights = {"sadness": 0.5, "fear": 0.5}
    style = voice.style("ko", weights, 1.5, seed=5, controls=controls)  # type: ignore[arg-type]
    said(stages, catalog, voice, style, "하나")
    conditions = stages.requests[0].conditions
    assert conditions.speaker is not None
    assert torch.equal(conditions.speaker, catalog.speaker(voice))
    assert conditions.language_id == language_id("ko")
    assert conditions.emotion == (0, 0.5, 0, 0.5, 0, 0, 0, 0)
    assert (conditions.speaking_rate, conditions.pitch_std) == (18.0, 90.0)
    assert conditions.fmax_hz == 16_000.0
    assert style.emotion == "sadness"


def test_a_text_is_divided_for_the_rate_at_which_it_is_spoken(voice: Voice) -> None:
    stages = Stages()
    speech = Speech(stages, {}, RequestMetrics())  # type: ignore[arg-type]
    slow = voice.style("ko", "neutral", 0.5, controls=Controls(speaking_rate=12.0))
    asyncio.run(speech.analyze("하나", slow))
    assert stages.rates == [6.0]


def test_a_voice_speaks_every_language_of_zonos(voice: Voice) -> None:
    assert voice.style("ja", "neutral", 1.0).language == "ja"
    with pytest.raises(UnsupportedLanguage, match="known: af, am"):
        voice.style("tlh", "neutral", 1.0)


@pytest.mark.parametrize(
    ("speed", "controls", "message"),
    [
        (1.0, Controls(pitch_std=401), "pitch_std is 401; it must lie in 0 to 400"),
        (1.0, Controls(fmax=-1), "fmax is -1; it must lie in 0 to 24000"),
        (2.0, Controls(speaking_rate=30), "speaking_rate is 60.0; it must lie in 0 to 40"),
    ],
)
def test_a_control_out_of_range_is_refused_with_its_range(
    voice: Voice, speed: float, controls: Controls, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        voice.style("ko", "neutral", speed, controls=controls)


def test_an_emotion_that_is_none_is_refused_with_those_there_are(voice: Voice) -> None:
    with pytest.raises(UnsupportedEmotion, match="known: happiness"):
        voice.style("ko", "bored", 1.0)
