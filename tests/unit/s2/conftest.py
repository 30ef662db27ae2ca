"""Fixtures shared by the S2 tests."""

from collections.abc import Iterator

import pytest
import torch

from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.unit.s2.voices import small_voice


@pytest.fixture(scope="package")
def voice() -> Synthesizer:
    """A small voice in eval mode; leave its weights alone."""
    return small_voice()


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors gain nothing from a second thread, and spin for it on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
