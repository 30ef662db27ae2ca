"""What every persona engine keeps, whichever library computes the tokens."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from deployments.engine.persona.protocol import (
    AdapterRefused,
    BaseModelMismatch,
    EngineError,
    LineDone,
    LineRequest,
    PromptTooLong,
    TextDelta,
)
from models.persona.persona import Persona, Sampling
from models.persona.scene import Scene, Turn
from models.persona.speech_level import level_of
from tests.unit.persona.adapters import lora_weights, publish_adapter
from tests.unit.persona.personas import make_persona
from tests.unit.persona.tiny import tiny_model
from tests.vllm.conftest import Stage
from training.persona.statistics import longest_copy


def request(persona: Persona, seed: int = 1, **changes: Any) -> LineRequest:
    fields = {"request_id": "r", "scene": Scene("배가 고프다."), "seed": seed} | changes
    return LineRequest(persona=persona, **fields)


async def line(stage: Stage, wanted: LineRequest) -> LineDone:
    """Write a line to its end; its deltas must be its text."""
    async with aclosing(stage.engine.generate(wanted)) as events:
        *deltas, done = [event async for event in events]
    assert isinstance(done, LineDone)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == done.text
    return done


async def lines_at_once(stage: Stage, wanted: list[LineRequest]) -> list[str]:
    return [done.text for done in await asyncio.gather(*(line(stage, one) for one in wanted))]


def test_a_seed_gives_its_line_again(stage: Stage) -> None:
    first, other, again = (
        stage.runner.run(line(stage, request(stage.personas[0], seed))) for seed in (1, 2, 1)
    )

    assert first.text == again.text
    assert first.text != other.text


def test_personas_at_once_say_what_they_say_alone(stage: Stage) -> None:
    wanted = [request(persona, seed) for seed in (1, 2) for persona in stage.personas]

    alone = [stage.runner.run(line(stage, one)).text for one in wanted]

    assert stage.runner.run(lines_at_once(stage, wanted)) == alone


def test_an_adapter_that_made_way_leaves_no_trace(stage: Stage) -> None:
    # A third adapter where two fit, then a persona without one beside those that remain.
    third = publish_adapter(
        stage.root,
        make_persona(persona_id=f"third-{stage.name}", instruction=stage.personas[1].instruction),
        weights=_weights(7),
    )
    wanted = [request(persona) for persona in stage.personas]
    before = [stage.runner.run(line(stage, one)).text for one in wanted]

    stage.runner.run(lines_at_once(stage, [request(third), *wanted]))

    assert stage.runner.run(lines_at_once(stage, wanted)) == before


def test_no_more_adapters_lie_on_disk_than_in_memory(stage: Stage) -> None:
    if stage.name != "vllm":
        pytest.skip("this engine reads adapters into memory alone")
    personas = [
        publish_adapter(
            stage.root,
            make_persona(persona_id=f"passing-{seed}", instruction=stage.personas[1].instruction),
            weights=_weights(seed),
        )
        for seed in range(4)
    ]

    for persona in personas:
        stage.runner.run(line(stage, request(persona)))

    assert len(list(stage.engine._copies.root.iterdir())) == 2


def test_every_adapter_changes_what_is_said(stage: Stage) -> None:
    likeliest = Sampling(temperature=0.0, max_new_tokens=24)
    unguided = make_persona(persona_id="bare", instruction=stage.personas[1].instruction)
    wanted = [request(persona, sampling=likeliest) for persona in (unguided, *stage.personas[1:])]

    assert len(set(stage.runner.run(lines_at_once(stage, wanted)))) == 3


def test_a_warm_persona_reads_less_and_says_the_same(stage: Stage) -> None:
    fresh = make_persona(persona_id="fresh", instruction="너는 이장이다. " * 20)

    async def act() -> tuple[LineDone, LineDone]:
        await stage.engine.warm(fresh)
        return await line(stage, request(fresh)), await line(stage, request(fresh))

    first, second = stage.runner.run(act())

    assert 0 < first.num_cached_tokens < first.num_prompt_tokens
    assert second.text == first.text


def test_a_reader_who_leaves_frees_the_slot(stage: Stage) -> None:
    endless = request(
        make_persona(stop=()), sampling=Sampling(max_new_tokens=512, max_line_chars=1000)
    )

    async def act() -> None:
        async with aclosing(stage.engine.generate(endless)) as events:
            await anext(events)
        async with asyncio.timeout(120):
            while stage.engine.health().num_running:
                await asyncio.sleep(0.01)

    stage.runner.run(act())


def test_a_line_keeps_its_speech_level(stage: Stage) -> None:
    texts = stage.runner.run(
        lines_at_once(stage, [request(stage.personas[0], seed) for seed in range(12)])
    )

    sentences = [
        sentence for text in texts for sentence in re.findall(r"[^.!?…~]+(?=[.!?…~])", text)
    ]
    assert sentences
    assert {level_of(sentence) for sentence in sentences} == {"plain"}


def test_a_line_ends_before_its_stop_string(stage: Stage) -> None:
    stop = tuple("가나다라마바사아자차카타파하")
    persona = make_persona(persona_id="stopped", stop=stop)

    async def act() -> list[str]:
        found = await asyncio.gather(
            *(line(stage, request(persona, seed)) for seed in range(12)), return_exceptions=True
        )
        return [done.text for done in found if isinstance(done, LineDone)]

    texts = stage.runner.run(act())

    assert texts
    assert not set("".join(texts)) & set(stop)


@pytest.mark.parametrize(
    ("name", "changes", "error_class", "reason"),
    [
        (
            "foreign",
            {"info": {"base_revision": "other"}},
            BaseModelMismatch,
            "trained on revision other",
        ),
        ("coarse", {"serves_in": ("bfloat16",)}, AdapterRefused, "computes in float32"),
        ("biased", {"config": {"bias": "all"}}, AdapterRefused, "bias is 'all'"),
        # Made for the narrower tiny model.
        ("narrow", {"weights": lora_weights(0)}, AdapterRefused, "the model has 64"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    stage: Stage, name: str, changes: dict[str, Any], error_class: type[EngineError], reason: str
) -> None:
    persona = publish_adapter(
        stage.root,
        make_persona(persona_id=f"{name}-{stage.name}"),
        **({"weights": _weights(3)} | changes),
    )

    with pytest.raises(error_class, match=reason):
        stage.runner.run(line(stage, request(persona)))


@pytest.mark.parametrize(("no_repeat_tokens", "is_again"), [(0, True), (3, False)])
def test_a_character_does_not_say_again_what_it_has_said(
    stage: Stage, no_repeat_tokens: int, is_again: bool
) -> None:
    likeliest = Sampling(temperature=0.0, max_new_tokens=24, no_repeat_tokens=no_repeat_tokens)

    async def act() -> tuple[str, str]:
        first = await line(stage, request(stage.personas[1], sampling=likeliest))
        # The newest turn is too long to be remembered, so nothing of the history is read.
        history = (Turn("character", first.text), Turn("character", "가" * 300))
        again = await line(stage, request(stage.personas[1], sampling=likeliest, history=history))
        assert again.num_prompt_tokens == first.num_prompt_tokens
        return first.text, again.text

    first, again = stage.runner.run(act())

    assert (first == again) is is_again


def test_an_adapter_recites_none_of_its_training_lines(stage: Stage) -> None:
    likeliest = Sampling(temperature=0.0, max_new_tokens=24)
    said = stage.runner.run(line(stage, request(stage.personas[1], sampling=likeliest))).text
    trained = publish_adapter(
        stage.root,
        make_persona(persona_id=f"trained-{stage.name}", instruction=stage.personas[1].instruction),
        weights=_weights(0),  # those of the first one that has any
        lines=f"배가 고프다.\n{said}\n",
    )

    again = stage.runner.run(line(stage, request(trained, sampling=likeliest))).text
    guarded = replace(likeliest, max_copied_chars=3)
    other = stage.runner.run(line(stage, request(trained, sampling=guarded))).text

    assert len(said) > 3
    assert again == said
    assert len(longest_copy(other, [said])) <= 3


def test_a_request_that_claims_training_lines_breaks_no_engine(stage: Stage) -> None:
    persona = stage.personas[1]
    assert persona.adapter is not None
    claimed = replace(persona, adapter=replace(persona.adapter, lines_sha256="0" * 64))

    said, again = (stage.runner.run(line(stage, request(who))) for who in (persona, claimed))

    assert again.text == said.text


def test_a_prompt_that_is_too_long_is_refused(stage: Stage) -> None:
    with pytest.raises(PromptTooLong, match="at most 1024 are read"):
        stage.runner.run(line(stage, request(stage.personas[0], scene=Scene("뷁" * 400))))


def _weights(seed: int) -> dict[str, Any]:
    """Random ones that fit the model."""
    return lora_weights(seed, tiny_model(hidden_size=64, head_dim=32))
