from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models import assets
from models.persona.base_model import ensure_base_model
from models.recognition import Recognizer
from tests.e2e.service import Service, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service with the real models, started once for all tests."""
    assets.ensure(assets.KOKORO)
    ensure_base_model()
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    assets.ensure(assets.WHISPER)
    return Recognizer(num_threads=2)


@pytest.fixture
def storage(service: Service) -> Path:
    return service.storage
