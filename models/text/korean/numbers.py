"""Korean numerals: Sino-Korean (일, 이, 삼), native (하나, 둘) and adnominal native (한, 두)."""

_DIGITS = "영일이삼사오육칠팔구"
_PLACES = ["", "십", "백", "천"]
_GROUPS = ["", "만", "억", "조", "경", "해", "자", "양", "구", "간", "정", "재", "극"]
_NATIVE_TENS = ["", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔"]
_NATIVE_UNITS = ["", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉"]
_ADNOMINAL_UNITS = ["", "한", "두", "세", "네", *_NATIVE_UNITS[5:]]

SINO_LIMIT = 10 ** (4 * len(_GROUPS))


def sino(number: int) -> str:
    """Sino-Korean numeral: 2026 -> 이천이십육.

    Raises:
        ValueError: if `number` is negative or not below `SINO_LIMIT`.
    """
    if not 0 <= number < SINO_LIMIT:
        raise ValueError(f"{number} has no Sino-Korean name here; allowed: 0 to 10^52 - 1")
    if number == 0:
        return _DIGITS[0]
    spoken: list[str] = []
    for group in _GROUPS:
        number, value = divmod(number, 10_000)
        if value == 1 and group == "만" and not number:
            spoken.append(group)  # 만, but 일억 and 일조
        elif value:
            spoken.append(_sino_group(value) + group)
        if not number:
            break
    return "".join(reversed(spoken))


def _sino_group(value: int) -> str:
    digits = f"{value:04d}"
    return "".join(
        ("" if digit == "1" and place else _DIGITS[int(digit)]) + _PLACES[place]
        for place, digit in zip((3, 2, 1, 0), digits, strict=True)
        if digit != "0"
    )


def digits(number: str, zero: str = "공") -> str:
    """Digit by digit: 010 -> 공일공."""
    return "".join(zero if digit == "0" else _DIGITS[int(digit)] for digit in number)


def native(number: int) -> str:
    """Native numeral standing alone: 21 -> 스물하나. Hundreds and above are Sino-Korean."""
    return _native(number, _NATIVE_UNITS)


def adnominal(number: int) -> str:
    """Native numeral before a counter: 21 -> 스물한, 20 -> 스무."""
    return _native(number, _ADNOMINAL_UNITS)


def _native(number: int, units: list[str]) -> str:
    hundreds, rest = divmod(number, 100)
    head = sino(hundreds * 100) if hundreds or not rest else ""
    if rest == 20 and units is _ADNOMINAL_UNITS:
        return head + "스무"
    return head + _NATIVE_TENS[rest // 10] + units[rest % 10]
