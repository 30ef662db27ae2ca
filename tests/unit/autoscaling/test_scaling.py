import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from deployments.autoscaling.scaling import Bounds, Peaks, decide

_HOLD_S = 30.0
_PERIOD_S = 5.0
_BOUNDS = Bounds(2, 500)
_DEMANDS = st.lists(st.floats(0, 1000), min_size=1, max_size=60)


def _targets(demands: Sequence[float], start: int = 2, bounds: Bounds = _BOUNDS) -> list[int]:
    """What is decided every five seconds."""
    targets: list[int] = []
    peaks: Peaks | None = None
    for number, needed in enumerate(demands):
        decision = decide(
            needed,
            current=targets[-1] if targets else start,
            bounds=bounds,
            hold_s=_HOLD_S,
            now_s=_PERIOD_S * number,
            peaks=peaks,
        )
        peaks = decision.peaks
        targets.append(decision.num_replicas)
    return targets


@given(_DEMANDS, st.integers(0, 2000))
def test_there_are_never_fewer_or_more_than_allowed(demands: list[float], start: int) -> None:
    assert all(2 <= target <= 500 for target in _targets(demands, start))


@given(_DEMANDS)
def test_demand_within_bounds_is_met_at_once(demands: list[float]) -> None:
    for needed, target in zip(demands, _targets(demands), strict=True):
        assert target >= min(needed, 500) - 1e-6


@given(_DEMANDS, st.integers(2, 500))
def test_nothing_is_given_up_that_was_needed_within_the_hold(
    demands: list[float], start: int
) -> None:
    targets = _targets(demands, start)
    num_held = int(_HOLD_S / _PERIOD_S)
    for number, target in enumerate(targets):
        recent = demands[max(0, number - num_held + 1) : number + 1]
        expected = max(_BOUNDS.clamp(math.ceil(needed - 1e-6)) for needed in recent)
        assert target == max(expected, start if number < num_held else 0)


@given(_DEMANDS, _DEMANDS)
def test_more_load_never_means_fewer_replicas(some: list[float], other: list[float]) -> None:
    pairs = list(zip(some, other, strict=False))
    low = _targets([min(pair) for pair in pairs])
    high = _targets([max(pair) for pair in pairs])
    assert all(fewer <= more for fewer, more in zip(low, high, strict=True))


@given(st.floats(0, 600), st.integers(2, 500))
def test_constant_load_changes_the_number_once_at_most_each_way(needed: float, start: int) -> None:
    targets = _targets([needed] * 40, start)
    assert len({*targets}) <= 2
    assert targets[-20:] == [targets[-1]] * 20


def test_load_that_swings_faster_than_the_hold_changes_nothing_after_its_first_peak() -> None:
    assert set(_targets([3, 40, 3, 3, 3, 40] * 20)[1:]) == {40}


def test_a_spike_is_followed_at_once_and_left_after_the_hold() -> None:
    targets = _targets([4.0, 90.0] + [4.0] * 10, start=4)
    assert targets == [4] + [90] * 6 + [4] * 5


def test_a_controller_that_has_just_started_keeps_what_it_finds() -> None:
    assert _targets([1.0] * 8, start=50) == [50] * 6 + [2] * 2


def test_the_rounding_of_floats_starts_no_replica() -> None:
    assert _targets([sum([0.1] * 30)], start=3) == [3]


@given(_DEMANDS)
def test_what_is_remembered_stays_short(demands: list[float]) -> None:
    peaks: Peaks = ()
    for number, needed in enumerate(demands):
        decision = decide(
            needed, current=2, bounds=_BOUNDS, hold_s=_HOLD_S, now_s=5.0 * number, peaks=peaks
        )
        peaks = decision.peaks
        heights = [num_replicas for _, num_replicas in peaks]
        assert heights == sorted(set(heights), reverse=True)
        assert len(peaks) <= _HOLD_S / _PERIOD_S
