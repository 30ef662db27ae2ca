import httpx
import pytest

pytestmark = pytest.mark.e2e

SPEECH = {"model": "tts-1", "voice": "sinip", "input": "안녕하세요."}
SYNTHESIZE = {"speaker_id": "sinip", "text": "안녕하세요."}
ASSISTANT = {"character": "bujang", "prompt": "회의 시간이다."}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"input": ""}, 400, "unspeakable-text"),
        ({"input": "!? …"}, 400, "unspeakable-text"),
        ({"input": "가" * 4097}, 400, "invalid-input"),
        ({"input": 3}, 400, "invalid-input"),
        ({"input": None}, 400, "invalid-input"),
        ({"voice": "nobody"}, 404, "unknown-voice"),
        ({"voice": "../../etc/passwd"}, 400, "invalid-input"),
        ({"voice": "sinip@9"}, 404, "unknown-voice"),
        ({"model": "tts-9"}, 404, "unknown-model"),
        ({"response_format": "midi"}, 400, "unsupported-format"),
        ({"speed": "fast"}, 400, "invalid-input"),
        ({"speed": 9}, 400, "invalid-input"),
        ({"emotion": "bored"}, 400, "unsupported-emotion"),
        ({"language": "fr"}, 400, "unsupported-language"),
        ({"loudness": 1}, 400, "invalid-input"),
    ],
)
def test_openai_route_answers_bad_input_in_openai_form(
    client: httpx.Client, change: dict[str, object], status: int, code: str
) -> None:
    reply = client.post("/v1/audio/speech", json=SPEECH | change)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"text": ""}, 400, "unspeakable-text"),
        ({"text": "가" * 4097}, 422, "invalid-input"),
        ({"text": ["안녕"]}, 422, "invalid-input"),
        ({"speaker_id": "nobody"}, 404, "unknown-voice"),
        ({"speaker_id": ""}, 422, "invalid-input"),
        ({"emotion": "bored"}, 400, "unsupported-emotion"),
        ({"format": "midi"}, 400, "unsupported-format"),
        ({"dictionary": {"": "x"}}, 422, "invalid-input"),
        ({"unknown": True}, 422, "invalid-input"),
    ],
)
def test_own_route_answers_bad_input_with_a_problem_document(
    client: httpx.Client, change: dict[str, object], status: int, slug: str
) -> None:
    reply = client.post("/synthesize", json=SYNTHESIZE | change)
    problem = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, problem["status"]) == (status, status)
    assert problem["type"] == f"urn:baewoo:problem:{slug}"
    assert problem["instance"] == reply.headers["x-request-id"]
    assert problem["title"] and problem["detail"]


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (ASSISTANT | {"prompt": ""}, 400, "invalid-input"),
        (ASSISTANT | {"prompt": "가" * 3000}, 422, "invalid-input"),
        (ASSISTANT | {"character": "nobody"}, 404, "unknown-character"),
        (ASSISTANT | {"speaker_id": "nobody"}, 404, "unknown-voice"),
        ({"prompt": "회의 시간이다."}, 400, "invalid-input"),
        (ASSISTANT | {"seed": -1}, 422, "invalid-input"),
        (ASSISTANT | {"history": [{"role": "system", "text": "x"}]}, 422, "invalid-input"),
    ],
)
def test_assistant_answers_bad_input_with_a_problem_document(
    client: httpx.Client, body: dict[str, object], status: int, slug: str
) -> None:
    reply = client.post("/assistant", json=body)
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:baewoo:problem:{slug}")


def test_a_fault_is_named_by_its_json_pointer(client: httpx.Client) -> None:
    reply = client.post("/synthesize", json=SYNTHESIZE | {"speed": "fast"})
    assert [fault["pointer"] for fault in reply.json()["errors"]] == ["/speed"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"text": NaN}']
)
def test_a_body_that_is_not_the_json_asked_for_is_refused(
    client: httpx.Client, content: bytes
) -> None:
    headers = {"content-type": "application/json"}
    reply = client.post("/synthesize", content=content, headers=headers)
    assert 400 <= reply.status_code < 500
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_lone_surrogate_is_refused(client: httpx.Client) -> None:
    content = b'{"model": "tts-1", "voice": "sinip", "input": "\\ud800"}'
    reply = client.post(
        "/v1/audio/speech", content=content, headers={"content-type": "application/json"}
    )
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "input")


def test_a_body_over_the_limit_is_refused(client: httpx.Client) -> None:
    reply = client.post("/synthesize", content=b" " * (1 << 21))
    assert (reply.status_code, reply.json()["limit"]) == (413, 1 << 20)


@pytest.mark.parametrize("job_id", ["job_1", "job_" + "f" * 32, "..%2f..%2fetc", "job_" + "0" * 32])
def test_an_unknown_job_is_not_found(client: httpx.Client, job_id: str) -> None:
    reply = client.get(f"/jobs/{job_id}")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: httpx.Client) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/synthesize").status_code == 405
    assert client.get("/v1/nothing").json()["error"]["code"] == "http-error"


def test_every_reply_has_a_request_id_and_timings(client: httpx.Client) -> None:
    reply = client.get("/health", headers={"x-request-id": "abc-1"})
    assert reply.headers["x-request-id"] == "abc-1"
    assert "total;dur=" in reply.headers["server-timing"]


def test_bad_input_leaves_the_service_ready(client: httpx.Client) -> None:
    for _ in range(20):
        client.post("/synthesize", content=b"\x00" * 1000)
    reply = client.get("/ready")
    assert (reply.status_code, reply.json()["ready"]) == (200, True)
