"""People who listen, and jobs that run, while something happens to the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from tests.cluster.multi_node.service import TIMEOUT_S

# Short sentences, so that the calls of every stage are many and some are under way at any time.
TEXT = " ".join(f"오늘은 {number}번째 이야기를 들려줄게요." for number in range(1, 7))
SEED = 7
LISTENERS = ("sinip", "bujang", "alto", "tenor")


def listen(url: str, voice: str, text: str = TEXT) -> bytes:
    """The sound of a text, read to its end, on a connection of its own.

    Raises:
        httpx.HTTPError: the stream broke off, or was refused.
    """
    body = {"model": "tts-1", "voice": voice, "input": text, "seed": SEED}
    reply = httpx.post(
        f"{url}/v1/audio/speech", json=body | {"response_format": "pcm"}, timeout=TIMEOUT_S
    )
    reply.raise_for_status()
    return reply.content


@contextmanager
def listeners(url: str) -> Iterator[dict[str, Future[bytes]]]:
    """One stream of each voice, all under way at once."""
    with ThreadPoolExecutor(len(LISTENERS)) as pool:
        yield {voice: pool.submit(listen, url, voice) for voice in LISTENERS}


def submit_job(url: str, voice: str) -> str:
    """A job that nobody waits for; its id."""
    reply = httpx.post(
        f"{url}/synthesize",
        json={"text": TEXT, "speaker_id": voice, "seed": SEED},
        headers={"Prefer": "respond-async"},
        timeout=60,
    )
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def status_of(url: str, job_id: str) -> str:
    """What became of a job, once it has ended."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            status = str(httpx.get(f"{url}/jobs/{job_id}", timeout=30).json()["status"])
        except httpx.HTTPError:
            status = "processing"  # the connection went with a node
        if status not in ("starting", "processing"):
            return status
        time.sleep(0.5)
    raise AssertionError(f"{job_id} did not end")


@contextmanager
def asking(url: str, voices: Sequence[str]) -> Iterator[list[tuple[str, bytes]]]:
    """Somebody for each voice who asks again as soon as there was an answer.

    What was heard is complete once the block is left; a request that is refused, or whose stream
    breaks off, fails the block.
    """
    heard: list[tuple[str, bytes]] = []
    is_over = threading.Event()

    def ask(voice: str) -> None:
        while not is_over.is_set():
            heard.append((voice, listen(url, voice, "짧은 문장입니다.")))

    with ThreadPoolExecutor(len(voices)) as pool:
        people = [pool.submit(ask, voice) for voice in voices]
        try:
            yield heard
        finally:
            is_over.set()
    for person in people:
        person.result()
