"""Joins Korean verbs and adjectives to endings.

Endings are written as grammar books write them:

- `고`: after any stem (a final ㄹ goes before ㄴ: 살 + 네 = 사네)
- `(으)면`: with 으 after a consonant; `(으)ㄹ게`, `(으)ㄴ`, `(으)ㅂ시다` close the stem's syllable
- `(아)서`: 아 or 어 by vowel harmony, contracted as usual; `(았)` is its past tense
- `ㅂ니다/습니다`: the form after a vowel or ㄹ, and the form after a consonant
"""

from __future__ import annotations

from dataclasses import dataclass

from training.corpus.hangul import append, coda_of, join, split, with_coda

_EU, _INFINITIVE, _PAST = "(으)", "(아)", "(았)"
_BRIGHT_VOWELS = frozenset("ㅏㅑㅗ")
_ROUNDED_B = frozenset("돕곱")  # the two ㅂ stems that keep harmony: 도와, 고와
# What a final vowel and 아 or 어 become together; vowels not named here stay apart (쉬어).
_CONTRACTED = {
    **{vowel: vowel for vowel in "ㅏㅓㅐㅔㅕ"},
    **{"ㅗ": "ㅘ", "ㅜ": "ㅝ", "ㅣ": "ㅕ", "ㅚ": "ㅙ"},
}
_H_FUSED = {"ㅏ": "ㅐ", "ㅓ": "ㅐ", "ㅑ": "ㅒ", "ㅕ": "ㅖ"}


@dataclass(frozen=True)
class Stem:
    """A verb or adjective without its 다.

    Args:
        text: the stem, such as 먹.
        irregular: ㅂ, ㄷ, ㅅ, ㅎ, 르, 러 for stems that change; otherwise "", or 으 where the
            stem only looks like one of them (따르).
    """

    text: str
    irregular: str = ""

    def attach(self, ending: str) -> str:
        """The stem with an ending in the notation above."""
        if ending.startswith(_EU):
            return self._attach_eu(ending.removeprefix(_EU))
        if ending.startswith(_INFINITIVE):
            return self.infinitive() + ending.removeprefix(_INFINITIVE)
        if ending.startswith(_PAST):
            return with_coda(self.infinitive(), "ㅆ") + ending.removeprefix(_PAST)
        open_form, slash, closed_form = ending.partition("/")
        if slash:
            is_open = coda_of(self.text) in ("", "ㄹ")
            return append(self._without_l(), open_form) if is_open else self.text + closed_form
        return (self._without_l() if ending[0] in "네니는냐느나" else self.text) + ending

    def infinitive(self) -> str:
        """The form in 아 or 어: 가, 먹어, 해, 도와, 몰라."""
        base, last = self.text[:-1], self.text[-1]
        onset, vowel, coda = split(last)
        if last == "하":
            return base + "해"
        if self.irregular == "ㅂ":
            return with_coda(self.text, "") + ("와" if last in _ROUNDED_B else "워")
        if self.irregular == "ㅅ":
            return with_coda(self.text, "") + self._harmony()
        if self.irregular == "ㄷ":
            return with_coda(self.text, "ㄹ") + self._harmony()
        if self.irregular == "ㅎ":
            return base + join(onset, _H_FUSED[vowel])
        if self.irregular == "르":
            bright = split(base[-1])[1] in _BRIGHT_VOWELS
            return with_coda(base, "ㄹ") + ("라" if bright else "러")
        if self.irregular == "러":
            return self.text + "러"
        if coda:
            return self.text + self._harmony()
        if vowel == "ㅡ":
            bright = bool(base) and base[-1] != " " and split(base[-1])[1] in _BRIGHT_VOWELS
            return base + join(onset, "ㅏ" if bright else "ㅓ")
        if vowel in _CONTRACTED:
            return base + join(onset, _CONTRACTED[vowel])
        return self.text + "어"

    def _attach_eu(self, rest: str) -> str:
        coda = coda_of(self.text)
        if self.irregular == "ㅂ":
            return append(with_coda(self.text, "") + "우", rest)
        if self.irregular == "ㅎ":
            return append(with_coda(self.text, ""), rest)
        if self.irregular in ("ㄷ", "ㅅ"):
            changed = with_coda(self.text, "ㄹ" if self.irregular == "ㄷ" else "")
            return append(changed + "으", rest)
        if coda == "ㄹ":
            return append(self._without_l() if rest[0] in "ㄴㄹㅂ니세시십셨" else self.text, rest)
        return append(self.text + "으", rest) if coda else append(self.text, rest)

    def _without_l(self) -> str:
        is_l_stem = coda_of(self.text) == "ㄹ" and not self.irregular
        return with_coda(self.text, "") if is_l_stem else self.text

    def _harmony(self) -> str:
        return "아" if split(self.text[-1])[1] in _BRIGHT_VOWELS else "어"
