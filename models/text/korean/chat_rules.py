"""Chat writing: bare consonants and vowels (ㅋㅋㅋ, ㄱㅅ, ㅠㅠ)."""

import re

from models.text.korean.rule import Match, Rule, after, rule
from models.text.tables import read_table

_SPELLINGS = dict(read_table("korean_chat"))
_LONGEST = max(map(len, _SPELLINGS))
_MAX_REPEATS = 10  # a laugh of a thousand letters is not spoken a thousand times
# ㄱㄱ 고고: how each letter of a longer run sounds.
_HALVES = {
    spelling[0]: reading[: len(reading) // 2]
    for spelling, reading in _SPELLINGS.items()
    if len(spelling) == 2
    and spelling[0] == spelling[1]
    and reading[: len(reading) // 2] == reading[len(reading) // 2 :]
}
_VOWELS = dict(
    zip(
        "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ",
        "아애야얘어에여예오와왜외요우워웨위유으의이",
        strict=True,
    )
)
_NAMES = dict(
    zip(
        "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㄲㄸㅃㅆㅉ",
        (
            "기역 니은 디귿 리을 미음 비읍 시옷 이응 지읒 치읓 키읔 티읕 피읖 히읗 쌍기역 "
            "쌍디귿 쌍비읍 쌍시옷 쌍지읒"
        ).split(),
        strict=True,
    )
)


def _read_jamo(match: Match) -> str | None:
    run = re.sub(rf"(.)\1{{{_MAX_REPEATS},}}", lambda m: m[1] * _MAX_REPEATS, match[0])
    if len(run) > 1 and len(set(run)) == 1 and run not in _SPELLINGS and run[0] in _SPELLINGS:
        return _SPELLINGS[run[0]] * len(run)
    if len(set(run)) == 1 and run not in _SPELLINGS and (one := _HALVES.get(run[0])):
        return one * len(run)
    spoken: list[str] = []
    at = 0
    while at < len(run):
        at, word = _longest_spelling(run, at, is_alone=len(run) == 1)
        spoken.append(word)
    reading = "".join(spoken)
    # ㄱㅊ아, ㅈㅅ요: the ending is written out again.
    return (
        reading[:-1]
        if len(reading) > 1 and reading[-1] in "아요" and after(match)[:1] == reading[-1]
        else reading
    )


def _longest_spelling(run: str, at: int, is_alone: bool) -> tuple[int, str]:
    for length in range(min(_LONGEST, len(run) - at), 0, -1):
        word = run[at : at + length]
        if word in _SPELLINGS and not (is_alone and word == "ㅇ"):
            return at + length, _SPELLINGS[word]
    char = run[at]
    return at + 1, _VOWELS.get(char) or _NAMES.get(char, "")


CHAT_RULES: list[Rule] = [rule("[ㄱ-ㅣ]+", _read_jamo)]
