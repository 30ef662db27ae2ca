"""Copies of adapters on disk: what was published, and gone when it is dropped."""

from __future__ import annotations

from pathlib import Path

from deployments.engine.persona.adapter_copies import AdapterCopies
from models.persona.adapter_files import AdapterFiles
from models.storage import FolderStore
from tests.unit.persona.adapters import publish_adapter
from tests.unit.persona.personas import make_persona


def test_a_copy_holds_what_was_published_and_goes_alone(tmp_path: Path) -> None:
    publish_adapter(tmp_path, make_persona(), lines="배고프다.\n")
    adapter = AdapterFiles([FolderStore(tmp_path)]).load("tester@1")
    copies = AdapterCopies()

    first, second = copies.add(1, adapter), copies.add(2, adapter)
    copies.drop(1)

    assert list(copies.root.iterdir()) == [second]
    assert {file.name: file.read_bytes() for file in second.iterdir()} == {
        "adapter_config.json": adapter.config,
        "adapter_model.safetensors": adapter.weights,
        "training_lines.txt": "배고프다.\n".encode(),
    }
    assert first != second
    copies.close()
    assert not second.exists() and not copies.root.exists()
