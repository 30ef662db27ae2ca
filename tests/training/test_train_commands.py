"""The two commands on a prepared folder, from configuration to exported weights."""

from __future__ import annotations

import fcntl
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
import yaml
from safetensors.torch import save_file

from models.checkpoints import load_s1, load_s2
from models.text.symbols import symbol_ids
from tests.training.train_clips import (
    S1_TINY,
    S2_TINY,
    SAMPLE_RATE,
    MadeUpClip,
    made_up_clips,
    made_up_tokenizer,
    write_tokenizer,
)
from training import train_s1, train_s2
from training.loops.journal import read_metrics
from training.loops.launch import main

NUM_SYMBOLS = len(symbol_ids())
RUN: dict[str, Any] = {
    "batch_size": 2,
    "epochs": 1,
    "max_updates": 2,
    "log_every_updates": 1,
    "validation": {"every_updates": 2, "num_samples": 1, "max_clips": 1},
}
S1_RUN = RUN | {
    "network": asdict(S1_TINY) | {"num_phonemes": NUM_SYMBOLS},
    "optimizer": {"kind": "adamw", "lr": {"kind": "steps", "points": [[0, 1e-3]]}},
    "guided_attention": {"layers": [1]},
}
S2_RUN = RUN | {
    "network": json.loads(json.dumps(asdict(S2_TINY))) | {"num_phonemes": NUM_SYMBOLS},
    "discriminator_divisor": 8,
}
JOBS = {"s1": (train_s1.JOB, S1_RUN), "s2": (train_s2.JOB, S2_RUN)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    clips = made_up_clips(6)
    for name in ("4-cnhubert", "5-wav32k"):
        (folder / name).mkdir()
    for clip in clips:
        write_clip(folder, clip)
    symbols = {number: symbol for symbol, number in symbol_ids().items()}
    texts = [
        f"{clip.name}\t{' '.join(symbols[i] for i in clip.phoneme_ids)}\tNone\t{clip.text}\n"
        for clip in clips
    ]
    tokens = [f"{clip.name}\t{' '.join(map(str, clip.semantic_tokens))}\n" for clip in clips]
    (folder / "2-name2text.txt").write_text("".join(texts), encoding="utf-8")
    (folder / "6-name2semantic.tsv").write_text(
        "".join(["item_name\tsemantic_audio\n", *tokens]), encoding="utf-8"
    )
    (folder / "clips.jsonl").write_text("".join(map(described, clips)), encoding="utf-8")
    write_tokenizer(folder)
    manifest = {
        "format_version": 1,
        "output": "layout",
        "ssl": "whisper-base",
        "ssl_dim": S2_TINY.ssl_dim,
        "codebook_size": S2_TINY.codebook_size,
        "num_clips": len(clips),
        "total_s": sum(clip.duration_s for clip in clips),
        "shards": [],
    }
    (folder / "prepared.json").write_text(json.dumps(manifest))
    return folder


def write_clip(folder: Path, clip: MadeUpClip) -> None:
    features = clip.ssl_features().t().unsqueeze(0).half().contiguous()
    torch.save(features, folder / "4-cnhubert" / f"{clip.name}.pt")
    path = folder / "5-wav32k" / clip.name
    soundfile.write(path, clip.waveform().numpy(), SAMPLE_RATE, format="WAV", subtype="PCM_16")


def described(clip: MadeUpClip) -> str:
    fields = {"name": clip.name, "speaker": clip.speaker, "language": "ko", "text": clip.text}
    more = {"duration_s": clip.duration_s, "labels": {}, "is_augmented": False}
    return json.dumps(fields | more) + "\n"


def command(tmp_path: Path, stage: str, data: Path, **changes: Any) -> list[str]:
    config = tmp_path / f"{stage}.yaml"
    config.write_text(yaml.safe_dump(JOBS[stage][1] | changes))
    out = tmp_path / "run"
    return ["--config", str(config), "--data", str(data), "--out", str(out), "--local"]


@pytest.mark.parametrize(("stage", "load"), [("s1", load_s1), ("s2", load_s2)])
def test_a_command_ends_with_weights_to_publish(
    tmp_path: Path, prepared: Path, stage: str, load: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, stage, prepared)
    main(JOBS[stage][0], arguments)
    exported = tmp_path / "run" / "export" / f"{stage}.json"
    assert load(exported).config.num_phonemes == NUM_SYMBOLS
    assert len(read_metrics(tmp_path / "run", "train")) == 2
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert "finished after update 2" in capsys.readouterr().out

    exported.unlink()
    main(JOBS[stage][0], [*arguments, "--export-only"])
    assert load(exported).config.num_phonemes == NUM_SYMBOLS


@pytest.mark.parametrize("stage", ["s1", "s2"])
def test_the_same_command_goes_on_with_a_run(
    tmp_path: Path, prepared: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JOBS[stage][0]
    main(job, command(tmp_path, stage, prepared, max_updates=1))
    main(job, command(tmp_path, stage, prepared))
    assert [entry["update"] for entry in read_metrics(tmp_path / "run", "train")] == [0, 1]
    assert "goes on after update 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"speling": 1}, "speling: Extra inputs are not permitted"),
        ({"num_workers": 2}, "without Ray there is one worker"),
        ({"use_gpu": True}, "PyTorch finds no GPU here"),
        ({"network": None, "base": "no.ckpt"}, r"no\.ckpt: no such file"),
        ({"speakers": ["nobody"]}, "no clip of"),
    ],
)
def test_what_cannot_be_trained_ends_the_command_with_why(
    tmp_path: Path, prepared: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SystemExit, match=rf"training\.train_s1: .*{reason}"):
        main(train_s1.JOB, command(tmp_path, "s1", prepared, **changes))


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path, prepared: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="another run is writing to"):
            main(train_s1.JOB, command(tmp_path, "s1", prepared))


def with_other_tokens(prepared: Path, folder: Path) -> Path:
    shutil.copytree(prepared, folder)
    tokenizer = made_up_tokenizer()
    tokenizer["codebook.embed"] += 1
    save_file(tokenizer, folder / "tokenizer.safetensors")
    return folder


@pytest.mark.parametrize("stage", ["s1", "s2"])
def test_a_run_goes_on_with_other_clips_but_not_with_other_tokens(
    tmp_path: Path, prepared: Path, stage: str
) -> None:
    job = JOBS[stage][0]
    main(job, command(tmp_path, stage, prepared, max_updates=1))
    moved = shutil.copytree(prepared, tmp_path / "moved")
    main(job, command(tmp_path, stage, moved))

    with pytest.raises(SystemExit, match="run has begun with tokenizer .* choose a new folder"):
        main(job, command(tmp_path, stage, with_other_tokens(prepared, tmp_path / "other")))

    assert [entry["update"] for entry in read_metrics(tmp_path / "run", "train")] == [0, 1]


def test_a_run_does_not_go_on_with_a_network_of_another_size(
    tmp_path: Path, prepared: Path
) -> None:
    main(train_s2.JOB, command(tmp_path, "s2", prepared, max_updates=1))
    wider = S2_RUN["network"] | {"upsample_channels": 64}
    with pytest.raises(SystemExit, match=r"begun with networks of [\d,]+ numbers .* choose a new"):
        main(train_s2.JOB, command(tmp_path, "s2", prepared, network=wider))


def test_a_folder_that_is_not_prepared_ends_the_command_with_why(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"has no prepared\.json"):
        main(train_s2.JOB, command(tmp_path, "s2", tmp_path))
