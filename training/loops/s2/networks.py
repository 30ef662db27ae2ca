"""S2's networks as a run begins with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from models.checkpoints import Checkpoint, Kind, read_checkpoint
from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.discriminator import Discriminators
from models.gpt_sovits.s2.synthesizer import Synthesizer
from training.loops.s2.args import S2Args
from training.loops.s2.widening import copy_widened
from training.loops.seeds import seed_weights
from training.loops.strict import ConfigError

_TOKENIZER = ("ssl_proj.", "codebook.")
# Half precision moves a base's codebook by less than this; another codebook is farther away.
_SAME_CODEBOOK = 0.02


def initial_synthesizer(args: S2Args, tokenizer: Mapping[str, Tensor]) -> Synthesizer:
    """From scratch around the data's tokenizer, or the base's, which must have made the tokens.

    A base without posterior encoder, as published voices are, gets a fresh one.

    Raises:
        ConfigError: base or sizes do not fit the tokenizer, or the base is not of S2.
        CheckpointError: the base cannot be read.
    """
    seed_weights(args.seed)
    if args.base is None:
        assert args.network is not None  # one of the two is given
        synthesizer = Synthesizer(args.network, has_posterior=True)
        _check_shapes(args.network, tokenizer)
        synthesizer.load_state_dict(dict(tokenizer), strict=False)
    else:
        synthesizer = _from_base(args, read_checkpoint(args.base), tokenizer)
    synthesizer.ssl_proj.requires_grad_(False)
    return synthesizer


def initial_discriminators(args: S2Args) -> Discriminators:
    """From scratch, or the base's.

    Raises:
        ConfigError: the base is not of discriminators.
        CheckpointError: it cannot be read.
    """
    if args.base_discriminators is None:
        return Discriminators(args.discriminator_divisor)
    network = read_checkpoint(args.base_discriminators).build()
    if not isinstance(network, Discriminators):
        raise ConfigError(f"{args.base_discriminators} is of {type(network).__name__}")
    return network


def _from_base(args: S2Args, base: Checkpoint, tokenizer: Mapping[str, Tensor]) -> Synthesizer:
    config = base.config
    if base.kind is not Kind.S2 or not isinstance(config, S2Config):
        raise ConfigError(f"base {args.base} is no S2 checkpoint but one of {base.kind.value}")
    if args.segment_frames is not None:
        config = replace(config, segment_frames=args.segment_frames)
    if args.max_crop_frames is not None and args.max_crop_frames < config.segment_frames:
        raise ConfigError(
            f"max_crop_frames is {args.max_crop_frames}; a segment alone has "
            f"{config.segment_frames}"
        )
    _check_shapes(config, tokenizer)
    distance = (base.state["codebook.embed"].float() - tokenizer["codebook.embed"]).abs().max()
    if float(distance) > _SAME_CODEBOOK:
        raise ConfigError(
            f"the data's tokens are not those of base {args.base}: their codebooks differ by up to "
            f"{float(distance):.3g}; prepare the data with the base's tokenizer"
        )
    synthesizer = Synthesizer(config, has_posterior=True)
    weights = {name: tensor.float() for name, tensor in base.state.items()}
    synthesizer.load_state_dict(weights, strict=base.has_posterior)
    return synthesizer if args.widen_to is None else _widened(synthesizer, args.widen_to, args.seed)


def _widened(synthesizer: Synthesizer, width: int, seed: int) -> Synthesizer:
    narrow = synthesizer.config.upsample_channels
    if width < narrow:
        raise ConfigError(
            f"widen_to is {width}; the base's generator has {narrow} channels already"
        )
    try:
        config = replace(synthesizer.config, upsample_channels=width)
    except ValueError as error:
        raise ConfigError(f"widen_to: {error}") from error
    wide = Synthesizer(config, has_posterior=True)
    rest = {n: p for n, p in synthesizer.state_dict().items() if not n.startswith("generator.")}
    wide.load_state_dict(rest, strict=False)
    copy_widened(synthesizer.generator, wide.generator, seed)
    return wide


def _check_shapes(config: S2Config, tokenizer: Mapping[str, Tensor]) -> None:
    if strange := [name for name in tokenizer if not name.startswith(_TOKENIZER)]:
        raise ConfigError(f"the tokenizer holds {strange}, which is not part of one")
    found = tuple(tokenizer["codebook.embed"].shape)
    expected = (config.codebook_size, config.ssl_dim)
    if found != expected:
        raise ConfigError(
            f"the data's codebook is {found}; codebook_size and ssl_dim of the network are "
            f"{expected}"
        )
