"""What to evaluate, with what, and which figures decide."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from training.evaluation.gates import Gate, make_gates, target_gates


class EvaluateConfig(BaseModel):
    """`training/configs/evaluate.yaml`; paths are relative to the working directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: str = Field(description="id or id@version, unless the command line names another")
    language: str = "ko"
    sentences: Path = Field(description="one sentence a line; # begins a comment line")
    skip_sentences: int = Field(default=0, ge=0, description="lines not to be used")
    max_sentences: int | None = Field(default=None, ge=1)
    long_texts: Path | None = Field(
        default=None, description="texts of 30 s and more, one a line; null: none"
    )
    rivals: list[str] = Field(
        default=[], description="voices that a sentence must not be mistaken for"
    )
    anchor_texts: list[str] = Field(
        min_length=1,
        description="spoken as the reference of a voice that no recording was made of",
    )
    root: str | None = Field(
        default=None, description="storage root, a folder or s3://…, beside what ships"
    )
    num_threads: int = Field(default=1, ge=1, le=64)
    gates: dict[str, float] | None = Field(
        default=None, description="limit by metric; null: every target of the quality table"
    )
    unneeded: list[str] = Field(
        default=[], description="metrics that may stay unmeasured without failing the voice"
    )
    player_bit_rate: int = Field(default=20_000, ge=8_000, le=192_000)

    @field_validator("sentences", "long_texts")
    @classmethod
    def _exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"no such file: {path}")
        return path

    @field_validator("root")
    @classmethod
    def _absolute(cls, root: str | None) -> str | None:
        return root if root is None or "://" in root else str(Path(root).resolve())

    def make_gates(self) -> list[Gate]:
        """The gates of this configuration."""
        limits = self.gates
        if limits is None:
            limits = {gate.metric.name: gate.limit for gate in target_gates()}
        return make_gates(limits, self.unneeded)


def load_config(path: Path) -> EvaluateConfig:
    """Read and check a configuration.

    Raises:
        ValueError: it can't be read, or says something that is not allowed.
    """
    try:
        config = EvaluateConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        config.make_gates()
    except (OSError, yaml.YAMLError, ValidationError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return config


def read_lines(path: Path, skip: int = 0, limit: int | None = None) -> list[str]:
    """The texts of a file, without empty lines and comments.

    Raises:
        ValueError: nothing is left.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [line for line in lines if line and not line.startswith("#")][skip:][:limit]
    if not texts:
        raise ValueError(f"{path} holds no text behind the first {skip}")
    return texts
