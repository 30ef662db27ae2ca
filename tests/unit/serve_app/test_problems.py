import asyncio
import json

import pytest
from fastapi import Request
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError

from deployments.errors import SpeechError, TextTooLong
from deployments.problems import to_speech_error
from models.storage import StorageUnavailable
from serve_app.problems import handle_error


def request(path: str) -> Request:
    return Request({"type": "http", "method": "POST", "path": path, "headers": []})


def remote(cause: Exception) -> RayTaskError:
    """`cause` as it arrives from another replica."""
    error = RayTaskError(function_name="f", traceback_str="a long traceback", cause=cause)
    return error.as_instanceof_cause()


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_an_error_keeps_its_detail_over_any_number_of_hops(hops: int) -> None:
    error: Exception = TextTooLong("9 characters; 5 are allowed", {"limit": 5})
    for _ in range(hops):
        error = remote(error)
    reply = asyncio.run(handle_error(request("/synthesize"), error))
    problem = json.loads(bytes(reply.body))
    assert (reply.status_code, problem["detail"]) == (400, "9 characters; 5 are allowed")
    assert (problem["limit"], problem["type"]) == (5, "urn:baewoo:problem:text-too-long")


def test_overload_says_when_to_come_back() -> None:
    error = BackPressureError(num_queued_requests=9, max_queued_requests=9)
    reply = asyncio.run(handle_error(request("/v1/audio/speech"), error))
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert json.loads(bytes(reply.body))["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RayActorError(), 503),
        (StorageUnavailable("no answer"), 503),
        (TimeoutError(), 504),
        (KeyError("x"), 500),
    ],
)
def test_what_the_runtime_raises_is_mapped(error: Exception, status: int) -> None:
    assert to_speech_error(error).status == status


def test_an_unexpected_error_tells_nothing_of_the_inside() -> None:
    reply = asyncio.run(handle_error(request("/synthesize"), RuntimeError("secret path")))
    assert reply.status_code == 500
    assert b"secret" not in bytes(reply.body)


def test_an_error_without_its_own_status_is_internal() -> None:
    assert to_speech_error(SpeechError("x")).status == 500
