"""The builder: typed arguments in, the bound graph out.

No `from __future__ import annotations` here: Ray Serve reads the real annotation of `build` to
turn the `args` of the configuration into `AppArgs`.
"""

from typing import Self

from pydantic import Field, model_validator
from ray.serve import Application

from deployments.args import StrictArgs
from deployments.driver.catalog import Catalog
from deployments.job_runner import JobRunnerArgs, job_runner_deployment
from deployments.jobs.client import WebhookPolicy
from deployments.kokoro_voice import KokoroArgs, kokoro_voice_deployment
from deployments.persona_llm import PersonaArgs, persona_llm_deployment
from deployments.semantic_decoder import SemanticArgs, semantic_decoder_deployment
from deployments.text_frontend import text_frontend_deployment
from deployments.vocoder import VocoderArgs, vocoder_deployment
from deployments.voice_encoder import VoiceEncoderArgs, voice_encoder_deployment
from deployments.zonos_backbone import ZonosBackboneArgs, zonos_backbone_deployment
from deployments.zonos_decoder import ZonosDecoderArgs, zonos_decoder_deployment
from models.storage import embedded_store, open_store
from serve_app.access.args import AccessArgs
from serve_app.access.keys import key_ring
from serve_app.admission import SEGMENTS_PER_REQUEST, AdmissionArgs, JobAdmissionArgs
from serve_app.ingress import ingress_deployment
from serve_app.settings import Settings, StorageRoot


class ZonosArgs(StrictArgs):
    """Settings of the two stages of Zonos."""

    backbone: ZonosBackboneArgs = ZonosBackboneArgs()
    decoder: ZonosDecoderArgs = ZonosDecoderArgs()


class AppArgs(StrictArgs):
    """What `args` in the configuration may say."""

    storage_root: StorageRoot | None = Field(
        default=None,
        description="Absolute folder or s3://bucket/prefix; from the environment if absent.",
    )
    access: AccessArgs = AccessArgs()
    admission: AdmissionArgs = AdmissionArgs()
    job_admission: JobAdmissionArgs = JobAdmissionArgs()
    kokoro: KokoroArgs = KokoroArgs()
    persona: PersonaArgs = PersonaArgs()
    semantic_decoder: SemanticArgs = SemanticArgs()
    vocoder: VocoderArgs = VocoderArgs()
    zonos: ZonosArgs | None = Field(
        default=None, description="The service has voices of Zonos only where this is given."
    )
    voice_encoder: VoiceEncoderArgs = VoiceEncoderArgs()
    job_runner: JobRunnerArgs = JobRunnerArgs()

    @model_validator(mode="after")
    def _admitted_is_never_refused(self) -> Self:
        """A stage that could be full for an admitted request would break its stream with a 429."""
        num_requests = self.admission.max_requests + self.job_runner.max_running
        num_segments = SEGMENTS_PER_REQUEST * num_requests
        bounds = {
            "kokoro": (self.kokoro.max_waiting, num_segments),
            "semantic_decoder": (self.semantic_decoder.max_waiting, num_segments),
            "vocoder": (self.vocoder.max_waiting, num_segments),
            "persona": (self.persona.max_waiting, num_requests),
        }
        if self.zonos is not None:
            bounds["zonos.backbone"] = (self.zonos.backbone.max_waiting, num_segments)
            bounds["zonos.decoder"] = (self.zonos.decoder.max_waiting, num_segments)
        for stage, (max_waiting, needed) in bounds.items():
            if max_waiting < needed:
                raise ValueError(
                    f"{stage}.max_waiting is {max_waiting}; admission.max_requests and "
                    f"job_runner.max_running together need {needed}"
                )
        return self


def build(args: AppArgs) -> Application:
    """Bind the ingress and the job runner to the stages."""
    settings = Settings()
    access = settings.aws_access()
    notices = settings.notice_settings()
    storage_root = args.storage_root or settings.storage_root
    catalog = Catalog([open_store(storage_root, access), embedded_store()])
    weights = {
        "storage_root": storage_root,
        "access": access,
        "checkpoints": catalog.checkpoints(),
    }
    stages = {
        "text_frontend": text_frontend_deployment.bind(),
        "persona_llm": persona_llm_deployment.bind(
            storage_root=storage_root,
            access=access,
            personas=catalog.personas(),
            external=settings.external_llm(),
            **args.persona.model_dump(),
        ),
        "kokoro_voice": kokoro_voice_deployment.bind(**args.kokoro.model_dump()),
        "semantic_decoder": semantic_decoder_deployment.bind(
            **weights, **args.semantic_decoder.model_dump()
        ),
        "vocoder": vocoder_deployment.bind(**weights, **args.vocoder.model_dump()),
        "voice_encoder": voice_encoder_deployment.bind(
            storage_root=storage_root, access=access, **args.voice_encoder.model_dump()
        ),
    }
    if args.zonos is not None:
        zonos_weights = weights | {"checkpoints": catalog.zonos_checkpoints()}
        stages["zonos_backbone"] = zonos_backbone_deployment.bind(
            **zonos_weights, **args.zonos.backbone.model_dump()
        )
        stages["zonos_decoder"] = zonos_decoder_deployment.bind(
            **zonos_weights, **args.zonos.decoder.model_dump()
        )
    return ingress_deployment.bind(
        **stages,
        job_runner=job_runner_deployment.bind(
            stages=stages,
            storage_root=storage_root,
            access=access,
            notices=notices,
            limits=args.job_runner.limits(),
        ),
        storage_root=storage_root,
        aws=access,
        webhooks=WebhookPolicy(
            is_accepted=notices.webhook_secret is not None,
            allow_private=notices.webhook_allow_private,
        ),
        keys=key_ring(settings.baewoo_api_keys, settings.baewoo_api_keys_file),
        access=args.access,
        admission=args.admission,
        job_admission=args.job_admission,
    )
