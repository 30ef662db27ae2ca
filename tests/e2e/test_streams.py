import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.e2e.service import events_of

pytestmark = pytest.mark.e2e

SENTENCE = "보고서는 내일 아침까지 정리해서 보내 드리겠습니다."


def stream(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with client.stream("POST", path, json=body) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        return list(events_of(reply))


def test_events_of_speech_carry_the_bytes_of_its_file(client: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "sinip", "input": SENTENCE, "response_format": "wav"}
    *deltas, done = stream(client, "/v1/audio/speech", body | {"stream_format": "sse"})
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    joined = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert joined == client.post("/v1/audio/speech", json=body).content


def test_a_line_is_written_heard_and_timed_in_one_stream(client: httpx.Client) -> None:
    body = {"character": "bujang", "prompt": "점심시간이다. [지문: 신나서]", "seed": 5}
    events = stream(client, "/assistant", body | {"stream": True})
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("emotion", "done")
    assert kinds.index("text.delta") < kinds.index("audio.delta") < kinds.index("timing")
    assert events[0]["emotion"] == "happiness"
    done = events[-1]
    texts = [event["text"] for event in events if event["type"] == "text.delta"]
    assert "".join(texts) == done["text"]
    audio = [base64.b64decode(e["audio"]) for e in events if e["type"] == "audio.delta"]
    timings = [event for event in events if event["type"] == "timing"]
    assert timings[-1]["end_s"] == pytest.approx(done["duration_s"])
    assert len(b"".join(audio)) / 48000 == pytest.approx(done["duration_s"], abs=0.001)
    stored = client.post("/assistant", json=body).json()["output"]
    assert (stored["text"], stored["emotion"]) == (done["text"], "happiness")
    assert client.get(stored["audio"]["url"]).content[44:] == b"".join(audio)


def test_a_chat_streams_the_line_it_would_answer(client: httpx.Client) -> None:
    body = {
        "model": "gemma-3-270m:sinip",
        "messages": [{"role": "user", "content": "복사기가 고장 났다."}],
        "seed": 7,
    }
    whole = client.post("/v1/chat/completions", json=body).json()
    chunks = stream(client, "/v1/chat/completions", body | {"stream": True})
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("sample_rate", [8000, 48000])
def test_a_sample_rate_changes_the_rate_and_not_the_speech(
    client: httpx.Client, sample_rate: int
) -> None:
    body = {"model": "tts-1", "voice": "sinip", "input": SENTENCE, "response_format": "pcm"}
    usual = client.post("/v1/audio/speech", json=body)
    other = client.post("/v1/audio/speech", json=body | {"sample_rate": sample_rate})
    assert other.headers["x-sample-rate"] == str(sample_rate)
    durations_s = [len(usual.content) / 48000, len(other.content) / 2 / sample_rate]
    assert durations_s[0] == pytest.approx(durations_s[1], abs=0.01)


def test_a_voice_of_two_stages_is_the_same_with_the_same_seed(client: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "alto", "input": "안녕.", "response_format": "pcm"}
    first, second, other = (
        client.post("/v1/audio/speech", json=body | {"seed": seed}).content for seed in (1, 1, 2)
    )
    assert first == second != other


def load(client: httpx.Client) -> dict[str, int]:
    """What is in work and waiting, of requests and in every stage."""
    ready = client.get("/ready").json()
    counts = {name: s["active"] + s["waiting"] for name, s in ready["stages"].items()}
    return counts | {"requests": ready["active_requests"]}


def assert_all_is_idle_soon(client: httpx.Client, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while any((found := load(client)).values()):
        assert time.monotonic() < deadline, {what: n for what, n in found.items() if n}
        time.sleep(0.02)


@contextmanager
def posted(client: httpx.Client, path: str, body: dict[str, Any]) -> Iterator[None]:
    """A request on a socket of its own, which is closed at the end of the block."""
    content = json.dumps(body).encode()
    url = client.base_url
    with socket.create_connection((url.host, url.port)) as raw:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        raw.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        yield


def wait_for(condition: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_load(client: httpx.Client, what: str, expected: int) -> None:
    deadline = time.monotonic() + 30
    while (found := load(client))[what] != expected:
        assert time.monotonic() < deadline, (expected, found)
        time.sleep(0.02)


LONG = " ".join([SENTENCE] * 6)
LEFT_WITHIN_S = 0.5 + 0.5  # half a second, and what noticing and asking take on a busy machine


@pytest.mark.parametrize(
    ("path", "body", "busy_stage"),
    [
        ("/assistant", {"character": "bujang", "prompt": "회의.", "stream": True}, "persona_llm"),
        (
            "/v1/audio/speech",
            {"model": "tts-1", "voice": "endless", "input": LONG},
            "semantic_decoder",
        ),
        ("/v1/audio/speech", {"model": "tts-1", "voice": "alto", "input": LONG}, "vocoder"),
        ("/v1/audio/speech", {"model": "tts-1", "voice": "sinip", "input": LONG}, "kokoro_voice"),
    ],
)
def test_a_listener_who_leaves_leaves_nothing_behind(
    client: httpx.Client, path: str, body: dict[str, Any], busy_stage: str
) -> None:
    if "input" in body:
        # A voice's loudness is measured once for everybody, though the first to ask may leave.
        client.post(path, json=body | {"input": "안녕."})
        assert_all_is_idle_soon(client, 5)
    with posted(client, path, body):
        wait_for(lambda: load(client)[busy_stage] > 0)
    assert_all_is_idle_soon(client, LEFT_WITHIN_S)


def test_a_listener_who_leaves_while_queued_gives_the_place_back(client: httpx.Client) -> None:
    body = {"model": "tts-1", "voice": "sinip", "input": LONG}
    with posted(client, "/v1/audio/speech", body), posted(client, "/v1/audio/speech", body):
        wait_for(lambda: load(client)["kokoro_voice"] == 4)  # two segments of each
        with posted(client, "/v1/audio/speech", body):
            wait_for(lambda: load(client)["kokoro_voice"] == 6)
        deadline = time.monotonic() + LEFT_WITHIN_S
        while (found := load(client))["requests"] != 2 or found["kokoro_voice"] > 4:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
    assert_all_is_idle_soon(client, LEFT_WITHIN_S)


def test_a_caller_who_leaves_a_job_does_not_end_it(client: httpx.Client) -> None:
    newest = client.get("/jobs?limit=1").json()["jobs"]
    with posted(client, "/synthesize", {"speaker_id": "sinip", "text": SENTENCE}):
        wait_for(lambda: client.get("/jobs?limit=1").json()["jobs"] != newest)
    (job,) = client.get("/jobs?limit=1").json()["jobs"]
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["status"] == "succeeded")


def test_beyond_the_bound_requests_are_refused_and_those_inside_are_served(
    client: httpx.Client,
) -> None:
    minutes = " ".join([SENTENCE] * 140)  # so that none has ended before the last has begun
    body = {"model": "tts-1", "voice": "sinip", "input": minutes}
    with ExitStack() as listeners:
        for expected in range(1, 4):  # 12 s each, of 36 s
            listeners.enter_context(posted(client, "/v1/audio/speech", body))
            assert_load(client, "requests", expected)
        refused = client.post("/v1/audio/speech", json=body)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert load(client)["requests"] == 3
    assert_all_is_idle_soon(client, 5)
    short = body | {"input": SENTENCE}
    assert client.post("/v1/audio/speech", json=short).status_code == 200
