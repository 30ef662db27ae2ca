"""Written Hangul to pronounced Hangul: 같이 가요 -> 가치 가요.

Equal to g2pk2 0.0.3 with its defaults and the tagger python-mecab-ko, which GPT-SoVITS v2 was
trained with, including its quirks (the acoustic model learned them). Rule numbers are those of
Standard Korean Pronunciation (표준 발음법). The idioms and the table of coda and onset come from
g2pk2's data files; its 340 successive substitutions become one lookup here.
"""

import re
import unicodedata
from functools import cache

import mecab

from models.text.korean.reference_numerals import spell_numbers
from models.text.packaged_data import packaged_file

_ONSETS = [chr(code) for code in range(0x1100, 0x1113)]
_CODAS = [chr(code) for code in range(0x11A8, 0x11C3)]
_TENSE = dict(zip("ᄀᄃᄇᄉᄌ", "ᄁᄄᄈᄊᄍ", strict=True))

# Rules 13, 14 and 12.4: a coda moves into the empty onset after it; of a cluster, its second half.
_LINKED = {
    **dict(zip("ᆨᆩᆫᆮᆯᆷᆸᆺᆻᆽᆾᆿᇀᇁ", "ᄀᄁᄂᄃᄅᄆᄇᄉᄊᄌᄎᄏᄐᄑ", strict=True)),
    **{"ᆪ": "ᆨᄊ", "ᆬ": "ᆫᄌ", "ᆰ": "ᆯᄀ", "ᆱ": "ᆯᄆ", "ᆲ": "ᆯᄇ", "ᆳ": "ᆯᄊ"},
    **{"ᆴ": "ᆯᄐ", "ᆵ": "ᆯᄑ", "ᆹ": "ᆸᄊ", "ᇂ": "ᄋ", "ᆭ": "ᄂ", "ᆶ": "ᄅ"},
}
_LINKING = re.compile(f"([{''.join(_LINKED)}])ᄋ")
_STEM_TENSING = re.compile("([ᆫᆷᆬᆱᆲᆴ])/P([ᄀᄃᄉᄌ])")  # 24, 25: 신고 -> 신꼬
_STEM_CLUSTER = {"ᆬ": "ᆫ", "ᆱ": "ᆷ"}
_ADNOMINAL_TENSING = re.compile("ᆯ/E ([ᄀᄃᄇᄉᄌ])")  # 27: 할 것 -> 할 껏
_MARKER = re.compile("/[PJEB]")
_BOUNDARY = re.compile(f"([{''.join(_CODAS)}])( ?[{''.join(_ONSETS)}]|\\W|$)")
_SYLLABLE = re.compile("([ᄀ-ᄒ]?)([ᅡ-ᅵ])([ᆨ-ᇂ]?)")
_HANGUL = re.compile("[가-힣]+")
_TAGGED_CODAS = "ᆫᆬᆷᆱᆰᆲᆴ"


def pronounce(text: str) -> str:
    """The pronunciation of Korean text, spelled in Hangul syllables.

    Spaces, punctuation and Latin letters stay; digits are read the way the reference reads them
    (use `models.text.korean.normalize` first to have them read right).

    Raises:
        ValueError: if `text` holds a lone surrogate.
    """
    for written, spoken in _idioms():
        text = text.replace(written, spoken)
    jamo = _decompose(spell_numbers(_tag(text)))
    for pattern, replacement in _rules_before_tensing():
        jamo = pattern.sub(replacement, jamo)
    jamo = _STEM_TENSING.sub(lambda m: _STEM_CLUSTER.get(m[1], m[1]) + _TENSE[m[2]], jamo)
    for pattern, replacement in _rules_after_tensing():
        jamo = pattern.sub(replacement, jamo)
    jamo = _ADNOMINAL_TENSING.sub(lambda m: "ᆯ " + _TENSE[m[1]], jamo)
    for written, spoken in _tensed_endings():
        jamo = jamo.replace(written, spoken)
    jamo = _BOUNDARY.sub(_speak_boundary, _MARKER.sub("", jamo))
    jamo = _LINKING.sub(lambda m: _LINKED[m[1]], jamo)
    return _SYLLABLE.sub(_compose, jamo)


def _tag(text: str) -> str:
    """Marks the grammar that rules ask for: /J 의, /E …ㄹ, /P verb stem, /B bound noun."""
    tokens = _tagger().pos(text)
    if text.replace(" ", "") != "".join(surface for surface, _ in tokens):
        return text  # as the reference: no tags when the tagger dropped something
    last_syllable_tags = iter(
        tag for surface, pos in tokens for tag in [*"_" * (len(surface) - 1), _tag_of(pos)]
    )
    return "".join(
        char if char == " " else char + _marker(char, next(last_syllable_tags)) for char in text
    )


def _tag_of(pos: str) -> str:
    last = pos.split("+")[-1]
    return "B" if last == "NNBC" else last[0]


def _marker(char: str, tag: str) -> str:
    if tag == "J":
        return "/J" if char == "의" else ""
    coda = _decompose(char)[-1]
    if (tag == "E" and coda == "ᆯ") or (tag == "V" and coda in _TAGGED_CODAS):
        return "/E" if tag == "E" else "/P"
    return "/B" if tag == "B" else ""


def _decompose(text: str) -> str:
    return _HANGUL.sub(lambda m: unicodedata.normalize("NFD", m[0]), text)


def _compose(match: re.Match[str]) -> str:
    onset, vowel, coda = match.groups()
    return unicodedata.normalize("NFC", (onset or "ᄋ") + vowel + coda)


def _compile(rules: list[tuple[str, str]]) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(_decompose(written)), _decompose(spoken)) for written, spoken in rules]


@cache
def _rules_before_tensing() -> list[tuple[re.Pattern[str], str]]:
    # [그] and [으] decompose to classes of two jamo., by accident in the reference: 뜯어 -> 뜨서
    return _compile(
        [
            ("([ᄌᄍᄎ])ᅧ", r"\1ᅥ"),  # 5.1
            ("([ᄀᄁᄂᄃᄄᄅᄆᄇᄈᄉᄊᄌᄍᄎᄏᄐᄑᄒ])ᅴ", r"\1ᅵ"),  # 5.3
            ("/J", ""),  # 5.4: the particle 의 stays as written
            ("([그])ᆮᄋ", r"\1ᄉ"),  # 16: names of letters
            ("([으])[ᆽᆾᇀᇂ]ᄋ", r"\1ᄉ"),
            ("([으])ᆿᄋ", r"\1ᄀ"),
            ("([으])ᇁᄋ", r"\1ᄇ"),
            ("ᆰ/P[ᄀᄁ]", "ᆯᄁ"),  # 11.1: 맑게 -> 말께
        ]
    )


@cache
def _rules_after_tensing() -> list[tuple[re.Pattern[str], str]]:
    return _compile(
        [
            ("(바)ᆲ($|[^ᄋᄒ])", r"\1ᆸ\2"),  # 10.1: 밟다 -> 밥따
            ("(너)ᆲ([ᄌᄍᄃᄄ]ᅮ)", r"\1ᆸ\2"),  # 넓죽하다 -> 넙쭈카다
            ("ᆮᄋ([ᅵᅧ])", r"ᄌ\1"),  # 17: 굳이 -> 구지
            ("ᇀᄋ([ᅵᅧ])", r"ᄎ\1"),
            ("ᆴᄋ([ᅵᅧ])", r"ᆯᄎ\1"),
            ("ᆮ히", "치"),
        ]
    )


@cache
def _tensed_endings() -> list[tuple[str, str]]:
    """27: endings that begin tense after ㄹ."""
    plain = "걸 밖에 세라 수록 지라도 지언정 진대".split()
    tense = "껄 빠께 쎄라 쑤록 찌라도 찌언정 찐대".split()
    return [("ᆯ" + _decompose(p), "ᆯ" + _decompose(t)) for p, t in zip(plain, tense, strict=True)]


@cache
def _idioms() -> list[tuple[str, str]]:
    lines = packaged_file("g2pk2", "g2pk2/idioms.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("#")[0].strip().partition("===") for line in lines)
    return [(written, spoken) for written, separator, spoken in pairs if separator]


def _speak_boundary(match: re.Match[str]) -> str:
    coda, following = match.groups()
    if following and following[-1] not in _ONSETS:
        return _boundary_sound(coda + ".").replace(".", following)
    return _boundary_sound(match[0])


@cache
def _boundary_sound(boundary: str) -> str:
    """What a coda with the onset, full stop or nothing after it becomes under the whole table."""
    # A vowel stands in for the rest of the syllable, so that an onset is not the end of text.
    rest = "ᅡ" if boundary[-1] in _ONSETS else ""
    spoken = boundary + rest
    for pattern, replacement in _table_rules():
        spoken = pattern.sub(replacement, spoken)
    return spoken.removesuffix(rest)


@cache
def _table_rules() -> list[tuple[re.Pattern[str], str]]:
    """g2pk2's table, row by row: a coda, and per onset column what the two become."""
    text = packaged_file("g2pk2", "g2pk2/table.csv").read_text(encoding="utf-8-sig")
    header, *rows = (line.split(",") for line in text.splitlines())
    return [
        (re.compile(row[0] + column), cell.split("(")[0])
        for row in rows
        for column, cell in zip(header[1:], row[1:], strict=False)
        if cell
    ]


@cache
def _tagger() -> mecab.MeCab:
    return mecab.MeCab()
