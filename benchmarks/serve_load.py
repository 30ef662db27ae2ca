"""How the running service holds up as more and more people speak through it.

    python -m benchmarks.serve_load --voice sinip --levels 1 2 4 8 16

Starts the service for itself, unless `--url` names one that runs.

Open loop: requests arrive at random times (Poisson) whether or not earlier ones have ended, as
people do. A level `c` offers so many that `c` would be in the service at once if each took as long
as one alone; beyond its capacity a good service refuses (429) instead of letting everybody wait.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.plot import line_plot
from benchmarks.report import environment, write_report
from tests.e2e.service import Service, running_service

_BYTES_PER_S = 2 * 24_000  # pcm: 16 bits, mono, 24 kHz
_TIMEOUT_S = 120.0
_SENTENCES = (
    "오늘 회의는 두 시로 미뤄졌습니다.",
    "점심은 뭐 먹을까요? 저는 김치찌개가 좋은데요.",
    "그 서류는 제 책상 위에 두시면 됩니다. 저녁에 제가 직접 확인하겠습니다.",
    "비가 많이 오니까 우산을 꼭 챙기세요.",
    "부장님, 커피가 다 떨어졌는데 새로 주문할까요? 아니면 오늘은 차를 마실까요?",
)


@dataclass
class Stream:
    """What one listener met."""

    status: int = 0
    first_audio_s: float | None = None
    total_s: float = 0.0
    audio_s: float = 0.0
    has_underrun: bool = False


@dataclass
class Level:
    """All listeners of one load."""

    concurrency: int | str
    duration_s: float
    streams: list[Stream] = field(default_factory=list)

    def row(self, voice: str) -> dict[str, Any]:
        """The level as a row of the report."""
        heard = [stream for stream in self.streams if stream.first_audio_s is not None]
        first = sorted(stream.first_audio_s or 0.0 for stream in heard)
        return {
            "voice": voice,
            "c": self.concurrency,
            "requests": len(self.streams),
            "refused_429": sum(stream.status == 429 for stream in self.streams),
            "errors": sum(stream.status not in (200, 429) for stream in self.streams),
            "first_audio_p50_s": percentile(first, 50),
            "first_audio_p95_s": percentile(first, 95),
            "real_time_factor": statistics.median(s.total_s / s.audio_s for s in heard)
            if heard
            else float("nan"),
            "audio_s_per_s": sum(stream.audio_s for stream in heard) / self.duration_s,
            "underruns": sum(stream.has_underrun for stream in heard),
        }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed; NaN of nothing."""
    if not ordered:
        return float("nan")
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


async def listen(client: httpx.AsyncClient, voice: str, text: str) -> Stream:
    """Ask for one text and play it as it comes."""
    stream = Stream()
    body = {"model": "tts-1", "voice": voice, "input": text, "response_format": "pcm"}
    started = time.perf_counter()
    try:
        async with client.stream("POST", "/v1/audio/speech", json=body) as reply:
            stream.status = reply.status_code
            async for chunk in reply.aiter_bytes():
                now_s = time.perf_counter() - started
                if reply.status_code != 200:
                    continue
                if stream.first_audio_s is None:
                    stream.first_audio_s = now_s
                # A player that began with the first chunk has used up all it was given.
                elif now_s - stream.first_audio_s > stream.audio_s:
                    stream.has_underrun = True
                stream.audio_s += len(chunk) / _BYTES_PER_S
    except httpx.HTTPError:
        stream.status = -1
    stream.total_s = time.perf_counter() - started
    return stream


async def run_alone(client: httpx.AsyncClient, voice: str) -> Level:
    """One listener after the other, after a warm-up."""
    await listen(client, voice, _SENTENCES[0])
    started = time.perf_counter()
    streams = [await listen(client, voice, text) for text in 2 * _SENTENCES]
    if failed := [stream.status for stream in streams if stream.status != 200]:
        raise SystemExit(f"the service answers {failed[0]} to voice {voice!r}")
    return Level("alone", time.perf_counter() - started, streams)


async def run_level(
    client: httpx.AsyncClient, voice: str, concurrency: int, request_s: float, duration_s: float
) -> Level:
    """Offer one load for `duration_s`, then wait for the last listener."""
    draw = random.Random(concurrency)
    level = Level(concurrency, duration_s)
    async with asyncio.TaskGroup() as group:
        tasks = []
        started = time.perf_counter()
        at_s = 0.0
        while at_s < duration_s:
            await asyncio.sleep(max(started + at_s - time.perf_counter(), 0.0))
            tasks.append(group.create_task(listen(client, voice, draw.choice(_SENTENCES))))
            at_s += draw.expovariate(concurrency / request_s)
    level.streams = [task.result() for task in tasks]
    level.duration_s = time.perf_counter() - started
    return level


async def measure(
    url: str, voices: Sequence[str], levels: Sequence[int], duration_s: float
) -> list[dict[str, Any]]:
    """Rows of every level of every voice."""
    limits = httpx.Limits(max_connections=None)
    rows = []
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, limits=limits) as client:
        for voice in voices:
            alone = await run_alone(client, voice)
            rows.append(alone.row(voice))
            request_s = statistics.mean(stream.total_s for stream in alone.streams)
            for concurrency in levels:
                level = await run_level(client, voice, concurrency, request_s, duration_s)
                rows.append(level.row(voice))
                print(rows[-1], flush=True)
    return rows


@contextmanager
def own_service() -> Iterator[Service]:
    """The embedded service on a root that goes with it."""
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), {}) as service:
        yield service


def main() -> None:
    """Measure, and write JSON, Markdown and a plot."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve_load", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--url", help="of a running service; without it, one is started")
    parser.add_argument("--voice", nargs="+", default=["sinip"])
    parser.add_argument("--levels", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a level")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    with ExitStack() as stack:
        url = args.url or stack.enter_context(own_service()).url
        rows = asyncio.run(measure(url, args.voice, args.levels, args.seconds))
    lines = {
        f"{voice}, {name}": [
            (row["c"], row[f"first_audio_{name}_s"])
            for row in rows
            if row["voice"] == voice and row["c"] != "alone"
        ]
        for voice in args.voice
        for name in ("p50", "p95")
    }
    args.out.mkdir(parents=True, exist_ok=True)
    plot = line_plot(lines, "offered concurrency", "time to first audio (s)")
    (args.out / "serve_load.svg").write_text(plot, encoding="utf-8")
    write_report(
        args.out,
        "serve_load",
        "The service under load\n\n![time to first audio](serve_load.svg)",
        {"rows": rows, "environment": environment() | {"seconds_per_level": args.seconds}},
    )


if __name__ == "__main__":
    main()
