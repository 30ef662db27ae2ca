"""Written Korean to its reading: 사과 3개 -> 사과 세 개."""

import re

from models.text.korean.numbers import sino

_INTEGER = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")


def normalize(text: str) -> str:
    """The reading of `text`, without digits."""
    return _INTEGER.sub(lambda m: sino(int(m[0].replace(",", ""))), text)
