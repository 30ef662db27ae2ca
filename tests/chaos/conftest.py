from collections.abc import Iterator

import httpx
import pytest

from models import assets
from models.persona.base_model import ensure_base_model
from models.speaker import ensure_speaker_encoder
from tests.e2e.service import Service, running_service
from tests.gpt_sovits_store import publish_small_voices


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: what is killed here may not disturb other suites."""
    assets.ensure(assets.KOKORO)
    assets.ensure(assets.WHISPER)
    ensure_base_model()
    ensure_speaker_encoder()
    folder = tmp_path_factory.mktemp("chaos")
    publish_small_voices(folder / "storage")
    # All listeners of a test are let in at once: it is about lost replicas, not about admission.
    args = {"voice_encoder": {"checkpoint": "small@1"}, "admission": {"max_queued_audio_s": 120}}
    with running_service(folder, args) as service:
        yield service


@pytest.fixture(scope="package")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=240) as client:
        yield client
