"""Pronounced Hangul to IPA, in the symbols that Kokoro was trained on.

Kokoro never heard Korean, so this is no textbook transcription: where two spellings were possible,
the one that Whisper understood better was taken. `IPA_NOTES.md` records what was tried.
"""

from __future__ import annotations

_FIRST_SYLLABLE = 0xAC00
_NUM_SYLLABLES = 11172
_NUM_NUCLEI = 21
_NUM_CODAS = 28

_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_NUCLEI = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"

# The seven sounds a coda can have (표준 발음법 8-11); clusters are reduced by then, but a text that
# skipped pronunciation still gets a sound for each.
_CODA_SOUNDS = (
    *("", "ㄱ", "ㄱ", "ㄱ", "ㄴ", "ㄴ", "ㄴ", "ㄷ", "ㄹ", "ㄱ", "ㅁ", "ㄹ", "ㄹ", "ㄹ"),
    *("ㅂ", "ㄹ", "ㅁ", "ㅂ", "ㅂ", "ㄷ", "ㄷ", "ㅇ", "ㄷ", "ㄷ", "ㄱ", "ㄷ", "ㅂ", "ㄷ"),
)
_SONORANT_CODAS = frozenset(("", "ㄴ", "ㄹ", "ㅁ", "ㅇ"))

_ONSET_IPA = {
    **{"ㄱ": "k", "ㄷ": "t", "ㅂ": "p", "ㅈ": "ʨ"},
    **{"ㄲ": "ʔk", "ㄸ": "ʔt", "ㅃ": "ʔp", "ㅉ": "ʔʨ", "ㅆ": "ss"},
    **{"ㅋ": "kʰ", "ㅌ": "tʰ", "ㅍ": "pʰ", "ㅊ": "ʨʰ"},
    **{"ㄴ": "n", "ㅁ": "m", "ㄹ": "ɾ", "ㅅ": "s", "ㅎ": "h", "ㅇ": ""},
}
# Lax stops are voiced between sonorants: 부부 -> pubu.
_VOICED_IPA = {"ㄱ": "ɡ", "ㄷ": "d", "ㅂ": "b", "ㅈ": "ʥ"}
_PALATAL_IPA = {"ㅅ": "ɕ", "ㅆ": "ɕɕ"}
_PALATALISING = frozenset("ㅣㅑㅕㅛㅠㅒㅖㅟ")
_PALATAL_AFFRICATES = frozenset("ㅈㅉㅊ")
_NUCLEUS_IPA = {
    **{"ㅏ": "a", "ㅐ": "ɛ", "ㅓ": "ʌ", "ㅔ": "e", "ㅗ": "o", "ㅜ": "u", "ㅡ": "ɯ", "ㅣ": "i"},
    **{"ㅑ": "ja", "ㅒ": "jɛ", "ㅕ": "jʌ", "ㅖ": "je", "ㅛ": "jo", "ㅠ": "ju"},
    **{"ㅘ": "wa", "ㅙ": "wɛ", "ㅚ": "we", "ㅝ": "wʌ", "ㅞ": "we", "ㅟ": "ɥi", "ㅢ": "ɰi"},
}
_CODA_IPA = {
    **{"": "", "ㄱ": "k", "ㄷ": "t", "ㅂ": "p"},
    **{"ㄴ": "n", "ㄹ": "l", "ㅁ": "m", "ㅇ": "ŋ"},
}

# What the network knows as punctuation; everything else that is not Hangul is silent.
_PUNCTUATION = {
    **{mark: mark for mark in " ,.!?…;:"},
    **{"~": "", "·": " ", "—": ",", "–": ",", "\n": " ", "\t": " "},
    **{"。": ".", "、": ",", "，": ",", "！": "!", "？": "?"},
}


def to_ipa(pronounced: str) -> str:
    """Spell pronounced Hangul in IPA.

    Args:
        pronounced: Hangul as `models.text.korean.pronounce` gives it; spaces and punctuation stay,
            and whatever else is in it is dropped.

    Returns:
        Symbols that are all in Kokoro's vocabulary; empty if there is nothing to say.
    """
    return " ".join("".join("".join(parts) for parts in spell(pronounced)).split())


def spell(pronounced: str) -> list[tuple[str, str, str]]:
    """The IPA of each character of `pronounced`, as onset, nucleus and coda.

    What is no syllable has its symbol, if any, in place of the onset. `to_ipa` joins all this, and
    leaves out spaces at the ends and after other spaces.
    """
    spelled: list[tuple[str, str, str]] = []
    previous_coda: str | None = None  # None at the start and after a space or a mark
    for char in pronounced:
        syllable = _split(char)
        if syllable is None:
            spelled.append((_PUNCTUATION.get(char, ""), "", ""))
            previous_coda = None
            continue
        onset, nucleus, coda = syllable
        spelled.append(
            (
                _onset_ipa(onset, nucleus, previous_coda),
                _nucleus_ipa(onset, nucleus),
                _CODA_IPA[coda],
            )
        )
        previous_coda = coda
    return spelled


def _split(char: str) -> tuple[str, str, str] | None:
    """Onset, nucleus and coda sound of a syllable; None for any other character."""
    index = ord(char) - _FIRST_SYLLABLE
    if not 0 <= index < _NUM_SYLLABLES:
        return None
    onset_idx, rest = divmod(index, _NUM_NUCLEI * _NUM_CODAS)
    nucleus_idx, coda_idx = divmod(rest, _NUM_CODAS)
    return _ONSETS[onset_idx], _NUCLEI[nucleus_idx], _CODA_SOUNDS[coda_idx]


def _onset_ipa(onset: str, nucleus: str, previous_coda: str | None) -> str:
    if onset == "ㄹ" and previous_coda == "ㄹ":
        return "l"  # 달라 is a long lateral, not a lateral and a tap
    if onset in _VOICED_IPA and previous_coda in _SONORANT_CODAS:
        return _VOICED_IPA[onset]
    if onset in _PALATAL_IPA and nucleus in _PALATALISING:
        return _PALATAL_IPA[onset]
    return _ONSET_IPA[onset]


def _nucleus_ipa(onset: str, nucleus: str) -> str:
    if nucleus == "ㅢ" and onset != "ㅇ":
        return "i"  # 희망 is pronounced 히망
    ipa = _NUCLEUS_IPA[nucleus]
    # 져, 쪄, 쳐 are pronounced 저, 쩌, 처 (표준 발음법 5).
    return ipa.removeprefix("j") if onset in _PALATAL_AFFRICATES else ipa
