"""Published Zonos checkpoints, from the layers of the store into networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from deployments.engine.speech.checkpoint_files import PublishedFiles
from models.storage import ObjectStore
from models.zonos import speaker
from models.zonos.checkpoint import CONFIG_NAME, WEIGHTS_NAME, read_zonos
from models.zonos.dac import Dac, read_dac
from models.zonos.network import Zonos
from models.zonos.published import (
    DAC_FOLDER,
    PublishedZonosCheckpoint,
    zonos_checkpoint_from_json,
)


class ZonosFiles(PublishedFiles[PublishedZonosCheckpoint]):
    """Reads checkpoints of Zonos; see `PublishedFiles`."""

    def __init__(self, layers: Sequence[ObjectStore], device: str = "cpu") -> None:
        super().__init__(layers, zonos_checkpoint_from_json, device)

    def backbone(self, name: str, dtype: torch.dtype) -> Zonos:
        """The network of stage 1.

        Raises:
            CheckpointUnusable: it is not stored, damaged, or the hybrid.
        """
        names = (CONFIG_NAME, WEIGHTS_NAME)
        network = self._load(name, names, lambda folder: read_zonos(folder, dtype))
        return network.to(self._device)

    def codec(self, name: str, dtype: torch.dtype) -> Dac:
        """The codec of stage 2; raises as `backbone` does."""
        names = (f"{DAC_FOLDER}/{CONFIG_NAME}", f"{DAC_FOLDER}/{WEIGHTS_NAME}")
        codec = self._load(name, names, lambda folder: read_dac(folder / DAC_FOLDER, dtype))
        return Dac(codec.model.to(self._device))

    def speaker(self, name: str) -> speaker.ZonosSpeaker:
        """What makes a voice of a clip; raises as `backbone` does."""
        return self._load(name, (speaker.CONFIG_NAME, speaker.WEIGHTS_NAME), speaker.read_speaker)

    def licence(self, name: str) -> str:
        """Of the weights; raises as `backbone` does."""
        return self.document(name).licence
