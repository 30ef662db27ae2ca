"""Work that is kept: a text or a character's line, spoken and stored; and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from deployments.driver.assistant import line_request, line_style
from deployments.driver.audio_format import audio_format
from deployments.driver.requests import AssistantRequest, SynthesizeRequest
from deployments.errors import (
    ExternalModelRefused,
    GenerationFailed,
    IdempotencyConflict,
    JobFinished,
    JobNotFinished,
    TooManyJobs,
    UnknownCharacter,
    UnknownJob,
    UnknownVoice,
    UnsatisfiableRange,
    UnspeakableText,
    UnsupportedEmotion,
    UnsupportedFormat,
    UnsupportedLanguage,
)
from deployments.jobs.client import JobPage
from deployments.jobs.job import Job
from serve_app.admission import LINE_AUDIO_S, estimated_audio_s
from serve_app.edge import Caller, Parts
from serve_app.job_desk import Options
from serve_app.line_events import line_events, require_streamable
from serve_app.openapi import problems
from serve_app.ranges import ranged_reply
from serve_app.replies import JOB_REPLIES, job_reply
from serve_app.sse import event_stream
from serve_app.streaming import begun
from serve_app.voices import visible_cast, visible_voice

router = APIRouter(tags=["jobs"])

_SPEECH_ERRORS = (
    *(UnspeakableText, UnsupportedEmotion, UnsupportedFormat, UnsupportedLanguage),
    *(UnknownVoice, IdempotencyConflict, GenerationFailed, TooManyJobs),
)


@router.post(
    "/synthesize",
    response_model=Job,
    responses={**JOB_REPLIES, **problems(*_SPEECH_ERRORS, body=True, audio=True)},
)
async def synthesize(
    body: SynthesizeRequest, edge: Parts, caller: Caller, options: Options
) -> Response:
    """Speak a text and keep the recording."""
    audio_s = estimated_audio_s(body.text)
    edge.desk.require_room(audio_s)
    audio_format(body.format)
    voice = await visible_voice(edge, caller, body.speaker_id)
    style = voice.style(
        body.language,
        body.emotion,
        body.speed,
        body.dictionary,
        body.seed,
        controls=body.controls(),
    )
    await edge.speech.analyze(body.text, style)  # refuses at once what could never be spoken
    job = await edge.desk.submit(
        "synthesize",
        body.model_dump(mode="json", exclude={"webhook_url"}),
        owner=caller,
        audio_s=audio_s,
        options=options,
        webhook_url=body.webhook_url,
    )
    return job_reply(job)


@router.post(
    "/assistant",
    response_model=Job,
    responses={
        **JOB_REPLIES,
        200: {
            "description": "The job has ended; or, with `stream`, events as the line is made.",
            "model": Job,
            "content": {"text/event-stream": {}},
        },
        **problems(UnknownCharacter, ExternalModelRefused, *_SPEECH_ERRORS, body=True, audio=True),
    },
)
async def assistant(
    body: AssistantRequest, edge: Parts, caller: Caller, options: Options
) -> Response:
    """Answer a scene in character, speak the line and keep the recording; or stream it."""
    audio_format(body.format)
    character = await visible_cast(edge, caller, body)
    request = line_request(body, character.persona)
    style = line_style(body, character, request)
    if body.stream:
        require_streamable(body)
        return event_stream(await begun(line_events(edge, request, character, style)))
    job = await edge.desk.submit(
        "assistant",
        body.model_dump(mode="json", exclude={"webhook_url", "stream"}),
        owner=caller,
        audio_s=LINE_AUDIO_S,
        options=options,
        webhook_url=body.webhook_url,
    )
    return job_reply(job)


@router.get("/jobs", responses=problems())
async def jobs(
    edge: Parts,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> JobPage:
    """The caller's jobs, newest first; `next_cursor` leads on."""
    return await edge.jobs.list(limit=limit, cursor=cursor, owner=caller)


@router.get("/jobs/{job_id}", responses=problems(UnknownJob))
async def job(job_id: str, edge: Parts, caller: Caller) -> Job:
    """A job as it stands."""
    return await edge.jobs.read(job_id, owner=caller)


@router.post("/jobs/{job_id}/cancel", responses=problems(UnknownJob, JobFinished))
async def cancel(job_id: str, edge: Parts, caller: Caller) -> Job:
    """End a job that has not ended."""
    return await edge.jobs.cancel(job_id, owner=caller)


@router.get(
    "/jobs/{job_id}/audio",
    response_class=Response,
    responses={
        200: {"description": "The recording.", "content": {"audio/*": {}}},
        206: {"description": "The part of it that was asked for.", "content": {"audio/*": {}}},
        **problems(UnknownJob, JobNotFinished, UnsatisfiableRange),
    },
)
async def job_audio(
    job_id: str,
    edge: Parts,
    caller: Caller,
    range_: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """The recording of a finished job, or a part of it."""
    audio = await edge.jobs.audio(job_id, owner=caller)
    return ranged_reply(audio, audio_format(audio.format).media_type, range_, if_range)


@router.get(
    "/jobs/{job_id}/captions.{kind}",
    response_class=Response,
    responses={
        200: {
            "description": "When each sentence is heard.",
            "content": {"application/x-subrip": {}, "text/vtt": {}},
        },
        **problems(UnknownJob, JobNotFinished),
    },
)
async def job_captions(
    job_id: str, kind: Literal["srt", "vtt"], edge: Parts, caller: Caller
) -> Response:
    """Captions of a finished job's recording."""
    captions = await edge.jobs.captions(job_id, kind, owner=caller)
    media_type = {"srt": "application/x-subrip", "vtt": "text/vtt"}[kind]
    return Response(captions, media_type=f"{media_type}; charset=utf-8")
