"""The sizes of a Zonos network, as its published `config.json` states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from models.zonos.codes import END_CODE, MASK_CODE
from models.zonos.conditioners import ConditionerConfig, conditioner_configs_from_json

# What the transformer's file says beside its sizes; another value would mean another network.
_FIXED_BACKBONE: dict[str, Any] = {
    "d_intermediate": 0,
    "rms_norm": False,
    "residual_in_fp32": False,
}
_FIXED_ATTENTION: dict[str, Any] = {
    "causal": True,
    "rotary_emb_interleaved": True,
    "qkv_proj_bias": False,
    "out_proj_bias": False,
}
_BACKBONE_SIZES = ("d_model", "attn_mlp_d_intermediate", "n_layer", "norm_epsilon")
# No usable network comes near; a configuration must not ask for any amount of work.
_MAX_SIZE = 2**16
_MAX_LAYERS = 256
_LAYER_KINDS = ("ssm_cfg", "attn_layer_idx")
_ATTENTION_SIZES = ("num_heads", "num_heads_kv", "rotary_emb_dim")
# Upstream pads its heads to a multiple of this; what it adds can never be drawn.
_DEFAULT_VOCAB_MULTIPLE = 8


class HybridBackboneError(ValueError):
    """The hybrid Zonos, whose backbone holds Mamba2 layers. Only the transformer can be served."""


@dataclass(frozen=True)
class BackboneConfig:
    """Sizes of the transformer; defaults are those of Zonos-v0.1-transformer."""

    hidden_dim: int = 2048
    num_layers: int = 26
    num_heads: int = 16
    num_kv_heads: int = 4
    feed_forward_dim: int = 8192
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            limit = _MAX_LAYERS if name == "num_layers" else _MAX_SIZE
            if name != "norm_eps" and not (isinstance(value, int) and 1 <= value <= limit):
                raise ValueError(f"{name} must be 1 to {limit}, not {value!r}")
        if not isinstance(self.norm_eps, float) or not 0.0 < self.norm_eps < 1.0:
            raise ValueError(f"norm_eps must be between 0 and 1, not {self.norm_eps!r}")
        if self.hidden_dim % (2 * self.num_heads):
            raise ValueError(
                f"hidden_dim must be a multiple of 2 * num_heads = {2 * self.num_heads}, "
                f"not {self.hidden_dim}"
            )
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads must be a multiple of num_kv_heads = {self.num_kv_heads}, "
                f"not {self.num_heads}"
            )

    @property
    def head_dim(self) -> int:
        return self.hidden_dim // self.num_heads

    @classmethod
    def from_upstream(cls, backbone: Mapping[str, Any]) -> Self:
        """Read the `backbone` section of a published configuration.

        Raises:
            HybridBackboneError: some of its layers are not attention.
            ValueError: an entry is missing, unknown, or one that this network can't follow.
        """
        _refuse_hybrid(backbone)
        section = {name: value for name, value in backbone.items() if name not in _LAYER_KINDS}
        attention = section.pop("attn_cfg", None)
        if not isinstance(attention, Mapping):
            raise ValueError("the backbone lacks attn_cfg")
        _check_entries("backbone", section, _FIXED_BACKBONE, _BACKBONE_SIZES)
        _check_entries("attn_cfg", attention, _FIXED_ATTENTION, _ATTENTION_SIZES)
        config = cls(
            hidden_dim=section["d_model"],
            num_layers=section["n_layer"],
            num_heads=attention["num_heads"],
            num_kv_heads=attention["num_heads_kv"],
            feed_forward_dim=section["attn_mlp_d_intermediate"],
            norm_eps=section["norm_epsilon"],
        )
        if attention["rotary_emb_dim"] != config.head_dim:
            raise ValueError(
                f"rotary_emb_dim is {attention['rotary_emb_dim']}; it must be that of a whole "
                f"head, {config.head_dim}"
            )
        return config


@dataclass(frozen=True)
class ZonosConfig:
    """A whole Zonos: its transformer and what its prefix is made of, in order."""

    backbone: BackboneConfig
    conditioners: tuple[ConditionerConfig, ...]

    @classmethod
    def from_upstream(cls, config: Mapping[str, Any]) -> Self:
        """Read a published `config.json`.

        Raises:
            HybridBackboneError: it is the hybrid.
            ValueError: an entry is missing, unknown, or one that this network can't follow.
        """
        sections = ("backbone", "prefix_conditioner")
        backbone, conditioner = (config.get(name) for name in sections)
        if not isinstance(backbone, Mapping) or not isinstance(conditioner, Mapping):
            raise ValueError(f"the configuration must have the sections {sections}")
        fixed = {"eos_token_id": END_CODE, "masked_token_id": MASK_CODE}
        _check_entries(
            "the configuration",
            {"pad_vocab_to_multiple_of": _DEFAULT_VOCAB_MULTIPLE, **config},
            {"pad_vocab_to_multiple_of": _DEFAULT_VOCAB_MULTIPLE, **fixed},
            sections,
        )
        return cls(
            BackboneConfig.from_upstream(backbone), conditioner_configs_from_json(conditioner)
        )


def _refuse_hybrid(backbone: Mapping[str, Any]) -> None:
    num_layers, attention_layers = backbone.get("n_layer"), backbone.get("attn_layer_idx")
    if not isinstance(num_layers, int) or not isinstance(attention_layers, list):
        raise ValueError("the backbone must have n_layer, a number, and attn_layer_idx, a list")
    is_all_attention = len(attention_layers) == num_layers and attention_layers == list(
        range(num_layers)
    )
    if backbone.get("ssm_cfg") or not is_all_attention:
        raise HybridBackboneError(
            "this is a hybrid Zonos: not all of its layers are attention; use "
            "Zonos-v0.1-transformer"
        )


def _check_entries(
    name: str, found: Mapping[str, Any], fixed: Mapping[str, Any], sizes: tuple[str, ...]
) -> None:
    known = {*fixed, *sizes}
    if missing := sorted(known - found.keys()):
        raise ValueError(f"{name} lacks {missing}")
    if unknown := sorted(found.keys() - known):
        raise ValueError(f"{name} has unknown entries {unknown}; known are {sorted(known)}")
    for entry, value in fixed.items():
        if found[entry] != value:
            raise ValueError(f"{entry} of {name} is {found[entry]!r}; it must be {value!r}")
