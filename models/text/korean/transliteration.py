"""English words in Hangul, from their pronunciation: meeting -> 미팅.

Follows the loanword orthography for English (외래어 표기법 제3장 제1절): a voiceless stop closes
the syllable after a short vowel and takes ㅡ elsewhere, ㄹ doubles between vowels, r is silent
before consonants and at the end.
"""

import re
import unicodedata

_ONSETS = dict(
    zip(
        "P B T D K G F V TH DH S Z SH ZH CH JH M N L R HH TS NG".split(),
        "ᄑᄇᄐᄃᄏᄀᄑᄇᄉᄃᄉᄌᄉᄌᄎᄌᄆᄂᄅᄅᄒᄎᄋ",
        strict=True,
    )
)
_VOWELS = {
    "AA": "ᅡ", "AE": "ᅢ", "AH": "ᅥ", "AO": "ᅩ", "AW": "ᅡ우", "AY": "ᅡ이", "EH": "ᅦ", "ER": "ᅥ",
    "EY": "ᅦ이", "IH": "ᅵ", "IY": "ᅵ", "OW": "ᅩ", "OY": "ᅩ이", "UH": "ᅮ", "UW": "ᅮ",
}  # fmt: skip
_GLIDED = {
    "Y": {"ᅡ": "ᅣ", "ᅢ": "ᅤ", "ᅥ": "ᅧ", "ᅦ": "ᅨ", "ᅩ": "ᅭ", "ᅮ": "ᅲ", "ᅵ": "ᅵ"},
    "W": {"ᅡ": "ᅪ", "ᅢ": "ᅫ", "ᅥ": "ᅯ", "ᅦ": "ᅰ", "ᅩ": "ᅯ", "ᅮ": "ᅮ", "ᅵ": "ᅱ"},
}
_CODAS = {"P": "ᆸ", "T": "ᆺ", "K": "ᆨ", "M": "ᆷ", "N": "ᆫ", "NG": "ᆼ", "L": "ᆯ"}
_SHORT_VOWELS = {"AA", "AE", "AH", "EH", "IH", "UH", "AO"}
_VOWEL_LETTERS = re.compile("[aeiouy]+")
_SONORANTS = {"M", "N", "L", "R", "W", "Y"}


def transliterate(word: str, phones: list[str]) -> str:
    """Hangul for an English word.

    Args:
        word: its spelling, which settles how a schwa is written (marketing 마케팅, pizza 피자).
        phones: its ARPAbet pronunciation, with stress digits.
    """
    sounds = _merge_affricates(_spell_vowels(word.lower(), phones))
    out: list[str] = []
    padded = ["", *(phone for phone, _ in sounds), "", ""]
    for at, (phone, vowel) in enumerate(sounds):
        previous, _, following, beyond = padded[at : at + 4]
        if phone in _VOWELS:
            out.append(_write_vowel(phone, vowel, previous, following, beyond))
        else:
            out.append(_write_consonant(phone, previous, following))
    return unicodedata.normalize("NFC", _fill_onsets("".join(out)))


def _spell_vowels(word: str, phones: list[str]) -> list[tuple[str, str]]:
    """Each phone without its stress, with the vowel letters it is written with (or none)."""
    groups = _VOWEL_LETTERS.findall(word)
    vowels_heard = sum(phone[-1].isdigit() for phone in phones)
    if word.endswith("e") and len(groups) == vowels_heard + 1:
        groups.pop()
    aligned = groups if len(groups) == vowels_heard else [""] * vowels_heard
    letters = iter(aligned)
    sounds: list[tuple[str, str]] = []
    for at, phone in enumerate(phones):
        base = phone.rstrip("012")
        vowel = _VOWELS.get(base, "")
        if vowel:
            written = next(letters, "")
            if phone == "AH0":
                vowel = _reduced(word, written, phones[at - 1] if at else "", phones[at + 1 :])
            elif base == "UW" and written in ("u", "ew", "ue") and at and phones[at - 1] in "TDN":
                vowel = "ᅲ"
            elif base == "AA" and written.startswith("o"):
                vowel = "ᅩ"
        sounds.append((base, vowel))
    return sounds


def _reduced(word: str, written: str, previous: str, rest: list[str]) -> str:
    """The Hangul vowel of a schwa, from its letters and the phones around it."""
    if not rest and word.endswith("a"):
        return "ᅡ"
    if rest[:1] == ["L"] and len(rest) <= 2 and re.search("[^aeiou]le[sd]?$", word):
        return "ᅳ"  # apple 애플
    if written in ("i", "y"):
        return "ᅵ"
    if written == "e":
        if rest in (["N"], ["N", "Z"]):
            return "ᅵ" if previous in ("CH", "JH") else "ᅳ"
        return "ᅥ" if rest[:1] == ["N"] else "ᅦ"
    return "ᅥ"


def _merge_affricates(sounds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for sound in sounds:
        if merged and (merged[-1][0], sound[0]) in (("T", "S"), ("D", "Z")):
            merged[-1] = ("TS" if sound[0] == "S" else "Z", "")
        else:
            merged.append(sound)
    return merged


def _write_consonant(phone: str, previous: str, following: str) -> str:
    if phone in ("W", "Y"):
        return "" if following in _VOWELS else ("우" if phone == "W" else "이")
    if following == "W" and phone not in ("K", "G", "HH"):
        return _write_coda(phone, previous, "V")  # sweet 스위트, but queen 퀸
    if following in _VOWELS or (following in ("W", "Y") and phone != "NG"):
        return _write_onset(phone, previous)
    return _write_coda(phone, previous, following)


def _write_vowel(phone: str, vowel: str, previous: str, following: str, beyond: str) -> str:
    first, rest = vowel[:1], vowel[1:]
    if previous in _GLIDED:
        first = _GLIDED[previous].get(first, first)
    elif previous == "SH":
        first = _GLIDED["Y"].get(first, first)
    if following == "R" and beyond not in _VOWELS and phone in ("IH", "IY", "EH", "UH", "AY"):
        rest = rest or "어"  # air 에어, but Marriott 매리엇
    if phone == "ER" and following in _VOWELS:
        rest = _ONSETS["R"]
    return first + rest


def _write_onset(phone: str, previous: str) -> str:
    if phone == "NG":
        return "ᆼ"
    # Inside a word ㄹ doubles: cloud 클라우드, Harley 할리, but Henley 헨리.
    doubled = phone == "L" and previous not in ("", "M", "N", "NG")
    return ("ᆯ" if doubled else "") + _ONSETS[phone]


def _write_coda(phone: str, previous: str, following: str) -> str:
    after_vowel = previous in _VOWELS or previous == "R"  # r before a consonant is silent
    if phone == "R":
        return "" if previous in _VOWELS else "르"
    if phone in ("M", "N", "NG", "L") and after_vowel:
        return _CODAS[phone]
    if phone == "T" and previous == "AW":
        return _CODAS[phone]
    if phone == "M" and previous == "L":
        return "름"
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
            out.append("ᅳ" if out and "ᄀ" <= out[-1] <= "ᄒ" else "으")
        out.append(char)
    return "".join(out)
