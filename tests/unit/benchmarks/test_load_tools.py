import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.plot import line_plot
from benchmarks.serve_load import Level, Stream, percentile
from benchmarks.soak import rows_of, slope_mib_per_minute


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert (percentile(ordered, 50), percentile(ordered, 95)) == (51.0, 96.0)
    assert percentile([3.0], 95) == 3.0


def test_a_level_tells_refusals_from_errors() -> None:
    streams = [
        Stream(200, first_audio_s=0.5, total_s=2.0, audio_s=4.0, has_underrun=True),
        Stream(429),
        Stream(500),
        Stream(-1),
    ]
    row = Level(4, 8.0, streams).row("sinip")
    assert (row["refused_429"], row["errors"], row["underruns"]) == (1, 2, 1)
    assert (row["real_time_factor"], row["audio_s_per_s"]) == (0.5, 0.5)


def test_a_steady_growth_is_its_slope() -> None:
    assert slope_mib_per_minute([(0, 100), (60, 102), (120, 104)]) == pytest.approx(2.0)


def test_a_process_that_lived_briefly_has_no_slope() -> None:
    steady = [(10.0 * n, 100.0) for n in range(10)]
    rows = rows_of({"replica 1": steady, "worker 2": steady[:2]})
    assert [row["process"] for row in rows] == ["replica 1"]


def test_a_plot_is_well_formed_whatever_the_names_and_values() -> None:
    plot = line_plot({"<a> & b": [(1, 0.5), (2, float("nan"))], "none": []}, "x", "y (s)")
    texts = [node.text for node in ElementTree.fromstring(plot).iter() if node.text]
    assert "<a> & b" in texts
