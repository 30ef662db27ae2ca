"""Random adapters for the tiny model, published as trained ones are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import save
from torch import Tensor, nn

from models.persona.adapter import AdapterInfo, Precision, ServedPrecision
from models.persona.persona import Persona
from tests.unit.persona.tiny import TINY_REVISION, tiny_model

TARGET_MODULES = ("down_proj", "o_proj", "q_proj")
RANK = 2


def lora_weights(
    seed: int, model: nn.Module | None = None, scale: float = 1.0
) -> dict[str, Tensor]:
    """A and B under PEFT's names, large enough to change every line."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for path, layer in (model or tiny_model()).named_modules():
        if isinstance(layer, nn.Linear) and path.rpartition(".")[2] in TARGET_MODULES:
            name = f"base_model.model.{path}"
            shapes = {"A": (RANK, layer.in_features), "B": (layer.out_features, RANK)}
            for half, shape in shapes.items():
                weight = scale * torch.randn(shape, generator=generator)
                weights[f"{name}.lora_{half}.weight"] = weight
    return weights


def publish_adapter(
    root: Path,
    persona: Persona,
    *,
    seed: int = 0,
    weights: dict[str, Tensor] | bytes | None = None,
    serves_in: tuple[Precision, ...] = ("float32",),
    config: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    lines: str | None = None,
) -> Persona:
    """Write a version of `persona` with an adapter below `root`; the persona that names it.

    Args:
        seed: of random weights; `weights` replaces them, also by bytes that are none.
        config, info: changes to `adapter_config.json` and to what `persona.json` says.
        lines: what it was trained to say.
    """
    if not isinstance(weights, bytes):
        weights = save(lora_weights(seed) if weights is None else weights)
    adapter = AdapterInfo(
        rank=RANK,
        alpha=4.0,
        target_modules=TARGET_MODULES,
        base_revision=TINY_REVISION,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        trained_in="float32",
        serves_in=tuple(ServedPrecision(name, 0.0, 1.0) for name in serves_in),
        lines_sha256=None if lines is None else hashlib.sha256(lines.encode()).hexdigest(),
    )
    persona = replace(persona, adapter=replace(adapter, **(info or {})))
    folder = root / "personas" / persona.persona_id / persona.version
    folder.mkdir(parents=True)
    (folder / "persona.json").write_bytes(TypeAdapter(Persona).dump_json(persona))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    if lines is not None:
        (folder / "training_lines.txt").write_text(lines, encoding="utf-8")
    (folder / "adapter_config.json").write_text(json.dumps(_peft_config(persona) | (config or {})))
    return persona


def _peft_config(persona: Persona) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": persona.base_model,
        "revision": TINY_REVISION,
        "r": RANK,
        "lora_alpha": 4,
        "lora_dropout": 0.05,
        "bias": "none",
        "inference_mode": True,
        "target_modules": list(TARGET_MODULES),
        "use_dora": False,
        "rank_pattern": {},
    }
