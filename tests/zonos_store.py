"""A small Zonos checkpoint with random weights, and voices of it, in the published layout.

    store = FolderStore(tmp_path)
    publish_zonos_checkpoint(store, "small")               # checkpoints/small/1
    publish_zonos_voice(store, "viola", "small@1", seed=1)  # voices/viola/1

They sound like nothing, and everything about serving them is as with real ones.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import torch

from models.storage import FolderStore
from models.zonos.codes import END_CODE
from models.zonos.conditions import SPEAKER_DIM
from models.zonos.dac import Dac, DacSizes, empty_dac, write_dac
from models.zonos.published import (
    DAC_FOLDER,
    PublishedZonosCheckpoint,
    PublishedZonosVoice,
    speaker_to_bytes,
    to_json,
)
from models.zonos.speaker import ZonosSpeaker, convert_speaker
from models.zonos.speaker_network import SpeakerConfig
from tests.zonos_network import random_zonos, write_zonos

CREATED_AT = "2026-11-22T00:00:00.000Z"

DAC_SIZES = DacSizes(encoder_hidden_size=2, hidden_size=32, decoder_hidden_size=16)
SPEAKER = SpeakerConfig(width=4, num_blocks=(1, 1, 1, 1), embedding_dim=16)


def random_dac(seed: int = 0) -> Dac:
    torch.manual_seed(seed)
    return empty_dac(DAC_SIZES)


def publish_zonos_checkpoint(
    store: FolderStore,
    checkpoint_id: str,
    version: str = "1",
    seed: int = 0,
    is_endless: bool = False,
) -> str:
    """Write a random backbone, codec and speaker network.

    Args:
        is_endless: the backbone hardly ever draws its end code.

    Returns:
        `id@version`.
    """
    prefix = f"checkpoints/{checkpoint_id}"
    folder = store.path(f"{prefix}/{version}")
    folder.mkdir(parents=True, exist_ok=True)
    network = random_zonos(seed=seed)
    if is_endless:
        network.heads[0].weight[END_CODE] = 0.0
    write_zonos(folder, network)
    write_dac(folder / DAC_FOLDER, random_dac(seed))
    _write_speaker_network(folder)
    checkpoint = PublishedZonosCheckpoint(
        checkpoint_id, version, "zonos_v0_1", "random weights", "Apache-2.0", CREATED_AT
    )
    store.write(f"{prefix}/{version}/checkpoint.json", to_json(checkpoint))
    store.write(f"{prefix}/current.json", json.dumps({"version": version}).encode())
    return f"{checkpoint_id}@{version}"


def publish_zonos_voice(
    store: FolderStore, voice_id: str, checkpoint: str, seed: int, version: str = "1"
) -> str:
    """Publish a voice with a random speaker.

    Returns:
        `id@version`.
    """
    prefix = f"voices/{voice_id}"
    speaker = torch.randn(SPEAKER_DIM, generator=torch.Generator().manual_seed(seed))
    store.write(f"{prefix}/{version}/speaker.safetensors", speaker_to_bytes(speaker))
    voice = PublishedZonosVoice(
        voice_id=voice_id,
        version=version,
        engine="zonos",
        language="ko",
        description="random",
        licence="Apache-2.0",
        created_at=CREATED_AT,
        checkpoint=checkpoint,
        clip="none.flac",
        speaker="speaker.safetensors",
        consent=None,
        owner=None,
    )
    store.write(f"{prefix}/{version}/voice.json", to_json(voice))
    store.write(f"{prefix}/current.json", json.dumps({"version": version}).encode())
    return f"{voice_id}@{version}"


def _write_speaker_network(folder: Path) -> None:
    torch.manual_seed(0)
    speaker = ZonosSpeaker(SPEAKER)
    files = folder / "network.pt", folder / "projection.pt"
    torch.save(OrderedDict(speaker.network.state_dict()), files[0])
    torch.save(OrderedDict(speaker.lda.state_dict()), files[1])
    convert_speaker(*files, folder, SPEAKER)
    for file in files:
        file.unlink()
