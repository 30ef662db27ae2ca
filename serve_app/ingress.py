"""The ingress: one replica of the HTTP edge, with handles of all stages.

A request's way: `http.py` (what stands around it), `routes/` (one function per route), `Edge` (the
parts a route uses), and from there over the handles to the stages.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from deployments.driver.catalog import Catalog
from deployments.driver.speech import speech_over
from deployments.driver.voice_publishing import VoiceRegistration
from deployments.jobs.client import JobClient, WebhookPolicy
from deployments.metrics import RequestMetrics
from models.storage import AwsAccess, embedded_store, open_store
from serve_app.access.args import AccessArgs
from serve_app.access.binding import require_loopback
from serve_app.access.keys import KeyRing
from serve_app.access.rate import RateLimit
from serve_app.admission import Admission, AdmissionArgs, JobAdmissionArgs, num_ingress_replicas
from serve_app.characters import CharacterShelf
from serve_app.edge import Edge
from serve_app.http import http_application
from serve_app.job_desk import JobDesk


@serve.ingress()
class Ingress:
    """Drives the stages of the graph; holds no model.

    Args:
        text_frontend, persona_llm, kokoro_voice, semantic_decoder, vocoder, voice_encoder: stages.
        zonos_backbone, zonos_decoder: stages that only some services have.
        job_runner: runs accepted jobs.
        storage_root: absolute folder or `s3://bucket/prefix`.
        aws: access to S3.
        webhooks: which webhooks a request may name.
        keys: API keys; without any, everybody on this machine may call.
        access: how often, and whether everybody else may, too.
        admission: audio that may be owed to listeners at once.
        job_admission: the same for jobs, and how many one owner may have open.

    Raises:
        OpenToEverybody: no key is configured, and others than this machine could call.
    """

    def __init__(
        self,
        *,
        text_frontend: DeploymentHandle[Any],
        persona_llm: DeploymentHandle[Any],
        kokoro_voice: DeploymentHandle[Any],
        semantic_decoder: DeploymentHandle[Any],
        vocoder: DeploymentHandle[Any],
        voice_encoder: DeploymentHandle[Any],
        job_runner: DeploymentHandle[Any],
        storage_root: str,
        aws: AwsAccess,
        webhooks: WebhookPolicy,
        keys: KeyRing,
        access: AccessArgs,
        admission: AdmissionArgs,
        job_admission: JobAdmissionArgs,
        zonos_backbone: DeploymentHandle[Any] | None = None,
        zonos_decoder: DeploymentHandle[Any] | None = None,
    ) -> None:
        if keys.is_empty and not access.allow_anonymous:
            require_loopback(_listening_host())
        store = open_store(storage_root, aws)
        store.check_writable()
        catalog = Catalog([store, embedded_store()])
        metrics = RequestMetrics()
        jobs = JobClient(
            store, job_runner, webhooks, max_unfinished=job_admission.max_unfinished_per_owner
        )
        stages = {
            "text_frontend": text_frontend,
            "persona_llm": persona_llm,
            "kokoro_voice": kokoro_voice,
            "semantic_decoder": semantic_decoder,
            "vocoder": vocoder,
            "zonos_backbone": zonos_backbone,
            "zonos_decoder": zonos_decoder,
            "voice_encoder": voice_encoder,
            "job_runner": job_runner,
        }
        self._edge = Edge(
            stages={name: stage for name, stage in stages.items() if stage is not None},
            catalog=catalog,
            characters=CharacterShelf(store, embedded_store(), catalog),
            registration=VoiceRegistration(voice_encoder, store, embedded_store()),
            jobs=jobs,
            desk=JobDesk(jobs, Admission(job_admission, num_ingress_replicas)),
            speech=speech_over(
                text_frontend,
                kokoro_voice,
                semantic_decoder,
                vocoder,
                catalog,
                zonos_backbone=zonos_backbone,
                zonos_decoder=zonos_decoder,
                metrics=metrics,
            ),
            persona_llm=persona_llm.options(stream=True),
            admission=Admission(admission, num_ingress_replicas, metrics.owed),
            keys=keys,
            rate=RateLimit(access.requests_per_minute, num_ingress_replicas),
            metrics=metrics,
        )

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Called by Serve once the constructor is through."""
        return http_application(self._edge)


def _listening_host() -> str | None:
    """Where Serve's proxies listen; Serve has no public call that tells."""
    client = _get_global_client()
    assert client is not None  # it raises where there is none
    host: str | None = client.http_config.host
    return host


ingress_deployment = serve.deployment(name="Ingress", ray_actor_options={"num_cpus": 0.1})(Ingress)
