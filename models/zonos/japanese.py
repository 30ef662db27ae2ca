"""Written Japanese to katakana readings, word by word, through SudachiPy.

Optional: the package and its dictionary are installed by whoever wants Japanese. The reference uses
the full dictionary; with the core one, readings of rare names may differ.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import cache
from importlib import import_module
from typing import Any

from models.zonos.errors import MissingLibrary

HOW_TO_INSTALL = "pip install sudachipy sudachidict-full"

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_GROUPS = ("", "万", "億", "兆", "京", "垓")
_TOKENIZER_LOCK = threading.Lock()  # a tokenizer refuses a second thread while it is in use


def japanese_reading(text: str) -> str:
    """Katakana with a space between words; signs that have no reading are read as キゴウ.

    Raises:
        MissingLibrary: SudachiPy or a dictionary is not installed.
    """
    folded = unicodedata.normalize("NFKC", text)
    counted = re.sub(r"\d+", lambda match: kanji_number(str(int(match[0]))), folded)
    with _TOKENIZER_LOCK:
        morphemes = _tokenizer().tokenize(counted)
    return " ".join(morpheme.reading_form() for morpheme in morphemes)


def kanji_number(digits: str) -> str:
    """2025 -> 二千二十五, 10000 -> 一万; a number of more than 24 digits is read one by one."""
    if len(digits) > 4 * len(_GROUPS):
        return "".join(_DIGITS[int(digit)] for digit in digits)
    padded = digits.zfill(-(-len(digits) // 4) * 4)
    groups = [padded[at : at + 4] for at in range(0, len(padded), 4)]
    spoken = "".join(
        _below_ten_thousand(group) + _GROUPS[place]
        for place, group in zip(range(len(groups) - 1, -1, -1), groups, strict=True)
        if int(group)
    )
    return spoken or _DIGITS[0]


def _below_ten_thousand(group: str) -> str:
    """Four digits; a one is said in the last place only."""
    return "".join(
        ("" if digit == "1" and place else _DIGITS[int(digit)]) + _PLACES[place]
        for place, digit in zip((3, 2, 1, 0), group, strict=True)
        if digit != "0"
    )


@cache
def _tokenizer() -> Any:
    try:
        sudachi = import_module("sudachipy")
    except ImportError as error:
        raise MissingLibrary(f"Japanese needs SudachiPy: {HOW_TO_INSTALL}") from error
    for edition in ("full", "core"):
        try:
            return sudachi.Dictionary(dict=edition).tokenizer(mode=sudachi.SplitMode.A)
        except ModuleNotFoundError:
            continue
    raise MissingLibrary(f"Japanese needs a dictionary of SudachiPy: {HOW_TO_INSTALL}")
