"""The real network, loaded once; its files are fetched on first use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models import assets
from models.kokoro.pipeline import KokoroEngine

VOICES = Path(__file__).parents[3] / "models" / "embedded" / "voices"


@pytest.fixture(scope="session")
def folder() -> Path:
    return assets.ensure(assets.KOKORO)


@pytest.fixture(scope="session")
def engine(folder: Path) -> KokoroEngine:
    return KokoroEngine(folder)


@pytest.fixture
def document() -> dict[str, Any]:
    """A valid voice document that a test may spoil."""
    content: dict[str, Any] = json.loads((VOICES / "bujang" / "1" / "voice.json").read_text())
    return content
