"""Voices made of a clip: the clip here is speech of the embedded voice, which is nobody's."""

import io
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.e2e

TRANSCRIPT = "오늘 회의는 여기까지 하고 다 같이 점심 먹으러 갑시다."


@pytest.fixture(scope="module")
def clip(client: httpx.Client) -> bytes:
    """Some four seconds of speech."""
    body = {"model": "tts-1", "voice": "bujang", "input": TRANSCRIPT, "response_format": "wav"}
    pcm, rate = soundfile.read(io.BytesIO(client.post("/v1/audio/speech", json=body).content))
    return wav(pcm, rate)


def wav(samples: np.ndarray, rate: int = 24000, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def register(client: httpx.Client, clip: bytes, **fields: str) -> httpx.Response:
    data = {"consent": "true", "transcript": TRANSCRIPT} | fields
    return client.post("/register_speaker", files={"audio": ("clip", clip)}, data=data)


def test_a_registered_voice_speaks_takes_a_second_clip_and_is_deleted(
    client: httpx.Client, clip: bytes
) -> None:
    job = register(client, clip, speaker_id="newcomer").json()
    assert job["status"] == "succeeded", job
    assert job["output"]["voice"] == "newcomer@1"
    assert client.get("/speakers/newcomer").json()["emotions"] == ["neutral"]
    assert register(client, clip, speaker_id="newcomer", emotion="happiness").status_code == 200
    assert client.get("/speakers/newcomer").json()["emotions"] == ["neutral", "happiness"]
    spoken = client.post("/synthesize", json={"text": "안녕.", "speaker_id": "newcomer"}).json()
    assert spoken["output"]["voice"] == "newcomer@2"
    assert client.delete("/speakers/newcomer").status_code == 204
    assert client.get("/speakers/newcomer").status_code == 404
    reply = client.post("/synthesize", json={"text": "안녕.", "speaker_id": "newcomer"})
    assert reply.json()["type"] == "urn:baewoo:problem:unknown-voice"


def test_openai_shape_registers_lists_and_deletes(client: httpx.Client, clip: bytes) -> None:
    data = {"name": "guest", "consent": "true", "transcript": TRANSCRIPT}
    files = {"audio_sample": ("clip.wav", clip)}
    made = client.post("/v1/audio/voices", data=data, files=files)
    assert (made.status_code, made.json()["id"]) == (200, "guest")
    listed = client.get("/v1/audio/voices").json()["data"]
    assert "guest" in [voice["id"] for voice in listed]
    gone = client.delete("/v1/audio/voices/guest").json()
    assert (gone["id"], gone["deleted"]) == ("guest", True)
    assert client.delete("/v1/audio/voices/guest").json()["error"]["code"] == "unknown-voice"


@pytest.mark.parametrize(
    ("fields", "status", "slug"),
    [
        ({"consent": "false"}, 400, "consent-missing"),
        ({"consent": "perhaps"}, 422, "invalid-input"),
        ({"speaker_id": "../etc"}, 400, "invalid-input"),
        ({"speaker_id": "가나다"}, 400, "invalid-input"),
        ({"speaker_id": "bujang"}, 409, "voice-exists"),
        ({"engine": "magic"}, 400, "unsupported-engine"),
        ({"language": "tlh"}, 400, "unsupported-language"),
        ({"emotion": "bored"}, 400, "unsupported-emotion"),
        ({"emotion": '{"anger": NaN}'}, 400, "unsupported-emotion"),
        ({"emotion": '{"anger": "x"}'}, 400, "invalid-input"),
        ({"transcript": "가" * 501}, 422, "invalid-input"),
        ({"webhook_url": "http://169.254.169.254/"}, 400, "invalid-input"),
    ],
)
def test_a_field_that_can_not_be_used_is_refused(
    client: httpx.Client, clip: bytes, fields: dict[str, str], status: int, slug: str
) -> None:
    reply = register(client, clip, **fields)
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:baewoo:problem:{slug}")


def test_a_body_that_is_no_form_with_a_clip_is_refused(client: httpx.Client) -> None:
    assert client.post("/register_speaker", json={"audio": "x"}).status_code == 415
    assert client.post("/register_speaker", data={"consent": "true"}).status_code == 415
    broken = {"content-type": "multipart/form-data; boundary=x"}
    reply = client.post("/register_speaker", content=b"--x\r\nbroken", headers=broken)
    assert 400 <= reply.status_code < 500
    nothing = client.post("/register_speaker", files={"other": b"x"}, data={"consent": "true"})
    assert [fault["pointer"] for fault in nothing.json()["errors"]] == ["/audio"]


def tone(seconds: float, rate: int = 24000) -> np.ndarray:
    return 0.1 * np.sin(np.arange(int(seconds * rate)) * 0.05)


def two_hours_of_silence() -> bytes:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC") as flac:
        for _ in range(120):
            flac.write(np.zeros(8000 * 60, np.int16))
    return file.getvalue()


def says_it_lasts_ten_hours() -> bytes:
    content = bytearray(wav(tone(1), 24000))
    content[40:44] = (24000 * 2 * 36000).to_bytes(4, "little")
    return bytes(content)


HOSTILE: dict[str, Any] = {
    "empty": lambda: b"",
    "zeros": lambda: bytes(5000),
    "text": lambda: "이것은 소리가 아니다".encode() * 100,
    "one sample": lambda: wav(np.zeros(1)),
    "no sample": lambda: wav(np.zeros(0)),
    "a tone": lambda: wav(tone(5)),
    "silence": lambda: wav(np.zeros(24000 * 5)),
    "too short": lambda: wav(tone(0.2)),
    "hours in a tiny file": two_hours_of_silence,
    "ten hours by its header": says_it_lasts_ten_hours,
    "truncated flac": lambda: wav(tone(5), kind="FLAC")[:200],
    "truncated ogg": lambda: wav(tone(5), kind="OGG")[:300],
    "many channels": lambda: wav(np.zeros((2400, 64))),
    "a zip": lambda: b"PK\x03\x04" + bytes(1000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_clip_that_is_no_speech_is_refused_and_harms_nothing(
    client: httpx.Client, name: str
) -> None:
    reply = register(client, HOSTILE[name](), speaker_id="hostile")
    assert reply.status_code == 400, reply.text
    assert reply.json()["type"].rpartition(":")[2] in {
        "unreadable-audio",
        "unusable-clip",
        "transcript-mismatch",
    }
    assert client.get("/speakers/hostile").status_code == 404
    assert client.get("/ready").status_code == 200


def test_a_clip_over_the_limit_is_refused(client: httpx.Client) -> None:
    reply = register(client, bytes(17 << 20))
    assert (reply.status_code, reply.json()["limit"]) == (413, 16 << 20)
