import random

import pytest

from deployments.engine.batching.engine import BatchingEngine
from deployments.engine.batching.loop_detector import is_looping
from tests.unit.engine.counting_runner import CountingRunner, Result


@pytest.mark.parametrize("period", [1, 2, 7, 25])
def test_a_pattern_over_and_over_is_a_loop(period: int) -> None:
    before = [random.Random(0).randrange(1024) for _ in range(50)]
    assert is_looping(before + list(range(period)) * (200 // period))


def test_a_pattern_is_no_loop_until_it_has_lasted() -> None:
    assert not is_looping([5] * 59)
    assert is_looping([5] * 60)


def test_speech_is_no_loop() -> None:
    chance = random.Random(1)
    tokens = [chance.randrange(1024) for _ in range(1500)]
    assert not any(is_looping(tokens[:length]) for length in range(0, 1500, 25))


def test_one_different_token_breaks_a_loop() -> None:
    tokens = [1, 2, 3] * 40
    tokens[-10] = 9
    assert not is_looping(tokens)


def test_a_looping_sequence_is_ended_with_its_reason() -> None:
    class Stuck(CountingRunner):
        def _advance(self, slot: int) -> Result:
            return Result(slot, 7, None)

    engine: BatchingEngine[int, int] = BatchingEngine(max_waiting=1, is_stuck=is_looping)
    runner = Stuck(1)
    engine.add_group("a", runner, 1)
    engine.submit("x", "a", 0)
    last = None
    while engine.has_work:
        (last,) = engine.step()
    assert last is not None
    assert last.finish_reason == "loop"
    assert runner.slots == {}
