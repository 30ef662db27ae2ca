"""Signs between words: what is spoken, what becomes a pause, what is silent."""

import re
from collections.abc import Callable

import mecab

from models.text.korean.letters import GREEK
from models.text.korean.rule import TOPIC_PARTICLE, Match, Rule, after, rule

_NAMED = {
    "&": "앤드", "@": "골뱅이", "%": "퍼센트", "°": "도", "₩": "원", "$": "달러", "€": "유로",
    "£": "파운드", "¥": "엔", "©": "", "®": "", "™": "", "√": "루트 ", "∞": "무한대", "π": "파이",
    "²": " 제곱", "³": " 세제곱", "‰": "퍼밀", "№": "넘버 ", "±": "플러스마이너스 ",
    "≒": " 약 ", "≈": " 약 ", "≠": " 같지 않다 ", "≥": " 이상 ", "≤": " 이하 ", "㏊": "헥타르",
}  # fmt: skip
_OPERATORS = {
    "+": "더하기",
    "-": "빼기",
    "−": "빼기",
    "×": "곱하기",
    "x": "곱하기",
    "*": "곱하기",
    "÷": "나누기",
}


_ORDER = "[가나다라마바사아자차카타파하]"  # as items of a list are lettered


def _read_operator(match: Match) -> str | None:
    return f" {_OPERATORS[match[1]]} "


def _read_equals(match: Match) -> str | None:
    """= after a number: 은 or 는, by the sound the number ends in."""
    return TOPIC_PARTICLE + " "


def _read_tilde(match: Match) -> str | None:
    """A range between two amounts (3월~5월, 월~금); drawling otherwise."""
    left = match.string[max(0, match.start() - 6) : match.start()].rstrip()
    right = after(match)
    if re.match(
        r"\s?(?:오전 ?|오후 ?|밤 ?|새벽 ?|약 ?|영하 ?|영상 ?|섭씨 ?)?\d", right
    ) and re.search(
        r"(?:\d|\d\.|\d[가-힣%]{1,3}|[A-Z%]|\d\s?[A-Za-z%°²³/]{1,6}|\d.{0,2}\([월화수목금토일]\))$",
        left,
    ):
        return "에서 "
    if re.search(r"(?:^|[^가-힣])[월화수목금토일](?:요일)?$", left) and re.match(
        r"[월화수목금토일](?![가-힣])|[월화수목금토일](?:요일|까지)", right
    ):
        return "에서 "
    if re.search(rf"(?:^|[^가-힣]){_ORDER}$", left) and re.match(rf"{_ORDER}(?![가-힣])", right):
        return "에서 "
    if re.search(r"(?:^|[^A-Za-z])[A-Za-z]$", left) and re.match(r"[A-Za-z](?![A-Za-z])", right):
        return "에서 "
    if re.match(r"[가-힣]+\s?(?:구간|노선|까지|편도|왕복)", right):
        return "에서 "
    return " " if re.match("[가-힣]", right) else ""


def _read_hanja(match: Match) -> str | None:
    readings = [m.feature.reading or "" for m in mecab.MeCab().parse(match[0])]
    return "".join(c for reading in readings for c in reading if "가" <= c <= "힣")


def _read_named(match: Match) -> str | None:
    return _NAMED[match[0]]


def _read_greek(match: Match) -> str | None:
    return GREEK[match[0].lower()]


def _read_pause(match: Match) -> str | None:
    return match[0][0]


def _always(reading: str) -> Callable[[Match], str | None]:
    return lambda _match: reading


_EMOTICON = r"(?:[:;]-?[)(DPp](?![A-Za-z])|\^[_.]*\^;*|-[_.]+-;*|<3(?!\d)|[@>]_+[<@])"
_HANJA = "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"

SYMBOL_RULES: list[Rule] = [
    rule(_EMOTICON, _always("")),
    rule(r"(?<=\d)-(?=\d{1,2}:\d\d)", _always("에서 ")),
    rule(
        r"(?:(?<=^[월화수목금토일])|(?<=[^가-힣][월화수목금토일]))-(?=[월화수목금토일](?![가-힣]))",
        _always("에서 "),
    ),
    rule(r"(?<=\d[시월일])\s?-\s?(?=\d{1,2}[시월일])", _always("에서 ")),
    rule(r"(?<=[\d만억])\+(?!\S)", _always(" 플러스")),
    rule(r"\s?([+÷×*−])\s?(?=\d)", _read_operator),
    rule(r"\s([-x])\s(?=\d)", _read_operator),
    rule(r"(?<=\d)(-)(?=\d{1,9}\s?=)", _read_operator),
    rule(r"\s?=\s?(?=[\d?-])", _read_equals),
    rule(r"\s?~+\s?", _read_tilde),
    rule(
        rf"(?<=[가-힣])\({_HANJA}+\)", _always("")
    ),  # 대한민국(大韓民國): the gloss repeats the word
    rule(r"(?<=\S)[(\[]", _always(" ")),
    rule(rf"{_HANJA}{{1,64}}", _read_hanja),
    rule("[" + re.escape("".join(_NAMED)) + "]", _read_named),
    rule("[" + "".join(GREEK) + "".join(GREEK).upper() + "]", _read_greek),
    rule(r"\.{2,}|…+|(?:…|\.){2,}", _always("…")),
    rule(r"!+|\?+|,+|\.", _read_pause),
    rule(r"[;:]", _always(",")),
    rule(r"\s+", _always(" ")),
    rule(r"(?<=[가-힣])[-/·_|](?=[가-힣A-Za-z0-9])", _always(" ")),
    rule(r"(?s:.)", _always("")),
]
