"""Numbers as the reference reads them: in English words, whatever the language of the text.

What the published weights were trained on, kept to compare with the reference;
`models.zonos.text` reads Korean numbers in Korean, and leaves other languages to espeak-ng.
"""

from __future__ import annotations

import re

from models.text.english.numbers import ordinal, year_like

_WITH_COMMAS = re.compile(r"[0-9][0-9,]+[0-9]")
_POUNDS = re.compile(r"£([0-9,]*[0-9]+)")
_DOLLARS = re.compile(r"\$([0-9.,]*[0-9]+)")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_ORDINAL = re.compile(r"([0-9]+)(?:st|nd|rd|th)")
_DIGITS = re.compile("[0-9]+")


def expand_numbers(text: str) -> str:
    """English words for numbers, amounts and ordinals; every step works on the last one's result.

    >>> expand_numbers("$3.50 on the 3rd of May, 1984")
    'three dollars, fifty cents on the third of May, nineteen eighty-four'
    """
    text = _WITH_COMMAS.sub(lambda match: match[0].replace(",", ""), text)
    text = _POUNDS.sub(r"\1 pounds", text)
    text = _DOLLARS.sub(lambda match: _dollars(match[1]), text)
    text = _DECIMAL.sub(lambda match: match[0].replace(".", " point "), text)
    text = _ORDINAL.sub(lambda match: ordinal(match[1]), text)
    return _DIGITS.sub(lambda match: year_like(match[0].lstrip("0") or "0"), text)


def _dollars(amount: str) -> str:
    """Cents are the digits behind the point as they stand: 12.5 is five cents."""
    parts = amount.replace(",", "").split(".")
    if len(parts) > 2:
        return f"{amount} dollars"
    dollars, cents = (int(part or 0) for part in [*parts, ""][:2])
    spoken = [
        f"{number} {unit}{'' if number == 1 else 's'}"
        for number, unit in ((dollars, "dollar"), (cents, "cent"))
        if number
    ]
    return ", ".join(spoken) or "zero dollars"
