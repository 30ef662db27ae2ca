"""Captions: the sentences of a recording with their times, as SRT and WebVTT."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’」』)\]]*\s*$|\n\s*$")


@dataclass(frozen=True)
class Cue:
    """One sentence of a recording; times in milliseconds from its start."""

    start_ms: int
    end_ms: int
    text: str


def sentence_cues(spoken: Iterable[tuple[str, float]]) -> list[Cue]:
    """Cues of a recording, one for each sentence.

    Args:
        spoken: text and duration in seconds of the pieces of the recording, in order. A sentence
            may have been spoken in several pieces.

    Returns:
        Cues that neither overlap nor leave gaps; a sentence of no text or no duration has none.
    """
    cues: list[Cue] = []
    words: list[str] = []
    start_ms = 0
    end_s = 0.0
    for text, duration_s in spoken:
        words += text.split()
        end_s += duration_s
        if _SENTENCE_END.search(text):
            start_ms = _close(cues, words, start_ms, end_s)
    _close(cues, words, start_ms, end_s)
    return cues


def srt(cues: Sequence[Cue]) -> str:
    """The cues as SubRip text."""
    blocks = (
        f"{number}\n{_span(cue, ',')}\n{_srt_text(cue.text)}\n"
        for number, cue in enumerate(cues, 1)
    )
    return "\n".join(blocks)


def vtt(cues: Sequence[Cue]) -> str:
    """The cues as WebVTT."""
    blocks = (f"{_span(cue, '.')}\n{_vtt_text(cue.text)}\n" for cue in cues)
    return "\n".join(("WEBVTT\n", *blocks))


def _close(cues: list[Cue], words: list[str], start_ms: int, end_s: float) -> int:
    """Make a cue of the words so far; returns where the next one starts."""
    # Rounded from the sum, not summed from rounded values: no drift in a long recording.
    end_ms = round(1000 * end_s)
    if words and end_ms > start_ms:
        cues.append(Cue(start_ms, end_ms, " ".join(words)))
    words.clear()
    return end_ms


def _span(cue: Cue, separator: str) -> str:
    return f"{_time(cue.start_ms, separator)} --> {_time(cue.end_ms, separator)}"


def _time(ms: int, separator: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{separator}{ms:03}"


def _srt_text(text: str) -> str:
    # SubRip knows no escape: what a player would take for a time line or a tag is spelled apart.
    return (
        text.replace("-->", "→")
        .replace("<", "‹")
        .replace(">", "›")
        .replace("{", "(")
        .replace("}", ")")
    )


def _vtt_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
