"""Which engine writes the lines, and how it is opened."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from deployments.engine.persona.protocol import PersonaEngine
from models.persona.adapter_files import AdapterFiles

EngineName = Literal["auto", "transformers", "vllm"]
EnginePrecision = Literal["bfloat16", "float32"]

_MIB = 1 << 20


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is opened with.

    Args:
        engine: `auto` takes vLLM where it is installed.
        folder: the base model as transformers saves it.
        base_model, base_revision: what personas and their adapters call it.
        precision: of its weights.
        num_threads: torch threads; vLLM counts its own.
        num_slots: lines that are written together.
        max_waiting: requests that may wait for a slot.
        max_adapters: adapters in memory at most.
        max_lora_rank: highest rank of an adapter, for vLLM, which makes room beforehand.
        kv_cache_mib: memory of vLLM for what was read; None leaves it to vLLM.
    """

    engine: EngineName
    folder: Path
    base_model: str
    base_revision: str
    precision: EnginePrecision
    num_threads: int
    num_slots: int
    max_waiting: int
    max_adapters: int
    max_lora_rank: int
    kv_cache_mib: int | None


def has_vllm() -> bool:
    """Whether vLLM is installed; it is not imported, which takes seconds."""
    return importlib.util.find_spec("vllm") is not None


def open_engine(settings: EngineSettings, adapters: AdapterFiles) -> PersonaEngine:
    """Load the base model; takes seconds, with vLLM up to minutes. Needs a running event loop."""
    if settings.engine == "vllm" or (settings.engine == "auto" and has_vllm()):
        return _open_vllm(settings, adapters)
    return _open_transformers(settings, adapters)


def _open_transformers(settings: EngineSettings, adapters: AdapterFiles) -> PersonaEngine:
    # Each engine is imported where it is opened: neither library is needed by the other.
    from deployments.engine.persona.transformers_engine import TransformersEngine

    return TransformersEngine.from_folder(
        settings.folder,
        base_model=settings.base_model,
        base_revision=settings.base_revision,
        num_threads=settings.num_threads,
        adapters=adapters,
        dtype=getattr(torch, settings.precision),
        num_slots=settings.num_slots,
        max_waiting=settings.max_waiting,
        max_adapters=settings.max_adapters,
    )


def _open_vllm(settings: EngineSettings, adapters: AdapterFiles) -> PersonaEngine:
    from deployments.engine.persona.vllm_engine import VllmEngine

    return VllmEngine(
        settings.folder,
        base_model=settings.base_model,
        base_revision=settings.base_revision,
        adapters=adapters,
        precision=settings.precision,
        num_slots=settings.num_slots,
        max_waiting=settings.max_waiting,
        max_adapters=settings.max_adapters,
        max_lora_rank=settings.max_lora_rank,
        kv_cache_bytes=None if settings.kv_cache_mib is None else settings.kv_cache_mib * _MIB,
        # Compiling takes minutes on a CPU and gains little there.
        is_eager=not torch.cuda.is_available(),
    )
