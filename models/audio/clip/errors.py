"""Why a clip is refused."""

from __future__ import annotations

from typing import Literal

ClipReason = Literal[
    "too-little-speech",
    "too-long",
    "too-quiet",
    "clipped",
    "too-noisy",
    "several-speakers",
    "another-speaker",
]


class UnusableClip(ValueError):
    """The clip can be decoded, and can't become a voice.

    Args:
        reason: what is wrong, for programs.
        detail: the same for people, with the measured value and what is allowed.
        measured: in the unit of `limit`.
        limit: what `measured` passed.
    """

    def __init__(self, reason: ClipReason, detail: str, measured: float, limit: float) -> None:
        super().__init__(detail)
        self.reason = reason
        self.measured = measured
        self.limit = limit
