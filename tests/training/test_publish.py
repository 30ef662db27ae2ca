"""From the files of a run to a version that the models speak with."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
import torch

from models.audio.load import load_audio
from models.checkpoints import load_s1, load_s2, read_native
from models.gpt_sovits.pipeline import SpeechRequest, encode_reference, speak
from models.gpt_sovits.published import checkpoint_from_json, features_from_bytes, voice_from_json
from models.gpt_sovits.s1.decoder import S1Decoder
from models.storage import FolderStore, RecordId, VersionedRecords
from tests.training.published_runs import (
    TRANSCRIPT,
    FrameMeans,
    open_encoder,
    publish_args,
    write_runs,
)
from training.publish import Publication, main, publish
from training.publishing.versions import Description, VersionedFolder, VersionTaken

TIMES = count()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_runs(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def publication(runs: Path, root: Path) -> Publication:
    return publish(publish_args(runs), FolderStore(root), open_encoder)


def test_published_voice_loads_and_speaks(publication: Publication, root: Path) -> None:
    records = VersionedRecords([FolderStore(root)], "voices", "{version}/voice.json")
    voice = voice_from_json(records.read_bytes(records.resolve("noise")))
    weights = root / "checkpoints" / voice.checkpoint.replace("@", "/")
    folder = root / "voices" / "noise" / voice.version
    features = features_from_bytes((folder / voice.references[0].features).read_bytes())

    request = SpeechRequest(torch.arange(40, 60), features, seed=3, max_new_tokens=20)
    decoder, synthesizer = S1Decoder(load_s1(weights / "s1.json")), load_s2(weights / "s2.json")
    waveform = torch.cat(list(speak(decoder, synthesizer, request)))

    assert publication.voices == (RecordId("noise", "1"),)
    assert voice.checkpoint == "small@1"
    assert waveform.abs().max() > 0


def test_features_are_those_of_the_clip_and_the_weights_that_are_kept(
    publication: Publication, root: Path
) -> None:
    folder = root / "voices" / "noise" / "1"
    voice = voice_from_json((folder / "voice.json").read_bytes())
    features = features_from_bytes((folder / voice.references[0].features).read_bytes())
    again = encode_reference(
        load_s2(root / "checkpoints" / "small" / "1" / "s2.json"),
        FrameMeans(),
        [load_audio(folder / voice.references[0].clip)],
        features.prompt_phoneme_ids,
    )
    assert voice.references[0].transcript == TRANSCRIPT
    assert torch.equal(features.prompt_tokens, again.prompt_tokens)
    torch.testing.assert_close(features.speaker, again.speaker)


def test_weights_are_halved_and_serve_no_training(publication: Publication, root: Path) -> None:
    folder = root / "checkpoints" / "small" / "1"
    s1, s2 = read_native(folder / "s1.json"), read_native(folder / "s2.json")
    assert {tensor.dtype for tensor in s1.state.values()} == {torch.float16}
    assert not s2.has_posterior
    assert checkpoint_from_json((folder / "checkpoint.json").read_bytes()).ssl == "whisper-base"


def test_card_says_where_the_weights_come_from(runs: Path, root: Path, tmp_path: Path) -> None:
    config, log, report = tmp_path / "c.yaml", tmp_path / "train.log", tmp_path / "report.json"
    config.write_text("learning_rate: 0.01\n")
    log.write_text("".join(f"step {step}\n" for step in range(100)))
    report.write_text(json.dumps({"voices": [{"summary": {"cer": 0.123, "wer": None}}]}))
    card = {
        "data": "five hours",
        "teacher": "Kokoro",
        "seed": 7,
        "configs": [config],
        "logs": [log],
        "commands": ["python -m training.train_s1"],
    }
    args = publish_args(runs, card=card, voices=[])
    checkpoint = args.checkpoint.model_copy(update={"evaluation": report})  # type: ignore[union-attr]
    store = FolderStore(tmp_path / "root")
    publish(args.model_copy(update={"checkpoint": checkpoint}), store, open_encoder)

    text = store.read("checkpoints/small/1/README.md").decode()
    for part in (
        *("license: apache-2.0", "five hours", "Kokoro", "| seed | 7 |", "| CER | 12.3% |"),
        *("learning_rate: 0.01", "step 99", "python -m training.train_s1"),
    ):
        assert part in text
    assert "step 69\n" not in text
    document = checkpoint_from_json(store.read("checkpoints/small/1/checkpoint.json"))
    assert document.metrics == {"cer": 0.123}


def test_next_run_gets_the_next_number_and_leaves_the_first_as_it_was(
    runs: Path, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    args = publish_args(runs)
    publish(args, store, open_encoder)
    before = store.read("voices/noise/1/voice.json")
    checkpoint = args.checkpoint.model_copy(update={"description": "better"})  # type: ignore[union-attr]
    publication = publish(args.model_copy(update={"checkpoint": checkpoint}), store, open_encoder)
    assert publication.checkpoint == RecordId("small", "2")
    assert publication.voices == (RecordId("noise", "2"),)
    assert store.read("voices/noise/1/voice.json") == before
    assert json.loads(store.read("voices/noise/current.json")) == {"version": "2"}


def test_what_the_newest_version_holds_is_not_published_again(runs: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    first, again = (publish(publish_args(runs), store, open_encoder) for _ in range(2))
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.checkpoint, again.voices) == (first.checkpoint, first.voices)
    assert again.files == first.files  # for a hub that refused the first time
    assert store.children("voices/noise") == ["1", "current.json"]

    args = publish_args(runs)
    voice = args.voices[0].model_copy(update={"description": "another"})
    third = publish(args.model_copy(update={"voices": [voice]}), store, open_encoder)
    assert (third.checkpoint, third.voices) == (first.checkpoint, (RecordId("noise", "2"),))
    assert third.is_new


def test_voice_can_be_made_with_weights_that_are_there_already(
    publication: Publication, runs: Path, root: Path
) -> None:
    args = publish_args(runs, checkpoint="small@1")
    args = args.model_copy(update={"voices": [args.voices[0].model_copy(update={"id": "other"})]})
    assert publish(args, FolderStore(root), open_encoder).voices == (RecordId("other", "1"),)
    stored = (root / "voices" / "other" / "1" / "reference-0.safetensors").read_bytes()
    assert stored == (root / "voices" / "noise" / "1" / "reference-0.safetensors").read_bytes()


def test_taken_version_is_refused(runs: Path, tmp_path: Path) -> None:
    args = publish_args(runs, voices=[])
    checkpoint = args.checkpoint.model_copy(update={"version": 3})  # type: ignore[union-attr]
    args = args.model_copy(update={"checkpoint": checkpoint})
    publish(args, FolderStore(tmp_path), open_encoder)
    checkpoint = checkpoint.model_copy(update={"licence": "MIT"})
    args = args.model_copy(update={"checkpoint": checkpoint})
    with pytest.raises(VersionTaken, match="small@3"):
        publish(args, FolderStore(tmp_path), open_encoder)


@pytest.mark.parametrize("version", [None, 3])
def test_what_is_published_is_not_published_again(tmp_path: Path, version: int | None) -> None:
    folder = VersionedFolder(FolderStore(tmp_path), "personas", "noise", "persona.json")

    def describe(number: int) -> Description:
        return Description("card", f'{{"version": "{number}"}}'.encode())

    first, second = (folder.publish_once({"a": b"1"}, describe, version) for _ in range(2))
    other = folder.publish_once({"a": b"2"}, describe)

    assert (first.is_new, second.is_new, other.is_new) == (True, False, True)
    assert first.record == second.record != other.record


def test_nothing_is_written_when_a_clip_is_unusable(runs: Path, tmp_path: Path) -> None:
    args = publish_args(runs)
    reference = args.voices[0].references[0].model_copy(update={"clip": runs / "s1.json"})
    voice = args.voices[0].model_copy(update={"references": [reference]})
    with pytest.raises(ValueError, match="audio"):
        publish(args.model_copy(update={"voices": [voice]}), FolderStore(tmp_path), open_encoder)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_belong_together_are_refused(runs: Path, tmp_path: Path) -> None:
    args = publish_args(runs, voices=[])
    checkpoint = args.checkpoint.model_copy(update={"s1": runs / "s2.json"})  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="no S1 checkpoint"):
        publish(
            args.model_copy(update={"checkpoint": checkpoint}), FolderStore(tmp_path), open_encoder
        )


@pytest.fixture
def folder(tmp_path: Path) -> VersionedFolder:
    return VersionedFolder(FolderStore(tmp_path), "voices", "noise", "voice.json")


def test_of_concurrent_claims_of_one_number_one_wins(folder: VersionedFolder) -> None:
    barrier = threading.Barrier(4)

    def claim() -> bool:
        barrier.wait()
        try:
            return folder.claim(1) == 1
        except VersionTaken:
            return False

    with ThreadPoolExecutor(4) as pool:
        wins = [future.result() for future in [pool.submit(claim) for _ in range(4)]]
    assert sorted(wins) == [False, False, False, True]


def test_concurrent_runs_publish_different_numbers_and_the_newest_is_current(
    folder: VersionedFolder,
) -> None:
    def run() -> str:
        return folder.publish(folder.claim(), {}, b"{}").version

    with ThreadPoolExecutor(4) as pool:
        versions = [future.result() for future in [pool.submit(run) for _ in range(8)]]
    assert sorted(versions, key=int) == [str(number) for number in range(1, 9)]
    assert json.loads(folder.store.read("voices/noise/current.json")) == {"version": "8"}


def test_number_of_a_run_that_died_is_never_used_again(folder: VersionedFolder) -> None:
    folder.claim()
    assert folder.publish(folder.claim(), {}, b"{}") == RecordId("noise", "2")


def test_number_that_ships_is_never_used_again(tmp_path: Path) -> None:
    shipped = FolderStore(tmp_path / "shipped")
    VersionedFolder(shipped, "voices", "noise", "voice.json").publish(2, {}, b"{}")
    store = FolderStore(tmp_path / "own")
    folder = VersionedFolder(store, "voices", "noise", "voice.json", (shipped,))

    with pytest.raises(VersionTaken):
        folder.claim(2)
    assert folder.claim() == 3


def test_number_of_a_deleted_voice_is_never_used_again(folder: VersionedFolder) -> None:
    folder.store.write("voices/noise/deleted.json", b'{"last_version": 4}')
    with pytest.raises(VersionTaken):
        folder.claim(4)
    assert folder.claim() == 5


def test_version_whose_run_died_before_it_became_current_becomes_so_when_published_again(
    folder: VersionedFolder,
) -> None:
    first = folder.publish_once({"a": b"1"}, described)
    folder.store.delete("voices/noise/current.json")
    again = folder.publish_once({"a": b"1"}, described)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.record == first.record and again.files.keys() == first.files.keys()
    assert json.loads(folder.store.read("voices/noise/current.json")) == {"version": "1"}


def described(version: int) -> Description:
    """At another time with every call."""
    document = {"version": str(version), "created_at": next(TIMES)}
    return Description(f"# noise@{version}", json.dumps(document).encode())


@pytest.mark.parametrize("files", [{"a": b"2"}, {"a": b"1", "b": b""}, {}])
def test_version_with_other_files_is_another_one(
    folder: VersionedFolder, files: dict[str, bytes]
) -> None:
    folder.publish_once({"a": b"1"}, described)
    assert folder.publish_once(files, described).record == RecordId("noise", "2")


def test_older_version_that_is_published_late_does_not_become_current(
    folder: VersionedFolder,
) -> None:
    late, early = folder.claim(), folder.claim()
    folder.publish(early, {}, b"{}")
    folder.publish(late, {}, b"{}")
    assert json.loads(folder.store.read("voices/noise/current.json")) == {"version": "2"}


def test_command_line_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "publish.yaml"
    config.write_text("checkpoint: small@1\nvoices: []\ncard: {data: none}\n")
    assert main(["--config", str(config), "--root", str(tmp_path)]) == 1
    assert "nothing to publish" in capsys.readouterr().err


def test_command_line_publishes_into_the_root_it_is_given(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "publish.yaml"
    config.write_text(publish_args(runs, voices=[]).model_dump_json())  # JSON is YAML
    assert main(["--config", str(config), "--root", str(tmp_path / "root")]) == 0
    assert capsys.readouterr().out == "weights small@1\n"
    assert (tmp_path / "root" / "checkpoints" / "small" / "1" / "checkpoint.json").is_file()
