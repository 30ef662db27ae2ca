"""Errors as HTTP replies: one table, two renderers.

Our own routes answer with a problem document (RFC 9457); `/v1/*` answers as OpenAI's API does, so
that its client libraries raise the exceptions their users know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from deployments.driver.request_context import current_request_id
from deployments.errors import InvalidInput, SpeechError, UnsupportedMediaType
from deployments.problems import problem_document, to_speech_error
from serve_app.body import UPLOAD_PATHS

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def problem_response(
    document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document as a reply, with the headers that go with what it says."""
    return JSONResponse(
        document,
        int(document["status"]),
        {**(headers or {}), **_headers_for(int(document["status"]), document)},
        media_type="application/problem+json",
    )


def openai_document(error: SpeechError, parameter: str | None) -> dict[str, Any]:
    """An error as OpenAI's API writes it."""
    return _openai_document(error.status, error.detail, error.slug, parameter)


def render(request: Request, error: SpeechError) -> JSONResponse:
    """Answer with `error` in the form of the route that was called."""
    request.state.error_slug = error.slug
    if not _is_openai_route(request):
        return problem_response(problem_document(error, current_request_id()))
    headers = _headers_for(error.status, error.extensions)
    return JSONResponse(openai_document(error, None), error.status, headers)


def openai_response(document: Mapping[str, Any]) -> JSONResponse:
    """A stored problem document as OpenAI's API would answer with it."""
    status = int(document["status"])
    slug = str(document["type"]).rpartition(":")[2]
    body = _openai_document(status, str(document["detail"]), slug, None)
    return JSONResponse(body, status, _headers_for(status, document))


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for everything that leaves a route."""
    return render(request, to_speech_error(error))


async def handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    """A body that does not fit the schema: 422 with JSON pointers, or OpenAI's 400."""
    assert isinstance(error, RequestValidationError)
    if (wrong_type := _wrong_media_type(request, error)) is not None:
        return render(request, wrong_type)
    faults = [_fault(fault) for fault in error.errors()[:20]]
    summary = "; ".join(f"{fault['pointer'] or 'body'}: {fault['detail']}" for fault in faults[:5])
    request.state.error_slug = InvalidInput.slug
    if _is_openai_route(request):
        parameter = faults[0]["pointer"].lstrip("/").replace("/", ".") or None
        return JSONResponse(openai_document(InvalidInput(summary), parameter), 400)
    invalid = InvalidInput(summary, {"errors": faults})
    return problem_response(problem_document(invalid, current_request_id()) | {"status": 422})


async def handle_http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: an unknown path, a wrong method, a broken form."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    request.state.error_slug = "http-error"
    if _is_openai_route(request):
        document = _openai_document(error.status_code, str(error.detail), "http-error", None)
        return JSONResponse(document, error.status_code, headers)
    document = {
        "type": "about:blank",
        "title": str(error.detail),
        "status": error.status_code,
        "detail": f"{request.method} {request.url.path[:200]}: {error.detail}",
        "instance": current_request_id(),
    }
    return problem_response(document, headers)


def _is_openai_route(request: Request) -> bool:
    return request.url.path.startswith("/v1/")


def _wrong_media_type(
    request: Request, error: RequestValidationError
) -> UnsupportedMediaType | None:
    """Why a body was not even read, if that is what happened: it is not of the route's type."""
    if all(fault["loc"][:1] != ("body",) for fault in error.errors()):
        return None
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = "multipart/form-data" if request.url.path in UPLOAD_PATHS else "application/json"
    if sent == wanted:
        return None
    return UnsupportedMediaType(f"send {wanted}, and say so in Content-Type", {"supported": wanted})


def _headers_for(status: int, members: Mapping[str, Any]) -> dict[str, str]:
    headers = {}
    if "retry_after_s" in members:
        headers["Retry-After"] = str(members["retry_after_s"])
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 416:
        headers["Content-Range"] = f"bytes */{members['size_bytes']}"
    return headers


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    """One validation error: where (a JSON pointer into the body) and what; never the value."""
    if error["type"] == "json_invalid":
        where = error["loc"][-1]
        return {"pointer": "", "detail": f"not valid JSON at character {where}"}
    location = [str(part) for part in error["loc"] if part != "body"]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in location)
    return {"pointer": pointer[:200], "detail": str(error["msg"])[:300]}


def _openai_document(status: int, message: str, code: str, parameter: str | None) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}
