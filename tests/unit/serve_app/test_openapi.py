from typing import Any

import pytest

from serve_app.http import routes
from serve_app.openapi import OpenAIError, Problem

METHODS = {"get", "put", "post", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return routes().openapi()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, found in document["paths"].items()
        for method, operation in found.items()
    }


def test_every_route_of_the_contract_is_there(document: dict[str, Any]) -> None:
    assert set(operations(document)) == {
        ("get", "/health"),
        ("get", "/ready"),
        ("post", "/register_speaker"),
        ("get", "/speakers"),
        ("get", "/speakers/{speaker_id}"),
        ("delete", "/speakers/{speaker_id}"),
        ("get", "/characters/{character_id}"),
        ("put", "/characters/{character_id}"),
        ("delete", "/characters/{character_id}"),
        ("post", "/synthesize"),
        ("post", "/assistant"),
        ("get", "/jobs"),
        ("get", "/jobs/{job_id}"),
        ("post", "/jobs/{job_id}/cancel"),
        ("get", "/jobs/{job_id}/audio"),
        ("get", "/jobs/{job_id}/captions.{kind}"),
        ("post", "/v1/audio/speech"),
        ("get", "/v1/audio/voices"),
        ("post", "/v1/audio/voices"),
        ("delete", "/v1/audio/voices/{voice_id}"),
        ("post", "/v1/chat/completions"),
        ("get", "/v1/models"),
    }


def test_every_error_has_an_example_in_the_form_of_its_route(document: dict[str, Any]) -> None:
    for (_, path), operation in operations(document).items():
        if path in ("/health", "/ready"):
            continue
        for status, reply in operation["responses"].items():
            if status < "400":
                continue
            is_openai = path.startswith("/v1/")
            media_type = "application/json" if is_openai else "application/problem+json"
            assert list(reply["content"]) == [media_type], (path, status)
            for example in reply["content"][media_type].get("examples", {}).values():
                (OpenAIError if is_openai else Problem).model_validate(example["value"])


def test_whatever_takes_a_body_can_refuse_its_size_its_type_and_its_pace(
    document: dict[str, Any],
) -> None:
    for (method, path), operation in operations(document).items():
        if method in ("post", "put") and not path.endswith("/cancel"):
            assert {"400", "408", "413", "415", "429", "503"} <= set(operation["responses"]), path


def test_every_body_shows_an_example(document: dict[str, Any]) -> None:
    for (_, path), operation in operations(document).items():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content["schema"]["$ref"].rpartition("/")[2]
            properties = document["components"]["schemas"][name]["properties"].values()
            assert "examples" in str(list(properties)), path
