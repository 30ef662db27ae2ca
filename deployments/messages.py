"""What crosses a handle between deployments, besides plain values."""

from __future__ import annotations

from dataclasses import dataclass

from models.kokoro.voice import KokoroVoice


@dataclass(frozen=True)
class Segment:
    """A piece of text that is spoken in one go.

    Args:
        text: as it was written.
        pronounced: in Hangul as it sounds.
    """

    text: str
    pronounced: str


@dataclass(frozen=True)
class SegmentRequest:
    """One segment to speak, with everything the speaking stage needs to know.

    Args:
        segment: what to say.
        voice: settings of the voice, immutable.
        emotion: one of the voice's emotions.
        speed: 1 is the voice's own pace.
    """

    segment: Segment
    voice: KokoroVoice
    emotion: str
    speed: float
