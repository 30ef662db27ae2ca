"""Dates and clock times."""

import re

from models.text.korean.numbers import adnominal, digits, sino
from models.text.korean.rule import Match, Rule, after, before, rule

_HALF_DAYS = {"a": "오전 ", "p": "오후 "}
_MONTHS = {6: "유월", 10: "시월"}
_DATE_BEFORE = re.compile(
    r"(?:날짜|마감|마감일|일시|기한|일정|생일|출시일|발매일|개봉|방송|오픈|D-day)(?:은|는|이|가|:)?$"
)
_DATE_AFTER = re.compile(
    r"\s?(?:[(\[]?[월화수목금토일](?:요일)?[)\]]|[월화수목금토일]요일|까지|부터|\d{1,2}:\d|오전|오후|자정|정오|마감|개봉|출시|방송|발매|예정|공연|오픈|시작|저녁|아침|점심|밤)"
)
_BAND_AFTER = re.compile(
    r"(?:의|이 부른)?\s?(?:노래|멤버|콘서트|앨범|신곡|팬|데뷔|출신|활동|히트곡|무대|발라드|컴백)"
)
_FRACTION_AROUND = re.compile(
    r"\s?(?:로 (?:줄|감소|축소|떨어)|점|수준|크기|정도|가량|이하|이상|만큼|지점|씩|밖에|확률|배)"
)
_ANNIVERSARY = (
    r"(?=\s?(?:절|전쟁|혁명|민주|운동|광복|사태|테러|사변|항쟁|의거|선언|쿠데타|총선|참사"
    r"|비상계엄|계엄|남북|정상회담|군사|내란))"
)


def month(value: int) -> str:
    """유월 and 시월 drop the end of 육 and 십."""
    return _MONTHS.get(value, sino(value) + "월")


def clock(hours: int, minutes: int, seconds: int | None = None) -> str:
    """9:05 -> 아홉 시 오 분; hours above twelve are Sino-Korean, as on a station clock."""
    spoken = f"{adnominal(hours) if 0 < hours <= 12 else sino(hours)} 시"
    if minutes or seconds:
        spoken += f" {sino(minutes)} 분"
    if seconds:
        spoken += f" {sino(seconds)} 초"
    return spoken


def _is_day(month_value: int, day: int) -> bool:
    return 1 <= month_value <= 12 and 1 <= day <= 31


def _read_full_date(match: Match) -> str | None:
    year, month_value, day = int(match["year"]), int(match["month"]), int(match["day"])
    is_version = len(match["year"]) == 2 and re.search(r"(?:[A-Za-z]|버전)$", before(match))
    if is_version or not _is_day(month_value, day):
        return None  # iOS 17.4.1 is no day
    return f"{_year(match['year'], year)} {month(month_value)} {sino(day)}일" + _weekday(match)


def _year(written: str, year: int) -> str:
    return (digits(written) if written.startswith("0") else sino(year)) + "년"


def _weekday(match: Match) -> str:
    written = match.groupdict().get("weekday")
    return f" {written}요일" if written else ""


def _read_year_month(match: Match) -> str | None:
    if not 1 <= int(match[2]) <= 12:
        return None
    return f"{sino(int(match[1]))}년 {month(int(match[2]))}"


def _read_month_day(match: Match) -> str | None:
    """11/21 is a date, 2/3 a fraction; the words around it decide what numbers leave open."""
    month_value, day = int(match["month"]), int(match["day"])
    if not _is_day(month_value, day):
        return None
    says_date = (
        match["weekday"]
        or _DATE_BEFORE.search(before(match))
        or _DATE_AFTER.match(after(match))
        or _is_in_date_range(match)
    )
    looks_like_fraction = month_value < day <= 10 or before(match).endswith("의")
    if not says_date and (looks_like_fraction or _FRACTION_AROUND.match(after(match))):
        return None
    return f"{month(month_value)} {sino(day)}일" + _weekday(match)


def _is_in_date_range(match: Match) -> bool:
    """6/10~6/12; 1/3~2/3 has one denominator, and 1/2~1/4 goes back."""
    own = (int(match["month"]), int(match["day"]))
    later = re.match(r"\s?~\s?(\d{1,2})/(\d{1,2})(?![\d/])", after(match))
    earlier = re.search(r"(?<![\d/])(\d{1,2})/(\d{1,2})\s?~\s?$", _just_before(match))
    first, last = own, own
    if later:
        last = int(later[1]), int(later[2])
    elif earlier:
        first = int(earlier[1]), int(earlier[2])
    return first < last and first[1] != last[1] and _is_day(*first) and _is_day(*last)


def _just_before(match: Match) -> str:
    return match.string[max(0, match.start() - 24) : match.start()]


def _read_range_end(match: Match) -> str | None:
    """2024.2.29.~3.4.: what follows a date and a tilde is a date too."""
    if not _FULL_DATE_AND_TILDE.search(_just_before(match)):
        return None
    return _read_dotted_month_day(match)


def _read_dotted_range(match: Match) -> str | None:
    """11.21~11.23: two days, where the numbers can be days and nothing counts them."""
    first, last = (int(match[1]), int(match[2])), (int(match[3]), int(match[4]))
    if not (first < last and _is_day(*first) and _is_day(*last)):
        return None
    return f"{month(first[0])} {sino(first[1])}일에서 {month(last[0])} {sino(last[1])}일"


def _read_last_day(match: Match) -> str | None:
    """11/21~23: the month is not said again."""
    first = re.search(r"(?<![\d/])(\d{1,2})/(\d{1,2})\s?~\s?$", _just_before(match))
    if not first or not int(first[2]) < int(match[1]) <= 31 or not _is_day(int(first[1]), 1):
        return None
    return sino(int(match[1])) + "일"


def _read_short_decade(match: Match) -> str | None:
    return sino(int(match[1])) + "년대"


def _read_dotted_month_day(match: Match) -> str | None:
    month_value, day = int(match["month"]), int(match["day"])
    if not _is_day(month_value, day):
        return None
    return f"{month(month_value)} {sino(day)}일" + _weekday(match)


def _read_quarter(match: Match) -> str | None:
    return sino(int(match[1])) + "사"


def _read_anniversary(match: Match) -> str | None:
    """6·25 -> 육이오, 10·26 -> 십이육: the day digit by digit, the month as a number."""
    month_value, day = match[1], match[2]
    if not _is_day(int(month_value), int(day)):
        return None
    is_numeral = day == "10" or (month_value, day) == ("12", "12")
    return sino(int(month_value)) + (sino(int(day)) if is_numeral else digits(day))


def _read_month(match: Match) -> str | None:
    value = int(match[1])
    return month(value) if 1 <= value <= 12 else None


def _read_padded(match: Match) -> str | None:
    """01월 05일, 09시: the zero is not spoken."""
    unit, value = match[2], int(match[1])
    if unit == "시":
        return clock(value, 0).removesuffix(" 시") + " "
    return sino(value)


def _read_clock(match: Match) -> str | None:
    hours, minutes = int(match[1]), int(match[2])
    if hours > 24:
        return None
    return clock(hours, minutes, int(match[3]) if match[3] else None)


def _read_half_day_clock(match: Match) -> str | None:
    """10:05 p.m., 3PM."""
    hours = int(match[1])
    if match[0] in ("2AM", "2PM") and _BAND_AFTER.match(after(match)):
        return None
    return _HALF_DAYS[match[3].lower()] + clock(hours, int(match[2] or 0)) if hours <= 24 else None


def _read_half_day(match: Match) -> str | None:
    return _HALF_DAYS[match[1].lower()]


def _read_clock_before_unit(match: Match) -> str | None:
    """12:30분 and 9시:30분 are written too."""
    return clock(int(match[1]), int(match[2])).removesuffix(" 분") + " "


def _read_native_hour(match: Match) -> str | None:
    value = int(match[1])
    return adnominal(value) + " " if 0 < value <= 12 else None


_PART = r"(?P<weekday_mark>\s?[(\[](?P<weekday>[월화수목금토일])(?:요일)?[)\]])?"
_FULL_DATE_AND_TILDE = re.compile(
    r"\d{2,4}\.\s?\d{1,2}\.\s?\d{1,2}\.?(?:\s?\([월화수목금토일]\))?\s?~\s?$"
)

FULL_DATE_RULES: list[Rule] = [
    rule(
        r"(?P<year>\d{4})\s?(?P<mark>[./-])\s?(?P<month>\d{1,2})\s?(?P=mark)\s?(?P<day>\d{1,2})(?!\d)(?:\.(?=[^\d]|$))?"
        + _PART,
        _read_full_date,
    ),
    rule(
        r"(?P<year>\d{2})(?P<mark>[./])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})(?!\d|\.\d)\.?"
        + _PART,
        _read_full_date,
    ),
    rule(
        r"'(?P<year>\d{2})\.\s?(?P<month>\d{1,2})\.\s?(?P<day>\d{1,2})(?!\d|\.\d)\.?" + _PART,
        _read_full_date,
    ),
    rule(r"(?:'(?=\d0s)|(?=\d{4}))(\d0|(?:1[5-9]|20)\d0)s(?![A-Za-z])", _read_short_decade),
    rule(r"((?:19|20)\d\d)[./](\d{1,2})(?!\d|[./]\d)(?=\.|\s|~|$|월|[가-힣])", _read_year_month),
]

DATE_RULES: list[Rule] = [
    rule(r"([1-4])/4(?=분기)", _read_quarter),
    rule(
        r"(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12]\d|3[01])(?![\d-])" + _PART,
        _read_dotted_month_day,
    ),
    rule(r"(\d{1,2})\s?[·]\s?(\d{1,2})(?!\d)(?![가-힣]{1,2}\d)", _read_anniversary),
    rule(r"(\d{1,2})\.(\d{1,2})(?!\d)" + _ANNIVERSARY, _read_anniversary),
    rule(
        r"(\d{1,2})\.([1-3]\d)\s?~\s?(\d{1,2})\.([1-3]\d)(?![\d%℃°]|\.\d|\s?[A-Za-z점도배만억천원초%])",
        _read_dotted_range,
    ),
    rule(r"(\d{1,2})(?!\d|[/.:,]\d|\s?[가-힣%A-Za-z°])", _read_last_day),
    rule(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})(?![\d/])" + _PART, _read_month_day),
    rule(
        r"(?P<month>\d{1,2})\.\s?(?P<day>\d{1,2})\.?\s?[(\[](?P<weekday>[월화수목금토일])(?:요일)?[)\]]",
        _read_dotted_month_day,
    ),
    rule(
        r"(?P<month>\d{1,2})\.\s?(?P<day>\d{1,2})(?!\d|\.\d)\.?" + _PART,
        _read_range_end,
    ),
    rule(
        r"(0?\d|1[0-2])\s?월(?=[^가-힣]|$|달|말|초|중|의|에|은|는|이|가|을|를|도|로|과|와|까지|부터|분|호|생|쯤|경|이|령|보다|마다|만|하순|상순|중순|세|급)",
        _read_month,
    ),
    rule(r"(?<=\d일)\s?\(일\)", lambda _match: " 일요일"),  # 30일(일): two 일 in a row say nothing
    rule(r"0(\d)(?=(월|일|시|분|초))", _read_padded),
    rule(r"0(\d)(?=\s(월|일|시|분|초))", _read_padded),
]

CLOCK_RULES: list[Rule] = [
    rule(r"(?i:(\d{1,2})(?::([0-5]\d))?\s?([ap])\.?m\.?)(?![A-Za-z])", _read_half_day_clock),
    rule(r"(?i:([ap])\.?m\.?)\s?(?=\d{1,2}(?::[0-5]\d|시))", _read_half_day),
    rule(r"(\d{1,2}):([0-5]\d)(?=분)", _read_clock_before_unit),
    rule(r"(\d{1,2})\s?:\s?([0-5]\d)(?::([0-5]\d))?(?![\d:]|,\d{3})", _read_clock),
    rule(r"(\d{1,2})(?=시\s?:?\s?\d{1,2}\s?분)", _read_native_hour),
]
