"""Voices: registered from a clip, listed, deleted; in our shape and in OpenAI's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from fastapi.responses import JSONResponse

from deployments.driver.voice_publishing import Registration, check_registration, new_voice_id
from deployments.errors import (
    ConsentMissing,
    DeadlineExceeded,
    IdempotencyConflict,
    ReadOnlyRecord,
    TooManyJobs,
    TranscriptMismatch,
    UnknownVoice,
    UnreadableAudio,
    UnsupportedEmotion,
    UnsupportedEngine,
    UnsupportedLanguage,
    UnusableClip,
    VoiceExists,
)
from deployments.jobs.job import Job
from serve_app.edge import Caller, Edge, Parts
from serve_app.job_desk import JobOptions, Options
from serve_app.openapi import openai_errors, problems
from serve_app.problems import openai_response
from serve_app.replies import JOB_REPLIES, job_reply
from serve_app.schemas import OpenAIDeleted, OpenAIVoice, OpenAIVoices, Speaker, Speakers
from serve_app.uploads import (
    Consent,
    Description,
    Emotions,
    Engine,
    Language,
    SpeakerId,
    Transcript,
    VoiceName,
    Webhook,
    emotion_weights,
)
from serve_app.voices import as_openai_voice, as_speaker, visible_voice, visible_voices
from serve_app.waiting import MAX_WAIT_S

router = APIRouter()

_CLIP_AUDIO_S = 10.0
"""What a registration counts for among the jobs: its clip is heard once."""

_CLIP_ERRORS = (
    *(UnreadableAudio, UnusableClip, TranscriptMismatch, ConsentMissing, VoiceExists),
    *(UnsupportedEmotion, UnsupportedEngine, UnsupportedLanguage),
    *(IdempotencyConflict, TooManyJobs),
)

Clip = Annotated[
    UploadFile, File(description="3 to 10 s of speech of one person; wav, flac, mp3, ogg, m4a …")
]


@router.post(
    "/register_speaker",
    tags=["speakers"],
    response_model=Job,
    responses={**JOB_REPLIES, **problems(*_CLIP_ERRORS, body=True, audio=True)},
)
async def register_speaker(
    edge: Parts,
    caller: Caller,
    options: Options,
    audio: Clip,
    consent: Consent = False,
    speaker_id: SpeakerId = None,
    transcript: Transcript = None,
    language: Language = "ko",
    emotion: Emotions = "neutral",
    engine: Engine = "gpt_sovits",
    description: Description = "",
    webhook_url: Webhook = None,
) -> Response:
    """Check a clip, make a voice of it and store it; or add a clip to a voice of one's own."""
    registration = Registration(
        audio=await audio.read(),
        consent=consent,
        speaker_id=speaker_id or new_voice_id(),
        transcript=transcript or None,
        language=language,
        emotions=emotion_weights(emotion),
        engine=engine,
        description=description,
    )
    return job_reply(await _register(edge, caller, registration, options, webhook_url))


@router.get("/speakers", tags=["speakers"], responses=problems())
async def speakers(edge: Parts, caller: Caller) -> Speakers:
    """The newest version of every voice."""
    return Speakers(speakers=[as_speaker(voice) for voice in await visible_voices(edge, caller)])


@router.get("/speakers/{speaker_id}", tags=["speakers"], responses=problems(UnknownVoice))
async def speaker(speaker_id: str, edge: Parts, caller: Caller) -> Speaker:
    """One voice, by `id` or `id@version`."""
    return as_speaker(await visible_voice(edge, caller, speaker_id))


@router.delete(
    "/speakers/{speaker_id}",
    tags=["speakers"],
    status_code=204,
    responses=problems(UnknownVoice, ReadOnlyRecord),
)
async def delete_speaker(speaker_id: str, edge: Parts, caller: Caller) -> None:
    """Delete a voice with all its versions and clips."""
    await _delete(edge, caller, speaker_id)


@router.get("/v1/audio/voices", tags=["OpenAI"], responses=openai_errors())
async def openai_voices(edge: Parts, caller: Caller) -> OpenAIVoices:
    """All voices, as a list in OpenAI's shape."""
    return OpenAIVoices(
        data=[as_openai_voice(voice) for voice in await visible_voices(edge, caller)]
    )


@router.post(
    "/v1/audio/voices",
    tags=["OpenAI"],
    response_model=OpenAIVoice,
    responses=openai_errors(*_CLIP_ERRORS, body=True, audio=True),
)
async def openai_voice(
    edge: Parts,
    caller: Caller,
    name: VoiceName,
    audio_sample: Clip,
    consent: Consent = False,
    transcript: Transcript = None,
    language: Language = "ko",
) -> Response:
    """Make a voice of a clip, and wait for it; a caller who leaves meanwhile gets none."""
    registration = Registration(
        audio=await audio_sample.read(),
        consent=consent,
        speaker_id=name,
        transcript=transcript or None,
        language=language,
    )
    job = await _while_awaited(
        edge, _register(edge, caller, registration, JobOptions(0.0, None), None)
    )
    if job.error is not None:
        return openai_response(job.error)
    if not job.is_finished:
        raise DeadlineExceeded(f"the voice is still being made; ask for it at {job.urls['get']}")
    voice = await visible_voice(edge, caller, name)
    return JSONResponse(as_openai_voice(voice).model_dump())


@router.delete(
    "/v1/audio/voices/{voice_id}",
    tags=["OpenAI"],
    responses=openai_errors(UnknownVoice, ReadOnlyRecord),
)
async def delete_openai_voice(voice_id: str, edge: Parts, caller: Caller) -> OpenAIDeleted:
    """Delete a voice with all its versions and clips."""
    await _delete(edge, caller, voice_id)
    return OpenAIDeleted(id=voice_id)


async def _register(
    edge: Edge,
    caller: str | None,
    registration: Registration,
    options: JobOptions,
    webhook_url: str | None,
) -> Job:
    check_registration(registration)
    return await edge.desk.submit(
        "register_speaker",
        _fields(registration),
        owner=caller,
        audio_s=_CLIP_AUDIO_S,
        options=options,
        webhook_url=webhook_url,
        upload=registration.audio,
    )


async def _while_awaited(edge: Edge, submit: Coroutine[Any, Any, Job]) -> Job:
    """The finished job of a caller who is not told of it: when the caller leaves, it is canceled.

    Who leaves `/register_speaker` cancels nothing, and finds the job in `/jobs`.
    """
    submitting = asyncio.create_task(submit)
    try:
        job = await asyncio.shield(submitting)
        return await edge.jobs.wait(job.id, MAX_WAIT_S)
    except asyncio.CancelledError:
        submitting.add_done_callback(lambda done: _abandon(edge, done))
        raise


def _abandon(edge: Edge, submitting: asyncio.Task[Job]) -> None:
    if not submitting.cancelled() and submitting.exception() is None:
        edge.jobs.abandon(submitting.result().id)


def _fields(registration: Registration) -> dict[str, Any]:
    """What is stored of a registration beside its clip."""
    return {
        "consent": registration.consent,
        "speaker_id": registration.speaker_id,
        "transcript": registration.transcript,
        "language": registration.language,
        "emotions": registration.emotions,
        "engine": registration.engine,
        "description": registration.description,
    }


async def _delete(edge: Edge, caller: str | None, voice_id: str) -> None:
    await visible_voice(edge, caller, voice_id)
    await edge.registration.delete(voice_id, caller)
