"""One local Ray cluster with the stages of Zonos over small random networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray import serve

from deployments.driver.zonos_stages import ZonosStages
from deployments.zonos_backbone import ZonosBackboneArgs
from deployments.zonos_decoder import ZonosDecoderArgs
from models.storage import AwsAccess, FolderStore
from tests.integration.speech.fragile import SIGNALS, HeardHandle, Root, Signals
from tests.integration.zonos.fragile import FragileBackbone, FragileZonosDecoder
from tests.zonos_store import publish_zonos_checkpoint

APP = "zonos"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """As in a replica: what runs here is compared with it."""
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Graph:
    """The running stages, as the driver sees them."""

    store: FolderStore
    signals: Any
    backbone: Any
    decoder: Any

    def stages(self) -> ZonosStages:
        return ZonosStages(
            HeardHandle(self.backbone, "ZonosBackbone"),  # type: ignore[arg-type]
            HeardHandle(self.decoder, "ZonosDecoder"),  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    root = tmp_path_factory.mktemp("store")
    store = FolderStore(root)
    publish_zonos_checkpoint(store, "small")
    publish_zonos_checkpoint(store, "endless", is_endless=True)
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        signals = Signals.options(name=SIGNALS).remote()
        serve.start(proxy_location="Disabled")
        serve.run(_application(root), name=APP, route_prefix=None)
        handles = (
            serve.get_deployment_handle(name, APP) for name in ("ZonosBackbone", "ZonosDecoder")
        )
        yield Graph(store, signals, *handles)
    finally:
        serve.shutdown()
        ray.shutdown()


def _application(root: Path) -> serve.Application:
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}, "health_check_period_s": 1}
    weights = {"storage_root": str(root), "access": AwsAccess(), "checkpoints": ["small@1"]}
    backbone_args = ZonosBackboneArgs(
        dtype="float32", capacity=2816, max_checkpoints=2, frames_per_chunk=5
    )
    backbone = serve.deployment(name="ZonosBackbone", **options)(FragileBackbone)
    decoder = serve.deployment(name="ZonosDecoder", **options)(FragileZonosDecoder)
    return Root.bind(
        backbone.bind(**weights, **backbone_args.model_dump()),
        decoder.bind(**weights, **ZonosDecoderArgs().model_dump()),
    )
