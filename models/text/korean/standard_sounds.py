"""Sounds of numerals that the reference G2P lacks: 십육 [심뉵], 열여섯 [열려섣].

Standard Korean Pronunciation, rule 29: ㄴ is inserted where a numeral that begins with a y-glide
follows a consonant. The reference says 시뷱, so this stays apart from `pronounce`, which equals it.
"""

import re

from models.text.korean.pronunciation import pronounce

_SINO_RUN = re.compile("(?:(?<![가-힣])|(?<=제))[일이삼사오육칠팔구십백천만억조]{2,}")
_SINO_SIX = re.compile("(?<=[십백천만억])육")
_NATIVE = re.compile("(열|스물)(여[섯덟])|(서른|마흔|쉰|예순|일흔|여든|아흔)(여[섯덟])")


def pronounce_standard(text: str) -> str:
    """`pronounce`, with ㄴ inserted in numerals: 십육 -> 심뉵."""
    text = _SINO_RUN.sub(lambda m: _SINO_SIX.sub("뉵", m[0]), text)
    return pronounce(_NATIVE.sub(_insert, text))


def _insert(match: re.Match[str]) -> str:
    if match[1]:  # ㄴ after ㄹ is ㄹ
        return match[1] + "려" + match[2][1]
    return match[3] + "녀" + match[4][1]
