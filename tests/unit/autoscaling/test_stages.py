"""Every stage that may be scaled reports what the policy asks for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deployments.args import StrictArgs
from deployments.autoscaling.stage_report import stage_report
from deployments.messages import StageStats
from deployments.persona_llm import PersonaArgs, PersonaLLM
from deployments.semantic_decoder import SemanticArgs, SemanticDecoder
from deployments.vocoder import Vocoder, VocoderArgs
from deployments.zonos_backbone import ZonosBackbone, ZonosBackboneArgs
from deployments.zonos_decoder import ZonosDecoder, ZonosDecoderArgs
from models.storage import AwsAccess
from tests.unit.persona.tiny import tiny_model, tiny_tokenizer


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


def test_an_idle_persona_reports_so(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    args = PersonaArgs(
        engine="transformers", base_model="tiny", base_folder=str(tmp_path), precision="float32"
    )

    async def act() -> dict[str, float]:
        replica = PersonaLLM(
            storage_root=str(tmp_path / "storage"),
            access=AwsAccess(),
            personas=[],
            external=None,
            **args.model_dump(),
        )
        report = await replica.record_autoscaling_stats()
        closing = replica.__del__()
        assert closing is not None
        await closing
        return report

    assert asyncio.run(act()) == stage_report(StageStats(0, 0, 0.0), num_slots=1)
