import io
import itertools
import json
import re
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import soundfile

from models.recognition import Recognizer, character_error_rate
from models.text.korean import normalize
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

HANGUL = re.compile("[가-힣]")


def hear(recognizer: Recognizer, wav: bytes) -> str:
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    return normalize(recognizer.transcribe(samples, rate))


def test_synthesize_stores_what_it_answers(
    client: httpx.Client, storage: Path, recognizer: Recognizer
) -> None:
    text = "보고서는 내일 아침까지 정리해서 보내 드리겠습니다."
    reply = client.post("/synthesize", json={"text": text, "speaker_id": "sinip"})
    job = reply.json()
    assert (reply.status_code, job["status"], job["type"]) == (200, "succeeded", "synthesize")
    assert job["output"]["voice"] == "sinip@1"
    assert job["input"]["text"] == text
    audio = client.get(job["output"]["audio"]["url"])
    assert audio.headers["content-type"] == "audio/wav"
    (folder,) = storage.glob(f"jobs/*/*/{job['id']}")
    assert (folder / "audio.wav").read_bytes() == audio.content
    assert json.loads((folder / "result.json").read_text()) == job
    assert client.get(f"/jobs/{job['id']}").json() == job
    assert character_error_rate([(text, hear(recognizer, audio.content))]) <= 0.25


def test_both_characters_answer_and_speak_what_they_answer(
    client: httpx.Client, recognizer: Recognizer
) -> None:
    heard = []
    for character, seed in itertools.product(["bujang", "sinip"], range(3)):
        scene = {"prompt": "점심시간인데 다들 메뉴를 못 고르고 있다. [지문: 웃으며]", "seed": seed}
        job = client.post("/assistant", json={"character": character, **scene}).json()
        assert job["status"] == "succeeded", job
        output = job["output"]
        assert HANGUL.search(output["text"])
        assert len(output["text"]) <= 130
        assert (output["voice"], output["persona"]) == (f"{character}@1", f"{character}@3")
        wav = client.get(output["audio"]["url"]).content
        heard.append((normalize(output["text"]), hear(recognizer, wav)))
    # The model's odd wording is hard on the recogniser; speech unrelated to the text is near 1.
    assert character_error_rate(heard) <= 0.5, heard


def test_the_same_seed_gives_the_same_line(client: httpx.Client) -> None:
    body = {"character": "sinip", "prompt": "복사기가 고장 났다.", "seed": 11}
    lines = [client.post("/assistant", json=body).json()["output"]["text"] for _ in range(2)]
    assert lines[0] == lines[1]


def test_characters_differ_in_line_and_voice(client: httpx.Client) -> None:
    scene = "신제품 발표를 앞두고 프로젝터가 고장 났다."
    outputs = [
        client.post("/assistant", json={"character": name, "prompt": scene, "seed": 3}).json()
        for name in ("bujang", "sinip")
    ]
    assert outputs[0]["output"]["text"] != outputs[1]["output"]["text"]
    assert outputs[0]["output"]["voice"] != outputs[1]["output"]["voice"]


def test_a_caller_who_does_not_wait_finds_the_job_later(client: httpx.Client) -> None:
    body = {"text": "나중에 들을게요.", "speaker_id": "bujang"}
    reply = client.post("/synthesize", json=body, headers={"Prefer": "respond-async"})
    assert (reply.status_code, reply.json()["status"]) == (202, "starting")
    location = reply.headers["location"]
    deadline = time.monotonic() + 60
    while (job := client.get(location).json())["status"] in ("starting", "processing"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert job["status"] == "succeeded"


def test_the_printed_commands_work_as_they_stand(service: Service, tmp_path: Path) -> None:
    commands = service.printed_commands()
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    for name in ("hello.wav", "line.wav"):
        samples, rate = soundfile.read(tmp_path / name)
        assert len(samples) / rate > 0.5
        assert abs(samples).max() > 0.05
