"""Settings of a run of S1."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.gpt_sovits.s1.config import S1Config
from training.loops.args import RunArgs
from training.loops.schedule import S1Reference, Schedule, Steps
from training.loops.strict import AbsolutePath, StrictModel

_NEVER = Steps(points=[(0, 0.0)])


class ScaledAdamArgs(StrictModel):
    """The reference's optimizer, on summed losses."""

    kind: Literal["scaled_adam"] = "scaled_adam"
    lr: Schedule = S1Reference()


class AdamWArgs(StrictModel):
    """For training from scratch on little data, on losses averaged over tokens."""

    kind: Literal["adamw"] = "adamw"
    lr: Schedule
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)


class GuidedAttentionArgs(StrictModel):
    """Which heads are asked to look at the text, and how strongly.

    ``weight`` is of where the text should be by then, ``alignment_weight`` of reading in order.
    """

    weight: Schedule = _NEVER
    alignment_weight: Schedule = _NEVER
    has_timings: bool = Field(
        default=False,
        description="take the places from alignment.jsonl in the prepared folder, and guide only "
        "the clips that are in it; otherwise the text is taken to be spread evenly",
    )
    sigma: float = Field(default=0.07, gt=0, description="width, as a share of the text's length")
    layers: list[int] = Field(default=[1, 2, 3], min_length=1)
    num_heads: int = Field(default=2, ge=1)


class TokenNoiseArgs(StrictModel):
    """True tokens replaced in the input, so that the text must tell what comes."""

    max_rate: float = Field(
        default=0.0, ge=0, le=1, description="an item's rate is drawn from 0 to this"
    )
    heavy_share: float = Field(
        default=0.0, ge=0, le=1, description="of items disturbed by heavy_rate"
    )
    heavy_rate: float = Field(default=0.75, ge=0, le=1)


class S1Args(RunArgs):
    """A run of ``train_s1``."""

    network: S1Config | None = None
    base: AbsolutePath | None = Field(
        default=None, description="checkpoint to start from, native or upstream"
    )
    optimizer: Annotated[ScaledAdamArgs | AdamWArgs, Field(discriminator="kind")] = ScaledAdamArgs()
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    preference: bool = Field(
        default=False, description="add the preference term; takes twice the time"
    )
    pair_share: float = Field(default=0.0, ge=0, le=1, description="of clips put behind another")
    max_clip_s: float = Field(
        default=54.0, gt=0, description="longer clips, and pairs, are left out"
    )
    token_noise: TokenNoiseArgs = TokenNoiseArgs()
    guided_attention: GuidedAttentionArgs = GuidedAttentionArgs()
    best_by: Literal["loss", "free_running"] = "loss"

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if (self.network is None) == (self.base is None):
            raise ValueError("give either network (from scratch) or base (fine-tuning)")
        return self
