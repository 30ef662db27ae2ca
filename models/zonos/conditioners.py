"""What comes before the codes: text and controls as a sequence of vectors.

    token = Conditioner(value)                        one for each control, one for each phoneme
    prefix = LayerNorm(Linear(concat(tokens)))        in the order of the configuration

A control that is not given has a learned vector in its place. Names of parameters are those of the
published checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from models.zonos.symbols import NUM_SYMBOLS

PHONEMES = "espeak"
"""Name of the conditioner that embeds the text; it alone can't be left out."""

_NORM_EPSILON = 1e-5
_MAX_DIM = 4096
_KINDS = (
    "EspeakPhonemeConditioner",
    "PassthroughConditioner",
    "FourierConditioner",
    "IntegerConditioner",
)
_DEFAULT_MAX = {"FourierConditioner": 1.0, "IntegerConditioner": 512}


@dataclass(frozen=True)
class ConditionerConfig:
    """One control, as `config.json` describes it.

    Args:
        type: which of the four kinds.
        name: what the control is called.
        cond_dim: numbers of a value that passes through; the network's width if absent.
        input_dim: numbers of a Fourier value.
        min_val, max_val: range of a Fourier or integer value.
        uncond_type: whether there is a vector for "not given".
        projection: whether a value that passes through goes through a linear layer.
    """

    type: str
    name: str
    cond_dim: int | None = None
    input_dim: int = 1
    min_val: float = 0.0
    max_val: float | None = None
    uncond_type: str = "none"
    projection: str = "none"

    def __post_init__(self) -> None:
        if self.type not in _KINDS:
            raise ValueError(f"conditioner type is {self.type!r}; known: {', '.join(_KINDS)}")
        if self.uncond_type not in ("none", "learned"):
            raise ValueError(f"{self.name}: uncond_type {self.uncond_type!r}; none or learned")
        if self.projection not in ("none", "linear"):
            raise ValueError(f"{self.name}: projection {self.projection!r}; none or linear")
        if not 1 <= self.input_dim <= _MAX_DIM or not 1 <= (self.cond_dim or 1) <= _MAX_DIM:
            raise ValueError(f"{self.name}: a dimension is not in 1 to {_MAX_DIM}")
        if not -math.inf < self.min_val < self.upper_val <= 2**16:
            raise ValueError(f"{self.name}: {self.min_val} to {self.upper_val} is no range")

    @property
    def upper_val(self) -> float:
        """The highest value, the kind's own if the configuration names none."""
        return _DEFAULT_MAX.get(self.type, 1.0) if self.max_val is None else self.max_val


def conditioner_configs_from_json(values: Mapping[str, Any]) -> tuple[ConditionerConfig, ...]:
    """The controls in the order of `config.json`'s object `prefix_conditioner`.

    Raises:
        ValueError: a field or a kind is unknown, a value is of another type or out of range, a name
            occurs twice, or there are no phonemes.
    """
    if unknown := sorted(set(values) - {"conditioners", "projection"}):
        raise ValueError(f"prefix_conditioner has an unknown field {unknown[0]!r}")
    if values.get("projection") != "linear":
        raise ValueError(f"prefix_conditioner.projection is {values.get('projection')!r}")
    entries = values.get("conditioners")
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ValueError("prefix_conditioner.conditioners is not a list")
    configs = tuple(_config(entry) for entry in entries)
    names = [config.name for config in configs]
    if len(set(names)) != len(names) or names.count(PHONEMES) != 1:
        raise ValueError(f"conditioners are {names}; each must occur once, {PHONEMES} among them")
    return configs


def _config(entry: Any) -> ConditionerConfig:
    if not isinstance(entry, Mapping):
        raise ValueError(f"a conditioner is {entry!r}, not an object")
    allowed = {field.name for field in fields(ConditionerConfig)}
    if unknown := sorted(set(entry) - allowed):
        raise ValueError(f"conditioner {entry.get('name')!r} has an unknown field {unknown[0]!r}")
    try:
        return ConditionerConfig(**entry)
    except TypeError as error:
        raise ValueError(f"conditioner {entry.get('name')!r} is malformed: {error}") from error


class Conditioner(nn.Module):
    """One control to its vectors; the learned vector where the value is absent."""

    uncond_vector: nn.Parameter | None

    def __init__(self, config: ConditionerConfig, d_model: int) -> None:
        super().__init__()
        self.name = config.name
        is_learned = config.uncond_type == "learned"
        self.uncond_vector = nn.Parameter(torch.zeros(d_model)) if is_learned else None

    def embed(self, value: Tensor) -> Tensor:
        """(token, d_model) of a value."""
        raise NotImplementedError

    def forward(self, value: Tensor | None) -> Tensor:
        """(token, d_model); raises ValueError where a value is needed, or can't be used."""
        if value is not None:
            return self.embed(value)
        if self.uncond_vector is None:
            raise ValueError(f"{self.name} must be given")
        return self.uncond_vector.unsqueeze(0)


class PhonemeConditioner(Conditioner):
    """(phoneme,) ids to as many vectors."""

    def __init__(self, config: ConditionerConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self.phoneme_embedder = nn.Embedding(NUM_SYMBOLS, d_model)

    def embed(self, value: Tensor) -> Tensor:
        if value.ndim != 1 or not len(value) or not 0 <= value.min() <= value.max() < NUM_SYMBOLS:
            raise ValueError(f"phoneme ids must be (phoneme,) in [0, {NUM_SYMBOLS}), one at least")
        vectors: Tensor = self.phoneme_embedder(value)
        return vectors


class PassthroughConditioner(Conditioner):
    """(cond_dim,) through a linear layer, if there is one, to one vector."""

    def __init__(self, config: ConditionerConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self._dim = config.cond_dim or d_model
        if config.projection == "linear":
            self.project: nn.Module = nn.Linear(self._dim, d_model)
        else:
            self.project = nn.Identity()
        self._d_model = d_model

    def embed(self, value: Tensor) -> Tensor:
        if value.shape != (self._dim,):
            raise ValueError(f"{self.name} must be ({self._dim},), not {tuple(value.shape)}")
        dtype = next((p.dtype for p in self.parameters()), value.dtype)
        vector: Tensor = self.project(value.to(dtype))
        return vector.unsqueeze(0)


class FourierConditioner(Conditioner):
    """(input_dim,) numbers in a range to cosines and sines of fixed random frequencies.

    With v the value scaled to [0, 1], the vector is ``concat(cos f, sin f)``, ``f = (2 pi v) W^T``.
    v takes on the precision of W before it is multiplied: in bfloat16 that rounds the angle
    coarsely, and the published weights are used to it.
    """

    weight: Tensor

    def __init__(self, config: ConditionerConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self.register_buffer("weight", torch.zeros(d_model // 2, config.input_dim))
        self._low, self._high = config.min_val, config.upper_val

    def embed(self, value: Tensor) -> Tensor:
        if value.shape != self.weight.shape[1:]:
            raise ValueError(
                f"{self.name} must be ({self.weight.shape[1]},), not {tuple(value.shape)}"
            )
        scaled = ((value.float() - self._low) / (self._high - self._low)).to(self.weight.dtype)
        angles = 2 * math.pi * scaled @ self.weight.T
        return torch.cat((angles.cos(), angles.sin())).unsqueeze(0)


class IntegerConditioner(Conditioner):
    """(1,) whole number to one of as many vectors as the range has members."""

    def __init__(self, config: ConditionerConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self._low, self._high = int(config.min_val), int(config.upper_val)
        self.int_embedder = nn.Embedding(self._high - self._low + 1, d_model)

    def embed(self, value: Tensor) -> Tensor:
        if value.shape != (1,) or not self._low <= int(value) <= self._high:
            raise ValueError(
                f"{self.name} is {value.tolist()}; one of {self._low} to {self._high} is allowed"
            )
        vectors: Tensor = self.int_embedder(value.long() - self._low)
        return vectors


_CLASSES: dict[str, type[Conditioner]] = dict(
    zip(
        _KINDS,
        (PhonemeConditioner, PassthroughConditioner, FourierConditioner, IntegerConditioner),
        strict=True,
    )
)


class PrefixConditioner(nn.Module):
    """All controls of a network.

    Args:
        conditioners: in the order of the sequence.
        d_model: width of the network.
    """

    def __init__(self, conditioners: Sequence[ConditionerConfig], d_model: int) -> None:
        super().__init__()
        self.conditioners = nn.ModuleList(
            _CLASSES[config.type](config, d_model) for config in conditioners
        )
        self.project = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=_NORM_EPSILON)

    @property
    def names(self) -> frozenset[str]:
        """What can be given besides the phonemes."""
        return frozenset(str(conditioner.name) for conditioner in self.conditioners) - {PHONEMES}

    def forward(self, phoneme_ids: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """The prefix of one row.

        Args:
            phoneme_ids: (phoneme,) int64, begin and end marks included.
            values: control -> its numbers, (1,) where there is one; what is absent is "not given".

        Returns:
            (position, d_model), in the precision of the weights.

        Raises:
            ValueError: a control that the network does not have, or a value that does not fit.
        """
        if unknown := sorted(set(values) - self.names):
            raise ValueError(
                f"the network has no control {unknown[0]!r}; it has {', '.join(sorted(self.names))}"
            )
        given = {**values, PHONEMES: phoneme_ids}
        device = self.norm.weight.device
        tokens = [
            conditioner(value if value is None else value.to(device))
            for conditioner in self.conditioners
            for value in (given.get(str(conditioner.name)),)
        ]
        prefix: Tensor = self.norm(self.project(torch.cat(tokens)))
        return prefix

    def guidance_pair(self, phoneme_ids: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """(2, position, d_model): with everything given, and with nothing but the same text."""
        return torch.stack((self(phoneme_ids, values), self(phoneme_ids, {})))
