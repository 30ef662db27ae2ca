"""Settings of a persona's fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.persona.adapter import MAX_RANK, Precision
from training.loops.args import WorkersArgs
from training.loops.strict import StrictModel
from training.publishing.config import HubArgs


class LoraArgs(StrictModel):
    """Hu et al. 2021; the update of a projection is scaled by ``alpha / rank``."""

    rank: int = Field(default=16, ge=1, le=MAX_RANK)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: list[Annotated[str, Field(pattern=r"^[a-z_]+$")]] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        min_length=1,
        description="last parts of the names of the projections that are adapted",
    )


class SplitArgs(StrictModel):
    """Which situations are held out."""

    held_out_share: float = Field(default=0.1, gt=0, lt=0.5)
    seed: int = Field(default=1, ge=0)


class SaveArgs(StrictModel):
    """How much work an interruption may cost, and how much disk that takes."""

    every_updates: int = Field(default=20, ge=1)
    keep: int = Field(default=2, ge=1)


class PublishingArgs(StrictModel):
    """What is measured of the finished adapter, and how it is written."""

    weights: Literal["best", "last"] = Field(
        default="best", description="by held-out loss, or those of the last update"
    )
    serves_in: list[Precision] = Field(
        min_length=1, description="precisions of the base that the adapter may be served on"
    )
    num_scenes: int = Field(default=20, ge=1, description="held-out scenes it is measured on")
    licence: str = Field(min_length=1, max_length=200, description="of the adapter")
    notice: str = Field(default="", description="that the base model's terms ask to pass on")
    with_lines: bool = Field(
        default=True, description="beside the adapter, so that engines keep it from reciting them"
    )
    hub: HubArgs | None = None


class PersonaArgs(WorkersArgs):
    """``training/configs/finetune_persona_*.yaml``; no packing, and only lines are learnt."""

    base_model: str = Field(description="the embedded one, or a repository of a model hub")
    base_revision: str | None = Field(default=None, description="commit of that repository")
    precision: Precision = Field(description="of the frozen weights; adapters are in float32")
    compute_dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16", description="that NF4 weights are multiplied in"
    )
    lora: LoraArgs = LoraArgs()
    epochs: int = Field(default=3, ge=1)
    max_updates: int | None = Field(default=None, ge=1, description="end here all the same")
    batch_size: int = Field(ge=1, description="rows a worker computes at once")
    accumulate: int = Field(default=1, ge=1, description="batches whose gradients make one update")
    lr: float = Field(default=2e-4, gt=0, description="highest; falls to zero along a cosine")
    warmup_share: float = Field(default=0.05, ge=0, lt=1, description="of all updates")
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(ge=8, description="a longer row is refused, not cut")
    activation_checkpointing: bool = Field(
        default=False, description="computes activations twice instead of keeping them"
    )
    seed: int = Field(default=1, ge=0, lt=2**32)
    data: SplitArgs = SplitArgs()
    validation_every_updates: int = Field(default=20, ge=1)
    checkpoint: SaveArgs = SaveArgs()
    log_every_updates: int = Field(default=5, ge=1)
    publishing: PublishingArgs

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.precision not in self.publishing.serves_in:
            raise ValueError(f"publishing.serves_in lacks {self.precision}, which it is trained in")
        return self
