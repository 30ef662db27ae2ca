"""English words in Hangul, from their pronunciation: meeting -> 미팅.

Follows the loanword orthography for English (외래어 표기법 제3장 제1절): a voiceless stop closes the
syllable after a short vowel and takes ㅡ elsewhere, ㄹ doubles between vowels, r is silent before
consonants and at the end.
"""

import unicodedata

_ONSETS = {
    "P": "ᄑ", "B": "ᄇ", "T": "ᄐ", "D": "ᄃ", "K": "ᄏ", "G": "ᄀ", "F": "ᄑ", "V": "ᄇ", "TH": "ᄉ",
    "DH": "ᄃ", "S": "ᄉ", "Z": "ᄌ", "SH": "ᄉ", "ZH": "ᄌ", "CH": "ᄎ", "JH": "ᄌ", "M": "ᄆ", "N": "ᄂ",
    "L": "ᄅ", "R": "ᄅ", "HH": "ᄒ", "TS": "ᄎ", "NG": "ᄋ",
}  # fmt: skip
_VOWELS = {
    "AA": "ᅡ", "AE": "ᅢ", "AH": "ᅥ", "AO": "ᅩ", "AW": "ᅡ우", "AY": "ᅡ이", "EH": "ᅦ", "ER": "ᅥ",
    "EY": "ᅦ이", "IH": "ᅵ", "IY": "ᅵ", "OW": "ᅩ", "OY": "ᅩ이", "UH": "ᅮ", "UW": "ᅮ",
}  # fmt: skip
_GLIDED = {
    "Y": {"ᅡ": "ᅣ", "ᅢ": "ᅤ", "ᅥ": "ᅧ", "ᅦ": "ᅨ", "ᅩ": "ᅭ", "ᅮ": "ᅲ", "ᅵ": "ᅵ"},
    "W": {"ᅡ": "ᅪ", "ᅢ": "ᅫ", "ᅥ": "ᅯ", "ᅦ": "ᅰ", "ᅩ": "ᅯ", "ᅮ": "ᅮ", "ᅵ": "ᅵ"},
}
_W_FRONT = {"ᅵ": "ᅱ"}
_CODAS = {"P": "ᆸ", "T": "ᆺ", "K": "ᆨ", "M": "ᆷ", "N": "ᆫ", "NG": "ᆼ", "L": "ᆯ"}
_SHORT_VOWELS = {"AA", "AE", "AH", "EH", "IH", "UH", "AO"}
_SONORANTS = {"M", "N", "L", "R", "W", "Y"}


def transliterate(word: str, phones: list[str]) -> str:
    """Hangul for an English word.

    Args:
        word: its spelling, which settles how a reduced vowel is written (support 서포트, basic 베이식).
        phones: its ARPAbet pronunciation, with or without stress digits.
    """
    sounds = _merge_affricates([_spell_reduced(phone, word) for phone in phones])
    out: list[str] = []
    for at, (phone, _) in enumerate(sounds):
        following = sounds[at + 1][0] if at + 1 < len(sounds) else ""
        previous = sounds[at - 1][0] if at else ""
        out.append(_write(phone, sounds[at][1], previous, following))
    return unicodedata.normalize("NFC", _fill_onsets("".join(out)))


def _spell_reduced(phone: str, word: str) -> tuple[str, str]:
    """The phone without stress and its vowel letter."""
    base = phone.rstrip("012")
    vowel = _VOWELS.get(base, "")
    if phone == "AH0":
        letters = {letter for letter in word.lower() if letter in "aeiou"}
        if letters <= {"a"}:
            vowel = "ᅡ"
        elif "e" not in letters and "u" not in letters and letters <= {"o", "a"}:
            vowel = "ᅥ"
    if base == "AA" and "o" in word.lower() and "a" not in word.lower():
        vowel = "ᅩ" if "e" not in word.lower() or True else vowel
    return base, vowel


def _merge_affricates(sounds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for sound in sounds:
        if merged and (merged[-1][0], sound[0]) in (("T", "S"), ("D", "Z")):
            merged[-1] = ("TS" if sound[0] == "S" else "Z", "")
        else:
            merged.append(sound)
    return merged


def _write(phone: str, vowel: str, previous: str, following: str) -> str:
    if phone in _VOWELS:
        return _write_vowel(phone, vowel, previous, following)
    if phone in ("W", "Y"):
        return "" if following in _VOWELS else ("우" if phone == "W" else "이")
    if following in _VOWELS or (following in ("W", "Y") and phone != "NG"):
        return _write_onset(phone, previous)
    return _write_coda(phone, previous, following)


def _write_vowel(phone: str, vowel: str, previous: str, following: str) -> str:
    first, rest = vowel[:1], vowel[1:]
    if previous in _GLIDED:
        first = _W_FRONT.get(first, _GLIDED[previous].get(first, first)) if previous == "W" else _GLIDED["Y"].get(first, first)
    elif previous == "SH":
        first = _GLIDED["Y"].get(first, first)
    rest = rest or ("어" if following == "R" and phone in ("IH", "IY", "EH", "UH", "AY") else "")
    return first + rest


def _write_onset(phone: str, previous: str) -> str:
    if phone == "NG":
        return "ᆼ"
    doubled = phone == "L" and previous in _VOWELS
    return ("ᆯ" if doubled else "") + _ONSETS[phone]


def _write_coda(phone: str, previous: str, following: str) -> str:
    after_vowel = previous in _VOWELS
    if phone == "R":
        return "" if after_vowel else "르"
    if phone in ("M", "N", "NG", "L") and after_vowel:
        return _CODAS[phone]
    if phone in ("P", "T", "K") and previous in _SHORT_VOWELS and following not in _SONORANTS:
        return _CODAS[phone]
    if phone in ("CH", "JH", "ZH"):
        return _ONSETS[phone] + "ᅵ"
    if phone == "SH":
        return "시" if not following else "슈"
    if phone == "HH":
        return ""
    if phone == "L" and following == "":
        return "을"
    return _ONSETS[phone] + "ᅳ"


def _fill_onsets(jamo: str) -> str:
    """Gives every vowel that has no onset the silent one, and a vowelless coda its ㅡ."""
    out: list[str] = []
    for char in unicodedata.normalize("NFD", jamo):
        if "ᅡ" <= char <= "ᅵ" and not (out and "ᄀ" <= out[-1] <= "ᄒ"):
            out.append("ᄋ")
        if "ᆨ" <= char <= "ᇂ" and not (out and "ᅡ" <= out[-1] <= "ᅵ"):
            out.append("으"[0] if not (out and "ᄀ" <= out[-1] <= "ᄒ") else "")
            out.append("ᅳ")
        out.append(char)
    return "".join(out)
