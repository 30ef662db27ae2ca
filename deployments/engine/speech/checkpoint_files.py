"""Published checkpoints, from the layers of the store into networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

import torch

from deployments.engine.speech.protocol import SAMPLE_RATE
from models.checkpoints import CheckpointError, load_s1, load_s2
from models.gpt_sovits.published import (
    PublishedCheckpoint,
    PublishedError,
    checkpoint_from_json,
)
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.storage import (
    FolderStore,
    ObjectNotFound,
    ObjectStore,
    StorageError,
    StorageUnavailable,
)

Document = TypeVar("Document")
Network = TypeVar("Network")

_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})@([a-z0-9][a-z0-9._-]{0,31})")
_PIECE_BYTES = 64 * 2**20  # weights may have gigabytes; a piece at a time is in memory


class CheckpointUnusable(Exception):
    """What is stored under this name is no checkpoint that can be served, or nothing is."""


class PublishedFiles(Generic[Document]):
    """Finds checkpoints of one family by `id@version`. All calls block, for seconds.

    Args:
        layers: stores, the first found wins.
        read_document: `checkpoint.json`; raises `PublishedError` for that of another family.
        device: torch's name of where networks go.
    """

    def __init__(
        self,
        layers: Sequence[ObjectStore],
        read_document: Callable[[bytes], Document],
        device: str,
    ) -> None:
        self._layers = tuple(layers)
        self._read_document = read_document
        self._device = torch.device(device)

    def document(self, name: str) -> Document:
        """What is said of a checkpoint.

        Raises:
            CheckpointUnusable: it is not stored, or damaged.
        """
        return self._find(name)[1]

    def _load(self, name: str, names: Sequence[str], load: Callable[[Path], Network]) -> Network:
        """What is loaded from a folder with those files of a checkpoint; raises as `document`."""
        layer, _ = self._find(name)
        try:
            with _local_folder(layer, _prefix(name), names) as folder:
                return load(folder)
        except StorageUnavailable:
            raise
        except (CheckpointError, StorageError) as error:
            raise CheckpointUnusable(f"checkpoint {name} can't be read: {error}") from error

    def _find(self, name: str) -> tuple[ObjectStore, Document]:
        key = f"{_prefix(name)}/checkpoint.json"
        for layer in self._layers:
            try:
                return layer, self._read_document(layer.read(key))
            except ObjectNotFound:
                continue
            except PublishedError as error:
                raise CheckpointUnusable(f"checkpoint {name} can't be read: {error}") from error
        raise CheckpointUnusable(f"checkpoint {name} is not stored")


class CheckpointFiles(PublishedFiles[PublishedCheckpoint]):
    """Reads checkpoints of GPT-SoVITS; see `PublishedFiles`."""

    def __init__(self, layers: Sequence[ObjectStore], device: str = "cpu") -> None:
        super().__init__(layers, checkpoint_from_json, device)

    def semantic_decoder(
        self, name: str, dtype: torch.dtype = torch.float32, row_bucket: int | None = None
    ) -> S1Decoder:
        """S1, ready to decode; see `S1Decoder` for its arguments.

        Raises:
            CheckpointUnusable: it is not stored, or damaged.
        """
        names = ("s1.json", "s1.safetensors")
        network = self._load(name, names, lambda folder: load_s1(folder / "s1.json"))
        return S1Decoder(network.to(self._device), dtype, row_bucket)

    def synthesizer(self, name: str, generator_dtype: torch.dtype = torch.float32) -> Synthesizer:
        """S2, prepared for inference; its generator in `generator_dtype`.

        Raises:
            CheckpointUnusable: it is not stored, damaged, or of another sample rate.
        """
        names = ("s2.json", "s2.safetensors")
        network = self._load(name, names, lambda folder: load_s2(folder / "s2.json"))
        if network.config.sample_rate != SAMPLE_RATE:
            raise CheckpointUnusable(
                f"checkpoint {name} speaks at {network.config.sample_rate} Hz, not {SAMPLE_RATE}"
            )
        return network.to(self._device).prepare_for_inference(generator_dtype)


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
