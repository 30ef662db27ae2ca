"""What an operator does to a running service: new settings, new voices, new personas."""

import copy
from pathlib import Path

import httpx
import pytest

from tests.cluster.multi_node import training_jobs as jobs
from tests.cluster.multi_node.listening import LISTENERS, asking, listen
from tests.cluster.multi_node.service import ClusterService, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.e2e, pytest.mark.slow]


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


def test_a_voice_that_jobs_train_is_heard_without_a_restart(
    service: ClusterService, tmp_path: Path
) -> None:
    """The four jobs, one after the other, on what the service itself has spoken."""
    replicas = service.replica_ids("Ingress", "SemanticDecoder", "Vocoder")
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        listen(service.url, "newcomer")
    s1, s2 = jobs.small_weights(tmp_path)
    prepared, runs = tmp_path / "prepared", tmp_path / "runs"
    recordings = jobs.recordings(tmp_path, service.url)
    configs = {
        "prepare": jobs.preparation(tmp_path, s2),
        "train_s1": jobs.short_s1_run(tmp_path, s1),
        "train_s2": jobs.short_s2_run(tmp_path, s2),
    }
    data = ("--data", prepared)
    service.train("prepare", configs["prepare"], "--input", recordings, "--out", prepared)
    service.train("train_s1", configs["train_s1"], *data, "--out", runs / "s1")
    service.train("train_s2", configs["train_s2"], *data, "--out", runs / "s2")
    trained = (runs / "s1/export/s1.json", runs / "s2/export/s2.json")
    publication = jobs.publication(tmp_path, "newcomer", *trained)
    service.train("publish", publication, "--root", service.storage)
    assert len(listen(service.url, "newcomer")) > 0
    assert service.replica_ids("Ingress", "SemanticDecoder", "Vocoder") == replicas


def test_a_persona_that_a_job_trains_writes_lines_without_a_restart(
    service: ClusterService, tmp_path: Path
) -> None:
    replicas = service.replica_ids("Ingress", "PersonaLLM")
    assert _ask_persona(service).status_code == 404
    service.train(
        *("finetune_persona", jobs.short_persona_run(tmp_path)),
        *("--persona", jobs.trainee(tmp_path), "--data", jobs.few_rows(tmp_path)),
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
