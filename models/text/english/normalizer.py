"""English text as the reference normalises it, step by step and quirk by quirk.

The acoustic model learned these readings, among them the odd ones (a word joined to "negative",
years and amounts in pairs), so they are kept. Every step works on the result of the one before.
"""

import re
import unicodedata

from models.text.english.numbers import cardinal, ordinal, spelled, year_like

_FULL_STOPS = str.maketrans("。！？", ".!?")
_OPERAND = r"(-?\d+(?:\.\d+)?|[A-Za-z])"  # a letter needs no word boundary: "cat - dog" matches
_ARITHMETIC = re.compile(rf"{_OPERAND}\s+([-+×÷=])\s+{_OPERAND}")
_OPERATORS = {"+": "plus", "-": "minus", "×": "times", "÷": "divided by", "=": "Equals"}
_UNITS = {
    "m": "meter", "km": "kilometer", "ft": "feet", "L": "liter", "tbsp": "tablespoon",
    "tsp": "teaspoon", "h": "hour", "min": "minute", "s": "second", "°C": "degree celsius",
    "°F": "degree fahrenheit",
}  # fmt: skip
_MEASURE = re.compile(r"\b(\d+(?:\.\d+)?)(tbsp|tsp|km|min|m|ft|L|h|s|°C|°F)\b")
_AMOUNT = r"([0-9.,]*[0-9]+)"
_MONEY = {"£": ("pound", "penny", "pence"), "$": ("dollar", "cent", "cents")}
_MARKS = r"!?…,.\-"


def normalize(text: str) -> str:
    """The words of `text`: letters, spaces and ``' . , ? ! -`` only."""
    text = text.translate(_FULL_STOPS)
    text = re.sub(r"\b(\d+)\. ", lambda m: f"{ordinal(m[1])}, ", text)
    text = _expand_arithmetic(text)
    text = re.sub(r"(?:^|\s)-(?=\d)", "negative ", text)
    text = re.sub(r"\d[\d,]+\d", lambda m: m[0].replace(",", ""), text, flags=re.ASCII)
    text = re.sub(r"\b([01]?\d|2[0-3]):([0-5]\d)\b", _clock, text)
    text = _MEASURE.sub(_measure, text)
    for sign in _MONEY:
        text = re.sub(f"{re.escape(sign)}{_AMOUNT}|{_AMOUNT}{re.escape(sign)}", _money, text)
    text = re.sub(r"(\d+)\.(\d+)", lambda m: f"{cardinal(m[1])} point {spelled(m[2])}", text)
    text = re.sub(r"(\d+)/(\d+)", _fraction, text)
    text = re.sub(r"(\d+)(?:st|nd|rd|th)", lambda m: ordinal(m[1]), text)
    text = re.sub(r"\d+", lambda m: year_like(m[0]), text)
    return _clean(text)


def _expand_arithmetic(text: str) -> str:
    expanded = None
    while expanded != text:
        expanded, text = text, _ARITHMETIC.sub(lambda m: f"{m[1]} {_OPERATORS[m[2]]} {m[3]}", text)
    return text


def _clock(match: re.Match[str]) -> str:
    hours, minutes = int(match[1]), int(match[2])
    hour = cardinal(str(hours - 12 if hours > 12 else hours))
    return f"{hour} {cardinal(match[2]) if minutes else chr(111) + chr(39) + 'clock'} " + (
        "a.m." if hours < 12 else "p.m."
    )


def _measure(match: re.Match[str]) -> str:
    number, unit = match.groups()
    name, _, scale = _UNITS[unit].partition(" ")
    plural = "" if number == "1" or name == "feet" else "s"
    return " ".join(part for part in (number, name + plural, scale) if part)


def _money(match: re.Match[str]) -> str:
    sign = "£" if "£" in match[0] else "$"
    unit, cent, cents = _MONEY[sign]
    whole, _, fraction = (match[1] or match[2]).replace(",", "").partition(".")
    if "." in fraction:
        return f"{whole}.{fraction} {unit}s"
    high, low = int(whole or 0), int(fraction.ljust(2, "0") or 0)
    parts = [f"{high} {unit}{'' if high == 1 else 's'}"] if high or not low else []
    if low:
        parts.append(f"{low} {cent if low == 1 else cents}")
    return (
        " and ".join(parts).replace("0 ", "zero ", 1)
        if not high and not low
        else " and ".join(parts)
    )


def _fraction(match: re.Match[str]) -> str:
    over, under = match.groups()
    if under == "1":
        return cardinal(over)
    several = int(over) > 1
    if under == "2":
        return f"{cardinal(over)} {'halves' if several else 'half'}"
    return f"{cardinal(over)} {ordinal(under)}{'s' if several else ''}"


def _clean(text: str) -> str:
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    text = re.sub(r"[^ A-Za-z'.,?!\-]", "", text.replace("%", " percent"))
    text = re.sub(r"i\.e\.", "that is", text, flags=re.IGNORECASE)
    text = re.sub(r"e\.g\.", "for example", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\S)(?=[A-Z])", " ", text)
    return re.sub(rf"([{_MARKS}\s])[{_MARKS}]+", r"\1", text)
