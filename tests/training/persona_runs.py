"""A tiny base model in a folder, rows short enough for it, and what trains on both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import Gemma3ForCausalLM

from models.persona.scene import Scene
from tests.unit.persona.tiny import TINY_REVISION, tiny_model, tiny_tokenizer
from training.loops.persona.args import PersonaArgs
from training.loops.persona.base import Base
from training.loops.persona.launch import Task
from training.persona.character import Character

SHEET = "너는 배우다."
LINES = {
    "배고프다": "밥 먹습니다.",
    "밥": "하하, 너는 가지?",
    "부장": "이 자는 파다.",
    "대지": "아, 차가 가나?",
    "고지": "나는 사자다.",
}
CHARACTER = {
    "persona_id": "baeu",
    "display_name": "배우",
    "description": "짧게 말하는 배우.",
    "script": "hangul",
    "speech_level": None,
    "template": {"instruction": "### 지시", "input": "### 입력", "response": "### 대사"},
    "speaker_names": ["배우"],
    "stop": ["\n", "###"],
    "sampling": {"temperature": 0.0, "max_new_tokens": 60},
}


def persona_args(**changes: Any) -> PersonaArgs:
    """A run of seconds on the tiny base model."""
    fields = {
        "base_model": "tiny",
        "base_revision": TINY_REVISION,
        "precision": "float32",
        "lora": {"rank": 8, "alpha": 32, "dropout": 0.1},
        "epochs": 4,
        "batch_size": 2,
        "lr": 1e-2,
        "max_tokens": 400,
        "data": {"held_out_share": 0.2},
        "validation_every_updates": 3,
        "checkpoint": {"every_updates": 1},
        "log_every_updates": 1,
        "publishing": {"serves_in": ["float32"], "licence": "Apache-2.0"},
        "num_threads": 1,
        "num_cpus_per_worker": 0.5,
    }
    return PersonaArgs.model_validate(fields | changes)


def base_model() -> Gemma3ForCausalLM:
    """The tiny model; its output projection, which stays frozen, can tell tokens apart."""
    model = tiny_model(hidden_size=64, head_dim=32)  # NF4 has blocks of 64 weights
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(20)
    return model


def write_base(folder: Path) -> Base:
    """The base model as a folder of transformers."""
    base_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return Base("tiny", TINY_REVISION, str(folder))


def write_rows(path: Path, lines: dict[str, str] | None = None) -> Path:
    """Rows as JSONL, one of each situation."""
    rows = [
        {"instruction": SHEET, "input": Scene(situation).to_input(), "output": line}
        for situation, line in (LINES if lines is None else lines).items()
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def make_task(folder: Path, name: str = "run", **changes: Any) -> Task:
    """A run below `folder`, on the base model that is written there by its path."""
    base = folder / "tiny"
    if not base.exists():
        write_base(base)
    data = write_rows(folder / "rows.jsonl")
    args = persona_args(base_model=str(base), **changes)
    return Task(args, Character(CHARACTER), data, folder / name)
