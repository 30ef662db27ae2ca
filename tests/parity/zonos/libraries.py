"""Marks for tests that need what whoever wants the Zonos engine installs: espeak-ng, SudachiPy."""

import pytest

from models.zonos.errors import MissingLibrary
from models.zonos.espeak import espeak
from models.zonos.japanese import japanese_reading

REFERENCE_ESPEAK = (1, 51)
"""What the vectors were made with; phonemes differ between versions."""


def _missing_espeak() -> str:
    try:
        version = espeak().version
    except MissingLibrary as error:
        return str(error)
    return "" if version[:2] == REFERENCE_ESPEAK else f"espeak-ng is {version}, not 1.51"


def _missing_japanese() -> str:
    try:
        japanese_reading("あ")
    except MissingLibrary as error:
        return str(error)
    return ""


needs_espeak = pytest.mark.skipif(bool(_missing_espeak()), reason=_missing_espeak())
needs_japanese = pytest.mark.skipif(bool(_missing_japanese()), reason=_missing_japanese())
