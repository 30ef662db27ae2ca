"""Folds the many spellings of one character (ａ, ①, ㎏, ～) into one, keeping their origin."""

import unicodedata
from dataclasses import dataclass

_SAME = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "—": ",", "―": ",", "～": "~", "〜": "~", "∼": "~",
    "ㆍ": "·", "・": "·", "•": "·", "‧": "·", "∙": "·", "⋅": "·", "‘": "'", "’": "'", "′": "'",
    "“": '"', "”": '"', "″": '"', "。": ".", "、": ",", "℃": "°C", "℉": "°F", "˚": "°", "º": "°",
    "￦": "₩", "￥": "¥", "µ": "μ", "…": "…", "⁄": "/", "∕": "/", "✕": "×", "✖": "×", "➗": "÷",
    "㎡": "m²", "㎢": "km²", "㎠": "cm²", "㎥": "m³", "㎤": "cm³", "²": "²", "³": "³", "Ω": "Ω",
    "ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "œ": "oe",
}  # fmt: skip
_NOTHING = "\ufffd"  # stands for what folds to nothing, so that every source character has a place
_COMPATIBILITY_JAMO = dict(
    zip(
        [chr(code) for code in (*range(0x1100, 0x1113), *range(0x1161, 0x1176))],
        "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ",
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class FoldedText:
    """Text with compatibility characters replaced.

    Attributes:
        text: the folded text.
        starts: for each folded character, and one past the last, where its source begins.
    """

    text: str
    starts: list[int]

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The source characters of ``text[start:end]``, where `start` begins a source character."""
        return self.starts[start], self.starts[end]


def fold(source: str) -> FoldedText:
    """Folds `source`; a decomposed syllable (NFD) becomes one character again."""
    folded: list[str] = []
    starts: list[int] = []
    at = 0
    while at < len(source):
        end = at + 1
        while end < len(source) and _joins(source[end]):
            end += 1
        piece = _fold_one(source[at:end]) or _NOTHING
        folded.append(piece)
        starts.extend([at] * len(piece))
        at = end
    starts.append(len(source))
    return FoldedText("".join(folded), starts)


def _joins(char: str) -> bool:
    """Whether `char` belongs to the character before it: vowel and coda jamo, combining marks."""
    return char >= "\u0300" and ("ᅡ" <= char <= "ᇂ" or unicodedata.combining(char) > 0)


def _fold_one(cluster: str) -> str:
    char = unicodedata.normalize("NFC", cluster)
    if "가" <= char <= "힣" or (char.isascii() and len(char) == 1):
        return char
    if len(char) > 1:
        return "".join(map(_fold_char, char))
    return _fold_char(char)


def _fold_char(char: str) -> str:
    if char in _SAME:
        return _SAME[char]
    if "Ⅰ" <= char <= "ⅿ":  # Roman numerals are numbers, not the letters of NFKC
        return char
    if "⁰" <= char <= "⁹" or char == "¹":  # ² and ³ also belong to units and stay
        return "^" + unicodedata.normalize("NFKC", char)
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if "ㄱ" <= char <= "ㆎ":  # compatibility jamo; NFKC would make them conjoining
        return char
    plain = unicodedata.normalize("NFKC", char)
    if "⁄" in plain:
        plain = " " + plain  # 3½ is three and a half, not 31/2
    elif unicodedata.decomposition(char).startswith("<circle>"):
        plain += " "  # ①②: two numbers
    plain = "".join(_COMPATIBILITY_JAMO.get(c, _SAME.get(c, c)) for c in plain)
    if (
        "\u00c0" <= char <= "\u024f" and char not in "×÷"
    ) or "\u1e00" <= char <= "\u1eff":  # Latin letters with accents
        plain = "".join(c for c in unicodedata.normalize("NFD", plain) if c.isascii())
    return plain
