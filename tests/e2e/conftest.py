from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models import assets
from models.persona.base_model import ensure_base_model
from models.recognition import Recognizer
from models.speaker import ensure_speaker_encoder
from tests.e2e.service import Service, running_service
from tests.gpt_sovits_store import publish_endless_checkpoint, publish_small_voices, publish_voice
from tests.zonos_store import publish_zonos_checkpoint, publish_zonos_voice


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service with the real models, started once for all tests.

    Its storage holds GPT-SoVITS and Zonos voices with random weights, for what only two stages can
    show. Registered voices get the weights that ship, or random ones of Zonos.
    """
    assets.ensure(assets.KOKORO)
    assets.ensure(assets.WHISPER)
    ensure_base_model()
    ensure_speaker_encoder()
    folder = tmp_path_factory.mktemp("service")
    store = publish_small_voices(folder / "storage")
    publish_voice(store, "endless", publish_endless_checkpoint(store))
    publish_zonos_voice(store, "viola", publish_zonos_checkpoint(store, "small-zonos"), seed=1)
    args = {
        "voice_encoder": {"checkpoint": "baewoo-small@1", "zonos_checkpoint": "small-zonos@1"},
        "zonos": {
            "backbone": {"dtype": "float32", "max_waiting": 128},
            "decoder": {"max_waiting": 128},
        },
    }
    with running_service(folder, args) as service:
        yield service


@pytest.fixture(scope="package")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="package")
def recognizer() -> Recognizer:
    assets.ensure(assets.WHISPER)
    return Recognizer(num_threads=2)


@pytest.fixture
def storage(service: Service) -> Path:
    return service.storage
