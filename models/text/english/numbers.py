"""English number words, spelled as the package `inflect` spells them."""

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
_GROUPS = (
    "- thousand million billion trillion quadrillion quintillion sextillion septillion octillion "
    "nonillion decillion"
).split()
_MAX_DIGITS = 3 * len(_GROUPS)
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
             "nine": "ninth", "twelve": "twelfth"}  # fmt: skip


def cardinal(digits: str, conjunction: str = "") -> str:
    """3456 -> three thousand, four hundred fifty-six; a longer run of digits is read one by one.

    Args:
        digits: decimal digits only.
        conjunction: ``"and"`` to say "four hundred and fifty-six".
    """
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MAX_DIGITS:
        return spelled(digits)
    if digits == "0":
        return _UNITS[0]
    padded = digits.zfill(-(-len(digits) // 3) * 3)
    values = [int(padded[at : at + 3]) for at in range(0, len(padded), 3)]
    spoken = [
        _below_thousand(value, conjunction) + (f" {_GROUPS[place]}" if place else "")
        for place, value in zip(range(len(values) - 1, -1, -1), values, strict=True)
        if value
    ]
    if len(spoken) > 1 and 0 < values[-1] < 100:  # no comma before a last part below a hundred
        return " ".join(filter(None, [", ".join(spoken[:-1]), conjunction, spoken[-1]]))
    return ", ".join(spoken)


def ordinal(digits: str) -> str:
    """103 -> one hundred and third."""
    words = cardinal(digits, conjunction="and")
    head, last = words[: _last_word(words)], words[_last_word(words) :]
    if last in _ORDINALS:
        return head + _ORDINALS[last]
    return head + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def year_like(digits: str) -> str:
    """A whole number, between 1000 and 3000 in pairs: 1250 -> twelve fifty."""
    if len(digits) > 4 or not 1000 < int(digits) < 3000:
        return cardinal(digits)
    high, low = divmod(int(digits), 100)
    if 2000 <= int(digits) < 2010:
        return "two thousand" + (f" {_UNITS[low]}" if low else "")
    if not low:
        return f"{cardinal(str(high))} hundred"
    return f"{cardinal(str(high))} {'oh ' if low < 10 else ''}{cardinal(str(low))}"


def spelled(digits: str) -> str:
    return " ".join(_UNITS[int(digit)] for digit in digits)


def _below_thousand(value: int, conjunction: str) -> str:
    hundreds, rest = divmod(value, 100)
    parts = [f"{_UNITS[hundreds]} hundred"] if hundreds else []
    if hundreds and rest and conjunction:
        parts.append(conjunction)
    if rest >= 20:
        tens, units = divmod(rest, 10)
        parts.append(_TENS[tens] + (f"-{_UNITS[units]}" if units else ""))
    elif rest:
        parts.append(_UNITS[rest])
    return " ".join(parts)


def _last_word(words: str) -> int:
    return max(words.rfind(" "), words.rfind("-")) + 1
