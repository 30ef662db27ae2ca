"""Every deployment's replica is killed while people listen and jobs run."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.service import Service

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STAGES = [
    "TextFrontend",
    "KokoroVoice",
    "SemanticDecoder",
    "Vocoder",
    "PersonaLLM",
    "VoiceEncoder",
    "JobRunner",
]
# Short sentences, so that the calls of every stage are many and some are under way at any time.
TEXT = " ".join(f"오늘은 {number}번째 이야기를 들려줄게요." for number in range(1, 9))
SEED = 7
LISTENERS = ("sinip", "bujang", "alto", "tenor")
READY_TIMEOUT_S = 180


def listen(client: httpx.Client, voice: str) -> bytes:
    body = {"model": "tts-1", "voice": voice, "input": TEXT, "seed": SEED}
    reply = client.post("/v1/audio/speech", json=body | {"response_format": "pcm"})
    assert reply.status_code == 200, reply.text
    return reply.content


def submit(client: httpx.Client, route: str, body: dict[str, object]) -> str:
    reply = client.post(route, json=body, headers={"Prefer": "respond-async"})
    assert reply.status_code == 202, reply.text
    job_id: str = reply.json()["id"]
    return job_id


def submit_jobs(client: httpx.Client) -> list[str]:
    return [
        submit(client, "/synthesize", {"text": TEXT, "speaker_id": "sinip", "seed": SEED}),
        submit(client, "/synthesize", {"text": TEXT, "speaker_id": "alto", "seed": SEED}),
        submit(client, "/assistant", {"character": "bujang", "prompt": "점심시간이다.", "seed": 3}),
    ]


def finished(client: httpx.Client, job_id: str) -> dict[str, object]:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        job: dict[str, object] = client.get(f"/jobs/{job_id}").json()
        if job["status"] not in ("starting", "processing"):
            return job
        time.sleep(0.5)
    raise AssertionError(f"{job_id} did not end")


def replica_of(stage: str) -> psutil.Process:
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::") and (f":{stage}" in title or f"#{stage}#" in title):
            return process
    raise AssertionError(f"no process is a replica of {stage}")


def wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass  # the ingress itself is on its way back
        time.sleep(0.5)
    raise AssertionError("the service did not come back")


@contextmanager
def listeners(client: httpx.Client) -> Iterator[dict[str, "Future[bytes]"]]:
    with ThreadPoolExecutor(len(LISTENERS)) as pool:
        yield {voice: pool.submit(listen, client, voice) for voice in LISTENERS}


@pytest.fixture(scope="module")
def undisturbed(client: httpx.Client) -> dict[str, bytes]:
    """What each voice says when nothing happens."""
    return {voice: listen(client, voice) for voice in LISTENERS}


def results_below(storage: Path, job_id: str) -> list[Path]:
    return list(storage.glob(f"jobs/*/*/{job_id}/result.json"))


@pytest.mark.parametrize("stage", STAGES)
def test_nobody_notices_that_a_stage_died(
    service: Service, client: httpx.Client, undisturbed: dict[str, bytes], stage: str
) -> None:
    wait_until_ready(client)
    with listeners(client) as streams:
        job_ids = submit_jobs(client)
        time.sleep(1.5)  # all of them are under way; which call dies is left to chance
        replica_of(stage).kill()
        heard = {voice: stream.result() for voice, stream in streams.items()}
    assert heard == undisturbed
    jobs = [finished(client, job_id) for job_id in job_ids]
    assert [job["status"] for job in jobs] == ["succeeded"] * len(jobs), jobs
    for job_id, job in zip(job_ids, jobs, strict=True):
        (result,) = results_below(service.storage, job_id)
        assert json.loads(result.read_text()) == job
    wait_until_ready(client)


def test_jobs_outlive_the_ingress_and_streams_break_off_visibly(
    service: Service, client: httpx.Client, undisturbed: dict[str, bytes]
) -> None:
    wait_until_ready(client)
    with listeners(client) as streams:
        job_ids = submit_jobs(client)
        time.sleep(1.5)
        replica_of("Ingress").kill()
        for voice, stream in streams.items():
            try:
                heard = stream.result()
            except (httpx.HTTPError, AssertionError):
                continue  # broken off, or refused: either way the listener knows
            assert heard == undisturbed[voice]
    wait_until_ready(client)
    jobs = [finished(client, job_id) for job_id in job_ids]
    assert [job["status"] for job in jobs] == ["succeeded"] * len(jobs), jobs
    assert listen(client, "sinip") == undisturbed["sinip"]
