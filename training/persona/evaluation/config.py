"""What to evaluate a persona on, and which figures decide."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from training.evaluation.gates import Gate
from training.loops.strict import StrictModel
from training.persona.evaluation.marks import MARK_OF, MARKS


class EvaluatePersonaConfig(StrictModel):
    """``training/configs/evaluate_persona*.yaml``; paths are relative to the working directory."""

    persona: str = Field(description="id or id@version, unless the command line names another")
    rows: dict[str, Path] = Field(
        min_length=2, description="what each character was trained on, by persona id"
    )
    scenes: Path | None = Field(default=None, description="null: the project's held-out ones")
    dialogues: Path | None = Field(default=None, description="null: the project's own")
    max_scenes: int = Field(default=20, ge=2)
    max_dialogues: int = Field(default=2, ge=0)
    seeds: list[int] = Field(default=[1, 2], min_length=1)
    num_timed: int = Field(
        default=5, ge=0, description="lines asked for one by one, for their time"
    )
    num_at_once: int = Field(default=8, ge=1, le=64, description="lines asked for together")
    num_threads: int = Field(default=1, ge=1, le=64)
    root: str | None = Field(
        default=None, description="storage root, a folder or s3://…, beside what ships"
    )
    gates: dict[str, float] | None = Field(
        default=None, description="limit by mark; null: every target of the table"
    )
    unneeded: list[str] = Field(
        default=[], description="marks that may stay unmeasured without failing the persona"
    )

    @field_validator("gates", "unneeded")
    @classmethod
    def _known(cls, names: dict[str, float] | list[str] | None) -> object:
        if unknown := sorted(set(names or ()) - set(MARK_OF)):
            raise ValueError(f"no mark is called {unknown[0]!r}; there are: {', '.join(MARK_OF)}")
        return names

    def make_gates(self) -> list[Gate]:
        """The gates of this configuration, in the order of the table."""
        limits = self.gates
        if limits is None:
            limits = {mark.name: mark.target for mark in MARKS if mark.target is not None}
        return [
            Gate(mark, limits[mark.name], mark.name not in self.unneeded)
            for mark in MARKS
            if mark.name in limits
        ]
