"""Hangul syllables taken apart and put together; particles that agree with the word before them."""

from __future__ import annotations

import re

ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
CODAS = ["", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"]

_FIRST = ord("가")
_SYLLABLES_PER_ONSET = len(VOWELS) * len(CODAS)
_PAIR_IN_WORD = re.compile("(?=([가-힣][가-힣]))")
_PAIR = re.compile("(?=([가-힣]) ?([가-힣]))")


def split(syllable: str) -> tuple[str, str, str]:
    """Onset, vowel and coda ("" if none) of one Hangul syllable."""
    onset_idx, rest = divmod(ord(syllable) - _FIRST, _SYLLABLES_PER_ONSET)
    vowel_idx, coda_idx = divmod(rest, len(CODAS))
    return ONSETS[onset_idx], VOWELS[vowel_idx], CODAS[coda_idx]


def join(onset: str, vowel: str, coda: str = "") -> str:
    """The syllable of an onset, a vowel and a coda."""
    onset_vowel = ONSETS.index(onset) * len(VOWELS) + VOWELS.index(vowel)
    return chr(_FIRST + onset_vowel * len(CODAS) + CODAS.index(coda))


def coda_of(word: str) -> str:
    """Coda of the last syllable."""
    return split(word[-1])[2]


def with_coda(word: str, coda: str) -> str:
    """`word` with the coda of its last syllable replaced."""
    onset, vowel, _ = split(word[-1])
    return word[:-1] + join(onset, vowel, coda)


def append(word: str, tail: str) -> str:
    """`word` and `tail`; a consonant that opens `tail` becomes the coda of `word`."""
    if tail and tail[0] in CODAS:
        return with_coda(word, tail[0]) + tail[1:]
    return word + tail


def with_particle(noun: str, particle: str) -> str:
    """`noun` and the form of `particle` that follows it: 책 and 를 give 책을.

    Args:
        particle: 를, 가, 는, 와, 랑, 나, 라는, 라면, 라도 in the form after a vowel, 으로
            in the one after a consonant; any other stays as it is.
    """
    if noun in _FUSED and particle == "가":
        return _FUSED[noun] + particle
    coda = coda_of(noun)
    if particle.startswith("으로"):
        return noun + (particle if coda not in ("", "ㄹ") else particle[1:])
    after_consonant = _AFTER_CONSONANT.get(particle)
    return noun + (after_consonant if coda and after_consonant else particle)


_AFTER_CONSONANT = {
    **{"를": "을", "가": "이", "는": "은", "와": "과"},
    **{"랑": "이랑", "나": "이나", "라는": "이라는", "라면": "이라면", "라도": "이라도"},
}
_FUSED = {"나": "내", "저": "제", "너": "네", "누구": "누"}


def bigrams(text: str) -> list[str]:
    """Neighbouring syllables, across a single space too, as a listener hears them joined."""
    return [first + second for first, second in _PAIR.findall(text)]


def bigrams_in_words(text: str) -> list[str]:
    """Neighbouring syllables of the same word."""
    return _PAIR_IN_WORD.findall(text)
