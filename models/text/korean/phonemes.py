"""Pronounced Hangul to the symbols of GPT-SoVITS v2: letters, with compound vowels split."""

import re
from collections.abc import Callable

from models.text.korean.pronunciation import pronounce
from models.text.symbols import symbol_ids

_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_CODAS: list[str] = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]
_COMPOUND: dict[int, str] = str.maketrans(
    dict(
        zip(
            "ㅘㅙㅚㅝㅞㅟㅢㅑㅒㅕㅖㅛㅠ",
            "ㅗㅏ ㅗㅐ ㅗㅣ ㅜㅓ ㅜㅔ ㅜㅣ ㅡㅣ ㅣㅏ ㅣㅐ ㅣㅓ ㅣㅔ ㅣㅗ ㅣㅜ".split(),
            strict=True,
        )
    )
)
# The reference's letter names; `normalize` says 씨 and 알, and leaves no letter for this.
_LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            "에이 비 시 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 아르 에스 티 유 "
            "브이 더블유 엑스 와이 제트"
        ).split(),
        strict=True,
    )
)
_LATIN = re.compile("[A-Za-z]")
_SYLLABLE = re.compile("[가-힣]")
_PUNCTUATION = {
    "：": ",",
    "；": ",",
    "，": ",",
    "·": ",",
    "、": ",",
    "。": ".",
    "\n": ".",
    "！": "!",
    "？": "?",
    " ": "空",
}
_UNKNOWN = "停"
_N_INSERTION = re.compile("[ㅇㄹ]ㅡㄹ ㄹ")
_MIN_CHARS_OF_FIX = 5


def phones(text: str, pronounced: Callable[[str], str] = pronounce) -> list[str]:
    """Phoneme symbols of Korean text; a space is 空, a sign the model has no symbol for is 停.

    Args:
        text: written Korean; Latin letters are spelled.
        pronounced: turns written into pronounced Hangul, by default as the reference does.
    """
    letters = _fix_rieul(to_letters(pronounced(spell_latin(text))))
    if letters and "ㄱ" <= letters[-1] <= "ㅣ":
        letters += "."
    known = symbol_ids()
    mapped = (_PUNCTUATION.get(char, char) for char in letters)
    return [char if char in known else _UNKNOWN for char in mapped]


def spell_latin(text: str) -> str:
    """Every Latin letter by its name: AI -> 에이아이."""
    return _LATIN.sub(lambda m: _LETTERS[m[0].lower()], text)


def to_letters(text: str) -> str:
    """Syllables taken apart into letters, compound vowels into two: 회의 -> ㅎㅗㅣㅇㅡㅣ."""
    return _SYLLABLE.sub(_letters, text).translate(_COMPOUND)


def _letters(match: re.Match[str]) -> str:
    syllable: str = match[0]
    onset, rest = divmod(ord(syllable) - ord("가"), len(_VOWELS) * len(_CODAS))
    vowel, coda = divmod(rest, len(_CODAS))
    return _ONSETS[onset] + _VOWELS[vowel] + _CODAS[coda]


def _fix_rieul(letters: str) -> str:
    """을 or 를, a space, ㄹ: that last ㄹ becomes ㄴ again (알을 낳고)."""
    at = 0
    while len(letters) - at >= _MIN_CHARS_OF_FIX:
        if _N_INSERTION.match(letters, at):
            letters = letters[: at + 4] + "ㄴ" + letters[at + 5 :]
        at += 1
    return letters
