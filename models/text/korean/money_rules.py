"""Sums of money with a sign or a currency code; 원 and 달러 in Hangul are read by other rules."""

import re

from models.text.korean.number_rules import spoken_amount
from models.text.korean.numbers import sino
from models.text.korean.rule import DECIMAL, MAGNITUDE, Match, Rule, after, rule

_CURRENCIES = dict(
    zip(
        "₩$€£¥₫฿₹₽元₿¢",
        "원 달러 유로 파운드 엔 동 바트 루피 루블 위안 비트코인 센트".split(),
        strict=True,
    )
)
_CURRENCY_CODES = {
    "KRW": "원",
    "USD": "달러",
    "EUR": "유로",
    "JPY": "엔",
    "CNY": "위안",
    "GBP": "파운드",
}
_DOLLARS_OF = dict(
    zip(
        "HK NT AU A CA C SG S NZ".split(),
        "홍콩 대만 호주 호주 캐나다 캐나다 싱가포르 싱가포르 뉴질랜드".split(),
        strict=True,
    )
)
_SUBUNITS = {"$": "센트", "€": "센트", "£": "펜스"}
_SHORT_SCALES = {
    "K": "천",
    "k": "천",
    "M": "밀리언",
    "B": "빌리언",
    "million": "밀리언",
    "billion": "빌리언",
}


def _read_money(match: Match) -> str | None:
    symbol, number, magnitude = match["symbol"], match["number"], match["magnitude"] or ""
    scale = _SHORT_SCALES.get(match["scale"] or "", "")
    if magnitude == "만" and "," in number and after(match)[:1] not in ("", "원"):
        magnitude, rest = "", magnitude  # 만 after a full price is the particle "only"
    else:
        rest = ""
    name = _CURRENCIES.get(symbol) or _CURRENCY_CODES[symbol]
    if match["country"]:
        name = f" {_DOLLARS_OF[match['country']]} {name}"
    cents = re.fullmatch(r"([\d,]{1,20})\.(\d\d)", number)
    if cents and symbol in _SUBUNITS and not magnitude and not scale:
        return _spoken_cents(int(cents[1].replace(",", "")), int(cents[2]), symbol, name) + rest
    sign = "마이너스 " if "-" in (match["sign"], match["inner_sign"]) else ""
    return sign + spoken_amount(number, magnitude) + (f" {scale} " if scale else "") + name + rest


def _spoken_cents(whole: int, hundredths: int, symbol: str, name: str) -> str:
    parts = [f"{sino(whole)}{name}"] if whole or not hundredths else []
    if hundredths:
        parts.append(f"{sino(hundredths)}{_SUBUNITS[symbol]}")
    return " ".join(parts)


def _read_money_suffix(match: Match) -> str | None:
    name = _CURRENCIES.get(match[3]) or _CURRENCY_CODES[match[3]]
    return spoken_amount(match[1], match[2] or "") + name


_NUMBER = f"(?P<number>{DECIMAL})"
_COUNTRY = r"(?:(?<![A-Za-z])(?P<country>" + "|".join(_DOLLARS_OF) + r")(?=\$))?"
_SYMBOL = (
    "(?P<symbol>[" + "".join(_CURRENCIES) + "]|(?:" + "|".join(_CURRENCY_CODES) + ")(?=\\s?\\d))"
)

MONEY_RULES: list[Rule] = [
    rule(
        rf"(?P<sign>-?){_COUNTRY}{_SYMBOL}\s?(?P<inner_sign>-?){_NUMBER}(?P<magnitude>{MAGNITUDE})?"
        r"\s?(?P<scale>(?:[KkMB]|[mb]illion)(?![A-Za-z0-9]))?",
        _read_money,
    ),
    rule(
        rf"({DECIMAL})({MAGNITUDE})?\s?([{''.join(_CURRENCIES)}](?!\s?\d)|(?:{'|'.join(_CURRENCY_CODES)})(?![A-Za-z]))",
        _read_money_suffix,
    ),
]
