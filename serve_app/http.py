"""The HTTP application: routes, error handlers, and what stands around every request."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from deployments.errors import SpeechError
from serve_app import openapi, problems
from serve_app.access.middleware import AccessMiddleware
from serve_app.body import BodyMiddleware
from serve_app.edge import Edge
from serve_app.middleware import HeadMiddleware, RequestContextMiddleware
from serve_app.routes import characters, chat, jobs, service, speakers, speech

_DESCRIPTION = """A mind and a voice for fictional characters, Korean first.

Errors are problem documents (RFC 9457); on `/v1/*` they have OpenAI's form. Every reply carries
`x-request-id` and `server-timing`. Where API keys are set up, send `Authorization: Bearer <key>`.
"""


def http_application(edge: Edge) -> ASGIApp:
    """Everything between a request's bytes and the parts of the service.

    From the outside in: HEAD, the request's context and its errors, the API key, the body, the
    routes. A body is read only for callers with a valid key.
    """
    app = routes(edge)
    app.add_middleware(BodyMiddleware)
    app.add_middleware(AccessMiddleware, keys=edge.keys, rate=edge.rate)
    app.add_middleware(RequestContextMiddleware, metrics=edge.metrics)
    # Around the FastAPI object also because Serve would add error handlers of its own to that.
    return HeadMiddleware(app)


def routes(edge: Edge | None = None) -> FastAPI:
    """All routes; without an edge they can be documented but not called."""
    app = FastAPI(
        title="Baewoo",
        description=_DESCRIPTION,
        version="0.1.0",
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.edge = edge
    for subject in (service, speakers, characters, jobs, speech, chat):
        app.include_router(subject.router)
    app.add_exception_handler(RequestValidationError, problems.handle_validation_error)
    app.add_exception_handler(HTTPException, problems.handle_http_exception)
    for kind in (SpeechError, RayError, RayServeException, TimeoutError):
        app.add_exception_handler(kind, problems.handle_error)
    found = openapi.document(app)
    app.openapi = lambda: found  # type: ignore[method-assign]
    return app
