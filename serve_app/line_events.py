"""A character's line as events, while it is being written and spoken.

emotion       which emotion the voice uses
text.delta    the next piece of the line
audio.delta   the next piece of its sound: 16-bit PCM, mono, little-endian, base64
timing        when a sentence or the first clause is heard, in seconds from the first sample
done          how the line ended, and whether its form was kept, repaired or asked for again
error         instead of `done`: what went wrong, as a problem document
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.calls import stream
from deployments.driver.catalog import Character, Style
from deployments.driver.pcm import encode_pcm16
from deployments.driver.request_context import current_request_id
from deployments.driver.requests import AssistantRequest
from deployments.driver.speech import SAMPLE_RATE
from deployments.driver.written_line import WrittenLine
from deployments.engine.persona.protocol import LineEvent, LineRequest, TextDelta
from deployments.errors import UnsupportedFormat
from deployments.messages import PronouncedSegment
from deployments.problems import problem_document, to_speech_error
from serve_app.admission import LINE_AUDIO_S
from serve_app.edge import Edge
from serve_app.sse import event

_STREAMABLE = ("wav", "pcm")


def require_streamable(body: AssistantRequest) -> None:
    """Events carry PCM whatever the format; a caller who wants another is told.

    Raises:
        UnsupportedFormat: the request names a format that must be encoded.
    """
    if body.format not in _STREAMABLE:
        raise UnsupportedFormat(
            f"a stream carries pcm, not {body.format}", {"supported": list(_STREAMABLE)}
        )


async def line_events(
    edge: Edge, request: LineRequest, character: Character, style: Style
) -> AsyncGenerator[bytes]:
    """The events of one line. What fails before the first one is raised; later, it is an event."""
    events: asyncio.Queue[tuple[str, dict[str, Any]] | Exception] = asyncio.Queue()
    with edge.admission.admitted(LINE_AUDIO_S) as ticket:
        writing = asyncio.create_task(_write(edge, request, character, style, events))
        try:
            has_begun = False
            while not isinstance(found := await events.get(), Exception):
                name, data = found
                if not has_begun:
                    yield event({"type": "emotion", "emotion": style.emotion}, "emotion")
                    has_begun = True
                yield event({"type": name, **data}, name)
                if name == "timing":
                    ticket.delivered(data["end_s"] - data["start_s"])
                if name == "done":
                    return
            if not has_begun:
                raise found
            problem = problem_document(to_speech_error(found), current_request_id())
            yield event({"type": "error", "problem": problem}, "error")
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing


async def _write(
    edge: Edge,
    request: LineRequest,
    character: Character,
    style: Style,
    events: asyncio.Queue[tuple[str, dict[str, Any]] | Exception],
) -> None:
    """Write the line, speak it, put what happens into `events`: last `done`, or what went wrong."""

    async def overheard() -> AsyncGenerator[LineEvent]:
        async with aclosing(stream(edge.persona_llm.generate.remote(request))) as written:
            async for line_event in written:
                if isinstance(line_event, TextDelta):
                    events.put_nowait(("text.delta", {"text": line_event.text}))
                yield line_event

    async def segments(line: WrittenLine) -> AsyncGenerator[PronouncedSegment]:
        num_segments = 0
        async with aclosing(edge.speech.analyze_each(line.sentences(), style)) as analyzed:
            async for sentence, found in analyzed:
                num_segments += len(found)
                sentence_ends[num_segments - 1] = sentence
                for segment in found:
                    yield segment

    async def speak(line: WrittenLine) -> None:
        num_samples = start = 0
        spoken = edge.speech.spoken(segments(line), character.voice, style, route="/assistant")
        async with aclosing(spoken) as chunks:
            async for chunk in chunks:
                num_samples += len(chunk.waveform)
                if len(chunk.waveform):
                    events.put_nowait(("audio.delta", _audio(chunk.waveform)))
                if chunk.is_last and chunk.index in sentence_ends:
                    sentence = sentence_ends[chunk.index]
                    events.put_nowait(("timing", _timing(sentence, start, num_samples)))
                    start = num_samples
        edge.metrics.waited("persona_llm", line.done.queued_s)
        events.put_nowait(("done", _done(line, character, style, num_samples)))

    sentence_ends: dict[int, str] = {}  # by the index of its last segment
    try:
        async with aclosing(overheard()) as written:
            await speak(WrittenLine(written))
    except Exception as error:
        events.put_nowait(error)


def _audio(waveform: NDArray[np.float32]) -> dict[str, Any]:
    audio = base64.b64encode(encode_pcm16(waveform)).decode()
    return {"audio": audio, "format": "pcm", "sample_rate_hz": SAMPLE_RATE}


def _timing(sentence: str, start: int, end: int) -> dict[str, Any]:
    return {
        "text": sentence,
        "start_s": round(start / SAMPLE_RATE, 3),
        "end_s": round(end / SAMPLE_RATE, 3),
        "estimated": True,
    }


def _done(
    line: WrittenLine, character: Character, style: Style, num_samples: int
) -> dict[str, Any]:
    return {
        "text": line.done.text,
        "voice": str(character.voice.record),
        "persona": character.persona.ref,
        "emotion": style.emotion,
        "seed": style.seed,
        "format": line.done.format,
        "duration_s": round(num_samples / SAMPLE_RATE, 3),
    }
