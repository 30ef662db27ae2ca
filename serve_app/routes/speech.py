"""`/v1/audio/speech` and `/v1/models`: OpenAI's shapes for existing clients."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from deployments.driver.audio_format import AudioFormat, audio_format, encode_stream
from deployments.driver.requests import SpeechRequest
from deployments.driver.speech import SAMPLE_RATE
from deployments.errors import UnknownModel, UnknownVoice, UnsupportedFormat
from serve_app.edge import Caller, Parts
from serve_app.openapi import openai_errors
from serve_app.routes.chat import chat_model
from serve_app.schemas import OpenAIModel, OpenAIModels
from serve_app.speaking import spoken
from serve_app.speech_events import speech_events
from serve_app.sse import event_stream
from serve_app.streaming import LiveReply, begun
from serve_app.voices import visible_voice

router = APIRouter(tags=["OpenAI"])

SPEECH_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Names under which OpenAI's clients ask for speech; all mean the engine of the voice."""

_MODELS_CREATED = 1767225600  # 2026-01-01T00:00:00Z; OpenAI's shape requires the field
_ANY_RATE = ("wav", "flac", "pcm")


@router.post(
    "/v1/audio/speech",
    response_class=Response,
    responses={
        200: {
            "description": "Audio as it is made, or events with pieces of it (`stream_format`).",
            "content": {
                "audio/mpeg": {},
                "audio/wav": {},
                "audio/pcm": {},
                "text/event-stream": {},
            },
            "headers": {"X-Sample-Rate": {"schema": {"type": "integer"}}},
        },
        **openai_errors(UnknownVoice, UnknownModel, UnsupportedFormat, body=True, audio=True),
    },
)
async def speech(body: SpeechRequest, edge: Parts, caller: Caller) -> LiveReply:
    """Speak a text; the audio streams while later sentences are still being made."""
    if body.model not in SPEECH_MODELS:
        known = ", ".join(SPEECH_MODELS)
        raise UnknownModel(f"no speech model is called {body.model!r}; there are: {known}")
    encoding = audio_format(body.response_format)
    sample_rate = _sample_rate(body, encoding)
    voice = await visible_voice(edge, caller, body.voice)
    style = voice.style(
        body.language, body.emotion, body.speed, seed=body.seed, controls=body.controls()
    )
    waveforms = await begun(
        spoken(edge, body.input, voice, style, route="/v1/audio/speech", sample_rate=sample_rate)
    )
    audio = encode_stream(waveforms, encoding, sample_rate)
    headers = {"X-Sample-Rate": str(sample_rate)}
    if body.stream_format == "sse":
        return event_stream(speech_events(audio, body.input), headers)
    return LiveReply(audio, media_type=encoding.media_type, headers=headers)


@router.get("/v1/models", responses=openai_errors())
async def models(edge: Parts) -> OpenAIModels:
    """The names under which speech and lines can be asked for."""
    personas = await asyncio.to_thread(edge.catalog.personas)
    names = [*SPEECH_MODELS, *map(chat_model, personas)]
    return OpenAIModels(data=[OpenAIModel(id=name, created=_MODELS_CREATED) for name in names])


def _sample_rate(body: SpeechRequest, encoding: AudioFormat) -> int:
    if body.sample_rate is not None and encoding.name not in _ANY_RATE:
        raise UnsupportedFormat(
            f"{encoding.name} is made at {SAMPLE_RATE} Hz; sample_rate goes with "
            f"{', '.join(_ANY_RATE)}",
            {"supported": list(_ANY_RATE)},
        )
    return body.sample_rate or SAMPLE_RATE
