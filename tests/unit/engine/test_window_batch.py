"""Whose window is decoded next."""

import pytest
import torch

from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.window_batch import Job, WindowBatch
from models.gpt_sovits.pipeline import FIRST_CHUNK_FRAMES
from models.gpt_sovits.s2.segment import Segment
from models.gpt_sovits.s2.synthesizer import Synthesizer
from tests.gpt_sovits_store import random_features

NUM_SLOTS = 3
SHORT = FIRST_CHUNK_FRAMES // 2  # tokens of one window
LONG = 70  # tokens of three


@pytest.fixture(scope="module")
def synthesizer(checkpoint_files: CheckpointFiles) -> Synthesizer:
    return checkpoint_files.synthesizer("first@1")


@pytest.fixture
def batch(synthesizer: Synthesizer) -> WindowBatch:
    return WindowBatch(synthesizer, NUM_SLOTS, max_batch=1)


def job(num_tokens: int) -> Job:
    tokens = torch.arange(num_tokens) % 64
    return Job(Segment(tokens, tokens, random_features(1).speaker, seed=1))


def test_a_newcomer_comes_before_those_who_have_audio(batch: WindowBatch) -> None:
    first = batch.join(job(LONG))
    assert [result.slot for result in batch.step()] == [first]
    second = batch.join(job(LONG))
    assert [batch.step()[0].slot for _ in range(4)] == [second, first, second, first]


def test_newcomers_without_end_keep_nobody_waiting_for_ever(batch: WindowBatch) -> None:
    long = batch.join(job(LONG))
    turns = [result.slot for result in batch.step()]
    for _ in range(NUM_SLOTS):
        batch.join(job(SHORT))
        turns += [result.slot for result in batch.step()]
    assert [slot == long for slot in turns] == [True, *[False] * (NUM_SLOTS - 1), True]
