"""Numbers and what stands around them: counts, units, temperatures, ratios, ranges."""

import re

from models.text.korean.counters import counted, counter_after, ordinal
from models.text.korean.numbers import adnominal, digits, sino
from models.text.korean.rule import (
    DECIMAL,
    MAGNITUDE,
    Match,
    Rule,
    after,
    before,
    rule,
)
from models.text.tables import read_table

_MAX_NUMERAL_DIGITS = 20  # longer digit runs are codes: read digit by digit
_UNITS = dict(read_table("korean_units"))
_LONG_UNITS = sorted(_UNITS, key=len, reverse=True)
_UNIT = "(?:" + "|".join(map(re.escape, _LONG_UNITS)) + ")"
# A unit of one letter after a space is more likely a name: "플랜 3 s".
_SPACED_UNIT = (
    "(?:" + "|".join(re.escape(u) for u in _LONG_UNITS if len(u) > 1 or u in "mgtLlVW%°") + ")"
)
_LENGTHS = {"km", "Km", "KM", "m", "cm", "mm", "mi", "ft", "in", "kt"}  # what has a speed
_RATES = {"h": "시속", "hr": "시속", "s": "초속", "sec": "초속", "min": "분속"}
_SCORE_BEFORE = re.compile(
    r"(?:스코어|점수|비율|비|경기|결과는|세트|승부|득점|판정|경쟁률은?|환율|배합|희석|종횡비|화면비|전적|합계|합산|동점)(?:은|는|이|가|로|인|:)?$"
)
_SCORE_AFTER = re.compile(
    r"\s?(?:로|으로|의|으로만)?\s?(?:비율|승|이겼|이긴|졌|진|승리|패배|패|역전|동점|무승부|스코어|비|완승|대승|완패|신승|끝|앞|뒤|마무리|비긴|비겼|압승|리드|꺾|누르|제압|잡)"
)
_COUNTED_THING = re.compile(
    r"\s?(?:명|개|년|월|일|시|분|살|세|층|원|만|번|호|대|가지|억|천|여|인|차례|건|곳|마리|%|~|,\d)"
)
_BEFORE_SIGN = " \n\t([{~,:;=<>/\"'"
_PRESSURE = re.compile("혈압")
_TEMPERATURE_WORD = re.compile(r"(?:섭씨|화씨|영하|영상)$")


def spoken_number(number: str) -> str:
    """Sino-Korean numeral with decimals: 3.14 -> 삼점일사, 1,234 -> 천이백삼십사."""
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(whole) > _MAX_NUMERAL_DIGITS or (len(whole) > 1 and whole[0] == "0" and not fraction):
        spoken = digits(whole)
    else:
        spoken = sino(int(whole))
    return spoken + ("점" + digits(fraction, zero="영") if fraction else "")


def spoken_amount(number: str, magnitude: str) -> str:
    """5천만 -> 오천만; 일 is dropped before 십, 백, 천 and 만 (1만 -> 만, 1억 -> 일억)."""
    if number == "1" and magnitude[:1] and magnitude[0] in "십백천만":
        return magnitude
    return spoken_number(number) + magnitude


def _read_count(match: Match) -> str | None:
    number = match["number"].replace(",", "")
    if "." in number or len(number) > _MAX_NUMERAL_DIGITS or number[0] == "0":
        return None
    return counted(number, before(match), after(match))


def _read_ordinal(match: Match) -> str | None:
    return ordinal(int(match[1]))


def _read_counted_range(match: Match) -> str | None:
    """1~2개 -> 한 개에서 두 개: both ends take the counter's numerals."""
    low, high = match[1], match[2]
    counter = counter_after(after(match))
    spoken_high = counted(high, before(match), after(match))
    spoken_low = counted(low, before(match), after(match))
    if counter is None or spoken_low is None or spoken_high is None:
        return None
    return f"{spoken_low.rstrip()} {counter}에서 {spoken_high}"


def _read_decade_range(match: Match) -> str | None:
    """20~30대 and 2~30대 -> 이삼십대."""
    low, high = int(match[1].rstrip("0")), int(match[2].rstrip("0"))
    if high != low + 1:
        return None
    return "오륙십" if low == 5 else sino(low) + sino(high * 10)


def _read_hyphen_range(match: Match) -> str | None:
    low, high = match[1].replace(",", ""), match[2].replace(",", "")
    if float(low) >= float(high):
        return None
    return f"{spoken_number(low)}에서 {spoken_number(high)}"


def _read_year_range(match: Match) -> str | None:
    return f"{sino(int(match[1]))}년에서 {sino(int(match[2]))}" + (
        "" if after(match)[:1] == "년" else "년"
    )


def _read_temperature(match: Match) -> str | None:
    sign, number, scale = match.groups()
    context = before(match)
    spoken = spoken_number(number) + "도"
    if sign in ("-", "−"):
        if context.endswith("영하"):
            return spoken
        return ("영하 " if scale == "C" else "화씨 영하 ") + spoken
    if _TEMPERATURE_WORD.search(context):
        return spoken
    if sign == "+" and scale == "C":
        return "영상 " + spoken
    return ("섭씨 " if scale == "C" else "화씨 ") + spoken


def _read_temperature_range(match: Match) -> str | None:
    """10~15℃: the scale is said once, before both."""
    if _TEMPERATURE_WORD.search(before(match)):
        scale = ""
    else:
        scale = "섭씨 " if match["scale"] == "C" else "화씨 "
    low = spoken_number(match["low"]) + ("도" if match["degree"] else "")
    return f"{scale}{low}에서 {spoken_number(match['high'])}도"


def _read_degrees_below_zero(match: Match) -> str | None:
    spoken = spoken_number(match[1])
    return spoken if before(match).endswith("영하") else f"영하 {spoken}"


def _read_quantity(match: Match) -> str | None:
    number, magnitude, unit, rate = match.group("number", "magnitude", "unit", "rate")
    spoken = spoken_amount(number, magnitude or "")
    if rate is None:
        return f"{spoken} {_UNITS[unit]}" if unit not in ("%", "°") else spoken + _UNITS[unit]
    if rate in _RATES and unit in _LENGTHS:
        prefix = "" if before(match).endswith(_RATES[rate]) else _RATES[rate] + " "
        return f"{prefix}{spoken} {_UNITS[unit]}"
    return f"{_UNITS[rate]}당 {spoken} {_UNITS[unit]}"


def _read_price_per_unit(match: Match) -> str | None:
    """300원/kg -> 킬로그램당 삼백원."""
    return f"{_UNITS[match[3]]}당 {spoken_amount(match[1], match[2] or '')}원"


def _read_ratio(match: Match) -> str | None:
    return "대".join(spoken_number(part) for part in re.findall(DECIMAL, match[0]))


def _read_spaced_ratio(match: Match) -> str | None:
    """5대3 and 5 대 3, but not 20대 3명: there 대 is a counter."""
    if re.match(r"\d+대\s", match[0]) and _COUNTED_THING.match(after(match)):
        return None
    return _read_ratio(match)


def _read_set_scores(match: Match) -> str | None:
    """6-4, 3-6, 7-5: ranges would all go up."""
    scores = re.findall(r"(\d+)-(\d+)", match[0])
    if all(int(left) < int(right) for left, right in scores) or after(match).startswith("번지"):
        return None
    return ", ".join(f"{sino(int(left))}대{sino(int(right))}" for left, right in scores)


def _read_score_like(match: Match) -> str | None:
    """12:30 as a score, where the words around it say so; a time otherwise."""
    if _SCORE_BEFORE.search(before(match)) or _SCORE_AFTER.match(after(match)):
        return _read_ratio(match)
    return None


def _read_hyphen_score(match: Match) -> str | None:
    if _SCORE_BEFORE.search(before(match)) or re.match(
        r"(?:로|으로)?\s?(?:승|이겼|이긴|졌|역전|동점|무승부|완승|대승|완패|꺾|패배|비겼|비긴|앞서|앞선|뒤진|리드|신승)",
        after(match),
    ):
        return _read_ratio(match)
    return None


def _read_fraction(match: Match) -> str | None:
    return f"{spoken_number(match[2])}분의 {spoken_number(match[1])}"


def _read_over(match: Match) -> str | None:
    """120/80: blood pressure, never a fraction."""
    if not (_PRESSURE.search(before(match)) or match[3]):
        return None
    unit = f" {_UNITS['mmHg']}" if match[3] else ""
    return f"{spoken_number(match[1])}에 {spoken_number(match[2])}{unit}"


def _read_dimensions(match: Match) -> str | None:
    numbers = re.findall(DECIMAL, match[1])
    large = all(float(n.replace(",", "")) >= 100 for n in numbers)
    unit = f" {_UNITS[match[2]]}" if match[2] else ""
    return (" 바이 " if large else " 곱하기 ").join(spoken_number(n) for n in numbers) + unit


def _read_power(match: Match) -> str | None:
    """2^3 and 2³, 10^-6 and 10⁻⁶."""
    power = re.sub(r"\D", "", match[2].replace("²", "2").replace("³", "3"))
    exponent = {"2": "제곱", "3": "세제곱"}.get(power, spoken_number(power) + "제곱")
    if "-" in match[2]:
        exponent = f"마이너스 {spoken_number(power)}제곱"
    return f"{spoken_number(match[1])}의 {exponent}"


def _read_listed_count(match: Match) -> str | None:
    """2, 3개 -> 두, 세 개."""
    high = counted(match[2], before(match), after(match))
    return f"{adnominal(int(match[1]))}, {high}" if high is not None else None


def _read_bundle(match: Match) -> str | None:
    names = {"1": "원", "2": "투", "3": "쓰리"}
    return f"{names[match[1]]} 플러스 {names[match[2]]}"


def _read_version(match: Match) -> str | None:
    return "점".join(
        sino(int(part)) if len(part) < 5 else digits(part) for part in match[0].split(".")
    )


def _read_amount(match: Match) -> str | None:
    number, magnitude = match["number"], match["magnitude"]
    return spoken_amount(number, magnitude)


def _read_hours_and_minutes(match: Match) -> str | None:
    """1h 30m: hours and minutes, not metres."""
    hours = int(match[1])
    spoken = adnominal(hours) if 0 < hours <= 12 else sino(hours)
    return f"{spoken} 시간 {sino(int(match[2]))} 분"


def _read_signed(match: Match) -> str | None:
    if match.start() and match.string[match.start() - 1] not in _BEFORE_SIGN:
        return None
    return {"-": "마이너스 ", "+": "플러스 ", "±": "플러스마이너스 "}[match[0][0]]


def _read_plain(match: Match) -> str | None:
    return spoken_number(match[0])


def _read_inch(match: Match) -> str | None:
    return spoken_number(match[1]) + "인치"


def _read_bare_decimal(match: Match) -> str | None:
    return spoken_number("0" + match[0])


def _read_digit_run(match: Match) -> str | None:
    return digits(match[0])


_NUMBER = f"(?P<number>{DECIMAL})"
QUANTITY_RULES: list[Rule] = [
    rule(
        rf"(?P<low>{DECIMAL})\s?(?P<degree>°C?)?\s?[~-]\s?(?P<high>{DECIMAL})"
        r"\s?°\s?(?P<scale>[CF])(?![A-Za-z])",
        _read_temperature_range,
    ),
    rule(rf"(?:([-+])\s?)?({DECIMAL})\s?°\s?([CF])(?![A-Za-z])", _read_temperature),
    rule(
        rf"-({DECIMAL})(?=\s?도(?![가-힣]|시|로)|\s?도(?:까지|로 |의|에|를|가|는|씩|이하|정도))",
        _read_degrees_below_zero,
    ),
    rule(r"([1-9]0)\s?[~-]\s?([1-9]0)(?=대(?![0-9])|년대)", _read_decade_range),
    rule(r"([1-9])\s?~\s?([1-9]0)(?=\s?[가-힣])", _read_decade_range),
    rule(r"(\d{1,3})\s?~\s?(\d{1,3})(?!\d|[,.]\d)", _read_counted_range),
    rule(r"(\d{1,3})-(\d{1,3})(?![\d-])(?=[가-힣])", _read_counted_range),
    rule(r"((?:19|20)\d\d)\s?-\s?((?:19|20)\d\d)(?![\d-])", _read_year_range),
    rule(
        rf"({DECIMAL})\s?-\s?({DECIMAL})(?=\s?(?:{_UNIT}(?![A-Za-z0-9])|[만억천백]|년|월|일|시간|시|분|초|원|달러|개월|주|세|회|점|위|층"
        r"|도|퍼센트|프로|킬로|미터|센티|그램|리터|인분|인승|인실|박|학년|급|단계|배|대))",
        _read_hyphen_range,
    ),
    rule(r"(\d{1,2})h\s?(\d{1,2})m(?:in)?(?![A-Za-z0-9²³/])", _read_hours_and_minutes),
    rule(r"([1-3])\+([1-3])(?!\s?[=\d])", _read_bundle),
    rule(r"(\d{1,9})(-?(?:\^\d|[²³]){2,3}|\^-?\d{1,3}|-?(?:\^\d|[²³]))", _read_power),
    rule(r"([1-9]),\s?([1-9])(?=\s?[가-힣])", _read_listed_count),
    rule(
        rf"({DECIMAL}(?:\s?[x×X*]\s?{DECIMAL})+)(?!\s?=)(?![\d])(?:\s?({_UNIT})(?![A-Za-z0-9²³/]))?",
        _read_dimensions,
    ),
    rule(
        rf"{_NUMBER}(?P<magnitude>{MAGNITUDE})?(?:(?P<unit>{_UNIT})(?:/(?P<rate>{_UNIT}))?)(?![A-Za-z0-9²³])",
        _read_quantity,
    ),
    rule(
        rf"{_NUMBER}(?P<magnitude>{MAGNITUDE})?\s(?P<unit>{_SPACED_UNIT})(?:/(?P<rate>{_UNIT}))?(?![A-Za-z0-9²³'.&-])",
        _read_quantity,
    ),
    rule(rf"({DECIMAL})({MAGNITUDE})?원\s?/\s?({_UNIT})(?![A-Za-z0-9²³])", _read_price_per_unit),
    rule(rf"({DECIMAL})\"", _read_inch),
]

RATIO_RULES: list[Rule] = [
    rule(r"\d+(?:\.\d+)?(?:\s?:\s?\d+(?:\.\d+)?)+", _read_score_like),
    rule(r"\d{1,2}-\d{1,2}(?:, ?\d{1,2}-\d{1,2}){1,6}(?![\d-])", _read_set_scores),
    rule(r"\d{1,3}\s?-\s?\d{1,3}(?![\d-])", _read_hyphen_score),
]

PLAIN_RATIO_RULES: list[Rule] = [
    rule(rf"{DECIMAL}(?:\s?:\s?{DECIMAL})+", _read_ratio),
    rule(r"\d+\s?대\s?\d+(?![\d]|\s?대)", _read_spaced_ratio),
]

FRACTION_RULES: list[Rule] = [
    rule(r"(\d{2,3})/(\d{2,3})(\s?mmHg)?(?![\d/])", _read_over),
    rule(r"(\d{1,9})\s?/\s?(\d{1,9})(?![\d/])", _read_fraction),
]

# In parts, so that what sounds for minutes can be broken between them.
ENDLESS_RULES: list[Rule] = [rule(r"\d{40}(?=\d)|(?<=\d{40})\d+", _read_digit_run)]

PLAIN_RULES: list[Rule] = [
    rule(r"\d{1,9}(?:\.\d{1,9}){2,}(?!\d)", _read_version),
    rule(r"(?P<number>\d{1,3})(?=\s?[가-힣])", _read_count),
    rule(r"(\d{1,2})째(?!주)", _read_ordinal),
    rule(rf"(?P<number>{DECIMAL})(?P<magnitude>{MAGNITUDE})", _read_amount),
    rule(r"[-+±](?=\s?[₩$€£¥]?\.?\d)", _read_signed),
    rule(r"(?<![\w.])\.\d{1,9}(?![\d.])", _read_bare_decimal),
    rule(DECIMAL, _read_plain),
]
