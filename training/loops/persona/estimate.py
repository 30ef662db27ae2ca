"""What a fine-tuning would take on a GPU, found out without weights.

The network is built on the meta device, so its shapes are the real ones and its memory is none.
Figures are estimates: fragmentation and kernels' own memory are in ``_OVERHEAD_GIB``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from training.loops.persona.args import PersonaArgs
from training.loops.persona.trainer import lora_config
from training.loops.strict import ConfigError

_GIB = 2**30
# CUDA's context, cuBLAS workspaces, fragmentation.
_OVERHEAD_GIB = 1.5
# NF4 with double quantisation: 4 bits, 8 bits for 64 weights, 32 bits for 64 × 256 weights.
_NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
_BYTES = {"bfloat16": 2.0, "float16": 2.0, "float32": 4.0}
# Of a layer while it is computed again, in widths of the hidden state and of the MLP.
_LAYER_WIDTHS, _LAYER_MLP_WIDTHS = 12, 5


@dataclass(frozen=True)
class Estimate:
    """Numbers of parameters, and gibibytes at the busiest moment of an update."""

    base_parameters: int
    adapter_parameters: int
    num_adapted_layers: int
    base_gib: float
    adapter_gib: float
    activations_gib: float
    overhead_gib: float = _OVERHEAD_GIB

    @property
    def total_gib(self) -> float:
        return self.base_gib + self.adapter_gib + self.activations_gib + self.overhead_gib

    def __str__(self) -> str:
        return (
            f"base: {self.base_parameters:,} parameters, {self.base_gib:.2f} GiB\n"
            f"adapter: {self.adapter_parameters:,} parameters on {self.num_adapted_layers} layers, "
            f"{self.adapter_gib:.2f} GiB with gradients and optimizer\n"
            f"activations: {self.activations_gib:.2f} GiB\n"
            f"GPU context and fragmentation: {self.overhead_gib:.2f} GiB\n"
            f"together: {self.total_gib:.2f} GiB"
        )


def estimate(args: PersonaArgs, architecture: Path) -> Estimate:
    """Build the network of a ``config.json`` without memory, adapt it, and add up.

    Raises:
        ConfigError: the file can't be read, or a target module is nowhere in the network.
    """
    config = _read(architecture)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    base_gib = _base_bytes(args, model) / _GIB
    base_parameters = sum(p.numel() for p in model.parameters())
    missing = set(args.lora.target_modules) - {name.split(".")[-1] for name, _ in _linear(model)}
    if missing:
        raise ConfigError(f"{architecture} has no layer called {sorted(missing)[0]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, about peft's own words
        adapted = get_peft_model(model, lora_config(args))
    trained = [p for p in adapted.parameters() if p.requires_grad]
    num_trained = sum(p.numel() for p in trained)
    return Estimate(
        base_parameters=base_parameters,
        adapter_parameters=num_trained,
        num_adapted_layers=len(trained) // 2,
        base_gib=base_gib,
        # In float32: weights, gradients, and Adam's two moments.
        adapter_gib=num_trained * 4 * 4 / _GIB,
        activations_gib=_activation_bytes(args, config) / _GIB,
    )


def _read(architecture: Path) -> PreTrainedConfig:
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(architecture)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{architecture}: {error}") from None
    return config


def _linear(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]


def _base_bytes(args: PersonaArgs, model: nn.Module) -> float:
    """bitsandbytes quantises every linear layer but the output projection."""
    if args.precision != "nf4":
        return sum(p.numel() for p in model.parameters()) * _BYTES[args.precision]
    quantised = sum(
        part.weight.numel() for name, part in _linear(model) if not name.endswith("lm_head")
    )
    rest = sum(p.numel() for p in model.parameters()) - quantised
    return float(quantised * _NF4_BYTES + rest * _BYTES[args.compute_dtype])


def _activation_bytes(args: PersonaArgs, config: PreTrainedConfig) -> float:
    """With checkpointing one state a layer and one layer in full; else every layer in full."""
    tokens = args.batch_size * args.max_tokens
    half = args.compute_dtype if args.precision == "nf4" else args.precision
    width = _BYTES[half]
    one_layer = (
        tokens
        * width
        * (_LAYER_WIDTHS * config.hidden_size + _LAYER_MLP_WIDTHS * config.intermediate_size)
    )
    states = tokens * width * config.hidden_size * config.num_hidden_layers
    # Logits and their gradient in float32, had all tokens of a batch to be learnt.
    logits = 2 * tokens * config.vocab_size * 4
    layers = one_layer if args.activation_checkpointing else config.num_hidden_layers * one_layer
    return float(layers + logits + (states if args.activation_checkpointing else 0))
