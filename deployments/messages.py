"""What crosses a handle between deployments, besides plain values.

The stages of GPT-SoVITS have theirs in `deployments.engine.speech.protocol`, the persona's engine
in `deployments.engine.persona.protocol`.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployments.engine.batching.priority import Priority
from models.kokoro.voice import KokoroVoice
from models.text.frontend import Segment


@dataclass(frozen=True)
class PronouncedSegment:
    """A segment, and its reading in Hangul as it sounds."""

    segment: Segment
    pronounced: str


@dataclass(frozen=True)
class SegmentRequest:
    """One segment to speak, with everything the one-stage engine needs to know.

    Args:
        segment: what to say.
        voice: settings of the voice, immutable.
        emotion: one of the voice's emotions.
        speed: 1 is the voice's own pace.
        priority: whether somebody listens.
    """

    segment: PronouncedSegment
    voice: KokoroVoice
    emotion: str
    speed: float
    priority: Priority = "interactive"


@dataclass(frozen=True)
class StageStats:
    """What a speaking stage has to do: segments in work, segments that wait, audio of both."""

    active: int
    waiting: int
    queued_audio_s: float
