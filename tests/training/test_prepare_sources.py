"""Rows and labels from outside: what is refused, and that the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.data.config import AiHubInput, LabelFields, ListInput
from training.data.labels import with_label
from training.data.sources import (
    Rejected,
    Rejection,
    Shard,
    Source,
    find_sources,
    shards_of,
)
from training.loops.strict import ConfigError

FIELDS = LabelFields(
    text=["전사정보.TransLabelText", "script"],
    speaker=["화자정보.SpeakerName"],
    labels={"emotion": ["화자정보.Emotion"], "age": ["화자정보.Age"], "style": ["style"]},
)
LABEL = {
    "전사정보": {"TransLabelText": "안녕하세요."},
    "화자정보": {"SpeakerName": "KJW", "Emotion": "Happy", "Age": 20},
}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def listed(folder: Path, *rows: bytes | str) -> tuple[list[Source], list[Rejection]]:
    lines = [row.encode() if isinstance(row, str) else row for row in rows]
    (folder / "list.txt").write_bytes(b"\n".join(lines))
    return find_sources(ListInput(kind="list", path=folder))


def refusal(folder: Path, row: bytes | str) -> str:
    """Why the only row of a list is refused."""
    sources, rejections = listed(folder, row)
    assert not sources and [r.origin for r in rejections] == ["list.txt:1"]
    return rejections[0].reason


def test_a_row_names_a_recording_by_the_last_part_of_its_path(tmp_path: Path) -> None:
    audio = touch(tmp_path / "audio" / "a.flac")
    sources, rejections = listed(tmp_path, "audio/a.flac|bujang|KO|안녕.\r")
    expected = Source("a.flac", str(audio), "list.txt:1", "ko", "bujang", "안녕.")
    assert (sources, rejections) == ([expected], [])


def test_a_path_may_be_absolute_inside_the_data_folder(tmp_path: Path) -> None:
    audio = touch(tmp_path / "a.wav")
    assert listed(tmp_path, f"{audio}|b|ko|안녕.")[0][0].audio == str(audio)


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/hosts", "data/../../secret.wav"])
def test_a_path_out_of_the_data_folder_is_refused(tmp_path: Path, path: str) -> None:
    touch(tmp_path / "secret.wav")
    (tmp_path / "root" / "data").mkdir(parents=True)
    assert refusal(tmp_path / "root", f"{path}|b|ko|안녕.") == "outside the data folder"


def test_a_link_out_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.wav").symlink_to(touch(tmp_path / "secret.wav"))
    assert refusal(tmp_path / "root", "a.wav|b|ko|안녕.") == "outside the data folder"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.wav|b|ko", "malformed row"),
        ("a.wav|b|ko|안녕|하세요", "malformed row"),
        ("|b|ko|안녕.", "malformed row"),
        ("a\0.wav|b|ko|안녕.", "malformed row"),
        ("a.wav|b|ko|" + "가" * 9_000, "malformed row"),
        ("a.wav|b|kr|안녕.", "unknown language"),
        ("a.wav|../b|ko|안녕.", "bad speaker name"),
        ("a.wav||ko|안녕.", "bad speaker name"),
        ("a.wav|b/c|ko|안녕.", "bad speaker name"),
        ("none.wav|b|ko|안녕.", "missing audio"),
        (f"{'n' * 300}.wav|b|ko|안녕.", "missing audio"),
        (".hidden.wav|b|ko|안녕.", "bad file name"),
        ("noisy-a.wav|b|ko|안녕.", "bad file name"),
        ("tab\there.wav|b|ko|안녕.", "bad file name"),
        ("a.wav|b|ko|안녕.".encode("cp949"), "wrong encoding"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(
    tmp_path: Path, row: bytes | str, reason: str
) -> None:
    for name in ("a.wav", ".hidden.wav", "noisy-a.wav", "tab\there.wav"):
        touch(tmp_path / name)
    assert refusal(tmp_path, row) == reason


def test_rows_after_a_bad_one_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav")
    too_long = "x" * 100_000
    sources, rejections = listed(tmp_path, too_long, "", "a.wav|b|ko|안녕.", "a.wav|b|ko|또.")
    assert [source.origin for source in sources] == ["list.txt:3"]
    assert [(r.origin, r.reason) for r in rejections] == [
        ("list.txt:1", "malformed row"),
        ("list.txt:4", "duplicate name"),
    ]


def test_an_input_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    for path in (None, tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError):
            find_sources(ListInput(kind="list", path=path))


def test_labels_are_found_at_the_same_place_as_audio(tmp_path: Path) -> None:
    for place in ("TS_a/s1/1", "TS_a/s2/1", "TS_b/1"):
        touch(tmp_path / "원천데이터" / f"{place}.wav")
        touch(tmp_path / "라벨링데이터" / f"{place.replace('TS', 'TL')}.json")
    sources, rejections = find_sources(AiHubInput(kind="aihub", path=tmp_path, fields=FIELDS))
    assert rejections == []
    assert [source.name for source in sources] == ["a-s1-1.wav", "a-s2-1.wav", "b-1.wav"]
    assert [Path(str(source.label)).parent.parent.name for source in sources[:2]] == ["TL_a"] * 2


def test_audio_without_label_and_label_without_audio_are_reported(tmp_path: Path) -> None:
    touch(tmp_path / "TS_a" / "alone.wav")
    touch(tmp_path / "TL_a" / "other.json")
    sources, rejections = find_sources(AiHubInput(kind="aihub", path=tmp_path, fields=FIELDS))
    assert not sources
    assert {(r.origin, r.reason) for r in rejections} == {
        ("TS_a/alone.wav", "missing label"),
        ("TL_a/other.json", "missing audio"),
    }


def labelled(folder: Path, content: bytes) -> Source:
    path = folder / "label.json"
    path.write_bytes(content)
    return with_label(Source("a.wav", "a.wav", "a.wav", "ko", label=str(path)), FIELDS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_a_label_gives_text_speaker_and_everything_that_was_asked_for(
    tmp_path: Path, encoding: str
) -> None:
    source = labelled(tmp_path, json.dumps(LABEL, ensure_ascii=False).encode(encoding))
    assert (source.text, source.speaker) == ("안녕하세요.", "KJW")
    assert source.labels == {"emotion": "Happy", "age": "20"}


def test_the_first_field_that_is_there_is_taken(tmp_path: Path) -> None:
    label = {**LABEL, "전사정보": {"TransLabelText": " "}, "script": "다른 곳."}
    assert labelled(tmp_path, json.dumps(label).encode()).text == "다른 곳."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"broken": ', "malformed label"),
        (b"[" * 100_000, "malformed label"),
        (b" " * (2 << 20), "malformed label"),
        (b"[1, 2]", "malformed label"),
        (json.dumps({"화자정보": LABEL["화자정보"]}).encode(), "malformed label"),
        (json.dumps({**LABEL, "화자정보": {"SpeakerName": "a/../b"}}).encode(), "bad speaker name"),
        (b"\xff\xfe\x00\x01", "wrong encoding"),
    ],
)
def test_a_bad_label_is_refused_with_its_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(Rejected) as caught:
        labelled(tmp_path, content)
    assert caught.value.reason == reason


def test_shards_keep_their_key_until_their_sources_change() -> None:
    sources = [Source(f"{i}.wav", f"/d/{i}.wav", f"list.txt:{i}", "ko") for i in range(5)]
    keys = [shard.key for shard in shards_of(sources, 2)]
    assert [shard.key for shard in shards_of(sources[:4], 2)] == keys[:2]
    longer = [*sources, Source("5.wav", "/d/5.wav", "list.txt:5", "ko")]
    assert [a == b for a, b in zip(keys, (s.key for s in shards_of(longer, 2)), strict=True)] == [
        True,
        True,
        False,
    ]


def test_a_shard_survives_the_way_to_a_worker() -> None:
    (shard,) = shards_of([Source("a.wav", "/d/a.wav", "x", "ko", label="/d/가.json")], 3)
    assert Shard.from_json(shard.to_json()) == shard
