"""Published checkpoints, from the layers of the store into networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch

from deployments.engine.speech.protocol import SAMPLE_RATE
from models.checkpoints import CheckpointError, load_s1, load_s2
from models.gpt_sovits.published import PublishedError, checkpoint_from_json
from models.gpt_sovits.s1.decoder import S1Decoder
from models.gpt_sovits.s2.synthesizer import Synthesizer
from models.storage import (
    FolderStore,
    ObjectNotFound,
    ObjectStore,
    StorageError,
    StorageUnavailable,
)

Network = TypeVar("Network")

_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})@([a-z0-9][a-z0-9._-]{0,31})")


class CheckpointUnusable(Exception):
    """What is stored under this name is no checkpoint that can be served, or nothing is."""


class CheckpointFiles:
    """Reads checkpoints by `id@version`. All calls block, for seconds.

    Args:
        layers: stores, the first found wins.
        device: torch's name of where networks go.
    """

    def __init__(self, layers: Sequence[ObjectStore], device: str = "cpu") -> None:
        self._layers = tuple(layers)
        self._device = torch.device(device)

    def semantic_decoder(
        self, name: str, dtype: torch.dtype = torch.float32, row_bucket: int | None = None
    ) -> S1Decoder:
        """S1, ready to decode; see `S1Decoder` for its arguments.

        Raises:
            CheckpointUnusable: it is not stored, or damaged.
        """
        network = self._load(name, "s1", load_s1)
        return S1Decoder(network.to(self._device), dtype, row_bucket)

    def synthesizer(self, name: str, generator_dtype: torch.dtype = torch.float32) -> Synthesizer:
        """S2, prepared for inference; its generator in `generator_dtype`.

        Raises:
            CheckpointUnusable: it is not stored, damaged, or of another sample rate.
        """
        network = self._load(name, "s2", load_s2)
        if network.config.sample_rate != SAMPLE_RATE:
            raise CheckpointUnusable(
                f"checkpoint {name} speaks at {network.config.sample_rate} Hz, not {SAMPLE_RATE}"
            )
        return network.to(self._device).prepare_for_inference(generator_dtype)

    def _load(self, name: str, stage: str, load: Callable[[Path], Network]) -> Network:
        match = _REFERENCE.fullmatch(name)
        if match is None:
            raise CheckpointUnusable(f"{name[:80]!r} is not of the form id@version")
        prefix = "checkpoints/{}/{}".format(*match.groups())
        layer = self._layer_of(name, f"{prefix}/checkpoint.json")
        try:
            with _local_folder(layer, prefix, (f"{stage}.json", f"{stage}.safetensors")) as folder:
                return load(folder / f"{stage}.json")
        except StorageUnavailable:
            raise
        except (CheckpointError, StorageError) as error:
            raise CheckpointUnusable(f"checkpoint {name} can't be read: {error}") from error

    def _layer_of(self, name: str, document: str) -> ObjectStore:
        for layer in self._layers:
            try:
                checkpoint_from_json(layer.read(document))
            except ObjectNotFound:
                continue
            except PublishedError as error:
                raise CheckpointUnusable(f"checkpoint {name} can't be read: {error}") from error
            return layer
        raise CheckpointUnusable(f"checkpoint {name} is not stored")


@contextmanager
def _local_folder(store: ObjectStore, prefix: str, names: Sequence[str]) -> Iterator[Path]:
    """A folder of this machine with those objects: their own, or one that ends with the block."""
    if isinstance(store, FolderStore):
        yield store.path(prefix)
        return
    with TemporaryDirectory(prefix="checkpoint-") as folder:
        for name in names:
            (Path(folder) / name).write_bytes(store.read(f"{prefix}/{name}"))
        yield Path(folder)
