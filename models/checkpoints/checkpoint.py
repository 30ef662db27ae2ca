"""A checkpoint in memory: which network it is of, its sizes, and its weights under our names."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.checkpoints.errors import CheckpointError
from models.checkpoints.files import check_weights
from models.gpt_sovits.s1.config import S1Config
from models.gpt_sovits.s1.network import Text2Semantic
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.synthesizer import Synthesizer

# No dimension of a usable voice comes near; without bounds a configuration could ask for any
# amount of work before its shapes are compared.
_MAX_SIZE = 2**16
_MAX_LAYERS = 256
_MAX_ENTRIES = 32  # of a list of sizes; lists multiply each other


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of the discriminators S2 is trained against."""

    width_divisor: int = 1


Config = S1Config | S2Config | DiscriminatorConfig
ConfigT = TypeVar("ConfigT", bound=Config)


class Kind(StrEnum):
    """Which network a checkpoint is of."""

    S1 = "gpt_sovits_v2_s1"
    S2 = "gpt_sovits_v2_s2"
    S2_DISCRIMINATORS = "gpt_sovits_v2_s2_discriminators"


CONFIG_CLASSES: dict[Kind, type[S1Config] | type[S2Config] | type[DiscriminatorConfig]] = {
    Kind.S1: S1Config,
    Kind.S2: S2Config,
    Kind.S2_DISCRIMINATORS: DiscriminatorConfig,
}


@dataclass(frozen=True)
class Checkpoint:
    """What both file formats hold.

    Attributes:
        kind: which network.
        config: its sizes.
        state: our names -> tensors, in the precision they were stored in.
        container: the entry an upstream file kept its weights under; None for one of our own.
        extras: everything else that file held, by its top-level name, so that it can be written
            again as it was.
    """

    kind: Kind
    config: Config
    state: dict[str, Tensor]
    container: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def has_posterior(self) -> bool:
        """Whether an S2 checkpoint holds the posterior encoder, which only training needs."""
        return any(key.startswith("posterior_encoder.") for key in self.state)

    def build(self) -> nn.Module:
        """The network in eval mode, float32, on the CPU."""
        with torch.device("meta"):
            network = _empty_network(self.config, self.has_posterior)
        weights = {key: tensor.to(torch.float32) for key, tensor in self.state.items()}
        network.load_state_dict(weights, strict=True, assign=True)
        return network.requires_grad_(True).eval()


def check_state(path: Path, checkpoint: Checkpoint) -> None:
    """Compare every key, shape and dtype with the network the configuration describes.

    Raises:
        CheckpointError: something is missing, left over, of another shape, not a weight, or not
            finite, as the weights of a training that diverged are.
    """
    _check_bounds(path, checkpoint.config)
    try:
        with torch.device("meta"):
            network = _empty_network(checkpoint.config, checkpoint.has_posterior)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(path, f"its sizes make no network: {error}") from error
    check_weights(path, network, checkpoint.state)


def config_to_json(config: Config) -> dict[str, Any]:
    return asdict(config)


def config_from_json(path: Path, config_class: type[ConfigT], values: Any) -> ConfigT:
    """Strict: an unknown field is an error, as is a size the configuration refuses.

    Raises:
        CheckpointError: as above.
    """
    if not isinstance(values, Mapping):
        raise CheckpointError(path, "the configuration is not an object")
    allowed = [entry.name for entry in fields(config_class)]
    if unknown := sorted(values.keys() - set(allowed)):
        raise CheckpointError(path, f"unknown configuration fields {unknown}; allowed: {allowed}")
    try:
        return config_class(**{name: _as_tuple(value) for name, value in values.items()})
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(path, f"bad configuration: {error}") from error


def _empty_network(config: Config, has_posterior: bool) -> nn.Module:
    if isinstance(config, S1Config):
        return Text2Semantic(config)
    if isinstance(config, S2Config):
        return Synthesizer(config, has_posterior)
    return Discriminators(config.width_divisor)


def _check_bounds(path: Path, config: Config) -> None:
    for name, value in asdict(config).items():
        limit = _MAX_LAYERS if "layers" in name or "couplings" in name else _MAX_SIZE
        numbers = _numbers(value)
        if len(numbers) > _MAX_ENTRIES:
            raise CheckpointError(
                path, f"{name} has {len(numbers)} entries; at most {_MAX_ENTRIES}"
            )
        for number in numbers:
            if number > limit:
                raise CheckpointError(path, f"{name} is {number}; at most {limit} is accepted")


def _numbers(value: Any) -> list[int | float]:
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
