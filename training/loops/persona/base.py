"""Opens the base model that an adapter is trained on, frozen and in the precision asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from models.persona.adapter import Precision
from models.persona.base_model import BASE_MODEL, BASE_REVISION, ensure_base_model
from training.loops.strict import ConfigError

DTYPES = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class Base:
    """Where the weights of a base model are.

    Args:
        name: by which personas call it.
        revision: which weights exactly: a commit, or a checksum.
        source: folder, or repository of a model hub.
        commit: of that repository.
    """

    name: str
    revision: str
    source: str
    commit: str | None = None

    @classmethod
    def named(cls, name: str, revision: str | None) -> Base:
        """The embedded base model, or one of a model hub at a commit.

        Raises:
            ConfigError: a hub's model without a commit: its weights could change.
            models.assets.AssetError: the embedded one could not be fetched.
        """
        if name == BASE_MODEL:
            if revision not in (None, BASE_REVISION):
                raise ConfigError(
                    f"base_revision is {revision}; the {BASE_MODEL} here is {BASE_REVISION}"
                )
            return cls(name, BASE_REVISION, str(ensure_base_model()))
        if revision is None:
            raise ConfigError(f"name the commit of {name} in base_revision")
        return cls(name, revision, name, revision)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer, which pads with the end token where it has no padding of its own."""
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            self.source, revision=self.commit
        )
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def model(
        self, precision: Precision, compute_dtype: str, device: torch.device
    ) -> PreTrainedModel:
        """Its weights on one device; every parameter is frozen.

        Args:
            precision: ``nf4`` quantises the linear layers (Dettmers et al. 2023, QLoRA), twice.
            compute_dtype: that quantised weights are multiplied in.
        """
        arguments: dict[str, Any] = {"dtype": DTYPES.get(precision, DTYPES[compute_dtype])}
        if precision == "nf4":
            arguments["quantization_config"] = nf4_config(compute_dtype)
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            self.source, revision=self.commit, device_map={"": device}, **arguments
        )
        if precision == "nf4" and device.type == "cpu":
            _keep_differentiable(model)
        return model.requires_grad_(False)


def _keep_differentiable(model: PreTrainedModel) -> None:
    """On CPUs with AVX512-BF16 a pass without gradients (a validation) makes bitsandbytes repack
    the weights for a kernel that has no backward; all later gradients would be wrong."""
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def nf4_config(compute_dtype: str) -> BitsAndBytesConfig:
    """4-bit NormalFloat, its scales quantised as well."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[compute_dtype],
    )
