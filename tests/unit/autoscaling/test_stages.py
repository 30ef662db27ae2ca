"""Every stage that may be scaled reports what the policy asks for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deployments.args import StrictArgs
from deployments.autoscaling.stage_report import stage_report
from deployments.messages import StageStats
from deployments.semantic_decoder import SemanticArgs, SemanticDecoder
from deployments.vocoder import Vocoder, VocoderArgs
from deployments.zonos_backbone import ZonosBackbone, ZonosBackboneArgs
from deployments.zonos_decoder import ZonosDecoder, ZonosDecoderArgs
from models.storage import AwsAccess


@pytest.mark.parametrize(
    ("stage", "args"),
    [
        (SemanticDecoder, SemanticArgs()),
        (Vocoder, VocoderArgs()),
        (ZonosBackbone, ZonosBackboneArgs()),
        (ZonosDecoder, ZonosDecoderArgs()),
    ],
)
def test_an_idle_stage_reports_so(stage: Any, args: StrictArgs, tmp_path: Path) -> None:
    replica = stage(
        storage_root=str(tmp_path), access=AwsAccess(), checkpoints=[], **args.model_dump()
    )
    report = asyncio.run(replica.record_autoscaling_stats())
    assert report == stage_report(StageStats(0, 0, 0.0), num_slots=1)
