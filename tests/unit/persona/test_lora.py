"""Adapters on the tiny model: what PEFT computes, row by row, or a refusal that says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from deployments.engine.persona.lora import AdaptedLayers
from deployments.engine.persona.runner import Row, Runner
from models.persona.adapter_files import Adapter, AdapterError, AdapterFiles, LoraPair
from models.storage import FolderStore
from tests.unit.persona.adapters import publish_adapter
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import tiny_model

TOKEN_IDS = [2, *(260 + (7 * idx) % 40 for idx in range(40))]
HEAD_IDS = [1, 261, 270, 280]


def published(root: Path, persona_id: str = "tester", seed: int = 1) -> Adapter:
    persona = publish_adapter(root, make_persona(persona_id=persona_id), seed=seed)
    return AdapterFiles([FolderStore(root)]).load(persona.ref)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_computes_what_peft_computes(tmp_path: Path) -> None:
    adapter = published(tmp_path)
    peft = PeftModel.from_pretrained(tiny_model(), tmp_path / "personas" / "tester" / "1")
    with torch.inference_mode():
        logits = peft(input_ids=torch.tensor([TOKEN_IDS])).logits[0, -1, HEAD_IDS]

    runner = Runner(tiny_model(), num_rows=2)
    bound = runner.layers.bind(adapter)
    cache = runner.read(TOKEN_IDS[:-1], bound)
    (ours,) = runner.step([Row(cache, TOKEN_IDS[-1], runner.head(HEAD_IDS), bound)])

    torch.testing.assert_close(ours, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_one_batch_keep_their_own_adapters(tmp_path: Path, dtype: torch.dtype) -> None:
    runner = Runner(tiny_model().to(dtype), num_rows=3)
    head = runner.head(HEAD_IDS)
    first, second = (
        runner.layers.bind(published(tmp_path, name, seed))
        for name, seed in (("first", 1), ("second", 2))
    )
    adapters = (first, None, second)

    def row(idx: int) -> Row:
        return Row(runner.read(TOKEN_IDS[:-1], adapters[idx]), TOKEN_IDS[-1], head, adapters[idx])

    alone = [runner.step([row(idx)])[0] for idx in range(3)]
    together = runner.step([row(idx) for idx in range(3)])

    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))
    assert len({tuple(logits.tolist()) for logits in together}) == 3


def test_an_adapter_for_other_shapes_is_refused(tmp_path: Path) -> None:
    adapter = published(tmp_path)
    path, pair = next(iter(adapter.layers.items()))
    wider = LoraPair(torch.zeros(2, pair.a.shape[1] + 1), pair.b)
    adapter = replace(adapter, layers=adapter.layers | {path: wider})

    with pytest.raises(AdapterError, match=f"{path} is made for .* the model has"):
        AdaptedLayers(tiny_model()).bind(adapter)


def test_an_adapter_for_layers_that_are_not_there_is_refused(tmp_path: Path) -> None:
    adapter = published(tmp_path)
    pair = next(iter(adapter.layers.values()))
    adapter = replace(adapter, layers=adapter.layers | {"model.layers.9.mlp.down_proj": pair})

    with pytest.raises(AdapterError, match="no linear layer model.layers.9.mlp.down_proj"):
        AdaptedLayers(tiny_model()).bind(adapter)


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens", "some_proj"])
def test_an_adapter_for_what_is_not_computed_is_refused(tmp_path: Path, name: str) -> None:
    adapter = published(tmp_path)
    modules = (*adapter.info.target_modules, name)
    adapter = replace(adapter, info=replace(adapter.info, target_modules=modules))

    with pytest.raises(AdapterError, match=f"adds to {name}; served are .* down_proj, .* q_proj"):
        AdaptedLayers(tiny_model()).bind(adapter)


def test_an_adapter_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    adapter = published(tmp_path)
    path, *others = adapter.layers
    adapter = replace(adapter, layers={other: adapter.layers[other] for other in others})

    with pytest.raises(AdapterError, match=f"nothing is given for {path}"):
        AdaptedLayers(tiny_model()).bind(adapter)
