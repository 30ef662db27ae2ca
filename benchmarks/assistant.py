"""How soon a character answers: first word, first sound, and the end of the line.

    python -m benchmarks.assistant           # about three minutes on two cores

Starts the service for itself, unless `--url` names one that runs. One listener at a time, on scenes
that no adapter was trained on.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.report import environment, write_report
from benchmarks.serve_load import own_service, percentile
from tests.e2e.service import events_of
from training.persona.held_out import held_out_scenes

_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Answer:
    """Seconds from the request; `audio_s` is the length of what was spoken."""

    first_text_s: float
    first_audio_s: float
    total_s: float
    audio_s: float


def ask(client: httpx.Client, character: str, scene: str, seed: int) -> Answer:
    """One line, streamed to its end.

    Raises:
        RuntimeError: the line broke off.
    """
    body = {"character": character, "prompt": scene, "stream": True, "seed": seed}
    started_s = time.perf_counter()
    first_s: dict[str, float] = {}
    with client.stream("POST", "/assistant", json=body) as reply:
        reply.raise_for_status()
        for event in events_of(reply):
            now_s = time.perf_counter() - started_s
            first_s.setdefault(event["type"], now_s)
            if event["type"] == "done":
                return Answer(
                    first_s["text.delta"], first_s["audio.delta"], now_s, event["duration_s"]
                )
    raise RuntimeError(f"{character} said nothing to {scene!r}")


def measure(url: str, characters: list[str], num_scenes: int) -> list[dict[str, Any]]:
    """A row for every character, after one line that is not counted."""
    scenes = [held_out.input for held_out in held_out_scenes()]
    rows = []
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S) as client:
        for character in characters:
            ask(client, character, scenes[-1], 0)
            answers = [
                ask(client, character, scene, seed)
                for seed, scene in enumerate(scenes[:num_scenes], start=1)
            ]
            rows.append(_row(character, answers))
            print(rows[-1], flush=True)
    return rows


def _row(character: str, answers: list[Answer]) -> dict[str, Any]:
    first_audio_s = sorted(answer.first_audio_s for answer in answers)
    return {
        "character": character,
        "lines": len(answers),
        "first_text_p50_s": median(answer.first_text_s for answer in answers),
        "first_audio_p50_s": percentile(first_audio_s, 50),
        "first_audio_p95_s": percentile(first_audio_s, 95),
        "total_p50_s": median(answer.total_s for answer in answers),
        "audio_p50_s": median(answer.audio_s for answer in answers),
    }


def main() -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.assistant", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--url", help="of a running service; without it, one is started")
    parser.add_argument("--characters", nargs="+", default=["bujang", "sinip"])
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    with ExitStack() as stack:
        url = args.url or stack.enter_context(own_service()).url
        rows = measure(url, args.characters, args.scenes)
    write_report(
        args.out,
        "assistant",
        "How soon a character answers",
        {"rows": rows, "environment": environment()},
    )


if __name__ == "__main__":
    main()
