"""What `/docs` says of errors: every route names those it answers with, with an example of each."""

from __future__ import annotations

from collections import defaultdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

from deployments.errors import (
    DeadlineExceeded,
    InvalidInput,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    RequestTimeout,
    SpeechError,
    Unauthorized,
    UnsupportedMediaType,
)
from deployments.problems import problem_document
from serve_app.problems import openai_document

Responses = dict[int | str, dict[str, Any]]

_OPENAI_PREFIX = "/v1/"

_EVERYWHERE: tuple[type[SpeechError], ...] = (
    *(InvalidInput, Unauthorized, RequestTimeout, PayloadTooLarge, RateLimited),
    *(SpeechError, NotReady),
)
_WITH_A_BODY = (UnsupportedMediaType,)
_WITH_AUDIO = (Overloaded, DeadlineExceeded)
_VALIDATION_PROBLEM = {
    "description": "A parameter has another form.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class Problem(BaseModel):
    """A problem document (RFC 9457); some kinds have further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str


class OpenAIFault(BaseModel):
    """What went wrong, as OpenAI's client libraries read it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIError(BaseModel):
    """The body of an error on `/v1/*`."""

    error: OpenAIFault


def problems(*errors: type[SpeechError], body: bool = False, audio: bool = False) -> Responses:
    """`responses` of one of our own routes.

    Args:
        errors: what this route may answer with, besides what every route may.
        body: it takes a body.
        audio: it makes audio.
    """
    found = _grouped(errors, body, audio)
    if body:
        found[422] = [InvalidInput, *found.get(422, [])]
    responses: Responses = {}
    for status, kinds in found.items():
        responses[status] = {
            "description": HTTPStatus(status).phrase,
            "model": Problem,
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {
                        kind.slug: {"value": _problem_example(kind, status)} for kind in kinds
                    },
                }
            },
        }
    return responses


def openai_errors(*errors: type[SpeechError], body: bool = False, audio: bool = False) -> Responses:
    """`responses` of a route in OpenAI's shape; see `problems`."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "model": OpenAIError,
            "content": {
                "application/json": {
                    "examples": {
                        kind.slug: {"value": openai_document(_example(kind), None)}
                        for kind in kinds
                    }
                }
            },
        }
        for status, kinds in _grouped(errors, body, audio).items()
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; what FastAPI assumes of validation errors is replaced by what is so."""
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for path, operations in found["paths"].items():
        for operation in operations.values():
            if path.startswith(_OPENAI_PREFIX):
                operation["responses"].pop("422", None)
            elif "HTTPValidationError" in str(operation["responses"].get("422")):
                operation["responses"]["422"] = _VALIDATION_PROBLEM
            for reply in operation["responses"].values():
                if "application/problem+json" in reply.get("content", {}):
                    reply["content"].pop("application/json", None)
            operation.setdefault("security", [{}, {"ApiKey": []}])
    schemas = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    found["components"]["securitySchemes"] = {"ApiKey": {"type": "http", "scheme": "bearer"}}
    return found


def _grouped(
    errors: tuple[type[SpeechError], ...], body: bool, audio: bool
) -> dict[int, list[type[SpeechError]]]:
    kinds: dict[int, list[type[SpeechError]]] = defaultdict(list)
    for kind in (
        *errors,
        *_EVERYWHERE,
        *(_WITH_A_BODY if body else ()),
        *(_WITH_AUDIO if audio else ()),
    ):
        kinds[kind.status].append(kind)
    return dict(sorted(kinds.items()))


def _example(kind: type[SpeechError]) -> SpeechError:
    extensions = {"retry_after_s": 2} if issubclass(kind, Overloaded | NotReady) else {}
    return kind(kind.title, extensions)


def _problem_example(kind: type[SpeechError], status: int) -> dict[str, Any]:
    example = problem_document(_example(kind), "4fd1b9a2-6b1e-4d2b-9a53-0d6f7f0c1e11")
    return example | {"status": status}
