"""The policy as Serve meets it: through its configuration, its wire format and its own wrapper."""

from collections.abc import Sequence
from typing import Any

import pytest
from ray.serve._private.autoscaling_state import _resolve_policy_callable
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve._private.config import DeploymentConfig
from ray.serve.autoscaling_policy import _apply_autoscaling_config
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from deployments.autoscaling.demand import (
    DemandSettings,
    StageLoad,
    StageSpeed,
    replicas_needed,
)
from deployments.autoscaling.policy import StagePolicy
from deployments.autoscaling.stage_report import stage_report
from deployments.messages import StageStats

_ID = DeploymentID("SemanticDecoder", "baewoo")
_KWARGS: dict[str, Any] = {
    "backlog": "waiting_audio_s",
    "full_rate_per_s": 10.0,
    "fixed_step_share": 0.25,
    "target_use": 0.5,
    "drain_s": 5.0,
    "hold_s": 60.0,
    "backlog_per_request": 3.0,
}
_CONFIG = AutoscalingConfig(
    min_replicas=1,
    max_replicas=40,
    upscale_delay_s=0,
    downscale_delay_s=0,
    look_back_period_s=15,
    policy=AutoscalingPolicy(
        policy_function="deployments.autoscaling.policy:StagePolicy", policy_kwargs=_KWARGS
    ),
)
_BUSY = StageStats(active=8, waiting=8, queued_audio_s=40.0)
_IDLE = StageStats(active=0, waiting=0, queued_audio_s=0.0)


def _context(
    reports: Sequence[Sequence[StageStats]],
    *,
    target: int = 2,
    state: dict[str, Any] | None = None,
    now_s: float = 1000.0,
    queued: float = 0.0,
) -> AutoscalingContext:
    """What Serve's controller tells a policy.

    Args:
        reports: of each replica, oldest first.
    """
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    replicas = [ReplicaID(str(number), _ID) for number in range(len(reports))]
    for replica, samples in zip(replicas, reports, strict=True):
        for age, stats in enumerate(reversed(samples)):
            for name, value in stage_report(stats, num_slots=8).items():
                series = raw.setdefault(name, {}).setdefault(replica, [])
                series.insert(0, TimeStampedValue(now_s - 3 * age, value))
    return AutoscalingContext(
        deployment_id=_ID,
        deployment_name=_ID.name,
        app_name=_ID.app_name,
        current_num_replicas=len(reports),
        target_num_replicas=target,
        running_replicas=replicas,
        total_num_requests=0.0,
        total_queued_requests=queued,
        aggregated_metrics=None,
        raw_metrics=raw,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=40,
        policy_state=state or {},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now_s,
        config=_CONFIG,
    )


def test_the_policy_follows_the_replicas_reports() -> None:
    speed, settings = StageSpeed(10.0, 0.25), DemandSettings(0.5, 5.0)
    reports = [[_IDLE, _BUSY], [_BUSY, _IDLE]]
    load = StageLoad(busy_replicas=1.0, backlog=20.0 + 4 * 3.0)  # half of 40 s waits in one
    needed = replicas_needed(load, speed, settings)
    assert needed == 2.64
    decided, _ = StagePolicy(**_KWARGS)(_context(reports, queued=4))
    assert decided == 3


def test_serve_runs_the_policy_as_it_is() -> None:
    wire = DeploymentConfig(autoscaling_config=_CONFIG).to_proto_bytes()
    config = DeploymentConfig.from_proto_bytes(wire).autoscaling_config
    assert config is not None
    served = _apply_autoscaling_config(_resolve_policy_callable(config.policy))
    ours = StagePolicy(**_KWARGS)
    our_state: dict[str, Any] = {}
    served_state: dict[str, Any] = {}
    ours_num, served_num = 2, 2
    for second, stats in enumerate([_BUSY] * 5 + [_IDLE] * 70):
        reports = [[stats]] * 2
        ours_num, our_state = ours(
            _context(reports, target=ours_num, state=our_state, now_s=1000.0 + second)
        )
        served_num, served_state = served(
            _context(reports, target=served_num, state=served_state, now_s=1000.0 + second)
        )
        assert served_num == ours_num
    assert ours_num == 1


def test_without_reports_nothing_changes() -> None:
    decided, _ = StagePolicy(**_KWARGS)(_context([[], []], target=7))
    assert decided == 7


def test_a_replica_that_has_just_started_counts_as_idle() -> None:
    with_new, _ = StagePolicy(**_KWARGS)(_context([[_BUSY] * 4, []], target=1))
    alone, _ = StagePolicy(**_KWARGS)(_context([[_BUSY] * 4], target=1))
    assert with_new == alone


def test_an_unknown_backlog_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="waiting, waiting_audio_s, queued_audio_s"):
        StagePolicy(**{**_KWARGS, "backlog": "audio"})
