"""How each type of job is done, with the driver that the ingress uses as well."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.calls import stream
from deployments.driver.assistant import line_request, line_style
from deployments.driver.audio_format import audio_format
from deployments.driver.catalog import Catalog, Voice
from deployments.driver.iteration import each
from deployments.driver.request_context import current_timings
from deployments.driver.requests import AssistantRequest, SynthesizeRequest
from deployments.driver.speech import SAMPLE_RATE, Speech, speech_over
from deployments.driver.voice_publishing import Registration, VoiceRegistration
from deployments.driver.written_line import WrittenLine
from deployments.errors import UnknownVoice
from deployments.jobs.files import AttemptFiles
from deployments.jobs.ids import seed_of, voice_id_of
from deployments.jobs.job import JobOutput, JobRequest, JobType
from deployments.jobs.recording import record
from deployments.jobs.worker import Work
from deployments.metrics import RequestMetrics
from models.storage import ObjectStore, embedded_store

_ROUTE = "jobs"  # in the metrics of audio


@dataclass(frozen=True)
class SpeechWorks:
    """Jobs that end in a recording. Every attempt at a job uses the same seed.

    Args:
        catalog: voices, personas and characters.
        speech: drives the stages.
        persona_llm: handle of `PersonaLLM`, streaming.
    """

    catalog: Catalog
    speech: Speech
    persona_llm: DeploymentHandle[Any]

    async def synthesize(self, request: JobRequest, files: AttemptFiles) -> JobOutput:
        """Speak a text."""
        body = SynthesizeRequest.model_validate(request.input)
        encoding = audio_format(body.format)
        voice = await asyncio.to_thread(self.catalog.voice, body.speaker_id)
        _require_visible(request, voice)
        seed = seed_of(request.id) if body.seed is None else body.seed
        style = voice.style(
            body.language,
            body.emotion,
            body.speed,
            body.dictionary,
            seed,
            controls=body.controls(),
        )
        segments = await self.speech.analyze(body.text, style)
        chunks = self.speech.spoken(each(segments), voice, style, route=_ROUTE)
        audio, captions = await record(chunks, encoding, SAMPLE_RATE, request.id, files)
        return JobOutput(
            audio=audio,
            captions=captions,
            voice=str(voice.record),
            emotion=style.emotion,
            seed=style.seed,
        )

    async def assistant(self, request: JobRequest, files: AttemptFiles) -> JobOutput:
        """Answer a scene in character and speak the line."""
        body = AssistantRequest.model_validate(request.input)
        seed = seed_of(request.id) if body.seed is None else body.seed
        body = body.model_copy(update={"seed": seed})
        encoding = audio_format(body.format)
        character = await asyncio.to_thread(
            self.catalog.cast, body.character, body.persona, body.speaker_id
        )
        voice = character.voice
        _require_visible(request, voice)
        asked = line_request(body, character.persona, "batch")
        style = line_style(body, character, asked)
        async with aclosing(stream(self.persona_llm.generate.remote(asked))) as written:
            line = WrittenLine(written)
            segments = self.speech.analyze_all(line.sentences(), style)
            chunks = self.speech.spoken(segments, voice, style, route=_ROUTE)
            audio, captions = await record(chunks, encoding, SAMPLE_RATE, request.id, files)
        current_timings().add("llm", line.done.total_s)
        return JobOutput(
            audio=audio,
            captions=captions,
            voice=str(voice.record),
            emotion=style.emotion,
            text=line.done.text,
            persona=character.persona.ref,
            seed=seed,
        )


def _require_visible(request: JobRequest, voice: Voice) -> None:
    """Raises `UnknownVoice` for a voice that has become somebody else's since the job was asked."""
    if request.owner is not None and voice.owner not in (None, request.owner):
        raise UnknownVoice(f"voices: nothing is called {voice.record.name!r}")


@dataclass(frozen=True)
class RegistrationWork:
    """Jobs that end in a voice. An attempt that was lost after publishing is recognised.

    Nothing of the voice is stored before it is decided that the job can't be canceled any more.

    Args:
        registration: registers voices.
    """

    registration: VoiceRegistration

    async def register(self, request: JobRequest, files: AttemptFiles) -> JobOutput:
        """Make a voice of the uploaded clip."""
        asked = {
            **request.input,
            "speaker_id": request.input.get("speaker_id") or voice_id_of(request.id),
            "audio": await asyncio.to_thread(files.upload),
            "request_key": request.id,
        }
        registered = await self.registration.register(
            Registration(**asked), request.owner, files.decide_to_publish
        )
        voice = registered.voice
        measured = asdict(registered.clip) if registered.clip is not None else {}
        return JobOutput(
            voice=f"{voice.voice_id}@{voice.version}",
            clip=measured | {"heard": registered.heard} if measured else None,
        )


def all_works(
    stages: Mapping[str, DeploymentHandle[Any]], objects: ObjectStore
) -> dict[JobType, Work]:
    """How each type of job is done.

    Args:
        stages: handles by name, as `JobRunner` gets them.
        objects: the storage root.
    """
    catalog = Catalog([objects, embedded_store()])
    speech = speech_over(
        stages["text_frontend"],
        stages["kokoro_voice"],
        stages["semantic_decoder"],
        stages["vocoder"],
        catalog,
        zonos_backbone=stages.get("zonos_backbone"),
        zonos_decoder=stages.get("zonos_decoder"),
        metrics=RequestMetrics(),
        priority="batch",
    )
    works = SpeechWorks(catalog, speech, stages["persona_llm"].options(stream=True))
    registration = VoiceRegistration(stages["voice_encoder"], objects, embedded_store())
    return {
        "synthesize": works.synthesize,
        "assistant": works.assistant,
        "register_speaker": RegistrationWork(registration).register,
    }
