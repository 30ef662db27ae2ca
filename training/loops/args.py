"""Settings that training runs share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from training.loops.strict import StrictModel


class WorkersArgs(StrictModel):
    """Who does the work of a run, of S1, S2 or a persona alike."""

    num_workers: int = Field(
        default=1, ge=1, description="processes that share an update (Ray Train)"
    )
    num_cpus_per_worker: float = Field(
        default=1.0, gt=0, description="that Ray reserves for a worker"
    )
    use_gpu: bool = False
    max_failures: int = Field(default=3, ge=0, description="lost workers that Ray Train replaces")
    num_threads: int | None = Field(
        default=None, ge=1, description="of PyTorch in a worker; None: its own"
    )


class ValidationArgs(StrictModel):
    """What is held out, how often it is looked at, and when enough is enough."""

    share: float = Field(
        default=0.02, gt=0, lt=0.5, description="of all sentences; chosen by their text"
    )
    max_clips: int = Field(default=64, ge=1, description="held-out clips the loss is measured on")
    every_updates: int = Field(default=500, ge=1)
    num_samples: int = Field(default=4, ge=0, description="clips that are generated in full")
    patience: int | None = Field(
        default=None, ge=1, description="stop after this many validations without a better one"
    )


class CheckpointArgs(StrictModel):
    """How much work an interruption may cost, and how much disk that takes."""

    every_minutes: float = Field(default=10.0, gt=0)
    keep: int = Field(
        default=2, ge=1, description="newest ones that stay; the best weights stay besides"
    )


class ExportArgs(StrictModel):
    """The weights that are handed on to be published."""

    weights: Literal["best", "last"] = "last"
    precision: Literal["fp16", "fp32"] = "fp16"


class RunArgs(WorkersArgs):
    """A run of S1 or S2."""

    seed: int = Field(default=1234, ge=0, lt=2**32)
    batch_size: int = Field(ge=1, description="clips of a batch, over all workers together")
    accumulate: int = Field(default=1, ge=1, description="batches whose gradients make one update")
    epochs: int = Field(ge=1)
    max_updates: int | None = Field(
        default=None, ge=1, description="end here, whatever the epochs say"
    )
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    num_loaders: int = Field(default=0, ge=0, description="processes that read ahead; 0: none")
    clip_norm: float | None = Field(default=None, gt=0, description="bound on the gradients' norm")
    log_every_updates: int = Field(default=10, ge=1)
    bucket_s: float = Field(default=2.0, gt=0, description="of durations that share batches")
    speakers: list[str] | None = Field(
        default=None, min_length=1, description="None: all of the data"
    )
    validation: ValidationArgs = ValidationArgs()
    checkpoints: CheckpointArgs = CheckpointArgs()
    export: ExportArgs = ExportArgs()

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.batch_size % self.num_workers:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared evenly by "
                f"{self.num_workers} workers"
            )
        return self
