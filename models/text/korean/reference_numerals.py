"""How the reference G2P reads digits; kept for parity on text that was not normalised.

g2pk2 reads a number as a numeral only before a bound noun its tagger recognised (marked ``/B``),
and everything else digit by digit. `normalize` leaves no digit for this file to read.
"""

import re

# As in g2pk2: a counter takes native numerals when it is a substring of this list.
_NATIVE_COUNTERS = (
    "군데 권 개 그루 닢 대 두 마리 모 모금 뭇 발 발짝 방 번 벌 보루 살 수 술 시 쌈 움큼 정 짝 "
    "채 척 첩 축 켤레 톨 통"
)
_COUNTED = re.compile(r"(\d[\d,]*)([ㄱ-힣]+)/B")
_SINO = dict(zip("123456789", "일이삼사오육칠팔구", strict=True))
_NATIVE_UNITS = dict(zip("123456789", "한 두 세 네 다섯 여섯 일곱 여덟 아홉".split(), strict=True))
_NATIVE_TENS = dict(
    zip("123456789", "열 스물 서른 마흔 쉰 예순 일흔 여든 아흔".split(), strict=True)
)
_PLACES = [
    "",
    "십",
    "백",
    "천",
    "만",
    "십",
    "백",
    "천",
    "억",
    "십",
    "백",
    "천",
    "조",
    "십",
    "백",
    "천",
]
_ELIDED_ONE = {1, 2, 3, 4, 5, 6, 7}  # 십, not 일십; above 억 the reference keeps the 일
_DIGIT_NAMES = str.maketrans("0123456789", "영일이삼사오육칠팔구")


def spell_numbers(tagged: str) -> str:
    """Spells the digits of text whose bound nouns carry the marker ``/B`` after them."""

    def counted(match: re.Match[str]) -> str:
        number, counter = match[1].replace(",", ""), match[2]
        return _spell(number, native=counter in _NATIVE_COUNTERS) + f"{counter}/B"

    return _COUNTED.sub(counted, tagged).translate(_DIGIT_NAMES)


def _spell(number: str, native: bool) -> str:
    if number == "0":
        return "영"
    if native and number == "20":
        return "스무"
    if len(number) > len(_PLACES):  # the reference raises here
        return number
    spelled: list[str] = []
    for index, digit in enumerate(number):
        place = len(number) - 1 - index
        if digit == "0" and (place % 4 or not "".join(spelled[-3:])):
            spelled.append("")
        elif native and place < 2:
            spelled.append((_NATIVE_TENS if place else _NATIVE_UNITS).get(digit, ""))
        else:
            name = "" if digit == "1" and place in _ELIDED_ONE else _SINO.get(digit, "")
            spelled.append(name + _PLACES[place])
    return "".join(spelled)
