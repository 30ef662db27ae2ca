"""Korean written in Latin letters back to Hangul: bulgogi -> 불고기.

Revised Romanization (국어의 로마자 표기법), with the ``oo`` and ``ee`` of names (baewoo).
"""

import re
import unicodedata

_ONSETS = dict(
    zip(
        "kk tt pp ss jj ch g n d r l m b s j k t p h".split() + [""],
        "ᄁᄄᄈᄊᄍᄎᄀᄂᄃᄅᄅᄆᄇᄉᄌᄏᄐᄑᄒᄋ",
        strict=True,
    )
)
_VOWELS = dict(
    zip(
        "yeo yae wae woo eo eu ae oe ui wi wa wo we ya yo yu ye oo ee a o u i e".split(),
        "ᅧᅤᅫᅮᅥᅳᅢᅬᅴᅱᅪᅯᅰᅣᅭᅲᅨᅮᅵᅡᅩᅮᅵᅦ",
        strict=True,
    )
)
_CODAS = {"ng": "ᆼ", "k": "ᆨ", "n": "ᆫ", "t": "ᆺ", "l": "ᆯ", "m": "ᆷ", "p": "ᆸ", "": ""}
_ONSET = "|".join(filter(None, _ONSETS))
_VOWEL = "|".join(_VOWELS)
# A consonant closes a syllable only where no vowel claims it; ng before a vowel stays a coda.
_SYLLABLE = re.compile(rf"({_ONSET}|)({_VOWEL})((?:ng|[kntlmp])(?![aeiouyw])|ng(?=[aeiouyw])|)")
_MIN_SYLLABLES = 2


def from_romanized(word: str) -> str | None:
    """Hangul for a lower-case word, or None unless all of it reads as two or more syllables."""
    syllables: list[str] = []
    at = 0
    while at < len(word):
        match = _SYLLABLE.match(word, at)
        if match is None:
            return None
        syllables.append(_ONSETS[match[1]] + _VOWELS[match[2]] + _CODAS[match[3]])
        at = match.end()
    if len(syllables) < _MIN_SYLLABLES:
        return None
    return unicodedata.normalize("NFC", "".join(syllables))
