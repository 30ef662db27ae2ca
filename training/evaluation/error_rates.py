"""How much of a text was understood, by what a recogniser wrote down.

Both texts are compared as they are read aloud, so `7시` and `일곱 시` are the same, and without
spaces, which Korean writers and recognisers place as they like.
"""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from models.recognition import letters_only
from models.text.korean.normalizer import normalize

# A recogniser that loops, or a voice that does not stop, is no matter of single letters.
_RUNAWAY_FACTOR = 1.5
_RUNAWAY_LETTERS = 5
# The slowest voices need 0.25 s a syllable, pauses between sentences included.
_RUNAWAY_S_PER_LETTER = 0.5
_RUNAWAY_S = 2.0


@dataclass(frozen=True)
class ErrorCounts:
    """Edits between what was written and what was heard, and what they are counted against."""

    letter_edits: int
    num_letters: int
    wrong_words: int
    """Words of the text with an edit inside, wherever the recogniser put its spaces."""
    word_edits: int
    """Edits between the words as both sides spaced them."""
    num_words: int


def reading(text: str, language: str = "ko") -> str:
    """`text` as it is read aloud; other languages than Korean stay as they are written."""
    return normalize(text) if language == "ko" else text


def count_errors(expected: str, heard: str) -> ErrorCounts:
    """Compare two readings."""
    words = [letters for word in expected.split() if (letters := letters_only(word))]
    heard_words = [letters for word in heard.split() if (letters := letters_only(word))]
    letters, heard_letters = "".join(words), "".join(heard_words)
    word_of_letter = [idx for idx, word in enumerate(words) for _ in word]
    edits = Levenshtein.editops(letters, heard_letters)
    # What was inserted behind the last letter belongs to the last word.
    touched = {word_of_letter[min(edit.src_pos, len(letters) - 1)] for edit in edits if letters}
    return ErrorCounts(
        letter_edits=len(edits),
        num_letters=len(letters),
        wrong_words=len(touched),
        word_edits=Levenshtein.distance(words, heard_words),
        num_words=len(words),
    )


def is_runaway(expected: str, heard: str, duration_s: float) -> bool:
    """Whether far more was said than asked, or far longer than it takes."""
    num_letters = len(letters_only(expected))
    num_heard = len(letters_only(heard))
    return (
        num_heard > _RUNAWAY_FACTOR * num_letters + _RUNAWAY_LETTERS
        or duration_s > _RUNAWAY_S_PER_LETTER * num_letters + _RUNAWAY_S
    )
