"""The autoscaling policy that Ray Serve runs: `decide` on what the replicas report.

In `serve_config.yaml`, per deployment:

    autoscaling_config:
      min_replicas: 1
      max_replicas: 40
      upscale_delay_s: 0       # the policy itself decides when
      downscale_delay_s: 0
      look_back_period_s: 15
      policy:
        policy_function: deployments.autoscaling.policy:StagePolicy
        policy_kwargs: {backlog: waiting_audio_s, full_rate_per_s: 22.7, fixed_step_share: 0.35}
"""

from __future__ import annotations

from typing import Any, get_args

from ray.serve.config import AutoscalingContext

from deployments.autoscaling.demand import (
    DemandSettings,
    StageLoad,
    StageSpeed,
    mean_busy_share,
    replicas_needed,
)
from deployments.autoscaling.scaling import Bounds, decide
from deployments.autoscaling.stage_report import SLOT_USE, Backlog

_PEAKS = "peaks"


class StagePolicy:
    """Scales a stage by the use of its slots and by what waits for them.

    S1 counts the audio that waits (`waiting_audio_s`), S2, whose slots take turns, all audio it
    has not finished (`queued_audio_s`), the persona the lines that wait (`waiting`).

    Args:
        backlog: which of the replicas' reports is the backlog.
        full_rate_per_s, fixed_step_share: see `StageSpeed`.
        target_use, drain_s: see `DemandSettings`.
        hold_s: see `decide`; at least the time that a replica takes to start.
        backlog_per_request: what a request counts for that no replica has taken yet, in the unit
            of the backlog; such requests wait at the callers.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        *,
        backlog: Backlog,
        full_rate_per_s: float,
        fixed_step_share: float,
        target_use: float = 0.7,
        drain_s: float = 20.0,
        hold_s: float = 300.0,
        backlog_per_request: float = 1.0,
    ) -> None:
        if backlog not in get_args(Backlog):
            raise ValueError(f"backlog is {backlog!r}; allowed are {', '.join(get_args(Backlog))}")
        self._backlog = backlog
        self._speed = StageSpeed(full_rate_per_s, fixed_step_share)
        self._settings = DemandSettings(target_use, drain_s)
        self._hold_s = hold_s
        self._backlog_per_request = backlog_per_request

    def __call__(self, ctx: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """How many replicas there should be; Serve keeps the state that is returned beside it."""
        decision = decide(
            self._needed(ctx),
            current=ctx.target_num_replicas,
            bounds=Bounds(ctx.capacity_adjusted_min_replicas, ctx.capacity_adjusted_max_replicas),
            hold_s=self._hold_s,
            now_s=ctx.current_time or 0.0,
            peaks=ctx.policy_state.get(_PEAKS),
        )
        return decision.num_replicas, {_PEAKS: decision.peaks}

    def _needed(self, ctx: AutoscalingContext) -> float:
        """The demand: use of slots over the look-back period, backlog by the latest reports."""
        slot_uses = _samples(ctx, SLOT_USE)
        if not slot_uses:
            return ctx.target_num_replicas  # nobody knows what there is to do
        queued = self._backlog_per_request * ctx.total_queued_requests
        load = StageLoad(
            busy_replicas=sum(mean_busy_share(self._speed, uses) for uses in slot_uses),
            backlog=sum(samples[-1] for samples in _samples(ctx, self._backlog)) + queued,
        )
        return replicas_needed(load, self._speed, self._settings)


def _samples(ctx: AutoscalingContext, name: str) -> list[list[float]]:
    """What each replica has reported under a name during the look-back period, oldest first."""
    reports = (ctx.raw_metrics or {}).get(name, {})
    return [[point.value for point in points] for points in reports.values() if points]
