"""Text to the ids that Zonos reads, in the many languages of espeak-ng.

    ids = phoneme_ids("회의는 3시 30분에 시작합니다.", "ko")

Korean is read by this project's own rules first. Of the other languages English and Japanese are
prepared as the reference does, which in all but Japanese says numbers in English words; here every
other language leaves its numbers to espeak-ng, which says them in that language.
"""

from __future__ import annotations

from models.text.frontend import check_text
from models.text.korean import normalize
from models.zonos import chinese
from models.zonos.japanese import japanese_reading
from models.zonos.phonemes import phonemize
from models.zonos.reference_text import expand_numbers
from models.zonos.symbols import ids_of, zonos_language


def phoneme_ids(text: str, language: str) -> list[int]:
    """Ids of a written text between their begin and end marks.

    Args:
        text: as people write it; one sentence or a few.
        language: see `zonos_language`.

    Raises:
        models.text.errors.TextError: the text is empty or too long, or the language is unknown,
            or not spoken by the espeak-ng that is installed.
        models.zonos.errors.MissingLibrary: espeak-ng or SudachiPy is not installed.
    """
    check_text(text)
    code = zonos_language(language, text)
    return ids_of(phonemize(spoken_form(text, code), code))


def spoken_form(text: str, code: str) -> str:
    """The text in words, as far as espeak-ng does not do that better itself.

    Raises:
        UnsupportedLanguage: espeak-ng would read it in English.
        models.zonos.errors.MissingLibrary: what reads it is not installed.
    """
    if code == "ko":
        return normalize(text)
    if code == "ja":
        return japanese_reading(text)
    if code in chinese.CODES:
        chinese.require_spoken(text, code)
    return expand_numbers(text) if code.startswith("en") else text


def reference_spoken_form(text: str, code: str) -> str:
    """The same as the reference has it."""
    return japanese_reading(text) if "ja" in code else expand_numbers(text)
