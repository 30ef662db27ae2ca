"""Whether each stage of the graph would answer a request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.calls import call

_TIMEOUT_S = 5.0


async def are_stages_ready(stages: Mapping[str, DeploymentHandle[Any]]) -> dict[str, bool]:
    """Ask all stages at once; one that fails or is silent for too long is not ready."""
    answers = await asyncio.gather(*map(_is_ready, stages.values()))
    return dict(zip(stages, answers, strict=True))


async def _is_ready(stage: DeploymentHandle[Any]) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return bool(await call(stage.ready.remote()))
    except Exception:
        return False
