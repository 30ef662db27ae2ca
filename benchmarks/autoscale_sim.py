"""A day's traffic against the autoscaling policy: what it costs, how soon people hear something.

    python -m benchmarks.autoscale_sim       # half a minute

Runs the very functions that Serve runs (`deployments.autoscaling`), with the speed of one replica
that `benchmarks.capacity` reads from measurements. Lines are not followed one by one: in ticks of
three seconds a stage takes what arrives, works off what its ready replicas can, and hands that to
the next, so that a day of thousands of replicas takes a second. What a line waits is the queue
before it, and what random arrivals cost a stage that keeps up (Sakasegawa's formula for M/M/c).
"""

from __future__ import annotations

import argparse
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.capacity import AUDIO_S_PER_LINE, Stage, cpu_stages
from benchmarks.plot import line_plot
from benchmarks.report import environment, markdown_table, write_report
from benchmarks.traffic import SHAPES, arrivals
from deployments.autoscaling.demand import DemandSettings, StageLoad, replicas_needed
from deployments.autoscaling.scaling import Bounds, Peaks, decide

TICK_S = 3.0
"""Serve samples a replica as often, at a look-back period of 15 s."""

_TICKS_PER_REPORT = 3
"""Replicas send their samples every ten seconds."""

_LOOK_BACK_TICKS = 5
_FULLEST = 0.995
"""Beyond it the queue says what a line waits, and not the formula for a stage that keeps up."""


@dataclass(frozen=True)
class Scenario:
    """How the stages are scaled.

    Args:
        demand: what the policy aims at.
        hold_s: see `decide`.
        startup_s: until a new replica takes work: scheduling, loading, perhaps a new machine.
        bounds: of every stage.
        max_wait_s: lines that would wait longer are refused at the ingress.
        is_fixed: the policy is not asked; the replicas are those of the start.
    """

    demand: DemandSettings = DemandSettings()
    hold_s: float = 300.0
    startup_s: float = 60.0
    bounds: Bounds = Bounds(1, 100_000)
    max_wait_s: float = 10.0
    is_fixed: bool = False


class StageSim:
    """The replicas of one stage and the lines before them.

    Args:
        stage: what a replica can do.
        scenario: how it is scaled.
        num_replicas: ready at the start.
    """

    def __init__(self, stage: Stage, scenario: Scenario, num_replicas: int) -> None:
        self.stage = stage
        self.waiting = 0.0
        self.replica_s = 0.0
        self._scenario = scenario
        self._num_ready = num_replicas
        self._starting: deque[tuple[float, int]] = deque()
        self._busy = deque([0.0], maxlen=_LOOK_BACK_TICKS)
        self._peaks: Peaks | None = None

    @property
    def num_replicas(self) -> int:
        """Ready or starting: what is paid for."""
        return self._num_ready + sum(number for _, number in self._starting)

    @property
    def lines_per_s(self) -> float:
        """What the ready replicas make."""
        return self._num_ready * self.stage.lines_per_s

    def advance(self, num_lines: float) -> float:
        """Take a tick's arrivals; the lines that are done within it."""
        possible = self.lines_per_s * TICK_S
        done = min(self.waiting + num_lines, possible)
        self.waiting += num_lines - done
        self._busy.append(done / possible)
        self.replica_s += self.num_replicas * TICK_S
        return done

    def first_piece_s(self) -> float:
        """From a line's arrival to what the next stage, or the listener, gets of it first."""
        fixed = self.stage.speed.fixed_step_share
        # Where a batch brings no speed, lines take turns, and the formula for waiting covers it.
        step = fixed + (1 - fixed) * self._slot_use(self._busy[-1]) if fixed else 1.0
        return self._wait_s() + self.stage.first_piece_s * step

    def start_due(self, now_s: float) -> None:
        """Let replicas that have started take work."""
        while self._starting and self._starting[0][0] <= now_s:
            self._num_ready += self._starting.popleft()[1]

    def scale(self, now_s: float) -> None:
        """Follow the policy."""
        decision = decide(
            replicas_needed(self._load(), self.stage.speed, self._scenario.demand),
            current=self.num_replicas,
            bounds=self._scenario.bounds,
            hold_s=self._scenario.hold_s,
            now_s=now_s,
            peaks=self._peaks,
        )
        self._peaks = decision.peaks
        difference = decision.num_replicas - self.num_replicas
        if difference > 0:
            self._starting.append((now_s + self._scenario.startup_s, difference))
        elif difference < 0:
            self._give_up(-difference)

    def _give_up(self, number: int) -> None:
        """First those that have not started, the newest before the others."""
        while number and self._starting:
            ready_at_s, starting = self._starting.pop()
            if starting > number:
                self._starting.append((ready_at_s, starting - number))
            number -= min(number, starting)
        self._num_ready -= number

    def _load(self) -> StageLoad:
        """What the replicas' reports add up to."""
        speed = self.stage.speed
        if speed.fixed_step_share:
            shares = [speed.busy_share(self._slot_use(busy)) for busy in self._busy]
            unfinished = self.waiting
        else:
            # So many of the replicas have their slot in use, the others none; all that is not
            # finished counts.
            shares = [busy * speed.busy_share(1.0) for busy in self._busy]
            in_work = self._busy[-1] * self.lines_per_s * (self._line_s() + self._random_wait_s())
            unfinished = self.waiting + in_work
        return StageLoad(
            busy_replicas=self._num_ready * sum(shares) / len(shares),
            backlog=unfinished * self.stage.units_per_line,
        )

    def _slot_use(self, busy: float) -> float:
        """The use of slots that comes with a share of the full rate: `busy_share`, inverted."""
        fixed = self.stage.speed.fixed_step_share
        return fixed * busy / (1 - (1 - fixed) * busy)

    def _line_s(self) -> float:
        """How long a line is in work in a full batch."""
        return self.stage.num_slots / self.stage.lines_per_s

    def _wait_s(self) -> float:
        return self.waiting / self.lines_per_s + self._random_wait_s()

    def _random_wait_s(self) -> float:
        servers = self._num_ready * self.stage.num_slots
        busy = min(self._busy[-1], _FULLEST)
        is_all_busy: float = busy ** (math.sqrt(2 * (servers + 1)) - 1)
        return is_all_busy / (servers * (1 - busy)) * self._line_s()


@dataclass
class Day:
    """What became of a day's lines.

    Args:
        waits: (seconds to the first audio, lines that waited so long), a tick each.
        replicas: (hour, replicas of all stages), now and then.
    """

    offered: float = 0.0
    refused: float = 0.0
    done: float = 0.0
    waiting: float = 0.0
    usd: float = 0.0
    replica_hours: float = 0.0
    waits: list[tuple[float, float]] = field(default_factory=list)
    replicas: list[tuple[float, int]] = field(default_factory=list)

    def first_audio_s(self, share: float) -> float:
        """So long waits this share of the lines at most; NaN if there are none."""
        left = share * sum(number for _, number in self.waits)
        for wait_s, number in sorted(self.waits):
            left -= number
            if left <= 0:
                return wait_s
        return math.nan

    @property
    def usd_per_audio_hour(self) -> float:
        """Cost of an hour of speech."""
        return self.usd / (self.done * AUDIO_S_PER_LINE / 3600)


def simulate(
    lines: Sequence[float], stages: Sequence[Stage], scenario: Scenario, first: Sequence[int]
) -> Day:
    """Play the lines of each tick through the stages, one after another.

    Args:
        first: replicas of each stage at the start.
    """
    day = Day()
    sims = [StageSim(stage, scenario, number) for stage, number in zip(stages, first, strict=True)]
    for tick, arrived in enumerate(lines):
        now_s = tick * TICK_S
        for sim in sims:
            sim.start_due(now_s)
            if tick % _TICKS_PER_REPORT == 0 and not scenario.is_fixed:
                sim.scale(now_s)
        admitted = passed = min(float(arrived), _room(sims, scenario.max_wait_s))
        for sim in sims:
            passed = sim.advance(passed)
        day.offered += arrived
        day.refused += arrived - admitted
        day.done += passed
        if admitted:
            day.waits.append((sum(sim.first_piece_s() for sim in sims), admitted))
        day.replicas.append((now_s / 3600, sum(sim.num_replicas for sim in sims)))
    day.waiting = sum(sim.waiting for sim in sims)
    day.replica_hours = sum(sim.replica_s for sim in sims) / 3600
    day.usd = sum(sim.replica_s / 3600 * sim.stage.usd_per_hour for sim in sims)
    return day


def _room(sims: Sequence[StageSim], max_wait_s: float) -> float:
    """Lines that may still be let in, as the ingress decides it: from what is queued anywhere."""
    slowest = min(sim.lines_per_s for sim in sims)
    return max(0.0, (max_wait_s + TICK_S) * slowest - sum(sim.waiting for sim in sims))


def day_of(shape: str, streams: int, scenario: Scenario) -> Day:
    """A whole day at the speeds that were measured.

    Args:
        shape: of `benchmarks.traffic`.
        streams: people who listen at once in the evening of a calm day.
    """
    stages = list(cpu_stages().values())
    lines = arrivals(SHAPES[shape], streams / AUDIO_S_PER_LINE, TICK_S).tolist()
    minutes = [sum(lines[tick : tick + 20]) / 60 for tick in range(0, len(lines), 20)]
    # What does not scale has to be enough for the busiest minute.
    lines_per_s = max(minutes) if scenario.is_fixed else minutes[0]
    use = scenario.demand.target_use
    first = [max(1, math.ceil(lines_per_s / stage.lines_per_s / use)) for stage in stages]
    return simulate(lines, stages, scenario, first)


def row_of(shape: str, streams: int, scenario: Scenario) -> dict[str, Any]:
    """A simulated day as a row of the report."""
    day = day_of(shape, streams, scenario)
    return {
        "traffic": shape,
        "streams": streams,
        "replicas": "fixed" if scenario.is_fixed else "scaled",
        "target_use": scenario.demand.target_use,
        "startup_s": round(scenario.startup_s),
        "most_replicas": max(number for _, number in day.replicas),
        "replica_hours": round(day.replica_hours),
        "cents_per_audio_hour": 100 * day.usd_per_audio_hour,
        "first_audio_p50_s": day.first_audio_s(0.5),
        "first_audio_p95_s": day.first_audio_s(0.95),
        "first_audio_p99_s": day.first_audio_s(0.99),
        "refused_percent": 100 * day.refused / day.offered,
    }


def rows() -> list[dict[str, Any]]:
    """Traffic and aim; then size; then how long a replica takes to start."""
    calm = Scenario()
    aims = [replace(calm, demand=DemandSettings(target_use=use)) for use in _AIMS]
    found = [
        row_of(shape, _STREAMS, scenario)
        for shape in SHAPES
        for scenario in [replace(calm, is_fixed=True), *aims]
    ]
    found += [row_of("viral", streams, calm) for streams in (100, 1_000, 100_000)]
    found += [
        row_of("viral", _STREAMS, replace(calm, startup_s=startup_s, hold_s=max(300.0, startup_s)))
        for startup_s in (20.0, 180.0, 300.0)
    ]
    return found


_AIMS = (0.5, 0.6, 0.7, 0.8, 0.9)
_STREAMS = 10_000
_TITLE = """A day's traffic against the autoscaling policy

Simulated, with the measured speed of one replica (see docs/capacity.md) and assumed prices of CPU
cores. `streams`: people who listen at once in the evening of a calm day; `bursts` and `viral` bring
1.6 and 6 times as many on top, for five minutes at a time and from 15:00 on. `fixed`: as many
replicas all day as the busiest minute needs.

![cost and time to first audio](autoscale_sim.svg)

![replicas over a day that goes viral](autoscale_sim_day.svg)"""


def main() -> None:
    """Simulate, and write JSON, Markdown and two plots."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.autoscale_sim", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    found = rows()
    print(markdown_table(found))
    results = {"environment": environment(), "rows": found}
    write_report(args.out, "autoscale_sim", _TITLE, results)
    aims = [row for row in found if row["streams"] == _STREAMS and row["startup_s"] == 60]
    curves = {
        f"{shape}, {name}": [
            (row["cents_per_audio_hour"], row[f"first_audio_{name}_s"])
            for row in aims
            if row["traffic"] == shape and row["replicas"] == "scaled"
        ]
        for shape in SHAPES
        for name in ("p50", "p99")
    }
    plot = line_plot(curves, "cents an hour of speech", "time to first audio (s)")
    (args.out / "autoscale_sim.svg").write_text(plot, encoding="utf-8")
    day = day_of("viral", _STREAMS, Scenario()).replicas[::40]
    plot = line_plot({"replicas of all stages": day}, "hour of the day", "replicas")
    (args.out / "autoscale_sim_day.svg").write_text(plot, encoding="utf-8")


if __name__ == "__main__":
    main()
