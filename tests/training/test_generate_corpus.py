from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.kokoro.errors import NothingToSpeak
from models.kokoro.model import SAMPLE_RATE, Waveform
from training.corpus.plan import CorpusConfig, Item
from training.generate_corpus import Speak, generate
from training.loops.strict import ConfigError

CONFIG = CorpusConfig.model_validate(
    {
        "seed": 7,
        "num_items": 12,
        "written_repeats": 1,
        "template_share": 0.0,
        "candidates": 1,
        "max_chars": 60,
        "speed_range": [0.9, 1.1],
        "speakers": [
            {"name": "kumo", "share": 2, "timbre": {"jm_kumo": 1.0}},
            {"name": "stranger", "share": 1, "held_out": True, "timbre": {"jf_alpha": 1.0}},
        ],
    }
)


def _tone(item: Item) -> Waveform:
    """Stands in for the network: a sound that depends on the whole item and on nothing else."""
    seed = int.from_bytes(hashlib.sha256(repr(item).encode()).digest()[:4])
    return np.random.default_rng(seed).uniform(-0.5, 0.5, SAMPLE_RATE // 10).astype(np.float32)


def make_tone(config: CorpusConfig) -> Speak:
    return _tone


def make_killed_after_5(config: CorpusConfig) -> Speak:
    spoken: list[str] = []

    def speak_until_killed(item: Item) -> Waveform:
        spoken.append(item.id)
        if len(spoken) > 5:
            raise KeyboardInterrupt
        return _tone(item)

    return speak_until_killed


def make_refusal_of_first(config: CorpusConfig) -> Speak:
    def refuse_first(item: Item) -> Waveform:
        if item.id == "000000":
            raise NothingToSpeak("nothing")
        return _tone(item)

    return refuse_first


def _content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_killed_run_continues_to_the_same_corpus_as_an_uninterrupted_one(tmp_path: Path) -> None:
    generate(CONFIG, tmp_path / "whole", make_speak=make_tone)
    with pytest.raises(KeyboardInterrupt):
        generate(CONFIG, tmp_path / "killed", make_speak=make_killed_after_5)
    assert len(list((tmp_path / "killed").rglob("*.flac"))) == 5
    generate(CONFIG, tmp_path / "killed", make_speak=make_tone)
    assert _content(tmp_path / "killed") == _content(tmp_path / "whole")


def test_several_processes_make_the_same_corpus_as_one(tmp_path: Path) -> None:
    generate(CONFIG, tmp_path / "one", make_speak=make_tone)
    generate(CONFIG, tmp_path / "two", num_processes=2, make_speak=make_tone)
    assert _content(tmp_path / "two") == _content(tmp_path / "one")


def test_half_written_file_is_never_listed_and_is_spoken_anew(tmp_path: Path) -> None:
    generate(CONFIG, tmp_path, make_speak=make_tone)
    path, *_ = (tmp_path / "list.txt").read_text().split("|")
    whole = (tmp_path / path).read_bytes()
    (tmp_path / path).rename(tmp_path / (path + ".partial"))
    (tmp_path / (path + ".partial")).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KeyboardInterrupt):
        generate(CONFIG, tmp_path, make_speak=lambda config: _interrupt)
    assert path not in (tmp_path / "list.txt").read_text()
    generate(CONFIG, tmp_path, make_speak=make_tone)
    assert (tmp_path / path).read_bytes() == whole
    assert not list(tmp_path.rglob("*.partial"))


def _interrupt(item: Item) -> Waveform:
    raise KeyboardInterrupt


def test_lists_name_every_file_and_keep_held_out_speakers_apart(tmp_path: Path) -> None:
    generate(CONFIG, tmp_path, make_speak=make_tone)
    rows = {
        name: [line.split("|") for line in (tmp_path / name).read_text().splitlines()]
        for name in ("list.txt", "list_held_out.txt")
    }
    assert {speaker for _, speaker, _, _ in rows["list.txt"]} == {"kumo"}
    assert {speaker for _, speaker, _, _ in rows["list_held_out.txt"]} == {"stranger"}
    listed = {path for table in rows.values() for path, *_ in table}
    assert listed == {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.flac")}
    assert len(listed) == 12
    metadata = map(json.loads, (tmp_path / "metadata.jsonl").read_text().splitlines())
    assert {row["path"]: row["duration_s"] for row in metadata} == dict.fromkeys(listed, 0.1)


def test_item_that_cannot_be_spoken_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    generate(CONFIG, tmp_path, make_speak=make_refusal_of_first)
    before = _content(tmp_path)
    (failure,) = map(json.loads, (tmp_path / "failures.jsonl").read_text().splitlines())
    assert (failure["id"], failure["error"]) == ("000000", "nothing")
    generate(CONFIG, tmp_path, make_speak=make_tone)
    assert _content(tmp_path) == before


def test_folder_of_another_configuration_is_refused(tmp_path: Path) -> None:
    generate(CONFIG, tmp_path, make_speak=make_tone)
    with pytest.raises(ConfigError, match="another configuration"):
        generate(CONFIG.model_copy(update={"seed": 8}), tmp_path, make_speak=make_tone)


def test_second_run_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    def make_second(config: CorpusConfig) -> Speak:
        with pytest.raises(ConfigError, match="another run"):
            generate(CONFIG, tmp_path, make_speak=make_tone)
        return _tone

    generate(CONFIG, tmp_path, make_speak=make_second)


def test_real_network_speaks_an_item_into_a_readable_file(tmp_path: Path) -> None:
    generate(CONFIG.model_copy(update={"num_items": 1}), tmp_path)
    (path,) = tmp_path.rglob("*.flac")
    waveform, sample_rate = soundfile.read(path)
    assert sample_rate == SAMPLE_RATE
    assert 0.5 < len(waveform) / sample_rate < 15
    assert np.abs(waveform).max() > 0.1
