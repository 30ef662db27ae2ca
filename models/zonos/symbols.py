"""The symbols that text is written in for Zonos, and its languages; an id is a row of a table."""

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from models.text.errors import UnsupportedLanguage

NUM_SYMBOLS = 189
_SHORT_CODES = {"en": "en-us", "fr": "fr-fr", "zh": "cmn"}

UNKNOWN, BEGIN, END, SPACE = 1, 2, 3, 21


@cache
def symbol_ids() -> dict[str, int]:
    """Code point -> id. The apostrophe stands twice in the published table; the later one holds."""
    return _table()["symbol_to_id"]


@cache
def language_ids() -> dict[str, int]:
    """Code of espeak-ng, such as ``en-us``, ``ko``, ``cmn`` -> id."""
    return _table()["language_codes"]


def language_id(language: str) -> int:
    """Raises UnsupportedLanguage unless the network knows the language."""
    ids = language_ids()
    if language not in ids:
        raise UnsupportedLanguage(
            f"language {language[:16]!r} is not known to Zonos; known: {', '.join(ids)}"
        )
    return ids[language]


def zonos_language(language: str, text: str = "") -> str:
    """The code Zonos knows a language by: that of espeak-ng, as which `en` is American.

    Args:
        language: such a code, a short form, or ``auto``: Korean where there is Hangul in the text,
            else English.

    Raises:
        UnsupportedLanguage: Zonos has no such language; the message lists those it has.
    """
    if language == "auto":
        language = "ko" if any("가" <= char <= "힣" for char in text) else "en"
    code = _SHORT_CODES.get(language, language)
    language_id(code)
    return code


def ids_of(phonemes: Iterable[str]) -> list[int]:
    """Ids of code points between the marks for begin and end; none is dropped."""
    ids = symbol_ids()
    return [BEGIN, *(ids.get(symbol, UNKNOWN) for symbol in phonemes), END]


@cache
def _table() -> dict[str, dict[str, int]]:
    text = (files("models.zonos") / "data" / "symbols.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, int]] = json.loads(text)
    return table
