"""The ingress: one method per route, each a straight line from request to reply.

No `from __future__ import annotations` here: FastAPI reads the real annotations of these methods.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from ray import serve
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from deployments.calls import stream
from deployments.driver.assistant import line_request
from deployments.driver.audio_format import audio_format, encode_stream
from deployments.driver.catalog import Catalog
from deployments.driver.iteration import each, peek
from deployments.driver.request_context import current_timings
from deployments.driver.requests import AssistantRequest, SpeechRequest, SynthesizeRequest
from deployments.driver.speech import SAMPLE_RATE, speech_over
from deployments.driver.written_line import WrittenLine
from deployments.errors import SpeechError, UnknownModel
from deployments.jobs.job import Job, JobOutput
from deployments.jobs.records import JobStore
from deployments.jobs.running import JobRunner
from models.storage import FolderStore, embedded_store
from serve_app import problems
from serve_app.middleware import RequestContextMiddleware
from serve_app.readiness import are_stages_ready
from serve_app.replies import describe_speaker, job_reply, openai_model, openai_voice
from serve_app.schemas import Speaker
from serve_app.waiting import wait_s

Prefer = Annotated[list[str] | None, Header()]

SPEECH_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Names under which OpenAI's clients ask for speech; all mean the engine of the voice."""

app = FastAPI(
    title="Baewoo",
    description="A mind and a voice for fictional characters, Korean first.",
    version="0.1.0",
    redirect_slashes=False,
)
app.add_middleware(RequestContextMiddleware)
app.add_exception_handler(RequestValidationError, problems.handle_validation_error)
app.add_exception_handler(HTTPException, problems.handle_http_exception)
app.add_exception_handler(SpeechError, problems.handle_error)
app.add_exception_handler(RayError, problems.handle_error)


@serve.ingress(app)
class Ingress:
    """Drives the stages of the graph; holds no model.

    Args:
        text_frontend, persona_llm, kokoro_voice, semantic_decoder, vocoder: the stages.
        storage_root: absolute folder of published voices and job results.
    """

    def __init__(
        self,
        text_frontend: DeploymentHandle[Any],
        persona_llm: DeploymentHandle[Any],
        kokoro_voice: DeploymentHandle[Any],
        semantic_decoder: DeploymentHandle[Any],
        vocoder: DeploymentHandle[Any],
        storage_root: str,
    ) -> None:
        store = FolderStore(Path(storage_root))
        store.check_writable()
        self._stages = {
            "text_frontend": text_frontend,
            "persona_llm": persona_llm,
            "kokoro_voice": kokoro_voice,
            "semantic_decoder": semantic_decoder,
            "vocoder": vocoder,
        }
        self._catalog = Catalog([store, embedded_store()])
        self._jobs = JobStore(store)
        self._speech = speech_over(
            text_frontend, kokoro_voice, semantic_decoder, vocoder, self._catalog
        )
        self._persona_stream = persona_llm.options(stream=True)
        self._runner = JobRunner(self._jobs)

    @app.api_route("/health", methods=["GET", "HEAD"], tags=["service"])
    async def health(self) -> dict[str, str]:
        """The HTTP edge is alive."""
        return {"status": "alive"}

    @app.get("/ready", tags=["service"])
    async def ready(self) -> JSONResponse:
        """Every stage is loaded and answers."""
        stages = await are_stages_ready(self._stages)
        is_ready = all(stages.values())
        return JSONResponse({"ready": is_ready, "stages": stages}, 200 if is_ready else 503)

    @app.post("/v1/audio/speech", tags=["OpenAI"], response_class=Response)
    async def speech(self, body: SpeechRequest) -> StreamingResponse:
        """Speak a text; the audio streams while later sentences are still being made."""
        if body.model not in SPEECH_MODELS:
            known = ", ".join(SPEECH_MODELS)
            raise UnknownModel(f"no speech model is called {body.model!r}; there are: {known}")
        encoding = audio_format(body.response_format)
        voice = await asyncio.to_thread(self._catalog.voice, body.voice)
        style = voice.style(body.language, body.emotion, body.speed)
        segments = await self._speech.analyze(body.input, style)
        waveforms = await peek(self._speech.say(each(segments), voice, style))
        return StreamingResponse(
            encode_stream(waveforms, encoding, SAMPLE_RATE),
            media_type=encoding.media_type,
            headers={"X-Sample-Rate": str(SAMPLE_RATE)},
        )

    @app.get("/v1/audio/voices", tags=["OpenAI"])
    async def openai_voices(self) -> dict[str, Any]:
        """All voices, as a list in OpenAI's shape."""
        voices = await asyncio.to_thread(self._catalog.voices)
        return {"object": "list", "data": [openai_voice(voice) for voice in voices]}

    @app.get("/v1/models", tags=["OpenAI"])
    async def models(self) -> dict[str, Any]:
        """The names under which speech can be asked for."""
        return {"object": "list", "data": [openai_model(name) for name in SPEECH_MODELS]}

    @app.get("/speakers", tags=["speakers"])
    async def speakers(self) -> dict[str, list[Speaker]]:
        """The newest version of every voice."""
        voices = await asyncio.to_thread(self._catalog.voices)
        return {"speakers": [describe_speaker(voice) for voice in voices]}

    @app.get("/speakers/{speaker_id}", tags=["speakers"])
    async def speaker(self, speaker_id: str) -> Speaker:
        """One voice, by `id` or `id@version`."""
        return describe_speaker(await asyncio.to_thread(self._catalog.voice, speaker_id))

    @app.post("/synthesize", tags=["jobs"], response_model=Job)
    async def synthesize(self, body: SynthesizeRequest, prefer: Prefer = None) -> Response:
        """Speak a text and keep the recording."""
        encoding = audio_format(body.format)
        voice = await asyncio.to_thread(self._catalog.voice, body.speaker_id)
        style = voice.style(body.language, body.emotion, body.speed, body.dictionary)
        segments = await self._speech.analyze(body.text, style)

        async def work(job: Job) -> JobOutput:
            waveforms = self._speech.say(each(segments), voice, style)
            audio = await self._runner.record(job, waveforms, encoding, SAMPLE_RATE)
            return JobOutput(audio=audio, voice=str(voice.record), emotion=style.emotion)

        task = await self._runner.start("synthesize", body.model_dump(), work)
        return await self._reply_when_done(task, wait_s(prefer or []))

    @app.post("/assistant", tags=["jobs"], response_model=Job)
    async def assistant(self, body: AssistantRequest, prefer: Prefer = None) -> Response:
        """Answer a scene in character, speak the line and keep the recording."""
        encoding = audio_format(body.format)
        character = await asyncio.to_thread(
            self._catalog.cast, body.character, body.persona, body.speaker_id
        )
        style = character.voice.style("ko", body.emotion, 1.0, character.dictionary)
        request = line_request(body, character.persona)

        async def work(job: Job) -> JobOutput:
            line = WrittenLine(stream(self._persona_stream.generate.remote(request)))
            segments = self._speech.analyze_all(line.sentences(), style)
            waveforms = self._speech.say(segments, character.voice, style)
            audio = await self._runner.record(job, waveforms, encoding, SAMPLE_RATE)
            current_timings().add("llm", line.done.total_s)
            return JobOutput(
                audio=audio,
                voice=str(character.voice.record),
                emotion=style.emotion,
                text=line.done.text,
                persona=character.persona.ref,
                seed=line.done.seed,
            )

        task = await self._runner.start("assistant", body.model_dump(), work)
        return await self._reply_when_done(task, wait_s(prefer or []))

    @app.get("/jobs/{job_id}", tags=["jobs"])
    async def job(self, job_id: str) -> Job:
        """A job as it stands."""
        return await asyncio.to_thread(self._jobs.read, job_id)

    @app.get("/jobs/{job_id}/audio", tags=["jobs"], response_class=Response)
    async def job_audio(self, job_id: str) -> Response:
        """The recording of a finished job."""
        job = await asyncio.to_thread(self._jobs.read, job_id)
        content = await asyncio.to_thread(self._jobs.read_audio, job)
        assert job.output is not None  # read_audio refuses a job without
        return Response(
            content,
            media_type=audio_format(job.output.audio.format).media_type,
            headers={"ETag": f'"{job.output.audio.etag}"'},
        )

    async def _reply_when_done(self, task: asyncio.Task[Job], timeout_s: float) -> Response:
        """The finished job, or after `timeout_s` the job as it stands; it goes on either way."""
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        job = task.result() if done else await asyncio.to_thread(self._jobs.read, task.get_name())
        return job_reply(job)


ingress_deployment = serve.deployment(name="Ingress", ray_actor_options={"num_cpus": 0.1})(Ingress)
