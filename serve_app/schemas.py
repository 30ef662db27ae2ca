"""Bodies of replies that are nobody else's."""

from __future__ import annotations

from pydantic import BaseModel


class Speaker(BaseModel):
    """A voice as `/speakers` shows it."""

    speaker_id: str
    version: str
    engine: str
    language: str
    emotions: list[str]
    description: str
    licence: str
    created_at: str
