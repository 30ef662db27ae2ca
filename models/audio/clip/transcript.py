"""What a clip says: a given transcript held against what was recognised, and its phonemes."""

from __future__ import annotations

import unicodedata

from rapidfuzz.distance import Levenshtein

from models.recognition import letters_only
from models.text.errors import TextError
from models.text.frontend import Segment, analyze
from models.text.korean import pronounce_standard

MAX_TRANSCRIPT_CHARS = 300
"""Ten seconds hold some 80 Korean syllables, or 200 English letters."""

MAX_ERROR_RATE = 0.5
"""Of letters as they sound. In 14 synthetic clips Whisper base heard at most 0.37 wrong; their two
most alike sentences differ by 0.69."""

_FINAL_MARKS = ".!?…"


class TranscriptMismatch(ValueError):
    """The given transcript is not what is said in the clip.

    Args:
        given, heard: the two texts.
        error_rate: edits over the sounds of the given text.
    """

    def __init__(self, given: str, heard: str, error_rate: float) -> None:
        super().__init__(
            f"the transcript {given!r} is not what was recognised in the clip, {heard!r}: "
            f"{error_rate:.0%} of its sounds differ; at most {MAX_ERROR_RATE:.0%} may"
        )
        self.given = given
        self.heard = heard
        self.error_rate = error_rate


def check_transcript(given: str, heard: str, language: str) -> None:
    """Compare two texts as they sound, so that spelling, digits and spaces make no difference.

    Args:
        given: what the caller says is spoken.
        heard: what was recognised; recognisers err, so a good deal may differ.
        language: of both.

    Raises:
        TranscriptMismatch: they are two different texts.
        models.text.errors.TextError: the given one can't be read.
    """
    expected = _sounds(given, language)
    error_rate = Levenshtein.distance(expected, _heard_sounds(heard, language)) / len(expected)
    if error_rate > MAX_ERROR_RATE:
        raise TranscriptMismatch(given, heard, error_rate)


def prompt_phoneme_ids(transcript: str, language: str) -> list[int]:
    """Phonemes of a reference clip's transcript, closed by a mark as training texts are.

    Raises:
        models.text.errors.TextError: it can't be read, or is longer than a clip can be.
    """
    text = transcript.strip()
    if not text.endswith(tuple(_FINAL_MARKS)):
        text += "."
    return [id for segment in _analyzed(text, language) for id in segment.phoneme_ids]


def _sounds(text: str, language: str) -> str:
    """Korean in single letters of its pronunciation, anything else as it is read."""
    readings = [
        pronounce_standard(segment.reading) if segment.language == "ko" else segment.reading
        for segment in _analyzed(text, language)
    ]
    return unicodedata.normalize("NFD", letters_only("".join(readings)))


def _heard_sounds(text: str, language: str) -> str:
    """Nothing where the recogniser wrote down what can't be read, as it does for noise."""
    try:
        return _sounds(text, language)
    except TextError:
        return ""


def _analyzed(text: str, language: str) -> list[Segment]:
    return analyze(text, language, max_chars=MAX_TRANSCRIPT_CHARS)
