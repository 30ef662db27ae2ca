"""One local Ray cluster with the stages of GPT-SoVITS over small random networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray import serve

from deployments.driver.catalog import Catalog
from deployments.driver.gpt_sovits_engine import GptSovitsEngine
from deployments.driver.speech import Speech
from deployments.driver.two_stages import TwoStages
from deployments.metrics import RequestMetrics
from deployments.semantic_decoder import SemanticArgs
from deployments.text_frontend import text_frontend_deployment
from deployments.vocoder import VocoderArgs
from models.storage import AwsAccess, FolderStore
from tests.gpt_sovits_store import publish_endless_checkpoint, publish_small_voices, publish_voice
from tests.integration.speech.fragile import (
    SIGNALS,
    FragileDecoder,
    FragileVocoder,
    HeardHandle,
    Root,
    Signals,
)

APP = "speech"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """As in a replica: what runs here is compared with it bit by bit.

    A recogniser that another test ran in this process leaves its own number of threads behind.
    """
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Graph:
    """The running stages, as the driver sees them."""

    store: FolderStore
    catalog: Catalog
    signals: Any
    text_frontend: Any
    semantic_decoder: Any
    vocoder: Any

    def stages(self) -> TwoStages:
        return TwoStages(
            HeardHandle(self.semantic_decoder, "SemanticDecoder"),  # type: ignore[arg-type]
            HeardHandle(self.vocoder, "Vocoder"),  # type: ignore[arg-type]
        )

    def speech(self) -> Speech:
        engine = GptSovitsEngine(
            HeardHandle(self.semantic_decoder, "SemanticDecoder"),  # type: ignore[arg-type]
            HeardHandle(self.vocoder, "Vocoder"),  # type: ignore[arg-type]
            self.text_frontend,
            self.catalog,
        )
        return Speech(self.text_frontend, {"gpt_sovits": engine}, RequestMetrics())


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    root = tmp_path_factory.mktemp("store")
    store = publish_small_voices(root)
    publish_voice(store, "endless", publish_endless_checkpoint(store), seed=3)
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        signals = Signals.options(name=SIGNALS).remote()
        serve.start(proxy_location="Disabled")
        serve.run(_application(root), name=APP, route_prefix=None)
        yield Graph(
            store,
            Catalog([store]),
            signals,
            *(
                serve.get_deployment_handle(name, APP)
                for name in ("TextFrontend", "SemanticDecoder", "Vocoder")
            ),
        )
    finally:
        serve.shutdown()
        ray.shutdown()


def _application(root: Path) -> serve.Application:
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}, "health_check_period_s": 1}
    weights = {"storage_root": str(root), "access": AwsAccess(), "checkpoints": ["small@1"]}
    decoder = serve.deployment(name="SemanticDecoder", **options)(FragileDecoder)
    vocoder = serve.deployment(name="Vocoder", **options)(FragileVocoder)
    return Root.bind(
        text_frontend_deployment.bind(),
        decoder.bind(**weights, **SemanticArgs(tokens_per_chunk=5).model_dump()),
        vocoder.bind(**weights, **VocoderArgs().model_dump()),
    )
