"""Whose window is decoded next."""

import numpy as np
import pytest
import torch

from deployments.engine.batching.engine import BatchingEngine
from deployments.engine.batching.priority import MAX_OVERTAKEN, Priority
from deployments.engine.speech.checkpoint_files import CheckpointFiles
from deployments.engine.speech.protocol import EarlyAudio, Waveform
from deployments.engine.speech.window_batch import Decoded, Job, WindowBatch
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


def job(num_tokens: int, priority: Priority = "interactive") -> Job:
    tokens = torch.arange(num_tokens) % 64
    segment = Segment(tokens, tokens, random_features(1).speaker, seed=1)
    return Job(segment, priority=priority)


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


def test_a_listeners_windows_come_before_those_of_a_job(batch: WindowBatch) -> None:
    work = batch.join(job(LONG, "batch"))
    assert [result.slot for result in batch.step()] == [work]
    listener = batch.join(job(LONG))
    turns = [batch.step()[0].slot for _ in range(5)]
    assert turns == [listener, listener, listener, work, work]


def test_listeners_without_end_do_not_keep_a_job_waiting_for_ever(batch: WindowBatch) -> None:
    work = batch.join(job(LONG, "batch"))
    turns = []
    for _ in range(2 * (MAX_OVERTAKEN + 1)):
        batch.join(job(SHORT))
        turns += [result.slot for result in batch.step()]
        if len(turns) % (MAX_OVERTAKEN + 1) == 0:
            turns += [result.slot for result in batch.step()]
    assert turns.count(work) >= 2


def test_after_a_broken_step_every_segment_has_the_samples_it_has_alone(
    synthesizer: Synthesizer,
) -> None:
    class Breaking(WindowBatch):
        num_steps = 0

        def step(self) -> list[Decoded]:
            self.num_steps += 1
            decoded = super().step()
            if self.num_steps == 5:  # its audio is lost, and the slot that it ended
                raise torch.OutOfMemoryError("no memory")
            return decoded

    def spoken(num_jobs: int, runner: WindowBatch) -> list[Waveform]:
        engine: BatchingEngine[Job, Waveform | EarlyAudio] = BatchingEngine(max_waiting=0)
        engine.add_group("a", runner, NUM_SLOTS)
        for number in range(num_jobs):
            engine.submit(str(number), "a", job(LONG))
        chunks: dict[str, list[Waveform]] = {str(number): [] for number in range(num_jobs)}
        while engine.has_work:
            for event in engine.step():
                assert event.error is None
                if isinstance(event.token, np.ndarray):
                    chunks[event.sequence_id].append(event.token)
        return [np.concatenate(of_one) for of_one in chunks.values()]

    (alone,) = spoken(1, WindowBatch(synthesizer, NUM_SLOTS, max_batch=1))
    for together in spoken(2, Breaking(synthesizer, NUM_SLOTS, max_batch=1)):
        np.testing.assert_array_equal(together, alone)
