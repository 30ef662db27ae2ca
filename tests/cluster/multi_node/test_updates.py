"""What an operator does to a running service: new settings, new voices, new personas."""

import copy
import json
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import yaml

from models.checkpoints import Checkpoint, Kind, write_native
from serve_app.settings import CHECKOUT
from tests.cluster.multi_node.listening import LISTENERS, asking, listen
from tests.cluster.multi_node.service import ClusterService, wait_until
from tests.gpt_sovits_store import S1, S2, random_s1
from tests.unit.s2.voices import small_voice

pytestmark = [pytest.mark.ray, pytest.mark.e2e, pytest.mark.slow]

TRAINING = CHECKOUT / "training"


def test_new_settings_are_rolled_out_and_no_request_is_dropped(service: ClusterService) -> None:
    changed = ("Ingress", "KokoroVoice")
    before = service.replica_ids(*changed)
    config = copy.deepcopy(service.config)
    args = config["applications"][0]["args"]
    args["admission"]["max_requests"] -= 1
    args["kokoro"]["max_waiting"] += 1
    with asking(service.url, LISTENERS) as heard:
        service.deploy(config)
        wait_until(
            lambda: not before & service.replica_ids(*changed) and service.is_settled(),
            "replicas with the new settings",
        )
    voices = [voice for voice, _ in heard]
    assert set(voices) == set(LISTENERS)
    # Each voice said the same thing every time, whichever replica made it.
    assert len(set(heard)) == len(LISTENERS)


def test_a_voice_that_a_job_publishes_is_heard_without_a_restart(
    service: ClusterService, tmp_path: Path
) -> None:
    replicas = service.replica_ids("Ingress", "SemanticDecoder", "Vocoder")
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        listen(service.url, "newcomer")
    service.submit(
        *(sys.executable, "-m", "training.publish"),
        *("--config", _trained_voice(tmp_path), "--root", service.storage),
    )
    assert len(listen(service.url, "newcomer")) > 0
    assert service.replica_ids("Ingress", "SemanticDecoder", "Vocoder") == replicas


def test_a_persona_that_a_job_trains_writes_lines_without_a_restart(
    service: ClusterService, tmp_path: Path
) -> None:
    replicas = service.replica_ids("Ingress", "PersonaLLM")
    assert _ask_persona(service).status_code == 404
    service.submit(
        *(sys.executable, "-m", "training.finetune_persona", "--config", _short_run(tmp_path)),
        *("--persona", _trainee(tmp_path), "--data", _few_rows(tmp_path)),
        *("--out", tmp_path / "run", "--root", service.storage),
    )
    reply = _ask_persona(service)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"]
    assert service.replica_ids("Ingress", "PersonaLLM") == replicas


def _ask_persona(service: ClusterService) -> httpx.Response:
    body = {
        "model": "gemma-3-270m:trainee",
        "messages": [{"role": "user", "content": "점심시간이다."}],
    }
    return httpx.post(f"{service.url}/v1/chat/completions", json=body, timeout=120)


def _trained_voice(folder: Path) -> Path:
    """What a pair of training runs leaves behind, and the configuration that publishes it."""
    s2 = small_voice(has_posterior=True, config=S2)
    write_native(folder / "s1.json", Checkpoint(Kind.S1, S1, random_s1(seed=3).state_dict()))
    write_native(folder / "s2.json", Checkpoint(Kind.S2, S2, s2.state_dict()))
    noise = np.random.default_rng(1).normal(0, 0.1, int(3.5 * 24_000))
    soundfile.write(folder / "clip.wav", noise, 24_000)
    what = {"description": "Random weights.", "licence": "Apache-2.0"}
    reference = {"clip": str(folder / "clip.wav"), "transcript": "오늘 회의는 세 시에 시작합니다."}
    document = {
        "checkpoint": {
            "id": "trained",
            "s1": str(folder / "s1.json"),
            "s2": str(folder / "s2.json"),
            "ssl": "whisper-base",
            **what,
        },
        "voices": [{"id": "newcomer", "references": [reference], **what}],
        "card": {"data": "none", "seed": 0, "commands": ["true"]},
    }
    return _yaml(folder / "publish.yaml", document)


def _short_run(folder: Path) -> Path:
    """One update of the embedded model's adapter."""
    config = yaml.safe_load((TRAINING / "configs/finetune_persona_small.yaml").read_text())
    config |= {"max_updates": 1, "epochs": 1}
    config["publishing"] |= {"serves_in": ["bfloat16"], "num_scenes": 1}
    return _yaml(folder / "finetune.yaml", config)


def _trainee(folder: Path) -> Path:
    character = json.loads((TRAINING / "persona/characters/bujang.json").read_text())
    path = folder / "trainee.json"
    path.write_text(json.dumps(character | {"persona_id": "trainee"}))
    return path


def _few_rows(folder: Path) -> Path:
    rows = (TRAINING / "persona/data/bujang.jsonl").read_text().splitlines()
    path = folder / "rows.jsonl"
    path.write_text("\n".join(rows[:40]) + "\n")
    return path


def _yaml(path: Path, document: object) -> Path:
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    return path
