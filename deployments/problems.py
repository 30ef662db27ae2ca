"""What went wrong, in the form callers are told: any exception to a `SpeechError` to a document."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from deployments.errors import DeadlineExceeded, NotReady, Overloaded, SpeechError
from models.storage import StorageUnavailable

logger = logging.getLogger("ray.serve")


def unwrap(error: BaseException) -> BaseException:
    """The exception a replica raised, freed from Ray's wrapping of remote errors."""
    while isinstance(error, RayTaskError) and error.cause is not None:
        error = error.cause
    return error


def to_speech_error(error: BaseException) -> SpeechError:
    """Map whatever a handler or a stage raised to an error a caller may see."""
    error = unwrap(error)
    match error:
        case SpeechError():
            return error
        case BackPressureError():
            return Overloaded("every place in the queue is taken", {"retry_after_s": 1})
        case RayActorError() | DeploymentUnavailableError():
            return NotReady("a stage of the service was lost; try again", {"retry_after_s": 5})
        case StorageUnavailable():
            return NotReady("the storage does not answer; try again", {"retry_after_s": 5})
        case asyncio.TimeoutError():
            return DeadlineExceeded("the request took longer than its limit")
    logger.exception("unexpected error", exc_info=error)
    return SpeechError("an unexpected error; its details are in the server's log")


def problem_document(error: SpeechError, request_id: str) -> dict[str, Any]:
    """An error as the members of an RFC 9457 problem document."""
    return {
        **error.extensions,
        "type": f"urn:baewoo:problem:{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": request_id,
    }
