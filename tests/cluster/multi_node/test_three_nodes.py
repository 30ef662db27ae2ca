"""The graph on three nodes: where it lands, what a job adds to it, what a lost node takes away."""

import time
from pathlib import Path

import httpx
import pytest

from tests.cluster.multi_node import training_jobs as jobs
from tests.cluster.multi_node.listening import listen, listeners, status_of, submit_job
from tests.cluster.multi_node.service import EDGE, STAGES, ClusterService, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.e2e]


def test_stages_land_where_they_are_told(service: ClusterService) -> None:
    placed = {name: ["a"] for name in EDGE} | {name: ["a", "b"] for name in STAGES}
    assert service.replicas() == placed


def test_a_voice_that_a_job_publishes_is_heard_at_once(
    service: ClusterService, tmp_path: Path
) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        listen(service.url, "newcomer")
    publication = jobs.publication(tmp_path, "newcomer", *jobs.small_weights(tmp_path))
    service.train("publish", publication, "--root", service.storage)
    assert len(listen(service.url, "newcomer")) > 0


def test_a_node_is_lost_under_load_and_nobody_notices(
    service: ClusterService, undisturbed: dict[str, bytes]
) -> None:
    job_ids = [submit_job(service.url, voice) for voice in ("sinip", "alto")]
    with listeners(service.url) as streams:
        time.sleep(1.5)  # all of them are under way, on both nodes
        service.lose_node("b")
        outcomes = {voice: stream.exception() for voice, stream in streams.items()}
        heard = {v: stream.result() for v, stream in streams.items() if outcomes[v] is None}
    # A listener whose connection ended at the lost node notices; nobody hears anything else.
    assert heard == {voice: undisturbed[voice] for voice in heard}
    assert heard, outcomes
    assert [status_of(service.url, job_id) for job_id in job_ids] == ["succeeded"] * 2
    assert service.is_ready()


def test_a_new_node_takes_the_place_of_the_lost_one(service: ClusterService) -> None:
    service.add_node("c", {"stage": 100})
    wait_until(service.is_settled, "the replicas of the lost node")
    assert {name: nodes for name, nodes in service.replicas().items() if name in STAGES} == {
        name: ["a", "c"] for name in STAGES
    }
