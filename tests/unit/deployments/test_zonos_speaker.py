"""A clip becomes a speaker of Zonos, or is refused, with the real checks and a random network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deployments.errors import NotReady, UnusableClip
from deployments.voice_encoder import SpeakerRequest
from models.audio.load import Audio, load_audio
from models.storage import FolderStore
from models.zonos.published import speaker_from_bytes
from models.zonos.speaker import read_speaker
from tests.kokoro_clips import LINE, spoken
from tests.unit.deployments.test_voice_encoder import server_of, uploaded
from tests.zonos_store import publish_zonos_checkpoint

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_speaker_is_that_of_the_clip_that_is_stored(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    name = publish_zonos_checkpoint(store, "small")
    server = server_of(tmp_path, zonos_checkpoint=name)

    encoded = await server.encode_speaker(SpeakerRequest(uploaded(spoken("bujang", LINE))))

    clip = load_audio(encoded.clip)
    network = read_speaker(store.path("checkpoints/small/1"))
    expected = network.embed(clip.waveform, clip.sample_rate)
    torch.testing.assert_close(speaker_from_bytes(encoded.speaker), expected)
    assert (encoded.checkpoint, encoded.licence) == (name, "Apache-2.0")
    assert encoded.report.speech_s >= 3


async def test_a_clip_that_can_not_become_a_voice_is_refused(tmp_path: Path) -> None:
    name = publish_zonos_checkpoint(FolderStore(tmp_path), "small")
    silence = Audio(torch.zeros(4 * 24_000), 24_000)
    with pytest.raises(UnusableClip):
        await server_of(tmp_path, zonos_checkpoint=name).encode_speaker(
            SpeakerRequest(uploaded(silence))
        )


async def test_without_a_checkpoint_no_voice_of_zonos_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no checkpoint is configured to register voices of zonos"):
        await server_of(tmp_path).encode_speaker(SpeakerRequest(b""))
