import random
from collections.abc import Callable, Iterator

import pytest

from deployments.engine.batching.engine import MAX_BREAKS, BatchingEngine, Event, NotFinite
from deployments.engine.batching.priority import MAX_OVERTAKEN
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
    for event in stepped(engine):
        events.setdefault(event.sequence_id, []).append(event)
    return events


def stepped(engine: BatchingEngine[int, int]) -> Iterator[Event[int]]:
    """Step until nothing is left; all events in their order."""
    while engine.has_work:
        yield from engine.step()


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


def engine_that_breaks(
    breaks: Callable[[list[tuple[int, int]]], bool], num_slots: int = 3
) -> tuple[BatchingEngine[int, int], CountingRunner]:
    engine: BatchingEngine[int, int] = BatchingEngine(max_waiting=100)
    runner = CountingRunner(num_slots, breaks)
    engine.add_group("a", runner, num_slots)
    return engine, runner


def test_who_breaks_a_step_fails_alone_and_the_others_have_all_their_tokens() -> None:
    engine, runner = engine_that_breaks(lambda slots: (4, 13) in slots)  # unlucky at its fifth
    for sequence_id, length in (("before", 9), ("unlucky", 13), ("behind", 7), ("waits", 2)):
        engine.submit(sequence_id, "a", length)
    events = run(engine)
    assert tokens(events["unlucky"]) == [0, 1, 2, 3]
    assert isinstance(events["unlucky"][-1].error, RuntimeError)
    for sequence_id, length in (("before", 9), ("behind", 7), ("waits", 2)):
        assert tokens(events[sequence_id]) == list(range(length))
        assert events[sequence_id][-1].finish_reason == "stop"
    assert runner.slots == {}


def test_a_sequence_that_was_alone_when_its_step_broke_is_not_tried_again() -> None:
    engine, runner = engine_that_breaks(lambda slots: True)
    engine.submit("x", "a", 3)
    events = run(engine)
    assert [event.finish_reason for event in events["x"]] == ["failed"]
    assert runner.log == ["join 0", "leave 0"]


def test_a_batch_that_breaks_over_nobody_goes_on_in_the_order_it_had() -> None:
    times = iter([False, False, False, True])
    engine, runner = engine_that_breaks(lambda slots: next(times, False))
    for sequence_id in ("x", "y", "z"):
        engine.submit(sequence_id, "a", 9)
    events = run(engine)
    assert {name: tokens(own) for name, own in events.items()} == {
        name: list(range(9)) for name in "xyz"
    }
    assert runner.slots == {}


def test_a_batch_that_breaks_over_nobody_again_and_again_is_given_up() -> None:
    engine, runner = engine_that_breaks(lambda slots: len(slots) > 1)
    for sequence_id in ("x", "y"):
        engine.submit(sequence_id, "a", 100)
    events = run(engine)
    assert {name: own[-1].finish_reason for name, own in events.items()} == {
        "x": "failed",
        "y": "failed",
    }
    assert min(len(tokens(own)) for own in events.values()) == MAX_BREAKS
    assert runner.slots == {}


def test_other_checkpoints_do_not_notice_a_broken_step() -> None:
    engine, _ = engine_that_breaks(lambda slots: True)
    engine.add_group("b", CountingRunner(2), num_slots=2)
    engine.submit("broken", "a", 5)
    engine.submit("whole", "b", 5)
    assert tokens(run(engine)["whole"]) == [0, 1, 2, 3, 4]


def test_a_sequence_whose_numbers_are_none_fails_alone() -> None:
    class Overflows(CountingRunner):
        def _advance(self, slot: int) -> Result:
            if self.slots[slot] == (2, 5):
                del self.slots[slot]
                return Result(slot, None, "not_finite")
            return super()._advance(slot)

    engine: BatchingEngine[int, int] = BatchingEngine(max_waiting=2)
    engine.add_group("a", Overflows(2), 2)
    engine.submit("overflows", "a", 5)
    engine.submit("whole", "a", 4)
    events = run(engine)
    assert isinstance(events["overflows"][-1].error, NotFinite)
    assert tokens(events["whole"]) == [0, 1, 2, 3]


def test_a_listener_joins_before_work_that_nobody_listens_to() -> None:
    engine, _ = engine_with(num_slots=1)
    engine.submit("runs", "a", 2)
    engine.submit("job", "a", 1, priority="batch")
    engine.submit("listener", "a", 1)
    order = list(dict.fromkeys(event.sequence_id for event in stepped(engine)))
    assert order == ["runs", "listener", "job"]


def test_listeners_without_end_let_a_job_through_now_and_then() -> None:
    engine, _ = engine_with(num_slots=1)
    engine.submit("job", "a", 1, priority="batch")
    for number in range(2 * MAX_OVERTAKEN):
        engine.submit(f"listener {number}", "a", 1)
    order = list(dict.fromkeys(event.sequence_id for event in stepped(engine)))
    assert order.index("job") == MAX_OVERTAKEN


def test_jobs_never_hold_the_last_slot() -> None:
    engine, runners = engine_with(num_slots=3)
    for number in range(4):
        engine.submit(f"job {number}", "a", 50, priority="batch")
    for _ in range(5):
        engine.step()
    assert (engine.num_running, engine.num_waiting) == (2, 2)
    engine.submit("listener", "a", 50)
    engine.step()
    assert (engine.num_running, engine.num_waiting) == (3, 2)
    run(engine)
    assert runners["a"].slots == {}


def test_a_pool_of_one_slot_serves_jobs_too() -> None:
    engine, _ = engine_with(num_slots=1)
    engine.submit("job", "a", 2, priority="batch")
    assert tokens(run(engine)["job"]) == [0, 1]


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
        "short": "failed",  # its end breaks the step that it takes alone, too
        "long": "failed",
    }
    assert tokens(events["short"]) == [0]
    assert tokens(events["long"]) == list(range(9))
    assert runner.slots == {}
