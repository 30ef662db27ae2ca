from collections.abc import Iterator

import pytest

from models import assets
from models.persona.base_model import ensure_base_model
from models.speaker import ensure_speaker_encoder
from tests.cluster.multi_node.listening import LISTENERS, listen
from tests.cluster.multi_node.service import ClusterService, running_cluster
from tests.gpt_sovits_store import publish_small_voices


@pytest.fixture(scope="package")
def models() -> None:
    assets.ensure(assets.KOKORO)
    assets.ensure(assets.WHISPER)
    ensure_base_model()
    ensure_speaker_encoder()


@pytest.fixture(scope="module")
def service(models: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterService]:
    """Three nodes, with voices of both speech engines."""
    folder = tmp_path_factory.mktemp("cluster")
    publish_small_voices(folder / "storage")
    with running_cluster(folder) as service:
        yield service


@pytest.fixture(scope="module")
def undisturbed(service: ClusterService) -> dict[str, bytes]:
    """What each voice says when nothing happens."""
    return {voice: listen(service.url, voice) for voice in LISTENERS}
