"""Is the service alive, and would it serve a request?"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from serve_app.edge import Parts
from serve_app.readiness import look_at_stages
from serve_app.schemas import Health, Readiness

router = APIRouter(tags=["service"])


@router.get("/health")
async def health() -> Health:
    """The HTTP edge is alive."""
    return Health(status="alive")


@router.get(
    "/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "A stage is not ready."}},
)
async def ready(edge: Parts) -> JSONResponse:
    """Every stage is loaded and answers; with what each has to do at the moment."""
    stages = await look_at_stages(edge.stages)
    readiness = Readiness(
        ready=all(stage.ready for stage in stages.values()),
        stages=stages,
        queued_audio_s=edge.admission.queued_audio_s,
        active_requests=edge.admission.num_requests,
    )
    return JSONResponse(readiness.model_dump(), 200 if readiness.ready else 503)
