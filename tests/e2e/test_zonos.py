"""Voices of the engine with emotion controls, beside those of the others, over HTTP."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import pytest
import soundfile

from tests.e2e.service import Service
from tests.kokoro_clips import LINE
from tests.parity.zonos.libraries import needs_espeak

pytestmark = [pytest.mark.e2e, needs_espeak]

TEXT = "안녕하세요. 3시 30분에 만나요!"


def body(voice: str, **others: Any) -> dict[str, Any]:
    asked = {"model": "tts-1", "voice": voice, "input": TEXT, "response_format": "pcm", "seed": 7}
    return asked | others


def spoken(client: httpx.Client, voice: str, **others: Any) -> bytes:
    reply = client.post("/v1/audio/speech", json=body(voice, **others))
    assert reply.status_code == 200, reply.text
    return reply.content


def test_voices_of_two_engines_at_once_say_what_each_says_alone(
    client: httpx.Client, service: Service
) -> None:
    voices = ("viola", "alto")
    alone = [spoken(client, voice) for voice in voices]

    async def together() -> list[bytes]:
        async with httpx.AsyncClient(base_url=service.url, timeout=120) as caller:
            calls = (caller.post("/v1/audio/speech", json=body(voice)) for voice in voices)
            return [reply.content for reply in await asyncio.gather(*calls)]

    assert asyncio.run(together()) == alone
    assert alone[0] != alone[1]


@pytest.mark.parametrize(
    "change",
    [
        {"emotion": "anger"},
        {"emotion": {"anger": 0.5, "sadness": 0.5}},
        {"speaking_rate": 25.0},
        {"pitch_std": 150.0},
        {"fmax": 8000.0},
        {"language": "en"},
        {"speed": 1.5},
    ],
)
def test_each_control_is_heard(client: httpx.Client, change: dict[str, Any]) -> None:
    assert spoken(client, "viola", **change) != spoken(client, "viola")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pitch_std": 401}, "less than or equal to 400"),
        ({"fmax": -1}, "greater than or equal to 0"),
        ({"speaking_rate": 30, "speed": 2.0}, "speaking_rate is 60.0; it must lie in 0 to 40"),
        ({"emotion": "bored"}, "known: happiness, sadness"),
        ({"language": "tlh"}, "known: af, am"),
        ({"voice": "alto", "pitch_std": 40}, "engine gpt_sovits, which has no pitch_std"),
    ],
)
def test_what_is_out_of_range_is_answered_with_the_range(
    client: httpx.Client, change: dict[str, Any], message: str
) -> None:
    reply = client.post("/v1/audio/speech", json=body("viola") | change)
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]


def test_a_voice_is_made_of_a_clip_and_speaks(client: httpx.Client) -> None:
    line = {"model": "tts-1", "voice": "bujang", "input": LINE, "response_format": "wav"}
    clip = client.post("/v1/audio/speech", json=line).content
    form = {"consent": "true", "speaker_id": "narrator", "engine": "zonos"}
    job = client.post("/register_speaker", files={"audio": ("clip", clip)}, data=form).json()
    assert job["status"] == "succeeded", job
    speaker = client.get("/speakers/narrator").json()
    assert (speaker["engine"], len(speaker["emotions"])) == ("zonos", 8)
    asked = {"speaker_id": "narrator", "text": TEXT, "emotion": "fear", "pitch_std": 80.0}
    output = client.post("/synthesize", json=asked).json()["output"]
    assert (output["voice"], output["emotion"]) == ("narrator@1", "fear")
    sound, rate = soundfile.read(io.BytesIO(client.get(output["audio"]["url"]).content))
    assert len(sound) > 0.1 * rate
    again = client.post("/register_speaker", files={"audio": ("clip", clip)}, data=form).json()
    assert "has one clip" in again["detail"], again
    assert client.delete("/speakers/narrator").status_code == 204
