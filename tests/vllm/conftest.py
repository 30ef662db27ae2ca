"""A tiny base model on disk, two adapters for it, and every persona engine that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.engine.persona.opening import EngineSettings, has_vllm, open_engine
from deployments.engine.persona.protocol import PersonaEngine
from models.persona.adapter_files import AdapterFiles
from models.persona.persona import Persona
from models.storage import FolderStore
from tests.unit.persona.adapters import lora_weights, publish_adapter
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import TINY_REVISION, tiny_model, tiny_tokenizer

ENGINES = ["transformers", "vllm"]

# Longer than the blocks that vLLM keeps what it has read in.
INSTRUCTION = "너는 부장이다. " * 20
PLAIN = make_persona(persona_id="plain", instruction=INSTRUCTION, speech_level="plain")


@dataclass(frozen=True)
class Stage:
    """An engine on the tiny model, and the loop it lives in.

    `personas` are one without an adapter and two with adapters of their own.
    """

    name: str
    engine: PersonaEngine
    runner: asyncio.Runner
    root: Path
    personas: tuple[Persona, ...]


def settings(folder: Path, name: str) -> EngineSettings:
    """What both engines are opened with; in float32, so that no sum is close to a tie."""
    return EngineSettings(
        engine=name,
        folder=folder,
        base_model="tiny",
        base_revision=TINY_REVISION,
        precision="float32",
        num_threads=1,
        num_slots=4,
        max_waiting=16,
        max_adapters=2,
        max_lora_rank=8,
        kv_cache_mib=64,
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model and its tokenizer, as transformers saves them."""
    folder = tmp_path_factory.mktemp("base")
    tiny_model(hidden_size=64, head_dim=32).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def personas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Persona, ...]]:
    """A storage root with two adapters, and the three personas."""
    root = tmp_path_factory.mktemp("root")
    model = tiny_model(hidden_size=64, head_dim=32)
    adapted = [
        publish_adapter(
            root,
            make_persona(persona_id=name, instruction=INSTRUCTION),
            weights=lora_weights(seed, model),
        )
        for seed, name in enumerate(("first", "second"))
    ]
    return root, (PLAIN, *adapted)


@pytest.fixture(scope="session", params=ENGINES)
def stage(
    request: pytest.FixtureRequest,
    tiny_folder: Path,
    personas: tuple[Path, tuple[Persona, ...]],
) -> Iterator[Stage]:
    """Each engine in turn."""
    if request.param == "vllm" and not has_vllm():
        pytest.skip("vLLM lives in an environment of its own: make test-vllm")
    root, known = personas
    with asyncio.Runner() as runner:
        engine = runner.run(_open(settings(tiny_folder, request.param), root))
        yield Stage(request.param, engine, runner, root, known)
        runner.run(engine.close())


async def _open(settings: EngineSettings, root: Path) -> PersonaEngine:
    return open_engine(settings, AdapterFiles([FolderStore(root)]))
