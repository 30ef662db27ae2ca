"""What to publish, where, and what its model card says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from models.gpt_sovits.published import EmotionName, PublishedSampling, SslName
from training.loops.strict import ConfigError, StrictModel

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Version = Annotated[int, Field(ge=1, description="null: the next free number")]


class CardArgs(StrictModel):
    """What a model card says besides the figures; paths are relative to the working directory."""

    data: str = Field(description="what it was trained on, and under which licence that is")
    teacher: str = Field(default="none", description="who spoke the data, if it was synthesised")
    seed: int | None = None
    configs: list[Path] = Field(default=[], description="shown in full")
    logs: list[Path] = Field(default=[], description="their last lines are shown")
    commands: list[str] = Field(default=[], description="that make the same weights again")

    @field_validator("configs", "logs")
    @classmethod
    def _exist(cls, paths: list[Path]) -> list[Path]:
        return [_existing(path) for path in paths]


class CheckpointArgs(StrictModel):
    """Weights to publish."""

    id: Name
    version: Version | None = None
    s1: Path = Field(description="our .json, or an upstream .ckpt")
    s2: Path = Field(description="our .json, or an upstream .pth")
    ssl: SslName = Field(description="encoder that the semantic tokens are made with")
    precision: Literal["fp16", "fp32"] = "fp16"
    description: str
    licence: str = Field(min_length=1)
    sampling: PublishedSampling = Field(
        default=PublishedSampling(), description="how tokens and noise are drawn when serving"
    )
    evaluation: Path | None = Field(default=None, description="report.json of an evaluation")


class ReferenceArgs(StrictModel):
    """A clip of a voice."""

    clip: Path = Field(description="mono, 3 to 10 s, unless the transcript is empty")
    transcript: str = Field(description="empty: the clip gives timbre alone")
    language: str = "ko"
    emotions: dict[EmotionName, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={"neutral": 1.0}, min_length=1
    )


class VoiceArgs(StrictModel):
    """A voice to publish with the weights."""

    id: Name
    version: Version | None = None
    language: str = "ko"
    description: str
    licence: str = Field(min_length=1)
    references: list[ReferenceArgs] = Field(min_length=1, max_length=16)
    evaluation: Path | None = Field(default=None, description="report.json of an evaluation")


class HubArgs(StrictModel):
    """A repository of a model hub; the token is `HF_TOKEN` of the environment."""

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    endpoint: str | None = Field(default=None, description="null: the public hub")
    is_private: bool = True


class PublishArgs(StrictModel):
    """`training/configs/publish.yaml`."""

    root: str | None = Field(default=None, description="storage root: a folder, or s3://…")
    checkpoint: CheckpointArgs | str = Field(description="new weights, or id@version of others")
    voices: list[VoiceArgs] = []
    hubert_folder: Path | None = Field(
        default=None, description="chinese-hubert-base, for weights that use it"
    )
    num_threads: int = Field(default=1, ge=1, le=64)
    card: CardArgs
    hub: HubArgs | None = None

    @model_validator(mode="after")
    def _is_something(self) -> PublishArgs:
        if isinstance(self.checkpoint, str) and not self.voices:
            raise ValueError("there is nothing to publish: neither weights nor a voice")
        return self


def read_metrics(report: Path | None) -> dict[str, float]:
    """The figures of the voice on trial, out of an evaluation's `report.json`.

    Raises:
        ConfigError: the file is no such report.
    """
    if report is None:
        return {}
    try:
        summary = json.loads(report.read_text(encoding="utf-8"))["voices"][0]["summary"]
        return {name: float(value) for name, value in summary.items() if value is not None}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{report} is no report of an evaluation: {error!r}") from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    return path
