import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.autoscaling.demand import (
    DemandSettings,
    StageLoad,
    StageSpeed,
    mean_busy_share,
    replicas_needed,
)

_SHARES = st.floats(0, 1)
_LOADS = st.builds(StageLoad, st.floats(0, 1e4), st.floats(0, 1e6))
_SPEEDS = st.builds(StageSpeed, st.floats(0.1, 1e3), _SHARES)
_SETTINGS = st.builds(DemandSettings, st.floats(0.1, 1), st.floats(0.5, 120))


def test_busy_share_is_the_rate_of_a_batch_by_the_rate_of_a_full_one() -> None:
    fixed_ms, per_sequence_ms, num_slots = 20.0, 1.25, 32
    full_step_ms = fixed_ms + per_sequence_ms * num_slots
    speed = StageSpeed(full_rate_per_s=1.0, fixed_step_share=fixed_ms / full_step_ms)
    for batch in range(1, num_slots + 1):
        rate = batch / (fixed_ms + per_sequence_ms * batch)
        assert speed.busy_share(batch / num_slots) == pytest.approx(
            rate / (num_slots / full_step_ms)
        )


@given(_SPEEDS)
def test_an_empty_replica_is_idle_and_a_full_one_is_busy(speed: StageSpeed) -> None:
    assert speed.busy_share(0) == 0
    assert speed.busy_share(1) == pytest.approx(1)


def test_where_a_batch_brings_no_speed_one_segment_keeps_a_replica_busy() -> None:
    assert StageSpeed(1.0, fixed_step_share=0.0).busy_share(1 / 8) == 1


def test_a_replica_that_works_half_of_the_time_is_half_busy() -> None:
    assert mean_busy_share(StageSpeed(1.0, 0.0), [0, 1 / 8, 0, 5 / 8]) == 0.5


@given(_SPEEDS, st.lists(_SHARES, min_size=1), st.lists(_SHARES, min_size=1))
def test_a_fuller_replica_is_never_less_busy(
    speed: StageSpeed, some: list[float], more: list[float]
) -> None:
    pairs = list(zip(some, more, strict=False))
    low = mean_busy_share(speed, [min(pair) for pair in pairs])
    high = mean_busy_share(speed, [max(pair) for pair in pairs])
    assert low <= high


@given(_LOADS, _LOADS, _SPEEDS, _SETTINGS)
def test_more_load_never_needs_fewer_replicas(
    one: StageLoad, other: StageLoad, speed: StageSpeed, settings: DemandSettings
) -> None:
    both = StageLoad(max(one.busy_replicas, other.busy_replicas), max(one.backlog, other.backlog))
    assert replicas_needed(both, speed, settings) >= max(
        replicas_needed(one, speed, settings), replicas_needed(other, speed, settings)
    )


def test_what_is_needed_keeps_up_and_drains_the_backlog_in_time() -> None:
    speed = StageSpeed(full_rate_per_s=4.0, fixed_step_share=0.5)
    settings = DemandSettings(target_use=0.5, drain_s=10)
    assert replicas_needed(StageLoad(3.0, 80.0), speed, settings) == 3.0 / 0.5 + 80 / (4 * 10)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_stage_that_makes_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="full_rate_per_s"):
        StageSpeed(rate, 0.5)


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"fixed_step_share is 1\.5"):
        StageSpeed(1.0, 1.5)
    with pytest.raises(ValueError, match="target_use is 0"):
        DemandSettings(target_use=0)
    with pytest.raises(ValueError, match="drain_s is 0"):
        DemandSettings(drain_s=0)
