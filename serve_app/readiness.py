"""Whether each stage of the graph would answer a request, and what it has to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.calls import call
from serve_app.schemas import StageStatus

_TIMEOUT_S = 5.0


async def look_at_stages(stages: Mapping[str, DeploymentHandle[Any]]) -> dict[str, StageStatus]:
    """Ask all stages at once; one that fails or is silent for too long is not ready."""
    answers = await asyncio.gather(*map(_look_at, stages.values()))
    return dict(zip(stages, answers, strict=True))


async def _look_at(stage: DeploymentHandle[Any]) -> StageStatus:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            is_ready, stats = await asyncio.gather(
                call(stage.ready.remote()), call(stage.stats.remote())
            )
    except Exception:
        return StageStatus(ready=False)
    return StageStatus(ready=is_ready, active=stats.active, waiting=stats.waiting)
