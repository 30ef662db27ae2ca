"""What leaves a run: the adapter as it will be served, and what is known about it.

RUN/export/adapter_model.safetensors    in float16
RUN/export/adapter_config.json          PEFT's, naming the base model as personas do
RUN/export/training.json                arguments, data, losses, and what was measured
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from models.checkpoints.replacing import replacing
from training.loops.journal import read_metrics
from training.loops.persona.args import PersonaArgs
from training.loops.persona.base import Base
from training.loops.persona.measure import Measured, measure
from training.loops.persona.run import CONFIG_NAME, WEIGHTS_NAME, Material, read_best
from training.loops.strict import ConfigError
from training.persona.statistics import length_statistics, level_share

TRAINING_NAME = "training.json"


def export(
    args: PersonaArgs, material: Material, base: Base, out: Path, device: torch.device
) -> Path:
    """Write ``RUN/export`` from the best or the last adapter of a finished run.

    Raises:
        ConfigError: the run has none yet, or training has diverged.
    """
    name = args.publishing.weights if (out / args.publishing.weights).is_dir() else "last"
    if not (out / name / WEIGHTS_NAME).exists():
        raise ConfigError(f"{out} holds no trained adapter yet")
    folder = out / "export"
    folder.mkdir(parents=True, exist_ok=True)
    _write_adapter(out / name, folder, base)
    rows = material.split.held_out[: args.publishing.num_scenes]
    measured = measure(args, base, folder, material.persona, rows, device)
    document = {
        "arguments": args.model_dump(mode="json"),
        "base_revision": base.revision,
        "weights": name,
        "losses": _losses(out, name),
        "data": data_summary(args, material, base.tokenizer()),
        "serves_in": [asdict(one.served) for one in measured],
        "lines": _lines(material, measured),
    }
    with replacing(folder / TRAINING_NAME) as partial:
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    return folder


def data_summary(
    args: PersonaArgs, material: Material, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """How many rows there are, and how long they and their lines are."""
    train, held_out = material.examples(args, tokenizer)
    lines = [row.output for row in material.rows]
    level = material.persona.speech_level
    summary: dict[str, Any] = {
        "rows": len(material.rows),
        "repeated": len(material.rows) - len(train) - len(held_out),
        "trained_on": len(train),
        "held_out": len(held_out),
        "line_chars": asdict(length_statistics(lines)),
        "most_row_tokens": max(example.num_tokens for example in train + held_out),
        "most_line_tokens": max(len(example.line_ids) for example in train + held_out),
    }
    if level is not None:
        summary["speech_level_share"] = level_share(lines, level)
    return summary


def _write_adapter(source: Path, target: Path, base: Base) -> None:
    """Half precision changes the adapter by less than its own training noise."""
    state = {
        name: tensor.to(torch.float16) for name, tensor in load_file(source / WEIGHTS_NAME).items()
    }
    if bad := next((name for name, tensor in state.items() if not tensor.isfinite().all()), None):
        raise ConfigError(f"training has diverged: {bad} is not finite")
    config = json.loads((source / CONFIG_NAME).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base.name, "revision": base.revision}
    with replacing(target / WEIGHTS_NAME) as partial:
        save_file(state, partial, metadata={"format": "pt"})
    with replacing(target / CONFIG_NAME) as partial:
        partial.write_text(json.dumps(config, indent=1) + "\n")


def _losses(out: Path, name: str) -> dict[str, Any]:
    validations = read_metrics(out, "validation")
    best = read_best(out) if name == "best" else None
    return {
        "held_out_before": validations[0]["loss"],
        "held_out": validations[-1]["loss"] if best is None else best["loss"],
        "updates": int(validations[-1]["update"]) + 1 if best is None else best["update"],
    }


def _lines(material: Material, measured: list[Measured]) -> list[dict[str, str]]:
    """Scenes and what the adapter said to them, in the precision of training."""
    return [
        {"input": row.input, "line": line}
        for row, line in zip(material.split.held_out, measured[0].lines, strict=False)
    ]
