from collections.abc import Iterator

import pytest
import ray
from ray import serve

from tests.integration.jobs.service import JobService


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobService]:
    service = JobService(tmp_path_factory.mktemp("jobs"))
    try:
        service.start()
        yield service
    finally:
        if ray.is_initialized():  # the last test has ended it already
            serve.shutdown()
            ray.shutdown()


@pytest.fixture
def service(running: JobService) -> JobService:
    """The service, its stage held."""
    running.hold()
    return running
