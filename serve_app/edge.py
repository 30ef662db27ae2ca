"""What the routes share: the parts of the service, and who is calling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from ray.serve.handle import DeploymentHandle

from deployments.driver.catalog import Catalog
from deployments.driver.speech import Speech
from deployments.driver.voice_publishing import VoiceRegistration
from deployments.jobs.client import JobClient
from deployments.metrics import RequestMetrics
from serve_app.access.keys import KeyRing
from serve_app.access.rate import RateLimit
from serve_app.admission import Admission
from serve_app.characters import CharacterShelf
from serve_app.job_desk import JobDesk


@dataclass(frozen=True)
class Edge:
    """The parts of the service as its HTTP routes use them.

    Args:
        stages: every stage by its name in `/ready`.
        catalog: voices, personas and characters, to be read.
        characters: characters, to be written.
        registration: voices, to be written.
        jobs: finds, waits for and cancels jobs.
        desk: accepts jobs, as long as not too many wait.
        speech: speaks a text over the stages.
        persona_llm: writes lines; its `generate` streams.
        admission: lets streams of audio in, or does not.
        keys, rate: who may call, and how often.
        metrics: what Prometheus is told.
    """

    stages: Mapping[str, DeploymentHandle[Any]]
    catalog: Catalog
    characters: CharacterShelf
    registration: VoiceRegistration
    jobs: JobClient
    desk: JobDesk
    speech: Speech
    persona_llm: DeploymentHandle[Any]
    admission: Admission
    keys: KeyRing
    rate: RateLimit
    metrics: RequestMetrics


def _parts(request: Request) -> Edge:
    edge: Edge = request.app.state.edge
    return edge


def _caller(request: Request) -> str | None:
    caller: str | None = request.state.caller
    return caller


Parts = Annotated[Edge, Depends(_parts)]
"""A route's way to the parts of the service."""

Caller = Annotated[str | None, Depends(_caller)]
"""Name of the caller's API key; None where no keys are asked for."""
