"""Published Zonos checkpoints, from the layers of the store into networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch

from deployments.engine.speech.checkpoint_files import CheckpointUnusable
from models.checkpoints.errors import CheckpointError
from models.gpt_sovits.published import PublishedError
from models.storage import (
    FolderStore,
    ObjectNotFound,
    ObjectStore,
    StorageError,
    StorageUnavailable,
)
from models.zonos import speaker
from models.zonos.checkpoint import CONFIG_NAME, WEIGHTS_NAME, read_zonos
from models.zonos.dac import Dac, read_dac
from models.zonos.network import Zonos
from models.zonos.published import DAC_FOLDER, zonos_checkpoint_from_json

Network = TypeVar("Network")

_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})@([a-z0-9][a-z0-9._-]{0,31})")
_PIECE_BYTES = 64 * 2**20  # the published backbone has 3.25 GB; a piece at a time is in memory


class ZonosFiles:
    """Reads checkpoints by `id@version`. All calls block, for seconds.

    Args:
        layers: stores, the first found wins.
        device: torch's name of where networks go.
    """

    def __init__(self, layers: Sequence[ObjectStore], device: str = "cpu") -> None:
        self._layers = tuple(layers)
        self._device = torch.device(device)

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
        prefix = _prefix(name)
        layer = self._layer_of(name, f"{prefix}/checkpoint.json")
        return zonos_checkpoint_from_json(layer.read(f"{prefix}/checkpoint.json")).licence

    def _load(self, name: str, names: Sequence[str], load: Callable[[Path], Network]) -> Network:
        prefix = _prefix(name)
        layer = self._layer_of(name, f"{prefix}/checkpoint.json")
        try:
            with _local_folder(layer, prefix, names) as folder:
                return load(folder)
        except StorageUnavailable:
            raise
        except (CheckpointError, StorageError) as error:
            raise CheckpointUnusable(f"checkpoint {name} can't be read: {error}") from error

    def _layer_of(self, name: str, document: str) -> ObjectStore:
        for layer in self._layers:
            try:
                zonos_checkpoint_from_json(layer.read(document))
            except ObjectNotFound:
                continue
            except PublishedError as error:
                raise CheckpointUnusable(f"checkpoint {name} can't be read: {error}") from error
            return layer
        raise CheckpointUnusable(f"checkpoint {name} is not stored")


def _prefix(name: str) -> str:
    match = _REFERENCE.fullmatch(name)
    if match is None:
        raise CheckpointUnusable(f"{name[:80]!r} is not of the form id@version")
    return "checkpoints/{}/{}".format(*match.groups())


@contextmanager
def _local_folder(store: ObjectStore, prefix: str, names: Sequence[str]) -> Iterator[Path]:
    """A folder of this machine with those objects: their own, or one that ends with the block."""
    if isinstance(store, FolderStore):
        yield store.path(prefix)
        return
    with TemporaryDirectory(prefix="checkpoint-") as folder:
        for name in names:
            target = Path(folder) / name
            target.parent.mkdir(exist_ok=True)
            _copy(store, f"{prefix}/{name}", target)
        yield Path(folder)


def _copy(store: ObjectStore, key: str, target: Path) -> None:
    num_bytes = store.size(key)
    with target.open("wb") as file:
        for start in range(0, num_bytes, _PIECE_BYTES):
            file.write(store.read_range(key, start, _PIECE_BYTES))
