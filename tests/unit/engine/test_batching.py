import random

import pytest

from deployments.engine.batching.engine import BatchingEngine, Event
from deployments.engine.batching.scheduler import QueueFull
from tests.unit.engine.counting_runner import CountingRunner, Result


def engine_with(
    num_slots: int = 2, groups: tuple[str, ...] = ("a",), max_waiting: int = 100
) -> tuple[BatchingEngine[int, int], dict[str, CountingRunner]]:
    engine: BatchingEngine[int, int] = BatchingEngine(max_waiting)
    runners = {group: CountingRunner(num_slots) for group in groups}
    for group, runner in runners.items():
        engine.add_group(group, runner, num_slots)
    return engine, runners


def run(engine: BatchingEngine[int, int]) -> dict[str, list[Event[int]]]:
    """Step until nothing is left; the events of each sequence."""
    events: dict[str, list[Event[int]]] = {}
    while engine.has_work:
        for event in engine.step():
            events.setdefault(event.sequence_id, []).append(event)
    return events


def tokens(events: list[Event[int]]) -> list[int]:
    return [event.token for event in events if event.token is not None]


def test_a_sequence_gets_all_its_tokens_and_one_end() -> None:
    engine, _ = engine_with()
    engine.submit("x", "a", 3)
    events = run(engine)["x"]
    assert tokens(events) == [0, 1, 2]
    assert [event.finish_reason for event in events] == [None, None, None, "stop"]


def test_a_second_request_joins_the_running_batch() -> None:
    engine, runners = engine_with()
    engine.submit("x", "a", 9)
    engine.step()
    engine.submit("y", "a", 9)
    engine.step()
    assert runners["a"].log == ["join 0", "step [0]", "join 1", "step [0, 1]"]


def test_at_most_one_prefill_stands_between_two_tokens() -> None:
    engine, runners = engine_with(num_slots=8)
    for i in range(8):
        engine.submit(f"s{i}", "a", 20)
    run(engine)
    joins = "".join("j" if entry.startswith("join") else "s" for entry in runners["a"].log)
    assert "jj" not in joins


def test_a_full_pool_queues_then_refuses() -> None:
    engine, _ = engine_with(num_slots=1, max_waiting=1)
    engine.submit("runs", "a", 5)
    engine.step()
    engine.submit("waits", "a", 5)
    with pytest.raises(QueueFull):
        engine.submit("refused", "a", 5)
    events = run(engine)
    assert tokens(events["waits"]) == [0, 1, 2, 3, 4]
    assert "refused" not in events


def test_a_cancelled_sequence_frees_its_slot_for_the_next_step() -> None:
    engine, runners = engine_with(num_slots=1)
    engine.submit("x", "a", 100)
    engine.submit("y", "a", 2)
    engine.step()
    assert engine.cancel("x")
    engine.step()
    assert runners["a"].log == ["join 0", "step [0]", "leave 0", "join 0", "step [0]"]
    assert not engine.cancel("x")


def test_a_waiting_sequence_can_be_cancelled() -> None:
    engine, _ = engine_with(num_slots=1)
    engine.submit("x", "a", 3)
    engine.submit("y", "a", 3)
    engine.cancel("y")
    assert set(run(engine)) == {"x"}


def test_groups_take_turns_however_many_sequences_each_has() -> None:
    engine, runners = engine_with(num_slots=8, groups=("busy", "quiet"))
    for i in range(8):
        engine.submit(f"b{i}", "busy", 50)
    engine.submit("q", "quiet", 50)
    for _ in range(40):
        engine.step()
    steps = {name: sum("step" in entry for entry in r.log) for name, r in runners.items()}
    assert steps == {"busy": 20, "quiet": 20}


def test_a_malformed_request_fails_alone() -> None:
    engine, _ = engine_with()
    engine.submit("bad", "a", -1)
    engine.submit("good", "a", 2)
    events = run(engine)
    assert isinstance(events["bad"][0].error, ValueError)
    assert tokens(events["good"]) == [0, 1]


def test_a_broken_step_fails_its_batch_and_spares_the_other_groups() -> None:
    engine, runners = engine_with(groups=("a", "b"))
    for sequence_id, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        engine.submit(sequence_id, group, 5)
    for _ in range(4):
        engine.step()
    runners["a"].fails_next_step = True
    events = run(engine)
    assert events["a1"][-1].finish_reason == events["a2"][-1].finish_reason == "failed"
    assert events["b1"][-1].finish_reason == "stop"
    assert runners["a"].slots == {}


def test_a_group_with_work_can_not_be_removed() -> None:
    engine, _ = engine_with()
    engine.submit("x", "a", 1)
    with pytest.raises(ValueError, match="still has sequences"):
        engine.remove_group("a")
    run(engine)
    engine.remove_group("a")
    with pytest.raises(ValueError, match="no group is called 'a'"):
        engine.submit("y", "a", 1)


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_joins_and_cancels_leaves_nothing_behind(seed: int) -> None:
    chance = random.Random(seed)
    engine, runners = engine_with(num_slots=3, groups=("a", "b"), max_waiting=10)
    lengths: dict[str, int] = {}
    events: dict[str, list[Event[int]]] = {}
    cancelled = set()
    for turn in range(300):
        if chance.random() < 0.2 and engine.num_waiting < 10:
            lengths[f"s{turn}"] = chance.randrange(30)
            engine.submit(f"s{turn}", chance.choice("ab"), lengths[f"s{turn}"])
        if chance.random() < 0.05 and lengths:
            victim = chance.choice(list(lengths))
            if engine.cancel(victim):
                cancelled.add(victim)
        for event in engine.step():
            events.setdefault(event.sequence_id, []).append(event)
    for sequence_id, rest in run(engine).items():
        events.setdefault(sequence_id, []).extend(rest)
    assert (engine.num_waiting, engine.num_running) == (0, 0)
    assert all(runner.slots == {} for runner in runners.values())
    for sequence_id, length in lengths.items():
        if sequence_id not in cancelled:
            assert tokens(events[sequence_id]) == list(range(length))


def test_a_burst_that_fits_into_the_slots_is_not_refused() -> None:
    engine, _ = engine_with(num_slots=3, max_waiting=0)
    for name in "xyz":
        engine.submit(name, "a", 1)
    with pytest.raises(QueueFull):
        engine.submit("refused", "a", 1)
    assert set(run(engine)) == {"x", "y", "z"}


def test_a_step_that_breaks_after_a_sequence_has_left_fails_the_others_alone() -> None:
    class BreaksLate(CountingRunner):
        def step(self) -> list[Result]:
            results = super().step()
            if any(result.finish_reason for result in results):
                raise RuntimeError("broken after a slot was freed")
            return results

    engine: BatchingEngine[int, int] = BatchingEngine(max_waiting=2)
    runner = BreaksLate(2)
    engine.add_group("a", runner, 2)
    engine.submit("short", "a", 1)
    engine.submit("long", "a", 9)
    events = run(engine)
    assert {name: last[-1].finish_reason for name, last in events.items()} == {
        "short": "failed",
        "long": "failed",
    }
    assert runner.slots == {}
