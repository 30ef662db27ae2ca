"""Settings of a run of S2."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from models.gpt_sovits.s2.config import S2Config
from models.gpt_sovits.s2.losses import KL_WEIGHT, MEL_WEIGHT
from training.loops.args import RunArgs
from training.loops.schedule import EpochDecay, Schedule, Steps
from training.loops.strict import AbsolutePath

# The reference's.
_LR, _LR_FACTOR = 1e-4, 0.999875


class S2Args(RunArgs):
    """A run of ``train_s2``."""

    network: S2Config | None = None
    base: AbsolutePath | None = Field(
        default=None, description="checkpoint to start from, native or upstream"
    )
    base_discriminators: AbsolutePath | None = None
    discriminator_divisor: Literal[1, 2, 4, 8] = Field(
        default=1, description="of the widths of discriminators from scratch"
    )
    lr: Schedule = EpochDecay(start=_LR, factor=_LR_FACTOR)
    discriminator_lr: Schedule = EpochDecay(start=_LR, factor=_LR_FACTOR)
    segment_frames: int | None = Field(
        default=None, ge=2, description="frames decoded of each row; None: the base's"
    )
    widen_to: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="upsample_channels of a wider generator that sounds as the base's; see ADR 10",
    )
    text_lr_scale: float = Field(default=0.4, gt=0, le=1, description="of what reads the text")
    betas: tuple[float, float] = (0.8, 0.99)
    eps: float = Field(default=1e-9, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    mel_weight: float = Field(default=MEL_WEIGHT, gt=0)
    kl_weight: Schedule = Steps(points=[(0, KL_WEIGHT)])
    gan_from_update: int = Field(
        default=0, ge=0, description="before it, only mel, STFT and KL losses"
    )
    prior_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="chance of a row to be decoded from its tokens, as in serving; see ADR 9",
    )
    stft_weight: Schedule = Steps(points=[(0, 0.0)])
    max_crop_frames: int | None = Field(
        default=None, ge=2, description="longer clips are cropped at random; even; None: never"
    )
    min_clip_s: float = Field(default=0.6, ge=0)
    max_clip_s: float = Field(default=54.0, gt=0)

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if (self.network is None) == (self.base is None):
            raise ValueError("give either network (from scratch) or base (fine-tuning)")
        if self.base_discriminators is not None and self.base is None:
            raise ValueError("base_discriminators without base: they judge another voice's sound")
        for name in ("segment_frames", "widen_to"):
            if getattr(self, name) is not None and self.base is None:
                raise ValueError(f"{name} without base: write it into network")
        return self

    @model_validator(mode="after")
    def _check_crop(self) -> Self:
        crop = self.max_crop_frames
        if crop is not None and crop % 2:
            raise ValueError(f"max_crop_frames is {crop}; it must be even, as a token is 2 frames")
        segment = self.network.segment_frames if self.network else self.segment_frames
        if crop is not None and segment is not None and crop < segment:
            raise ValueError(f"max_crop_frames is {crop}; a segment alone has {segment}")
        return self
