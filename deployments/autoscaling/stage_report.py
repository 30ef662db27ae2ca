"""What a replica reports for autoscaling, as its method `record_autoscaling_stats` returns it."""

from __future__ import annotations

from typing import Literal

from deployments.messages import StageStats

Backlog = Literal["waiting", "waiting_audio_s", "queued_audio_s"]
"""What of the report counts as backlog: segments or lines that wait, the audio of those, or the
audio of all that is not finished, for a stage whose slots take turns."""

SLOT_USE = "slot_use"


def stage_report(stats: StageStats, num_slots: int) -> dict[str, float]:
    """The report of a replica; Serve collects it and hands it to `StagePolicy`.

    Args:
        stats: what the replica has to do.
        num_slots: what it can have in work at once.
    """
    num_all = stats.active + stats.waiting
    waiting_share = stats.waiting / num_all if num_all else 0.0
    return {
        SLOT_USE: stats.active / num_slots,
        "waiting": float(stats.waiting),
        "waiting_audio_s": stats.queued_audio_s * waiting_share,
        "queued_audio_s": stats.queued_audio_s,
    }
