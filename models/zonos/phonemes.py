"""Spoken text to IPA as Zonos was trained on it.

The marks at which text is divided include the space, so every word is pronounced by itself: there
is neither liaison nor the intonation of a clause. Marks stay where they are.
"""

from __future__ import annotations

import re

from models.text.errors import EmptyText
from models.zonos.espeak import espeak

_MARKS = ';:,.!?¡¿—…"«»“”() *~-/\\&'
# A mark run is one or more marks with white space around each of them.
_MARK_RUN = re.compile(rf"\s*[{re.escape(_MARKS)}](?:\s|[{re.escape(_MARKS)}])*")


def phonemize(text: str, language: str) -> str:
    """IPA of text whose numbers and signs are words already, marks kept.

    Args:
        text: not empty.
        language: code of espeak-ng, such as ``ko``, ``en-us``, ``cmn``.

    Raises:
        EmptyText: there is nothing but white space.
        UnsupportedLanguage: espeak-ng has no voice for the language.
        models.zonos.errors.MissingLibrary: espeak-ng is not installed.
    """
    if not text.strip():
        raise EmptyText("the text is empty")
    phonemes = ""
    position = 0
    for run in _MARK_RUN.finditer(text):
        phonemes += _pronounced(text[position : run.start()], language)
        phonemes = phonemes.removesuffix(" ") + run[0]
        position = run.end()
    return phonemes + _pronounced(text[position:], language)


def _pronounced(chunk: str, language: str) -> str:
    """IPA without the marks between sounds, a space between words."""
    if not chunk:
        return ""
    sounds = espeak().phonemes(chunk, language).strip().replace("\n", " ").replace("  ", " ")
    return re.sub("_+", "_", sounds).replace("_ ", " ").replace("_", "")
