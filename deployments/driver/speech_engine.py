"""What a speech engine is to its driver: a segment in, its waveform out in chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deployments.driver.catalog import Style, Voice
from deployments.driver.continuity import Link
from deployments.engine.batching.priority import Priority
from deployments.messages import PronouncedSegment

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """One segment, who speaks it and how.

    Args:
        seed: of this segment; the same utterance sounds the same.
        priority: whether somebody listens; changes nothing about the sound.
        link: its place in the text, for engines that go on from what was said; None if it has none.
    """

    segment: PronouncedSegment
    voice: Voice
    style: Style
    seed: int
    priority: Priority = "interactive"
    link: Link | None = None


class SpeechEngine(Protocol):
    """Speaks with one or several stages of the graph. All voices are equally loud."""

    @property
    def sample_rate(self) -> int:
        """Hz, of everything it speaks."""

    def speak(self, utterance: Utterance) -> AsyncGenerator[Waveform]:
        """Chunks of (samples,) in [-1, 1] that joined are the segment; closing ends all work."""

    async def prepare(self, voice: Voice, style: Style) -> None:
        """Do ahead what the first segment of this voice and emotion would wait for."""
