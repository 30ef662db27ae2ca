"""The base of every deployment's arguments."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictArgs(BaseModel):
    """Arguments in which an unknown name is an error, so that a typo fails at start."""

    model_config = ConfigDict(extra="forbid")
