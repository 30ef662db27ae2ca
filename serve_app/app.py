"""The builder: typed arguments in, the bound graph out.

No `from __future__ import annotations` here: Ray Serve reads the real annotation of `build` to
turn the `args` of the configuration into `AppArgs`.
"""

from pydantic import Field
from ray.serve import Application

from deployments.args import StrictArgs
from deployments.driver.catalog import Catalog
from deployments.kokoro_voice import KokoroArgs, kokoro_voice_deployment
from deployments.persona_llm import PersonaArgs, persona_llm_deployment
from deployments.semantic_decoder import SemanticArgs, semantic_decoder_deployment
from deployments.text_frontend import text_frontend_deployment
from deployments.vocoder import VocoderArgs, vocoder_deployment
from models.storage import embedded_store, open_store
from serve_app.ingress import ingress_deployment
from serve_app.settings import Settings, StorageRoot


class AppArgs(StrictArgs):
    """What `args` in the configuration may say."""

    storage_root: StorageRoot | None = Field(
        default=None,
        description="Absolute folder or s3://bucket/prefix; from the environment if absent.",
    )
    kokoro: KokoroArgs = KokoroArgs()
    persona: PersonaArgs = PersonaArgs()
    semantic_decoder: SemanticArgs = SemanticArgs()
    vocoder: VocoderArgs = VocoderArgs()


def build(args: AppArgs) -> Application:
    """Bind the ingress to its stages."""
    settings = Settings()
    storage_root = args.storage_root or settings.storage_root
    catalog = Catalog([open_store(storage_root, settings.aws_access()), embedded_store()])
    weights = {"storage_root": storage_root, "checkpoints": catalog.checkpoints()}
    return ingress_deployment.bind(
        text_frontend=text_frontend_deployment.bind(),
        persona_llm=persona_llm_deployment.bind(
            personas=catalog.personas(), **args.persona.model_dump()
        ),
        kokoro_voice=kokoro_voice_deployment.bind(**args.kokoro.model_dump()),
        semantic_decoder=semantic_decoder_deployment.bind(
            **weights, **args.semantic_decoder.model_dump()
        ),
        vocoder=vocoder_deployment.bind(**weights, **args.vocoder.model_dump()),
        storage_root=storage_root,
    )
