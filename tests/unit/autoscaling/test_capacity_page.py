"""The page and the simulation's results say what the measurements say."""

import math

import pytest

from benchmarks.autoscale_sim import Scenario, row_of
from benchmarks.capacity import (
    AUDIO_S_PER_LINE,
    GPUS,
    PAGE,
    TABLES,
    TARGET_USE,
    cpu_stages,
    filled,
    fixed_step_share,
    gpu_lines_per_s,
    replicas_for,
    rows_of,
    table_names,
    usd_per_audio_hour,
)
from benchmarks.traffic import DAY_S, SHAPES, arrivals


def test_the_page_holds_the_tables_that_the_results_give() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(table_names(page)) == sorted(TABLES)
    assert page == filled(page)


def test_a_table_is_filled_between_its_marks_and_nowhere_else() -> None:
    page = "a\n<!-- table: x -->\nold\n<!-- end -->\nb"
    once = filled(page, {"x": lambda: "new"})
    assert once == "a\n<!-- table: x -->\n\nnew\n\n<!-- end -->\nb"
    assert filled(once, {"x": lambda: "new"}) == once


def test_the_simulated_days_are_those_of_the_speeds_that_were_measured() -> None:
    found = row_of("viral", 100, Scenario())
    (stored,) = rows_of("autoscale_sim", traffic="viral", streams=100)
    assert found == pytest.approx(stored)


def test_the_page_tells_the_simulations_costs_and_refusals() -> None:
    def cents(traffic: str, replicas: str) -> float:
        wanted = {"traffic": traffic, "replicas": replicas, "target_use": TARGET_USE}
        row = rows_of("autoscale_sim", **wanted, streams=10_000, startup_s=60)[0]
        return float(row["cents_per_audio_hour"])

    def refused(startup_s: int) -> float:
        row = rows_of("autoscale_sim", traffic="viral", streams=10_000, startup_s=startup_s)[0]
        return float(row["refused_percent"])

    assert cents("calm", "scaled") < cents("calm", "fixed") / 2
    assert cents("viral", "scaled") == pytest.approx(cents("viral", "fixed") / 10, rel=0.1)
    assert refused(300) == pytest.approx(10, abs=1)
    assert refused(20) < 1


def test_the_fixed_share_of_a_step_is_found_from_two_batches() -> None:
    def step(batch: int) -> float:
        return 20.0 + 1.25 * batch

    assert fixed_step_share(step(1), step(32), 32) == pytest.approx(20 / step(32))


def test_replicas_and_prices_follow_from_the_rate() -> None:
    for stage in cpu_stages().values():
        streams = 1000 * stage.lines_per_s * TARGET_USE * AUDIO_S_PER_LINE
        assert replicas_for(streams * 0.9999, stage) == 1000
        cost = 1000 * stage.usd_per_hour / streams
        assert usd_per_audio_hour(stage) == pytest.approx(cost)


def test_a_model_that_does_not_fit_writes_nothing() -> None:
    assert {gpu.name for gpu in GPUS if gpu_lines_per_s(gpu) == 0} == {"L4"}


def test_a_result_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"s1\.json has no row with .*'batch': 7"):
        rows_of("s1", batch=7)


@pytest.mark.parametrize("name", SHAPES)
def test_a_day_brings_the_lines_of_its_shape(name: str) -> None:
    tick_s = 30.0
    lines = arrivals(SHAPES[name], 100.0, tick_s)
    expected = sum(100 * tick_s * SHAPES[name](tick_s * tick) for tick in range(len(lines)))
    assert len(lines) == DAY_S / tick_s
    assert lines.sum() == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_the_evening_of_a_calm_day_is_its_peak() -> None:
    assert max(SHAPES["calm"](hour * 3600) for hour in range(24)) <= 1
    assert SHAPES["calm"](21.5 * 3600) == pytest.approx(1)
