"""Published adapters, from the layers of the store into checked tensors.

    personas/<id>/<version>/persona.json               names rank, modules, base and checksum
    personas/<id>/<version>/adapter_config.json        as PEFT writes it
    personas/<id>/<version>/adapter_model.safetensors  A and B of every layer, PEFT's names
    personas/<id>/<version>/training_lines.txt         what it was trained to say, if published

Nothing else is read, so nothing is ever unpickled. An adapter is what `persona.json` says of it,
byte for byte and field for field, or it is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, bfloat16, float16, float32

from models.persona.adapter import AdapterInfo
from models.persona.persona import MAX_FILE_BYTES, Persona, PersonaError
from models.storage import ObjectNotFound, ObjectStore

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
LINES_NAME = "training_lines.txt"
MAX_LINES_BYTES = 1024 * 1024
"""More would take seconds to sort, in the process that writes everybody's lines."""

_MAX_CONFIG_BYTES = 64 * 1024
_MAX_WEIGHTS_BYTES = 256 * 1024 * 1024
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9-]{0,63})@([a-z0-9][a-z0-9-]{0,63})")
_TENSOR = re.compile(r"base_model\.model\.([A-Za-z0-9_.]{1,200})\.lora_([AB])\.weight")
_DTYPES = (float32, float16, bfloat16)
# Fields of the configuration that change nothing in what a trained adapter computes, or are checked
# by themselves; every other one switches on a variant of LoRA and has to be off.
_INERT = {
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "inference_mode",
    "init_lora_weights",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
}
# These compute the pair from the base model's weights and leave others behind in their place.
_INITS = (None, True, False, "gaussian")


class AdapterError(ValueError):
    """A published adapter can't be served: it is missing, damaged, or not what it claims to be."""


@dataclass(frozen=True)
class LoraPair:
    """What one linear layer gains: `a` `(rank, in)`, `b` `(out, rank)`."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class Adapter:
    """A checked adapter; `layers` by the layer's path in the base model.

    `config`, `weights` and `lines` are the files it came as.
    """

    ref: str
    base_model: str
    info: AdapterInfo
    layers: dict[str, LoraPair]
    config: bytes
    weights: bytes
    lines: bytes | None = None

    @property
    def scaling(self) -> float:
        """Factor of what is added."""
        return self.info.alpha / self.info.rank

    def save(self, folder: Path) -> None:
        """Write its files, for libraries that read a folder."""
        (folder / CONFIG_NAME).write_bytes(self.config)
        (folder / WEIGHTS_NAME).write_bytes(self.weights)
        if self.lines is not None:
            (folder / LINES_NAME).write_bytes(self.lines)


class AdapterFiles:
    """Reads adapters by `persona_id@version`. All calls block, over a network perhaps.

    Args:
        layers: stores, the first found wins.
    """

    def __init__(self, layers: Sequence[ObjectStore]) -> None:
        self._layers = tuple(layers)

    def load(self, ref: str) -> Adapter:
        """The adapter of a persona's version.

        Raises:
            AdapterError: it is not stored, or can't be served.
            StorageUnavailable: the store does not answer.
        """
        match = _REFERENCE.fullmatch(ref)
        if match is None:
            raise AdapterError(f"{ref[:80]!r} is not of the form persona_id@version")
        folder = "personas/{}/{}".format(*match.groups())
        layer, persona = self._find(folder, ref)
        if persona.adapter is None:
            raise AdapterError(f"persona {ref} has no adapter")
        config = _read(layer, f"{folder}/{CONFIG_NAME}", _MAX_CONFIG_BYTES)
        weights = _read(layer, f"{folder}/{WEIGHTS_NAME}", _MAX_WEIGHTS_BYTES)
        try:
            _check_config(config, persona, persona.adapter)
            layers = _parse_weights(weights, persona.adapter)
            lines = _lines(layer, folder, persona.adapter)
        except AdapterError as error:
            raise AdapterError(f"adapter of {ref}: {error}") from error
        return Adapter(ref, persona.base_model, persona.adapter, layers, config, weights, lines)

    def _find(self, folder: str, ref: str) -> tuple[ObjectStore, Persona]:
        for layer in self._layers:
            try:
                persona = Persona.from_json(_read(layer, f"{folder}/persona.json", MAX_FILE_BYTES))
            except ObjectNotFound:
                continue
            except PersonaError as error:
                raise AdapterError(f"persona {ref} can't be read: {error}") from error
            if persona.ref != ref:
                raise AdapterError(f"persona {ref} calls itself {persona.ref}")
            return layer, persona
        raise AdapterError(f"persona {ref} is not stored")


def _read(layer: ObjectStore, key: str, max_bytes: int) -> bytes:
    """Content of a file of bounded size; `ObjectNotFound` only for `persona.json`."""
    try:
        size = layer.size(key)
        if size > max_bytes:
            raise AdapterError(f"{key} has {size} bytes; at most {max_bytes} are read")
        return layer.read(key)
    except ObjectNotFound:
        if key.endswith("/persona.json"):
            raise
        raise AdapterError(f"{key} is missing; adapters are read as safetensors alone") from None


def _check_config(content: bytes, persona: Persona, info: AdapterInfo) -> None:
    config = _json_object(content)
    if config.get("peft_type") != "LORA":
        raise AdapterError(f"peft_type is {config.get('peft_type')!r}, not 'LORA'")
    _require(config, "r", info.rank)
    _require(config, "lora_alpha", info.alpha)
    _require(config, "base_model_name_or_path", persona.base_model)
    _require(config, "revision", info.base_revision)
    modules = config.get("target_modules")
    # As text, for what is listed may be anything.
    if not isinstance(modules, list) or set(map(str, modules)) != set(info.target_modules):
        raise AdapterError(
            f"target_modules are {modules!r} in {CONFIG_NAME}, "
            f"{list(info.target_modules)} in persona.json"
        )
    if config.get("bias", "none") != "none":
        raise AdapterError(f"bias is {config['bias']!r}; only adapters without are served")
    if config.get("init_lora_weights") not in _INITS:
        raise AdapterError(
            f"init_lora_weights is {config['init_lora_weights']!r}; only plain LoRA is served"
        )
    if used := sorted(name for name, value in config.items() if value and name not in _INERT):
        raise AdapterError(f"{', '.join(used)} is set; only plain LoRA is served")


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AdapterError(f"{CONFIG_NAME} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise AdapterError(f"{CONFIG_NAME} holds a {type(document).__name__}, not an object")
    return document


def _require(config: dict[str, Any], name: str, wanted: object) -> None:
    if config.get(name) != wanted:
        raise AdapterError(
            f"{name} is {config.get(name)!r} in {CONFIG_NAME}, {wanted!r} in persona.json"
        )


def _lines(layer: ObjectStore, folder: str, info: AdapterInfo) -> bytes | None:
    if info.lines_sha256 is None:
        return None
    content = _read(layer, f"{folder}/{LINES_NAME}", MAX_LINES_BYTES)
    _require_sha256(LINES_NAME, content, info.lines_sha256)
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise AdapterError(f"{LINES_NAME} is not UTF-8: {error}") from None
    return content


def _require_sha256(name: str, content: bytes, wanted: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != wanted:
        raise AdapterError(f"sha256 of {name} is {digest}, persona.json says {wanted}")


def _parse_weights(content: bytes, info: AdapterInfo) -> dict[str, LoraPair]:
    _require_sha256(WEIGHTS_NAME, content, info.weights_sha256)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise AdapterError(f"{WEIGHTS_NAME} is not safetensors: {error}") from None
    except KeyError as error:  # a type that PyTorch has no tensors of
        raise AdapterError(f"{WEIGHTS_NAME} holds numbers of type {error}") from None
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None or tensor.dtype not in _DTYPES or tensor.dim() != 2:
            raise AdapterError(
                f"{name[:120]} is {tensor.dtype} of shape {tuple(tensor.shape)}, no half of a pair"
            )
        if not tensor.isfinite().all():
            raise AdapterError(f"{name} holds what is no number")
        path, half = match.groups()
        halves.setdefault(path, {})[half] = tensor
    return {path: _pair(path, found, info) for path, found in sorted(halves.items())}


def _pair(path: str, halves: dict[str, Tensor], info: AdapterInfo) -> LoraPair:
    if halves.keys() != {"A", "B"}:
        raise AdapterError(f"{path} has only lora_{''.join(halves)}")
    if path.rpartition(".")[2] not in info.target_modules:
        raise AdapterError(f"{path} is none of the target modules {list(info.target_modules)}")
    pair = LoraPair(halves["A"], halves["B"])
    if pair.a.shape[0] != info.rank or pair.b.shape[1] != info.rank:
        raise AdapterError(
            f"{path} has rank {pair.a.shape[0]} and {pair.b.shape[1]}, not {info.rank}"
        )
    return pair
