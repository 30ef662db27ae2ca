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
from deployments.errors import InvalidInput, SpeechError
from deployments.problems import problem_document, to_speech_error

_OPENAI_TYPES = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


def problem_response(
    document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document as a reply, with `Retry-After` if the document says when to come back."""
    headers = dict(headers or {})
    if "retry_after_s" in document:
        headers["Retry-After"] = str(document["retry_after_s"])
    return JSONResponse(
        document, int(document["status"]), headers, media_type="application/problem+json"
    )


def render(request: Request, error: SpeechError) -> JSONResponse:
    """Answer with `error` in the form of the route that was called."""
    if not _is_openai_route(request):
        return problem_response(problem_document(error, current_request_id()))
    headers = {}
    if "retry_after_s" in error.extensions:
        headers["Retry-After"] = str(error.extensions["retry_after_s"])
    return _openai_response(error.status, error.detail, error.slug, None, headers)


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """Exception handler for everything that leaves a route."""
    return render(request, to_speech_error(error))


async def handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    """A body that does not fit the schema: 422 with JSON pointers, or OpenAI's 400."""
    assert isinstance(error, RequestValidationError)
    faults = [_fault(fault) for fault in error.errors()]
    if not request.headers.get("content-type", "").startswith("application/json"):
        faults = [{"pointer": "", "detail": "send JSON, with Content-Type: application/json"}]
    summary = "; ".join(f"{fault['pointer'] or 'body'}: {fault['detail']}" for fault in faults[:5])
    if _is_openai_route(request):
        parameter = faults[0]["pointer"].lstrip("/").replace("/", ".") or None
        return _openai_response(400, summary, "invalid-input", parameter, {})
    invalid = InvalidInput(summary, {"errors": faults})
    return problem_response(problem_document(invalid, current_request_id()) | {"status": 422})


async def handle_http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: an unknown path, a wrong method, broken JSON."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if _is_openai_route(request):
        return _openai_response(error.status_code, str(error.detail), "http-error", None, headers)
    document = {
        "type": "about:blank",
        "title": str(error.detail),
        "status": error.status_code,
        "detail": f"{request.method} {request.url.path}: {error.detail}",
        "instance": current_request_id(),
    }
    return problem_response(document, headers)


def _is_openai_route(request: Request) -> bool:
    return request.url.path.startswith("/v1/")


def _fault(error: Mapping[str, Any]) -> dict[str, str]:
    """One validation error: where (a JSON pointer into the body) and what; never the value."""
    if error["type"] == "json_invalid":
        where = error["loc"][-1]
        return {"pointer": "", "detail": f"not valid JSON at character {where}"}
    location = [str(part) for part in error["loc"] if part != "body"]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in location)
    return {"pointer": pointer[:200], "detail": str(error["msg"])[:300]}


def _openai_response(
    status: int, message: str, code: str, parameter: str | None, headers: dict[str, str]
) -> JSONResponse:
    kind = _OPENAI_TYPES.get(status, "server_error")
    body = {"error": {"message": message, "type": kind, "param": parameter, "code": code}}
    return JSONResponse(body, status_code=status, headers=headers)
