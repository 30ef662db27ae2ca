"""Weights and inputs of the Zonos golden vectors, made from (key, shape, base seed).

A value depends on the base seed, its tensor's name and its flat index alone: the name's SHA-256
starts a SplitMix64 sequence, each word becomes a float64 of zero mean and unit variance (uniform),
which is scaled by the rule of its key and rounded to float32 last.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tests.parity.golden import GoldenFolder

GOLDEN = GoldenFolder("zonos")

_SQRT3 = math.sqrt(3.0)
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class ZonosFiller:
    """The documented generator for one base seed."""

    def __init__(self, base_seed: int) -> None:
        self.base_seed = base_seed

    def unit(self, name: str, num: int) -> np.ndarray:
        """(num,) float64 uniform noise of zero mean and unit variance."""
        digest = hashlib.sha256(f"{self.base_seed}|{name}".encode()).digest()
        start = np.uint64(int.from_bytes(digest[:8], "little"))
        with np.errstate(over="ignore"):  # SplitMix64 works modulo 2**64
            words = start + np.arange(1, num + 1, dtype=np.uint64) * _INCREMENT
            words = (words ^ (words >> np.uint64(30))) * _MULTIPLIERS[0]
            words = (words ^ (words >> np.uint64(27))) * _MULTIPLIERS[1]
            words = words ^ (words >> np.uint64(31))
        fraction: np.ndarray = (words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
        return fraction * _SQRT3

    def values(
        self, name: str, shape: Sequence[int], offset: float = 0.0, scale: float = 1.0
    ) -> Tensor:
        """A float32 input."""
        noise = offset + scale * self.unit(name, math.prod(shape))
        return torch.from_numpy(noise.reshape(tuple(shape)).astype(np.float32))

    def integers(self, name: str, shape: Sequence[int], high: int) -> Tensor:
        """An int64 input in [0, high)."""
        fraction = (self.unit(name, math.prod(shape)) / _SQRT3 + 1.0) / 2.0
        whole = np.minimum(np.floor(fraction * high), high - 1).astype(np.int64)
        return torch.from_numpy(whole.reshape(tuple(shape)))

    def tensor(self, key: str, shape: Sequence[int]) -> Tensor:
        """The tensor of one checkpoint key."""
        if key.endswith("num_batches_tracked"):
            return torch.zeros(tuple(shape), dtype=torch.int64)
        offset, scale = _offset_and_scale(key, tuple(shape))
        return self.values(key, shape, offset, scale)

    def state(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """A whole state dict from a ``{key: shape}`` table."""
        return {key: self.tensor(key, shape) for key, shape in shapes.items()}


def zonos_filler_for(file_name: str) -> ZonosFiller:
    """The filler that a golden file was made with."""
    return ZonosFiller(GOLDEN.manifest(file_name)["base_seed"])


def _offset_and_scale(key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    parents, _, leaf = key.rpartition(".")
    by_leaf = {
        "running_mean": (0.0, 0.1),
        "running_var": (1.0, 0.2),
        "alpha": (1.0, 0.2),  # of DAC's snake activations
        "uncond_vector": (0.0, 0.5),
        "bias": (0.0, 0.05),
    }
    if leaf in by_leaf:
        return by_leaf[leaf]
    if len(shape) == 1:  # weights of norms
        return 1.0, 0.1
    if ".conditioners." in f".{key}" and parents.rpartition(".")[2].isdigit():  # Fourier
        return 0.0, 1.0
    if "embedder" in key or key.startswith("embeddings.") or "codebook" in key:
        return 0.0, 0.5
    return 0.0, _matrix_scale(key, shape)


def _matrix_scale(key: str, shape: tuple[int, ...]) -> float:
    fan_in = math.prod(shape[1:])
    if key.startswith(("decoder.", "encoder.")) and len(shape) == 3:  # DAC's convolutions
        if "conv_t" in key:
            return 0.5 / math.sqrt(2 * shape[0])
        gain = 0.1 if key.startswith("decoder.conv2") else 0.5
    else:
        gain = 3.0 if key.startswith("heads.") else 1.0
    return gain / math.sqrt(fan_in)
