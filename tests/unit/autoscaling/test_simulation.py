"""The simulation obeys what it simulates, and the policy keeps its promises in a closed loop."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.autoscale_sim import TICK_S, Day, Scenario, simulate
from benchmarks.capacity import Stage
from deployments.autoscaling.demand import StageSpeed
from deployments.autoscaling.scaling import Bounds

_BATCHED = Stage("S1", StageSpeed(20.0, 0.34), "audio s", 5.0, 32, 2.8, 2, "")
_IN_TURNS = Stage("S2", StageSpeed(6.0, 0.0), "audio s", 5.0, 1, 0.2, 1, "")
_LINES = Stage("LLM", StageSpeed(1.5, 0.35), "lines", 1.0, 4, 2.8, 1, "")
_STAGES = (_LINES, _BATCHED, _IN_TURNS)
_BOUNDS = Bounds(2, 60)
_TICKS_AN_HOUR = round(3600 / TICK_S)
_TRAFFIC = st.lists(st.floats(0, 200), min_size=1, max_size=30).map(
    lambda levels: [level for level in levels for _ in range(40)]
)


def _day(
    lines: Sequence[float],
    stages: Sequence[Stage] = _STAGES,
    bounds: Bounds = _BOUNDS,
    max_wait_s: float = 10.0,
) -> Day:
    scenario = Scenario(bounds=bounds, max_wait_s=max_wait_s)
    return simulate(lines, stages, scenario, [bounds.min_replicas] * len(stages))


@settings(max_examples=25, deadline=None)
@given(_TRAFFIC)
def test_every_line_is_done_refused_or_waits(lines: list[float]) -> None:
    day = _day(lines)
    assert day.offered == pytest.approx(sum(lines))
    assert day.done + day.refused + day.waiting == pytest.approx(day.offered)


@settings(max_examples=25, deadline=None)
@given(_TRAFFIC)
def test_no_stage_leaves_its_bounds(lines: list[float]) -> None:
    numbers = [number for _, number in _day(lines, [_BATCHED]).replicas]
    assert min(numbers) >= _BOUNDS.min_replicas
    assert max(numbers) <= _BOUNDS.max_replicas


@settings(max_examples=15, deadline=None)
@given(_TRAFFIC, st.floats(1, 3))
def test_more_traffic_never_gets_fewer_replicas_but_for_one(
    lines: list[float], times: float
) -> None:
    some = _day(lines, [_BATCHED], max_wait_s=math.inf)
    more = _day([times * number for number in lines], [_BATCHED], max_wait_s=math.inf)
    for (_, few), (_, many) in zip(some.replicas, more.replicas, strict=True):
        # More replicas earlier leave less of a backlog now: at times that is one fewer.
        assert few <= many + 1


@pytest.mark.parametrize("stage", _STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("lines_per_s", [0.2, 3.0, 31.0])
def test_constant_traffic_soon_has_a_constant_number_of_replicas(
    stage: Stage, lines_per_s: float
) -> None:
    day = _day([lines_per_s * TICK_S] * 3 * _TICKS_AN_HOUR, [stage], Bounds(1, 1000))
    assert len({number for _, number in day.replicas[-_TICKS_AN_HOUR:]}) == 1


@pytest.mark.parametrize("stage", _STAGES, ids=lambda stage: stage.name)
def test_chance_alone_moves_the_number_little(stage: Stage) -> None:
    arrived = np.random.default_rng(1).poisson(30 * TICK_S, 3 * _TICKS_AN_HOUR)
    day = _day(arrived.tolist(), [stage], Bounds(1, 1000))
    numbers = [number for _, number in day.replicas[_TICKS_AN_HOUR:]]
    assert max(numbers) - min(numbers) <= 0.2 * max(numbers)


def test_after_a_spike_its_replicas_stay_for_the_hold() -> None:
    spike = [3.0] * 400 + [120.0] * 60 + [3.0] * 800
    numbers = [number for _, number in _day(spike, [_BATCHED], Bounds(1, 1000)).replicas]
    most = max(numbers)
    ticks = [tick for tick, number in enumerate(numbers) if number == most]
    assert (ticks[-1] - ticks[0]) * TICK_S >= Scenario().hold_s - 4 * TICK_S
    assert numbers[-1] < most / 5


def test_what_no_replica_can_take_in_time_is_refused() -> None:
    day = _day([1000.0] * 200, [_BATCHED], Bounds(1, 1), max_wait_s=10)
    rate = _BATCHED.lines_per_s
    assert day.done == pytest.approx(200 * TICK_S * rate)
    assert day.waiting == pytest.approx(10 * rate)


def test_more_replicas_are_paid_for_and_are_heard_sooner() -> None:
    lines = [30.0] * 1000
    scenario = Scenario(is_fixed=True)
    few, many = (simulate(lines, [_BATCHED], scenario, [number]) for number in (3, 6))
    assert many.usd == pytest.approx(2 * few.usd)
    assert many.first_audio_s(0.95) < few.first_audio_s(0.95)
