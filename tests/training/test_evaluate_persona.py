"""Marks: what each figure counts, and when a persona passes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from models.persona.persona import Persona
from models.persona.scene import Scene, Turn
from tests.training.persona_runs import CHARACTER
from training.evaluate_persona import Contestant, main, run, write
from training.evaluation.gates import Verdict
from training.persona.character import Character
from training.persona.evaluation.authors import ServiceAuthor, Written, chat_model
from training.persona.evaluation.config import EvaluatePersonaConfig
from training.persona.evaluation.marks import Listener, repeats, seeds_differ
from training.persona.evaluation.ngrams import LogisticRegression, features
from training.persona.evaluation.performance import (
    DialogueLine,
    Performance,
    SceneLine,
    perform,
)
from training.persona.evaluation.report import Report, table, to_html
from training.persona.evaluation.scene_match import SceneMatcher
from training.persona.held_out import HeldOutDialogue, HeldOutScene
from training.persona.rows import Row

NOUNS = (
    "우산 냉면 도장 회의 마감 커피 휴가 야근 결재 점심 "
    "출장 명함 책상 화분 창문 전화 가방 의자 달력 구두"
).split()
PLAIN = [Row("너는 부장이다.", f"상황: {noun}을 본다.", f"하하, {noun}이 왔어!") for noun in NOUNS]
POLITE = [Row("너는 신입이다.", f"상황: {noun}이 있다.", f"규정상 {noun}입니다.") for noun in NOUNS]
JOY = HeldOutScene("상황: 우산을 폈다. [지문: 활짝 웃으며]", "happiness")
TEARS = HeldOutScene("상황: 냉면을 쏟았다. [지문: 눈물을 훔치며]", "sadness")


def persona(**changes: object) -> Persona:
    fields = CHARACTER | {"persona_id": "bujang", "speech_level": "plain"} | changes
    return Character(fields).persona(base_model="tiny", instruction="너.", licence="MIT")


def listener() -> Listener:
    return Listener.of(persona(), PLAIN, POLITE)


def said(*texts: str, scene: HeldOutScene = JOY) -> Performance:
    lines = tuple(
        SceneLine(scene, seed, Written(text, 1.0, "kept")) for seed, text in enumerate(texts)
    )
    return Performance("it", lines, (), (1.0, 3.0))


class Parrot:
    """Answers what it is asked, in a form that tells what it was told."""

    def __init__(self, name: str = "parrot") -> None:
        self.name = name
        self.num_at_once = self.most_at_once = 0
        self.heard: list[int] = []

    async def write(self, scene: Scene, history: Sequence[Turn], seed: int) -> Written:
        self.num_at_once += 1
        self.most_at_once = max(self.most_at_once, self.num_at_once)
        await asyncio.sleep(0)
        self.num_at_once -= 1
        self.heard.append(len(history))
        asked = re.sub("[.!?…~]", "", scene.situation)
        return Written(f"하하, {asked} 이건 {seed}번이야!", 0.5, "kept")


def test_lines_of_the_wrong_speech_level_are_counted_by_sentence_and_by_line() -> None:
    figures = listener().mark(said("비가 왔어! 뛰자.", "비가 왔습니다. 뛰자."))

    assert figures["level"] == 0.75
    assert figures["level_lines"] == 0.5


def test_time_is_the_mean_of_the_lines_that_were_timed() -> None:
    assert listener().mark(said("가자."))["seconds"] == 2.0


def test_format_is_what_the_engine_says_and_else_what_the_text_shows() -> None:
    lines = [
        SceneLine(JOY, 0, Written("가자.", 1.0, "kept")),
        SceneLine(JOY, 1, Written("가자.", 1.0, "repaired")),
        SceneLine(JOY, 2, Written("가자.", 1.0)),
        SceneLine(JOY, 3, Written("가자. ###", 1.0)),
        SceneLine(JOY, 4, Written("", 1.0, error="EmptyLine: nothing")),
    ]

    figures = listener().mark(Performance("it", tuple(lines), (), ()))

    assert figures["format"] == 0.4
    assert figures["answered"] == 0.8
    assert figures["seconds"] is None


def test_copied_runs_are_found_in_its_own_rows() -> None:
    figures = listener().mark(said("하하, 우산이 왔어! 정말이야.", "모두 새로 쓴 말이다."))

    assert figures["longest_copy"] == len("하하, 우산이 왔어!")
    assert figures["copied"] == 0.0


def test_characters_are_told_apart_by_how_they_speak() -> None:
    figures = listener().mark(said("하하, 기차가 왔어!", "규정상 기차입니다."))

    assert figures["distinct"] == 0.5


def test_words_typical_of_a_character_are_those_the_others_do_not_use() -> None:
    assert listener().catchwords()[:2] == ["왔어", "하하"]


def test_direction_is_read_as_serving_reads_it() -> None:
    wrong = HeldOutScene(JOY.input, "anger")
    lines = [SceneLine(scene, 0, Written("가자.", 1.0)) for scene in (JOY, TEARS, wrong)]

    figures = listener().mark(Performance("it", tuple(lines), (), ()))

    assert figures["emotion"] == pytest.approx(2 / 3)


def test_seeds_differ_where_no_answer_is_given_twice() -> None:
    lines = [*said("가자.", "오자.").lines, *said("가자.", "가자.", scene=TEARS).lines]

    assert seeds_differ(lines) == 0.5
    assert seeds_differ(lines[:1]) is None


def test_turn_that_says_again_what_was_said_is_a_repeat() -> None:
    texts = ("내일은 더워서 일찍 가자.", "그래, 내일은 더워서 좋다!", "밥 먹자.")
    turns = [
        DialogueLine(talk, number, "상황: 밥", Written(text, 1.0))
        for talk, said_texts in (("one", texts), ("two", texts[1:2]))
        for number, text in enumerate(said_texts, start=1)
    ]

    assert repeats(turns) == 0.5
    assert repeats(turns[:1]) is None


def test_line_that_takes_up_its_scene_is_matched_with_it() -> None:
    matcher = SceneMatcher.fit([*PLAIN, *POLITE])
    fitting = [("상황: 기차를 탔다.", "기차가 왔어!"), ("상황: 수박을 먹는다.", "수박이 왔어!")]
    swapped = [(scene, line) for (scene, _), (_, line) in zip(fitting, fitting[::-1], strict=True)]

    assert matcher.prefers_own(fitting) == 1.0
    assert matcher.prefers_own(swapped) == 0.0
    with pytest.raises(ValueError, match="one scene"):
        matcher.prefers_own(fitting[:1])


def test_regression_separates_what_can_be_separated() -> None:
    texts = ["가자", "가다", "요리", "요가"]
    is_second = np.array([False, False, True, True])

    model = LogisticRegression.fit(features(texts), is_second)

    assert ((model.probability(features(texts)) > 0.5) == is_second).all()


def test_dialogue_is_remembered_and_asked_for_turn_by_turn() -> None:
    parrot = Parrot()
    dialogue = HeldOutDialogue("short", tuple(f"상황: {noun}." for noun in NOUNS[:4]))

    performance = asyncio.run(
        perform(parrot, [JOY, TEARS], [dialogue], [1, 2], num_timed=1, num_at_once=2)
    )

    assert parrot.most_at_once == 2
    assert sorted(parrot.heard) == [0, 0, 0, 0, 0, 0, 2, 4, 6]  # one went before, unmarked
    assert [line.turn for line in performance.turns] == [1, 2, 3, 4]
    assert len(performance.lines) == 4 and performance.timed_s == (0.5,)


def report_of(tmp_path: Path, **changes: object) -> Report:
    rows = {}
    for name, of in (("bujang", PLAIN), ("sinip", POLITE)):
        rows[name] = tmp_path / f"{name}.jsonl"
        lines = [vars(row) for row in of]
        rows[name].write_text("".join(json.dumps(line) + "\n" for line in lines))
    fields: dict[str, object] = {"persona": "bujang", "rows": rows, "max_dialogues": 1}
    config = EvaluatePersonaConfig.model_validate(fields | changes)
    contestants = [Contestant(Parrot(), True), Contestant(Parrot("other"), False)]
    return asyncio.run(run(config, persona(), contestants))


def test_report_passes_with_its_gates_and_fails_with_one(tmp_path: Path) -> None:
    passing = report_of(tmp_path, gates={"format": 1.0, "scene_match": 0.9, "drift_level": 0.0})
    failing = report_of(tmp_path, gates={"format": 1.0, "mean_chars": 1000.0})

    assert passing.passes and passing.verdict == "parrot passes all 3 gates"
    assert [outcome.verdict for outcome in failing.outcomes] == [Verdict.PASSED, Verdict.FAILED]
    assert failing.verdict == "parrot fails 1 of 2 gates: characters a line"


def test_report_holds_every_line_and_every_author(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    write(report, tmp_path / "out", "bujang")

    document = json.loads((tmp_path / "out" / "bujang.json").read_text())
    authors = document["authors"]
    assert [len(author["lines"]) for author in authors] == [40, 20]
    assert [len(author["turns"]) for author in authors] == [20, 0]
    assert authors[0]["by_turn"]["level"]["20"] == 1.0
    markdown = (tmp_path / "out" / "bujang.md").read_text()
    assert "| sentences in the speech level | 100.0% | 100.0% | ≥ 90.0% | passed |" in markdown
    assert "<polyline" in (tmp_path / "out" / "bujang-turns.svg").read_text()
    assert to_html(report).count("<polyline") == 1
    assert len(table(report)[0]) == 6


def test_service_is_asked_as_any_client_would_ask_it() -> None:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "tts-1"}, {"id": "tiny:bujang"}]})
        bodies.append(json.loads(request.content))
        if len(bodies) > 1:
            return httpx.Response(503)
        return httpx.Response(200, json={"choices": [{"message": {"content": "가자."}}]})

    async def ask() -> list[Written]:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(base_url="http://service", transport=transport) as client:
            author = ServiceAuthor(client, await chat_model(client, "bujang"))
            history = [Turn("user", "비가 온다."), Turn("character", "뛰자.")]
            return [await author.write(Scene("눈이 온다."), history, 7) for _ in range(2)]

    first, second = asyncio.run(ask())

    assert (first.text, first.format, first.error) == ("가자.", None, None)
    assert (second.text, second.error) == ("", "HTTPStatusError")
    assert bodies[0] == {
        "model": "tiny:bujang",
        "seed": 7,
        "messages": [
            {"role": "user", "content": "상황: 비가 온다."},
            {"role": "assistant", "content": "뛰자."},
            {"role": "user", "content": "상황: 눈이 온다."},
        ],
    }


def test_nothing_measured_has_a_status_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"persona": "nobody", "rows": {"a": "a.jsonl", "b": "b.jsonl"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))

    status = main(["--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path)])

    assert status == 2
    assert "nobody" in capsys.readouterr().err


def test_unknown_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="no mark is called 'wit'"):
        EvaluatePersonaConfig.model_validate(
            {"persona": "a", "rows": {"a": "a", "b": "b"}, "gates": {"wit": 1.0}}
        )
