"""Whether memory stays where it is while the service works for half an hour.

    python -m benchmarks.soak --minutes 30 --warm-up-minutes 5

Starts the service itself, keeps it busy with speech, jobs and clients that leave, and fits a line
to the proportional set size (PSS) of each of its processes after the warm-up. Exits with 1 if any
grows by more than the limit, or if a request failed in a way that overload does not explain.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.report import environment, write_report
from tests.e2e.service import running_service

_MAX_SLOPE_MIB_PER_MINUTE = 1.0
_SAMPLE_EVERY_S = 10.0
_VOICES = ("bujang", "sinip")
_SENTENCES = (
    "오늘 회의는 두 시로 미뤄졌습니다.",
    "그 서류는 제 책상 위에 두시면 됩니다. 저녁에 제가 확인하겠습니다.",
    "비가 많이 오니까 우산을 꼭 챙기세요.",
)
_EXPECTED = (200, 202, 429)

Samples = list[tuple[float, float]]


def slope_mib_per_minute(samples: Sequence[tuple[float, float]]) -> float:
    """Slope of the line through (second, MiB) samples; 0 of fewer than three."""
    if len(samples) < 3:
        return 0.0
    seconds, mib = zip(*samples, strict=True)
    return statistics.linear_regression(seconds, mib).slope * 60


def pss_mib(root: psutil.Process) -> dict[str, float]:
    """PSS of every process below `root`, by name and id."""
    sizes = {}
    for process in root.children(recursive=True):
        try:
            title = (process.cmdline() or [process.name()])[0].removeprefix("ray::")
            sizes[f"{title[:40]} {process.pid}"] = process.memory_full_info().pss / 2**20
        except psutil.Error:
            continue  # it ended meanwhile
    return sizes


def use(client: httpx.Client, draw: random.Random) -> int:
    """One request of a random kind; its status."""
    text, voice = draw.choice(_SENTENCES), draw.choice(_VOICES)
    kind = draw.random()
    if kind < 0.2:
        body = {"speaker_id": voice, "text": text}
        return client.post("/synthesize", json=body).status_code
    speech = {"model": "tts-1", "voice": voice, "input": text, "response_format": "pcm"}
    if kind < 0.5:  # a listener who leaves after the first sound
        with client.stream("POST", "/v1/audio/speech", json=speech) as reply:
            next(reply.iter_bytes(), b"")
            return reply.status_code
    return client.post("/v1/audio/speech", json=speech).status_code


def keep_busy(url: str, seed: int, is_over: threading.Event, statuses: dict[int, int]) -> None:
    """Send one request after the other until told to stop; count the statuses."""
    draw = random.Random(seed)
    with httpx.Client(base_url=url, timeout=120) as client:
        while not is_over.is_set():
            try:
                status = use(client, draw)
            except httpx.HTTPError:
                status = -1
            statuses[status] = statuses.get(status, 0) + 1
            if status == 429:
                is_over.wait(1.0)


def soak(url: str, minutes: float, warm_up_minutes: float) -> tuple[dict[str, Samples], Any]:
    """Samples of each process after the warm-up, and how often each status was met."""
    is_over = threading.Event()
    counts: list[dict[int, int]] = [{}, {}]
    threads = [
        threading.Thread(target=keep_busy, args=(url, seed, is_over, counts[seed]))
        for seed in range(len(counts))
    ]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    samples: dict[str, Samples] = {}
    while (elapsed_s := time.monotonic() - started) < minutes * 60:
        if elapsed_s >= warm_up_minutes * 60:
            for name, mib in pss_mib(psutil.Process()).items():
                samples.setdefault(name, []).append((elapsed_s, mib))
        time.sleep(_SAMPLE_EVERY_S)
    is_over.set()
    for thread in threads:
        thread.join()
    statuses: dict[int, int] = {}
    for count in counts:
        for status, number in count.items():
            statuses[status] = statuses.get(status, 0) + number
    return samples, statuses


def rows_of(samples: Mapping[str, Samples]) -> list[dict[str, Any]]:
    """A row for each process that was there for most of the time, the largest first."""
    longest = max((len(points) for points in samples.values()), default=0)
    rows = [
        {
            "process": name,
            "pss_mib": points[-1][1],
            "slope_mib_per_minute": slope_mib_per_minute(points),
        }
        for name, points in samples.items()
        if len(points) > longest / 2
    ]
    return sorted(rows, key=lambda row: -row["pss_mib"])


def main() -> None:
    """Soak, report, and say by the exit status whether it held."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up-minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder), {}) as service,
    ):
        samples, statuses = soak(service.url, args.minutes, args.warm_up_minutes)
    rows = rows_of(samples)
    results = {
        "rows": rows,
        "environment": environment()
        | {
            "minutes": args.minutes,
            "warm_up_minutes": args.warm_up_minutes,
            "statuses": statuses,
            "total_pss_mib": round(sum(row["pss_mib"] for row in rows)),
        },
    }
    write_report(args.out, "soak", "Memory while the service works", results)
    growing = [row for row in rows if row["slope_mib_per_minute"] > _MAX_SLOPE_MIB_PER_MINUTE]
    unexpected = {status: n for status, n in statuses.items() if status not in _EXPECTED}
    for row in growing:
        print(f"{row['process']} grows by {row['slope_mib_per_minute']:.2f} MiB a minute")
    if unexpected:
        print(f"unexpected replies, by status: {unexpected}")
    sys.exit(1 if growing or unexpected or not rows else 0)


if __name__ == "__main__":
    main()
