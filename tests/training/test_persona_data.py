"""Training rows of the characters: how they are read, and what the shipped ones are like."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from models.persona.emotion import emotion_of
from models.persona.scene import Scene
from models.persona.speech_level import SpeechLevel
from training.persona import check
from training.persona.held_out import (
    CHARACTERS,
    HeldOutError,
    held_out_dialogues,
    held_out_scenes,
    rows_path,
)
from training.persona.rows import MAX_LINE_BYTES, Fault, Row, RowsError, load_rows, read_rows
from training.persona.selection import normalized, split_rows, without_repeats
from training.persona.statistics import (
    length_statistics,
    level_share,
    longest_copy,
    sentences_of,
    shared_substrings,
)

LEVELS: dict[str, SpeechLevel] = {"bujang": "plain", "sinip": "polite"}
SHEET = "너는 배우다."


def row(situation: str = "비가 온다.", line: str = "우산을 써.") -> Row:
    return Row(SHEET, Scene(situation).to_input(), line)


def json_line(**changes: object) -> bytes:
    fields = {"instruction": SHEET, "input": "상황: 비가 온다.", "output": "우산을 써."} | changes
    return json.dumps(fields, ensure_ascii=False).encode()


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_rows_are_read_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", json_line(), json_line(output="장화도 신어."))

    assert load_rows(path) == [row(), row(line="장화도 신어.")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b'{"output": "\xff"}', "not UTF-8 at byte 12"),
        (b"\xef\xbb\xbf" + json_line(), "not JSON: Unexpected UTF-8 BOM"),
        (b"[" * 50_000, "nested too deeply"),
        (b"[]", "row: "),
        (b"null", "row: "),
        (b'{"instruction": "a", "input": "b"}', "input: Value error, serving would write it as"),
        (json_line()[:-1] + b', "output": "x"}', "a field is given twice"),
        (json_line(extra=1), "extra: Unexpected keyword argument"),
        (json_line(output=None), "output: Input should be a valid string"),
        (json_line(instruction=3), "instruction: Input should be a valid string"),
        (json_line(instruction=""), "instruction: String should have at least 1 character"),
        (json_line(instruction="가" * 4001), "instruction: String should have at most 4000"),
        (json_line(instruction="### 지시"), "instruction: Value error, holds '###'"),
        (json_line(input="비가 온다."), "serving would write it as '상황: 비가 온다.'"),
        (json_line(input="상황: 비. [지문: 웃으며] [분야: 날씨]"), "serving would write it as"),
        (json_line(input="상황: "), "input: Value error, the scene is empty"),
        (json_line(input="상황: " + "가" * 1001), "input: Value error, the situation has 1001"),
        (json_line(output=""), "output: String should have at least 1 character"),
        (json_line(output="가" * 1001), "output: String should have at most 1000 characters"),
        (json_line(output="그래.\n### 지시"), "output: Value error, holds line breaks"),
        (json_line(output="<eos>"), "output: Value error, holds line breaks"),
        (json_line(output=" 그래."), "output: Value error, holds line breaks"),
        (json_line(output="가" * MAX_LINE_BYTES), f"longer than the {MAX_LINE_BYTES} bytes"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_number_and_reason(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = write(tmp_path / "rows.jsonl", json_line(), line, json_line())

    rows, faults = read_rows(path)

    assert rows == [row(), row()]
    assert [fault.line_number for fault in faults] == [2]
    assert reason in faults[0].reason


def test_every_bad_row_is_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", b"{", json_line(), *[b"[]"] * 30)

    with pytest.raises(RowsError) as caught:
        load_rows(path)

    assert [fault.line_number for fault in caught.value.faults] == [1, *range(3, 33)]
    assert "line 1: not JSON" in str(caught.value)
    assert str(caught.value).endswith("and 11 more")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RowsError) as caught:
        load_rows(write(tmp_path / "rows.jsonl"))

    assert caught.value.faults == (Fault(1, "the file is empty"),)


def test_windows_line_ends_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json_line() + b"\r\n" + json_line())

    assert load_rows(path) == [row(), row()]


def test_rows_that_differ_in_spacing_and_punctuation_alone_are_repeats() -> None:
    rows = [row(), row(line="우산을  써!"), row("비가 온다!"), row(line="장화를 신어.")]

    assert without_repeats(rows) == (rows[0], rows[3])


def test_the_same_object_given_twice_is_kept_once() -> None:
    same = row()

    assert without_repeats([same, row("눈이 온다."), same]) == (same, row("눈이 온다."))


def test_a_situation_is_never_on_both_sides_of_a_split() -> None:
    rows = [row(f"일 {idx % 20}", f"그래 {idx}.") for idx in range(60)]

    split = split_rows(rows, held_out_share=0.1, seed=3)

    assert sorted([*split.train, *split.held_out], key=rows.index) == rows
    assert len({row.input for row in split.held_out}) == 2
    assert not {row.input for row in split.train} & {row.input for row in split.held_out}


def test_a_split_depends_on_its_seed_but_not_on_the_order_of_rows() -> None:
    rows = [row(f"일 {idx}") for idx in range(50)]
    shuffled = random.Random(0).sample(rows, len(rows))

    first = split_rows(rows, held_out_share=0.2, seed=1)

    assert set(split_rows(shuffled, held_out_share=0.2, seed=1).held_out) == set(first.held_out)
    assert split_rows(rows, held_out_share=0.2, seed=1) == first
    assert split_rows(rows, held_out_share=0.2, seed=2) != first


def test_a_share_of_zero_holds_nothing_out_and_a_small_one_holds_out_one() -> None:
    rows = [row(f"일 {idx}") for idx in range(5)]

    assert split_rows(rows, held_out_share=0.0, seed=1).held_out == ()
    assert len(split_rows(rows, held_out_share=0.01, seed=1).held_out) == 1


@pytest.mark.parametrize(("share", "num_rows"), [(-0.1, 5), (1.0, 5), (0.9, 2), (0.1, 1)])
def test_a_split_that_cannot_be_is_refused(share: float, num_rows: int) -> None:
    with pytest.raises(ValueError, match=r"must be 0 to below 1|leaves none to train on"):
        split_rows([row(f"일 {idx}") for idx in range(num_rows)], held_out_share=share, seed=1)


def test_length_statistics_are_those_of_the_lines() -> None:
    stats = length_statistics(["가" * length for length in (10, 50, 60, 90, 91)])

    assert (stats.count, stats.min_chars, stats.median_chars, stats.max_chars) == (5, 10, 60, 91)
    assert (stats.mean_chars, stats.p90_chars, stats.good_share) == (60.2, 91, 0.6)


def test_a_speech_level_is_counted_by_sentences() -> None:
    lines = ["비가 옵니다. 우산 쓰세요!", "비가 와…"]

    assert sentences_of(lines[0]) == ["비가 옵니다.", "우산 쓰세요!"]
    assert level_share(lines, "polite") == 2 / 3
    assert level_share(lines, "plain") == 1 / 3


def test_figures_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        length_statistics([])
    with pytest.raises(ValueError, match="no sentences"):
        level_share(["..."], "plain")


def test_the_longest_copy_is_found_anywhere_in_a_line() -> None:
    assert longest_copy("나는 비가 좋아", ["비가 온다", "눈이 좋아"]) == "비가 "
    assert longest_copy("하늘", ["땅"]) == ""


def test_check_reports_faults_and_lengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "good.jsonl", json_line(), json_line())
    bad = write(tmp_path / "bad.jsonl", b"{}", json_line())

    assert check.main([str(good)]) == 0
    assert f"{good}: 2 rows, 0 bad, 1 repeated\n  count: 2\n" in capsys.readouterr().out
    assert check.main([str(good), str(bad)]) == 1
    assert f"{bad}, line 1: instruction: Field required" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [b"{}", b"", b'{"input": "x", "emotion": "joy"}', b'{"input": "", "emotion": "anger"}'],
)
def test_a_malformed_held_out_scene_is_refused_with_its_line(tmp_path: Path, line: bytes) -> None:
    good = '{"input": "상황: 비가 온다.", "emotion": "neutral"}'.encode()

    with pytest.raises(HeldOutError, match="line 2"):
        held_out_scenes(write(tmp_path / "scenes.jsonl", good, line))


def test_there_are_rows_for_the_characters_alone() -> None:
    with pytest.raises(ValueError, match="bujang, sinip"):
        rows_path("../secret")


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_characters_rows_are_many_whole_and_in_character(character: str) -> None:
    rows = load_rows(rows_path(character))
    lines = [row.output for row in rows]

    assert len(rows) >= 330
    assert without_repeats(rows) == tuple(rows)
    assert len({row.instruction for row in rows}) == 1
    assert len({normalized(row.scene.situation) for row in rows}) == len(rows)
    assert length_statistics(lines).good_share == 1.0
    assert level_share(lines, LEVELS[character]) == 1.0
    # What the serving vocabulary can say at all, in whole sentences.
    assert all(re.fullmatch(r"[가-힣 .,!?…~]+[.!?…~]", line) for line in lines)


def test_no_two_lines_share_twelve_characters() -> None:
    lines = [row.output for name in CHARACTERS for row in load_rows(rows_path(name))]

    assert shared_substrings(lines, 12) == {}


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_characters_stage_directions_cover_all_emotions(character: str) -> None:
    scenes = [row.scene for row in load_rows(rows_path(character))]
    emotions = Counter(next(iter(emotion_of(scene.direction))) for scene in scenes)

    assert set(emotions) == set(emotion_of("")) | {scene.emotion for scene in held_out_scenes()}
    assert len({scene.category for scene in scenes}) >= 25
    assert len({scene.style for scene in scenes}) >= 8


def test_held_out_scenes_are_not_trained_on() -> None:
    held_out = [scene.scene for scene in held_out_scenes()]
    trained = {
        normalized(row.scene.situation) for name in CHARACTERS for row in load_rows(rows_path(name))
    }

    assert len({normalized(scene.situation) for scene in held_out}) == 40
    assert not {normalized(scene.situation) for scene in held_out} & trained
    assert Counter(scene.emotion for scene in held_out_scenes()) == dict.fromkeys(
        ["happiness", "sadness", "disgust", "fear", "surprise", "anger", "other", "neutral"], 5
    )
    assert [scene.to_input() for scene in held_out] == [scene.input for scene in held_out_scenes()]


def test_held_out_dialogues_have_twenty_turns_as_history_keeps_them() -> None:
    dialogues = held_out_dialogues()

    assert len({dialogue.dialogue_id for dialogue in dialogues}) == 10
    for dialogue in dialogues:
        turns = dialogue.user_turns()
        assert len(turns) == 20
        assert tuple(turn.text for turn in turns) == dialogue.turns
