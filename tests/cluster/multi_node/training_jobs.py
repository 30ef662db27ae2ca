"""What people hand to training jobs: recordings, configurations, the weights of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from models.checkpoints import Checkpoint, Kind, write_native
from serve_app.settings import CHECKOUT
from tests.cluster.multi_node.listening import listen
from tests.gpt_sovits_store import S1, S2, random_s1
from tests.unit.s2.voices import small_voice

_TRAINING = CHECKOUT / "training"
_TRANSCRIPT = "오늘 회의는 세 시에 시작합니다."
_SAMPLE_RATE = 24_000
# Two updates of a small network: the way is what is tested, not where it leads.
_SHORT = {
    "batch_size": 2,
    "epochs": 1,
    "max_updates": 2,
    "num_threads": 1,
    "num_cpus_per_worker": 0.5,
    "validation": {"every_updates": 2, "num_samples": 1, "max_clips": 1},
}


def small_weights(folder: Path) -> tuple[Path, Path]:
    """S1 and S2 with random weights, such as a run leaves behind, or begins with."""
    s1, s2 = folder / "s1.json", folder / "s2.json"
    write_native(s1, Checkpoint(Kind.S1, S1, random_s1(seed=3).state_dict()))
    network = small_voice(has_posterior=True, config=S2)
    write_native(s2, Checkpoint(Kind.S2, S2, network.state_dict()))
    return s1, s2


def recordings(folder: Path, url: str) -> Path:
    """A corpus that the service itself has spoken."""
    corpus = folder / "recordings"
    corpus.mkdir()
    texts = [f"{number}번째 문장을 또박또박 읽어 볼게요." for number in range(1, 5)]
    for number, text in enumerate(texts):
        pcm = np.frombuffer(listen(url, "sinip", text), dtype="<i2")
        soundfile.write(corpus / f"{number}.flac", pcm, _SAMPLE_RATE)
    rows = [f"{number}.flac|newcomer|ko|{text}" for number, text in enumerate(texts)]
    (corpus / "list.txt").write_text("\n".join(rows), encoding="utf-8")
    return corpus


def preparation(folder: Path, s2: Path) -> Path:
    """For `training.prepare`, with the tokens of an S2."""
    config = {
        "input": {"kind": "list"},
        "ssl": {"encoder": "whisper-base"},
        "tokens_of": str(s2),
    }
    return _yaml(folder / "prepare.yaml", config)


def short_s1_run(folder: Path, base: Path) -> Path:
    """For `training.train_s1`: a few updates of these weights."""
    optimizer = {"kind": "adamw", "lr": {"kind": "steps", "points": [[0, 1e-6]]}}
    config = {"base": str(base), "optimizer": optimizer, "guided_attention": {"layers": [1]}}
    return _yaml(folder / "train_s1.yaml", _SHORT | config)


def short_s2_run(folder: Path, base: Path) -> Path:
    """For `training.train_s2`: a few updates of these weights."""
    config = {"base": str(base), "discriminator_divisor": 8}
    return _yaml(folder / "train_s2.yaml", _SHORT | config)


def publication(folder: Path, voice: str, s1: Path, s2: Path) -> Path:
    """For `training.publish`: a voice, with a clip that is noise."""
    noise = np.random.default_rng(1).normal(0, 0.1, int(3.5 * _SAMPLE_RATE))
    soundfile.write(folder / "clip.wav", noise, _SAMPLE_RATE)
    what = {"description": "Hardly trained.", "licence": "Apache-2.0"}
    reference = {"clip": str(folder / "clip.wav"), "transcript": _TRANSCRIPT}
    weights = {"id": f"{voice}-weights", "s1": str(s1), "s2": str(s2), "ssl": "whisper-base"}
    document = {
        "checkpoint": weights | what,
        "voices": [{"id": voice, "references": [reference], **what}],
        "card": {"data": "none", "seed": 0, "commands": ["true"]},
    }
    return _yaml(folder / "publish.yaml", document)


def short_persona_run(folder: Path) -> Path:
    """For `training.finetune_persona`: one update of the embedded model's adapter."""
    config = yaml.safe_load((_TRAINING / "configs/finetune_persona_small.yaml").read_text())
    config |= {"max_updates": 1, "epochs": 1}
    config["publishing"] |= {"serves_in": ["bfloat16"], "num_scenes": 1}
    return _yaml(folder / "finetune.yaml", config)


def trainee(folder: Path) -> Path:
    """A character of another name."""
    character = json.loads((_TRAINING / "persona/characters/bujang.json").read_text())
    path = folder / "trainee.json"
    path.write_text(json.dumps(character | {"persona_id": "trainee"}))
    return path


def few_rows(folder: Path) -> Path:
    """The first of what the character says."""
    rows = (_TRAINING / "persona/data/bujang.jsonl").read_text().splitlines()
    path = folder / "rows.jsonl"
    path.write_text("\n".join(rows[:40]) + "\n")
    return path


def _yaml(path: Path, document: Any) -> Path:
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    return path
