"""Whether an uploaded clip can become a voice: speech, level, clipping, noise, one speaker."""

from models.audio.clip.checking import ClipChecker, ClipReport, SpokenClip
from models.audio.clip.errors import ClipReason, UnusableClip
from models.audio.clip.transcript import TranscriptMismatch, check_transcript, prompt_phoneme_ids

__all__ = [
    "ClipChecker",
    "ClipReason",
    "ClipReport",
    "SpokenClip",
    "TranscriptMismatch",
    "UnusableClip",
    "check_transcript",
    "prompt_phoneme_ids",
]
