"""`/v1/chat/completions`: a persona's line without sound, in OpenAI's shape."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from deployments.calls import stream
from deployments.driver.request_context import current_request_id
from deployments.driver.requests import ChatRequest
from deployments.engine.persona.protocol import LineDone, LineEvent, LineRequest, TextDelta
from deployments.errors import (
    ExternalModelRefused,
    GenerationFailed,
    InvalidInput,
    UnknownCharacter,
    UnknownModel,
)
from deployments.problems import to_speech_error
from models.persona.persona import Persona
from models.persona.scene import Scene, SceneError, Turn
from serve_app.admission import LINE_AUDIO_S
from serve_app.edge import Edge, Parts
from serve_app.openapi import openai_errors
from serve_app.problems import openai_document
from serve_app.schemas import ChatChoice, ChatCompletion, ChatMessageReply, ChatUsage
from serve_app.sse import event, event_stream
from serve_app.streaming import MAX_FIRST_WAIT_S, begun

router = APIRouter(tags=["OpenAI"])

_DONE = b"data: [DONE]\n\n"
_EXTERNAL = "external"


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "The line, or its pieces."},
        **openai_errors(
            UnknownModel, GenerationFailed, ExternalModelRefused, body=True, audio=True
        ),
    },
)
async def chat(body: ChatRequest, edge: Parts) -> Response:
    """Answer in character; the last message is the scene, the ones before it came before it."""
    request = await _line_request(edge, body)
    if body.stream:
        return event_stream(await begun(_chunks(edge, request, body.model)))
    async with asyncio.timeout(MAX_FIRST_WAIT_S), aclosing(_line(edge, request)) as events:
        done = [line_event async for line_event in events][-1]
    if not isinstance(done, LineDone):
        raise GenerationFailed("the persona's line broke off")
    completion = ChatCompletion(
        id=_new_id(),
        created=int(time.time()),
        model=body.model,
        choices=[
            ChatChoice(
                message=ChatMessageReply(content=done.text), finish_reason=_finish_reason(done)
            )
        ],
        usage=ChatUsage(
            prompt_tokens=done.num_prompt_tokens,
            completion_tokens=done.num_new_tokens,
            total_tokens=done.num_prompt_tokens + done.num_new_tokens,
        ),
    )
    return JSONResponse(completion.model_dump())


def chat_model(persona: Persona) -> str:
    """Under which name a persona is asked for."""
    return f"{persona.base_model}:{persona.persona_id}"


async def _line_request(edge: Edge, body: ChatRequest) -> LineRequest:
    base, _, name = body.model.partition(":")
    try:
        persona = await asyncio.to_thread(edge.catalog.persona, name)
    except (UnknownCharacter, InvalidInput) as error:
        raise UnknownModel(error.detail) from error
    if base not in (persona.base_model, _EXTERNAL):
        raise UnknownModel(f"no chat model is called {body.model!r}; it is {chat_model(persona)}")
    *earlier, last = body.messages
    if last.role != "user":
        raise InvalidInput("the last message has to be the user's")
    try:
        history = tuple(
            Turn("character" if message.role == "assistant" else "user", message.content)
            for message in earlier
        )
        scene = Scene.parse(last.content)
    except SceneError as error:
        raise InvalidInput(str(error)) from error
    sampling = persona.sampling
    if body.temperature is not None:
        sampling = replace(sampling, temperature=body.temperature)
    if body.top_p is not None:
        sampling = replace(sampling, top_p=body.top_p)
    return LineRequest(
        request_id=current_request_id(),
        persona=persona,
        scene=scene,
        history=history,
        seed=secrets.randbits(53) if body.seed is None else body.seed,
        sampling=sampling,
        llm="external" if base == _EXTERNAL else "local",
    )


async def _line(edge: Edge, request: LineRequest) -> AsyncGenerator[LineEvent]:
    with edge.admission.admitted(LINE_AUDIO_S):
        async with aclosing(stream(edge.persona_llm.generate.remote(request))) as events:
            async for line_event in events:
                yield line_event


async def _chunks(edge: Edge, request: LineRequest, model: str) -> AsyncGenerator[bytes]:
    frame = {
        "id": _new_id(),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    has_begun = False
    try:
        async with aclosing(_line(edge, request)) as events:
            async for line_event in events:
                delta: dict[str, str] = {} if has_begun else {"role": "assistant"}
                reason = None
                if isinstance(line_event, TextDelta):
                    delta["content"] = line_event.text
                else:
                    reason = _finish_reason(line_event)
                yield event(frame | {"choices": [_choice(delta, reason)]})
                has_begun = True
    except Exception as error:
        if not has_begun:
            raise
        yield event(openai_document(to_speech_error(error), None))
    yield _DONE


def _choice(delta: dict[str, str], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _finish_reason(done: LineDone) -> Any:
    return "stop" if done.finish_reason == "stop" else "length"


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
