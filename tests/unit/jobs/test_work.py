"""What jobs ask of the stages, with stages that answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.driver.catalog import Catalog, Style, Voice
from deployments.driver.speech import SAMPLE_RATE, SpokenChunk
from deployments.engine.persona.protocol import LineDone, LineEvent, LineRequest, TextDelta
from deployments.errors import NotReady, UnknownVoice
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import folder_of, seed_of
from deployments.jobs.job import JobOutput, JobRequest
from deployments.jobs.work import SpeechWorks, all_works
from deployments.messages import PronouncedSegment
from deployments.text_frontend import analyze
from models.storage import FolderStore, embedded_store
from tests.unit.jobs.jobs import new_request

TEXT = {"text": "안녕하세요. 반갑습니다.", "speaker_id": "sinip"}
SCENE = {"character": "bujang", "prompt": "점심시간이다. [지문: 눈물을 훔치며]"}


class QuietSpeech:
    """Speaks a tenth of a second for every segment, and keeps how it was asked to."""

    def __init__(self) -> None:
        self.styles: list[Style] = []

    async def analyze(self, text: str, style: Style) -> list[PronouncedSegment]:
        return analyze(text, style.language, style.dictionary)

    async def analyze_all(
        self, texts: AsyncIterator[str], style: Style
    ) -> AsyncGenerator[PronouncedSegment]:
        async for text in texts:
            for segment in await self.analyze(text, style):
                yield segment

    async def spoken(
        self, segments: AsyncIterator[PronouncedSegment], voice: Voice, style: Style, *, route: str
    ) -> AsyncGenerator[SpokenChunk]:
        self.styles.append(style)
        index = 0
        async for segment in segments:
            yield SpokenChunk(index, segment, np.full(SAMPLE_RATE // 10, 0.1, np.float32), True)
            index += 1


class Line:
    """A line as `PersonaLLM` streams it."""

    def __init__(self, events: list[LineEvent]) -> None:
        self._events = events
        self.is_canceled = False

    async def __aiter__(self) -> AsyncGenerator[LineEvent]:
        for event in self._events:
            yield event

    def cancel(self) -> None:
        self.is_canceled = True


class Persona:
    """A handle of `PersonaLLM` that always says the same."""

    def __init__(self, *sentences: str) -> None:
        text = " ".join(sentences)
        done = LineDone(text, "stop", 1, 1, 0, 1, 0, 0.0, 0.1, 0.2)
        self.line = Line([*(TextDelta(f"{sentence} ") for sentence in sentences), done])
        self.asked: list[LineRequest] = []
        self.generate = self

    def remote(self, asked: LineRequest) -> Line:
        self.asked.append(asked)
        return self.line


def works(speech: QuietSpeech, persona: Persona | None = None) -> SpeechWorks:
    stages: Any = (speech, persona or Persona())
    return SpeechWorks(Catalog([embedded_store()]), *stages)


def synthesized(tmp_path: Path, request: JobRequest, speech: QuietSpeech) -> JobOutput:
    files = AttemptFiles(FolderStore(tmp_path), request.id, 1)
    return asyncio.run(works(speech).synthesize(request, files))


def test_every_attempt_at_a_job_uses_the_seed_that_follows_from_it(tmp_path: Path) -> None:
    speech, request = QuietSpeech(), new_request(input=TEXT)
    outputs = [synthesized(tmp_path, request, speech) for _ in range(2)]
    assert [output.seed for output in outputs] == [seed_of(request.id)] * 2
    assert speech.styles[0] == speech.styles[1]
    assert outputs[0] == outputs[1]


def test_a_callers_seed_emotion_and_speed_are_kept(tmp_path: Path) -> None:
    speech = QuietSpeech()
    asked = {**TEXT, "seed": 7, "emotion": "happiness", "speed": 1.5, "format": "flac"}
    output = synthesized(tmp_path, new_request(input=asked), speech)
    (style,) = speech.styles
    assert (style.seed, style.speed, style.emotion) == (7, 1.5, output.emotion)
    assert output.audio is not None
    assert (output.seed, output.voice, output.audio.file) == (7, "sinip@1", "audio.flac")
    assert output.audio.duration_s == pytest.approx(0.1 * len(analyze(TEXT["text"], "ko", {})))


def test_a_line_is_spoken_with_the_emotion_of_its_stage_direction(tmp_path: Path) -> None:
    speech, persona = QuietSpeech(), Persona("다들 밥은?", "가자고.")
    request = new_request("assistant", input=SCENE)
    files = AttemptFiles(FolderStore(tmp_path), request.id, 1)
    output = asyncio.run(works(speech, persona).assistant(request, files))
    voice = Catalog([embedded_store()]).voice("bujang")
    assert output.emotion == voice.style("ko", {"sadness": 1.0}, 1.0).emotion
    assert (output.text, output.persona) == ("다들 밥은? 가자고.", "bujang@3")
    assert [asked.seed for asked in persona.asked] == [seed_of(request.id)] == [output.seed]
    assert output.captions is not None
    srt = (tmp_path / folder_of(request.id) / output.captions.srt_file).read_text()
    assert "다들 밥은?" in srt and "가자고." in srt


def test_a_line_whose_voice_is_lost_is_no_longer_written(tmp_path: Path) -> None:
    class Lost(QuietSpeech):
        async def analyze(self, text: str, style: Style) -> list[PronouncedSegment]:
            raise NotReady("lost")

    persona, request = Persona("가자고."), new_request("assistant", input=SCENE)
    files = AttemptFiles(FolderStore(tmp_path), request.id, 1)
    with pytest.raises(NotReady):
        asyncio.run(works(Lost(), persona).assistant(request, files))
    assert persona.line.is_canceled


def test_a_voice_that_has_become_somebody_elses_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = Catalog([embedded_store()]).voice("sinip")
    monkeypatch.setattr(Catalog, "voice", lambda self, name: replace(voice, owner="you"))
    synthesized(tmp_path, new_request(input=TEXT, owner="you"), QuietSpeech())
    synthesized(tmp_path, new_request(input=TEXT), QuietSpeech())
    with pytest.raises(UnknownVoice):
        synthesized(tmp_path, new_request(input=TEXT, owner="me"), QuietSpeech())


class Stage:
    """A handle of a stage whose one method answers at once, and what it was asked."""

    def __init__(self, method: str, answer: Callable[..., object]) -> None:
        self.asked: list[Any] = []
        self._answer = answer
        setattr(self, method, self)

    def remote(self, *asked: Any) -> asyncio.Future[object]:
        self.asked.append(asked[0])
        answered = asyncio.get_running_loop().create_future()
        answered.set_result(self._answer(*asked))
        return answered

    def options(self, **_: object) -> Stage:
        return self


def test_a_job_yields_to_those_who_listen(tmp_path: Path) -> None:
    stages: dict[str, Any] = {
        "text_frontend": Stage("analyze", analyze),
        "kokoro_voice": Stage("synthesize", lambda request: np.full(2400, 0.1, np.float32)),
        **dict.fromkeys(("semantic_decoder", "vocoder", "persona_llm"), Stage("generate", id)),
        "voice_encoder": Stage("encode", id),
    }
    objects, request = FolderStore(tmp_path), new_request(input=TEXT)
    synthesize = all_works(stages, objects)["synthesize"]

    async def run() -> JobOutput:
        return await synthesize(request, AttemptFiles(objects, request.id, 1))

    asyncio.run(run())
    assert {asked.priority for asked in stages["kokoro_voice"].asked} == {"batch"}
