"""Which Chinese characters espeak-ng speaks; the others it reads in English, letter by letter.

Version 1.51 has all three voices, but only that for Cantonese speaks. That for Mandarin takes the
pinyin of a character for an English word with a number (你 is "ni three"); 1.52 speaks it. That for
Hakka knows romanised text alone. The voice ``cmn-latn-pinyin`` of 1.51 speaks Mandarin, but puts
tones and stresses where ``cmn`` of 1.52 does not, so it can't stand in for it.
"""

from __future__ import annotations

import re

from models.text.errors import UnsupportedLanguage
from models.zonos.espeak import espeak
from models.zonos.phonemes import phonemize

CODES = ("cmn", "hak", "yue")

_CHARACTER = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_SAMPLE = "你好"
_IN_ENGLISH = "(en)"


def require_spoken(text: str, code: str) -> None:
    """Refuse what would be read in English.

    Args:
        text: in Chinese characters, or romanised.
        code: one of `CODES`.

    Raises:
        UnsupportedLanguage: the text has characters, and this espeak-ng does not speak them.
    """
    if _CHARACTER.search(text) and _IN_ENGLISH in phonemize(_SAMPLE, code):
        version = ".".join(map(str, espeak().version))
        raise UnsupportedLanguage(
            f"espeak-ng {version} does not speak Chinese characters in language {code!r}: "
            "it would read them in English"
        )
