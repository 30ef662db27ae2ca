"""Weights and inputs of the GPT-SoVITS golden vectors, made from (key, shape, salt).

No weights are stored with the vectors: producer and consumer fill their own network by these rules
and get bit-identical float32 tensors. The noise of a key is PCG64 seeded with
``crc32("<salt>:<key>")``; its 64-bit words keep 53 bits, are scaled to zero mean and unit variance
(uniform), and are cast to float32 last. Which scale a tensor gets follows from its checkpoint key.
"""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.parity.golden import GoldenFolder

Shape = tuple[int, ...]

_SQRT3 = math.sqrt(3.0)


class Filler:
    """The documented generator for one salt."""

    def __init__(self, salt: str) -> None:
        self.salt = salt

    def unit(self, key: str, shape: Shape) -> np.ndarray:
        """Uniform noise of zero mean and unit variance, float64, filled in C order."""
        seed = zlib.crc32(f"{self.salt}:{key}".encode())
        words = np.asarray(np.random.PCG64(seed).random_raw(math.prod(shape)), dtype=np.uint64)
        fraction: np.ndarray = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        noise: np.ndarray = (2.0 * fraction - 1.0) * _SQRT3
        return noise.reshape(shape)

    def normalish(self, key: str, shape: Shape, scale: float = 1.0) -> np.ndarray:
        """Input noise: float32, standard deviation ``scale``."""
        return (scale * self.unit(key, shape)).astype(np.float32)

    def integers(self, key: str, shape: Shape, low: int, high: int) -> np.ndarray:
        """int64 in [low, high)."""
        fraction = (self.unit(key, shape) / _SQRT3 + 1.0) / 2.0
        values = np.floor(low + (high - low) * fraction)
        return np.clip(values, low, high - 1).astype(np.int64)

    def waveform(self, key: str, num_samples: int, sample_rate: int = 32_000) -> np.ndarray:
        """A speech-like mono wave below 0.8: five harmonics with vibrato, an envelope, noise."""
        time_s = np.arange(num_samples, dtype=np.float64) / sample_rate
        phase = self.unit(f"{key}/phase", (8,))
        vibrato = 12.0 / (2 * math.pi * 3.0) * np.sin(2 * math.pi * 3.0 * time_s + phase[1])
        cycles = (140.0 + 25.0 * phase[0]) * time_s + vibrato
        wave = np.zeros_like(time_s)
        for harmonic in range(1, 6):
            wave += np.sin(2 * math.pi * harmonic * cycles + phase[1 + harmonic]) / harmonic
        envelope = 0.55 + 0.45 * np.sin(2 * math.pi * 2.3 * time_s + phase[7])
        noise = 0.01 * self.unit(f"{key}/noise", (num_samples,))
        return (0.22 * envelope * wave + noise).astype(np.float32)

    def tensor(self, key: str, shape: Shape, is_integer: bool = False) -> Tensor:
        """The tensor of one checkpoint key (S1: the key without its ``model.`` prefix)."""
        *parents, leaf = key.split(".")
        if is_integer or leaf == "num_batches_tracked":
            return torch.zeros(shape, dtype=torch.int64)
        if leaf == "inited":
            return torch.ones(shape)
        values = _scaled(self.unit(key, shape), key, leaf, _nearest_name(parents))
        return torch.from_numpy(values.astype(np.float32))

    def state(self, spec: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
        """A whole state dict from a ``keys_*.json`` list (key -> shape, dtype)."""
        return {
            key: self.tensor(key, tuple(entry["shape"]), "int" in entry["dtype"])
            for key, entry in spec.items()
        }

    def fill_module(self, module: nn.Module) -> None:
        """Fill a module whose own keys are checkpoint keys, in place."""
        with torch.no_grad():
            for key, tensor in module.state_dict().items():
                values = self.tensor(key, tuple(tensor.shape), not tensor.is_floating_point())
                tensor.copy_(values)


def filler_for(file_name: str, folder: str = "gpt_sovits_v2") -> Filler:
    """The filler that goes with one golden file: its salt is that of the set the file is from."""
    return Filler(GoldenFolder(folder).manifest(file_name)["salt"])


def state_hash(state: Mapping[str, Tensor]) -> int:
    """crc32 over keys and values in sorted key order; the README lists the expected numbers."""
    crc = 0
    for key in sorted(state):
        crc = zlib.crc32(key.encode(), crc)
        crc = zlib.crc32(state[key].contiguous().numpy().tobytes(), crc)
    return crc


def _nearest_name(parents: list[str]) -> str:
    """The nearest parent that is a name, not a list index."""
    return next((parent for parent in reversed(parents) if not parent.isdigit()), "")


def _scaled(noise: np.ndarray, key: str, leaf: str, parent: str) -> np.ndarray:
    """Noise with the offset and scale of its kind of tensor; the first matching rule wins.

    The operations keep the documented order: another order could round one float32 in 2**29 apart.
    """
    is_norm = "norm" in parent
    if leaf == "cluster_size":
        return 10.0 + noise
    if leaf == "running_mean" or leaf == "beta" or (leaf == "bias" and is_norm):
        return 0.1 * noise
    if leaf in ("running_var", "alpha", "gamma") or (leaf == "weight" and is_norm):
        return 1.0 + 0.1 * noise
    if leaf == "weight_g":
        return _weight_norm_gain(key) * (1.0 + 0.1 * noise)
    if leaf == "bias" or leaf.endswith("_bias"):
        return 0.05 * noise
    if leaf in ("emb_rel_k", "emb_rel_v"):
        return noise / math.sqrt(noise.shape[-1])
    if "embedding" in parent or leaf in ("embed", "embed_avg"):
        return noise
    fan_in = math.prod(noise.shape[1:])
    return _weight_gain(key) * noise / math.sqrt(max(fan_in, 1))


def _weight_norm_gain(key: str) -> float:
    if key.startswith("dec.ups."):
        return 2.5 if key.split(".")[2] in ("0", "1") else 1.0
    return 1.4 if key.startswith("discriminators.") else 1.0


def _weight_gain(key: str) -> float:
    """Small gains on residual branches keep a random deep stack from collapsing to one vector."""
    by_prefix = {
        "ar_predict_layer.": 3.0,
        "model.ar_predict_layer.": 3.0,
        "enc_p.proj.": 0.3,
        "enc_q.proj.": 0.3,
        "dec.conv_post.": 0.25,
    }
    by_suffix = {
        "self_attn.out_proj.weight": 0.3,
        "linear2.weight": 0.3,
        ".conv_o.weight": 0.5,
        ".conv_2.weight": 0.5,
    }
    for prefix, gain in by_prefix.items():
        if key.startswith(prefix):
            return gain
    for suffix, gain in by_suffix.items():
        if key.endswith(suffix):
            return gain
    return 1.0
