"""The engine on a tiny random model: repeatable, apart, bounded, and free when left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployments.engine.persona.protocol import (
    AdapterRefused,
    BaseModelMismatch,
    EmptyLine,
    EngineBusy,
    EngineError,
    LineDone,
    LineRequest,
    LineTimeout,
    PromptTooLong,
    TextDelta,
)
from deployments.engine.persona.transformers_engine import TransformersEngine
from models.persona.persona import Persona, Sampling
from models.persona.scene import Scene, Turn
from tests.unit.persona.adapters import lora_weights, publish_adapter
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import tiny_engine
from training.persona.statistics import longest_copy

Result = TypeVar("Result")

PERSONA = make_persona()
OTHER = make_persona(persona_id="other", instruction="너는 이장이다.", examples=())


def request(seed: int = 0, persona: Persona = PERSONA, **changes: object) -> LineRequest:
    fields = {"request_id": f"r{seed}", "scene": Scene("배가 고프다."), "seed": seed} | changes
    return LineRequest(persona=persona, **fields)  # type: ignore[arg-type]


def with_engine(act: Callable[[TransformersEngine], Awaitable[Result]], **changes: Any) -> Result:
    async def run() -> Result:
        engine = tiny_engine(**changes)
        try:
            return await act(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


async def line(engine: TransformersEngine, wanted: LineRequest) -> LineDone:
    """Write a line to its end; its deltas must be its text."""
    async with aclosing(engine.generate(wanted)) as events:
        *deltas, done = [event async for event in events]
    assert isinstance(done, LineDone)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == done.text
    return done


def test_a_seed_gives_its_line_again() -> None:
    async def act(engine: TransformersEngine) -> list[str]:
        return [(await line(engine, request(seed))).text for seed in (1, 2, 1)]

    first, other, again = with_engine(act)

    assert first == again
    assert first != other


def test_requests_at_once_get_what_they_get_alone() -> None:
    wanted = [request(seed, persona) for seed in (1, 2, 3) for persona in (PERSONA, OTHER)]

    async def alone(engine: TransformersEngine) -> list[str]:
        return [(await line(engine, one)).text for one in wanted]

    async def at_once(engine: TransformersEngine) -> list[str]:
        return [done.text for done in await asyncio.gather(*(line(engine, one) for one in wanted))]

    assert with_engine(at_once) == with_engine(alone)


def test_a_warm_persona_reads_only_the_scene_and_says_the_same() -> None:
    async def act(engine: TransformersEngine) -> list[LineDone]:
        cold = await line(engine, request(3))
        return [cold, await line(engine, request(3))]

    cold, warm = with_engine(act)

    assert cold.num_cached_tokens == 0
    assert 0 < warm.num_cached_tokens < warm.num_prompt_tokens
    assert warm.text == cold.text


def test_the_prefix_kept_longest_unused_goes_first() -> None:
    async def act(engine: TransformersEngine) -> list[int]:
        await engine.warm(PERSONA)
        await engine.warm(OTHER)
        return [
            (await line(engine, request(0, persona))).num_cached_tokens
            for persona in (OTHER, PERSONA)
        ]

    kept, dropped = with_engine(act, max_prefixes=1)

    assert kept > 0
    assert dropped == 0


def test_a_consumer_that_leaves_frees_its_slot() -> None:
    async def act(engine: TransformersEngine) -> str:
        endless = request(sampling=Sampling(max_new_tokens=512, max_line_chars=1000))
        async with aclosing(engine.generate(endless)) as events:
            await anext(events)
        return (await line(engine, request(1))).text

    async def alone(engine: TransformersEngine) -> str:
        return (await line(engine, request(1))).text

    # With nobody allowed to wait, the second line needs the slot of the first.
    assert with_engine(act, num_slots=1, max_waiting=0) == with_engine(alone)


def test_a_consumer_that_is_slow_blocks_nobody() -> None:
    async def act(engine: TransformersEngine) -> tuple[str, str]:
        async with aclosing(engine.generate(request(1))) as slow:
            first = await anext(slow)
            quick = await line(engine, request(2))
            rest = [event async for event in slow]
        assert isinstance(first, TextDelta) and isinstance(rest[-1], LineDone)
        return quick.text, rest[-1].text

    async def alone(engine: TransformersEngine) -> tuple[str, str]:
        return (await line(engine, request(2))).text, (await line(engine, request(1))).text

    assert with_engine(act) == with_engine(alone)


def test_one_more_request_than_may_wait_is_refused() -> None:
    async def act(engine: TransformersEngine) -> list[LineDone | BaseException]:
        return await asyncio.gather(
            *(line(engine, request(seed)) for seed in range(3)), return_exceptions=True
        )

    first, second, third = with_engine(act, num_slots=1, max_waiting=1)

    assert isinstance(first, LineDone) and isinstance(second, LineDone)
    assert second.queued_s > first.queued_s
    assert isinstance(third, EngineBusy) and "1 lines already wait" in str(third)


def test_leaving_the_queue_makes_room() -> None:
    async def act(engine: TransformersEngine) -> str:
        lines = [asyncio.create_task(line(engine, request(seed))) for seed in range(2)]
        await asyncio.sleep(0)
        lines[1].cancel()
        await asyncio.gather(lines[1], return_exceptions=True)
        text = (await line(engine, request(2))).text
        await lines[0]
        return text

    async def alone(engine: TransformersEngine) -> str:
        return (await line(engine, request(2))).text

    assert with_engine(act, num_slots=1, max_waiting=1) == with_engine(alone)


def test_an_empty_line_is_drawn_once_more_with_the_next_seed() -> None:
    # About half of all first characters end the line at once.
    persona = make_persona(stop=tuple("가나다라마바사아자차카타파하\n부장지시입력대"))

    async def act(engine: TransformersEngine) -> list[tuple[int, LineDone | None]]:
        results: list[tuple[int, LineDone | None]] = []
        for seed in range(0, 60, 2):
            try:
                results.append((seed, await line(engine, request(seed, persona))))
            except EmptyLine:
                results.append((seed, None))
        return results

    offsets = [done.seed - seed if done else None for seed, done in with_engine(act)]

    assert set(offsets) == {0, 1, None}


def test_a_line_without_a_whole_word_is_an_error() -> None:
    async def act(engine: TransformersEngine) -> None:
        await line(engine, request(sampling=Sampling(max_new_tokens=1)))

    with pytest.raises(EmptyLine, match="tester@1"):
        with_engine(act)


def test_no_word_within_the_time_is_an_error() -> None:
    async def act(engine: TransformersEngine) -> None:
        await line(engine, request())

    with pytest.raises(LineTimeout, match="no word within"):
        with_engine(act, max_line_s=-1.0)


def test_a_persona_of_another_base_model_is_refused() -> None:
    async def act(engine: TransformersEngine) -> None:
        await line(engine, request(0, make_persona(base_model="huge")))

    with pytest.raises(BaseModelMismatch, match="made for huge"):
        with_engine(act)


def test_a_prompt_that_is_too_long_is_refused_with_the_limit() -> None:
    async def act(engine: TransformersEngine) -> None:
        await line(engine, request(scene=Scene("뷁" * 100)))

    with pytest.raises(PromptTooLong, match="at most 200"):
        with_engine(act, max_prompt_tokens=200)


def test_history_beyond_its_budget_is_left_out() -> None:
    history = tuple(Turn("character", "배고프다.") for _ in range(10))

    async def act(engine: TransformersEngine) -> LineDone:
        return await line(engine, request(history=history))

    done = with_engine(act, max_history_tokens=40)

    # "### 대사\n배고프다.\n\n" is 14 characters, each a token.
    assert done.num_history_turns == 2


@pytest.mark.parametrize(("no_repeat_tokens", "is_again"), [(0, True), (3, False)])
def test_a_character_does_not_say_again_what_it_has_said(
    no_repeat_tokens: int, is_again: bool
) -> None:
    likeliest = Sampling(temperature=0.0, max_new_tokens=24, no_repeat_tokens=no_repeat_tokens)

    async def act(engine: TransformersEngine) -> tuple[str, str]:
        first = await line(engine, request(sampling=likeliest))
        said = (Turn("character", first.text),)
        again = await line(engine, request(sampling=likeliest, history=said))
        assert again.num_prompt_tokens == first.num_prompt_tokens  # nothing of it is read
        return first.text, again.text

    first, again = with_engine(act, max_history_tokens=1)

    assert (first == again) is is_again


def test_an_adapter_recites_none_of_its_training_lines(tmp_path: Path) -> None:
    likeliest = Sampling(temperature=0.0, max_new_tokens=24)
    guarded = replace(likeliest, max_copied_chars=3)

    async def act(engine: TransformersEngine) -> tuple[str, str, str]:
        said = await line(engine, request(persona=persona_of("plain", None), sampling=likeliest))
        trained = persona_of("trained", f"배가 고프다.\n{said.text}\n")
        again = await line(engine, request(persona=trained, sampling=likeliest))
        other = await line(engine, request(persona=trained, sampling=guarded))
        return said.text, again.text, other.text

    def persona_of(name: str, lines: str | None) -> Persona:
        return publish_adapter(tmp_path, make_persona(persona_id=name), seed=3, lines=lines)

    said, again, other = with_engine(act, root=tmp_path)

    assert len(said) > 3
    assert again == said
    assert len(longest_copy(other, [said])) <= 3


def test_a_closed_engine_refuses_and_says_so() -> None:
    async def act() -> bool:
        engine = tiny_engine()
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await line(engine, request())
        return engine.health().is_ready

    assert asyncio.run(act()) is False


def test_closing_the_engine_ends_the_lines_it_writes() -> None:
    async def act(engine: TransformersEngine) -> None:
        lines = [asyncio.create_task(line(engine, request(seed))) for seed in range(3)]
        await asyncio.sleep(0)
        await engine.close()
        for one in lines:
            with pytest.raises(EngineError, match="closed"):
                await one

    with_engine(act)


def test_a_line_says_whether_the_model_kept_its_form() -> None:
    async def act(engine: TransformersEngine) -> list[LineDone]:
        whole = request(0, sampling=Sampling(max_new_tokens=512, max_line_chars=1000))
        cut = request(0, sampling=Sampling(max_new_tokens=40, max_line_chars=10))
        return [await line(engine, whole), await line(engine, cut)]

    whole, cut = with_engine(act)

    assert (whole.finish_reason, whole.format) == ("stop", "kept")
    assert (cut.finish_reason, cut.format) == ("length", "repaired")


def personas_with_adapters(root: Path) -> list[Persona]:
    """Two with adapters of their own, and one that speaks as the base model does."""
    names = ("first", "second")
    return [
        publish_adapter(root, make_persona(persona_id=name), seed=seed)
        for seed, name in enumerate(names)
    ] + [PERSONA]


def test_personas_in_one_batch_keep_their_adapters(tmp_path: Path) -> None:
    wanted = [request(5, persona) for persona in personas_with_adapters(tmp_path)]

    async def alone(engine: TransformersEngine) -> list[str]:
        return [(await line(engine, one)).text for one in wanted]

    async def at_once(engine: TransformersEngine) -> list[str]:
        return [done.text for done in await asyncio.gather(*(line(engine, one) for one in wanted))]

    texts = with_engine(alone, root=tmp_path)

    assert with_engine(at_once, root=tmp_path) == texts
    assert len(set(texts)) == 3


def test_an_adapter_that_made_way_is_read_again(tmp_path: Path) -> None:
    first, second, _ = personas_with_adapters(tmp_path)

    async def act(engine: TransformersEngine) -> list[str]:
        return [(await line(engine, request(5, one))).text for one in (first, second, first)]

    before, _, after = with_engine(act, root=tmp_path, max_adapters=1)

    assert before == after


def test_more_personas_at_once_than_adapters_fit_take_turns(tmp_path: Path) -> None:
    first, second, _ = personas_with_adapters(tmp_path)
    wanted = [request(5, first), request(5, second)]

    async def at_once(engine: TransformersEngine) -> list[str]:
        return [done.text for done in await asyncio.gather(*(line(engine, one) for one in wanted))]

    assert with_engine(at_once, root=tmp_path, max_adapters=1) == with_engine(
        at_once, root=tmp_path
    )


def test_the_prefix_of_one_adapter_is_not_used_for_another(tmp_path: Path) -> None:
    first, second, _ = personas_with_adapters(tmp_path)

    async def act(engine: TransformersEngine) -> list[int]:
        return [
            (await line(engine, request(5, one))).num_cached_tokens
            for one in (first, second, second)
        ]

    assert [num > 0 for num in with_engine(act, root=tmp_path)] == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "error_class", "reason"),
    [
        ({"info": {"base_revision": "other"}}, BaseModelMismatch, "serves random-0"),
        ({"serves_in": ("bfloat16",)}, AdapterRefused, "published to be served in bfloat16"),
        ({"config": {"use_dora": True}}, AdapterRefused, "use_dora is set"),
        ({"weights": {}}, AdapterRefused, "nothing is given for"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], error_class: type[EngineError], reason: str
) -> None:
    persona = publish_adapter(tmp_path, PERSONA, **changes)

    async def act(engine: TransformersEngine) -> str:
        with pytest.raises(error_class, match=reason):
            await engine.warm(persona)
        return (await line(engine, request(1))).text  # nobody else is affected

    assert with_engine(act, root=tmp_path)


def test_an_adapter_that_overflows_ends_no_line_but_its_own(tmp_path: Path) -> None:
    huge = publish_adapter(
        tmp_path, make_persona(persona_id="huge"), weights=lora_weights(1, scale=1e30)
    )
    long = request(1, sampling=Sampling(max_new_tokens=512, max_line_chars=1000))

    async def beside(engine: TransformersEngine) -> str:
        writing = asyncio.create_task(line(engine, long))
        for seed in range(6):  # more than a line may be broken by others
            with pytest.raises(AdapterRefused, match="huge@1 computes is no number"):
                await line(engine, request(seed, huge))
        return (await writing).text

    async def alone(engine: TransformersEngine) -> str:
        return (await line(engine, long)).text

    assert with_engine(beside, root=tmp_path) == with_engine(alone)


def test_no_line_holds_half_a_character() -> None:
    # Of the tokens of this script most are single bytes.
    persona = make_persona(script="any", stop=("###",))

    async def act(engine: TransformersEngine) -> list[str]:
        return [(await line(engine, request(seed, persona))).text for seed in range(8)]

    lines = with_engine(act)

    assert any(not "가" <= char <= "힣" for char in "".join(lines))
    assert not any("\N{REPLACEMENT CHARACTER}" in text for text in lines)


def test_a_listener_goes_before_work_that_nobody_listens_to() -> None:
    ended: list[str] = []

    async def write(engine: TransformersEngine, name: str, wanted: LineRequest) -> None:
        await line(engine, wanted)
        ended.append(name)

    async def act(engine: TransformersEngine) -> None:
        await asyncio.gather(
            write(engine, "first", request(1)),
            write(engine, "job", request(2, priority="batch")),
            write(engine, "listener", request(3)),
        )

    with_engine(act, num_slots=1)

    assert ended.index("listener") < ended.index("job")
