"""Latin words inside Korean: known words, acronyms spelled, other words transliterated."""

import re
import unicodedata
from functools import lru_cache

from models.text.english.lexicon import dictionary, split_words
from models.text.english.predictor import predict
from models.text.korean.letters import ENGLISH_DIGITS, spell
from models.text.korean.number_rules import spoken_number
from models.text.korean.numbers import digits
from models.text.korean.romanization import from_romanized
from models.text.korean.rule import Match, Rule, before, rule
from models.text.korean.transliteration import transliterate
from models.text.tables import read_table

_WORDS = dict(read_table("korean_latin_words"))
_ROMAN = dict(
    zip("II III IV VI VII VIII IX XI XII".split(), "2 3 4 6 7 8 9 11 12".split(), strict=True)
)
_MARKS = {"&": "앤", "+": "플러스", "@": "골뱅이"}
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[&+@]")
_ADDRESS_MARKS = dict(
    zip(
        "./-_@:?=&#%+~",
        "점 슬래시 하이픈 언더바 골뱅이 콜론 물음표 이퀄 앤드 샵 퍼센트 플러스 물결".split(),
        strict=True,
    )
)
_ADDRESS_TOKEN = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]")
_VOWEL = re.compile("[aeiouyAEIOUY]")
_SHORTEST_CAPITAL_WORD = 4  # HTML and FBI are spelled, SALE is a word
_SHORTEST_GUESSED_WORD = 3
_LONGEST_WORD = 40
_TOP_LEVEL = (
    "com|net|org|kr|io|ai|me|tv|app|dev|gov|edu|info|biz|us|jp|cn|uk|xyz|shop|site|co|go|ac"
)


def read_word(word: str) -> str:
    """One run of Latin letters: iPhone -> 아이폰, KBS -> 케이비에스, meeting -> 미팅."""
    known = _WORDS.get(word) or _WORDS.get(word.lower())
    if known is not None:
        return known
    return _read_unknown(word)


@lru_cache(maxsize=4096)
def _read_unknown(word: str) -> str:
    lower = word.lower()
    if len(word) > _LONGEST_WORD or not _VOWEL.search(word):
        return spell(word)
    if word.isupper() and len(word) < _SHORTEST_CAPITAL_WORD:
        return spell(word)
    phones = dictionary().get(lower) if len(word) > 1 else None
    if phones:
        return transliterate(lower, phones)
    if len(word) >= _SHORTEST_CAPITAL_WORD and (hangul := from_romanized(lower)):
        return hangul
    if word.isupper() or len(word) < _SHORTEST_GUESSED_WORD:
        return spell(word)
    parts = split_words(lower)
    if len(parts) > 1 and all(len(p) > 2 and (p in dictionary() or p in _WORDS) for p in parts):
        return "".join(map(read_word, parts))
    return transliterate(lower, predict(lower)) or spell(word)


def read_token(token: str) -> str:
    """A token of letters, digits and joining marks: K-POP, B2B, R&D, GPT-4, McDonald's."""
    known = _WORDS.get(token) or _WORDS.get(token.lower())
    if known is not None:
        return known
    stem, mark, ending = token.partition("'")
    if mark and ending.lower() == "s":
        return read_token(stem) + "스"
    if "-" in token:
        return " ".join(filter(None, (read_token(part) for part in token.split("-"))))
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]?", token):
        return spell(token)
    parts = _PARTS.findall(token)
    if len(parts) == 1 and parts[0] in _ROMAN:
        return spoken_number(_ROMAN[parts[0]])
    return "".join(map(_read_part, parts))


def _read_part(part: str) -> str:
    if part in _MARKS:
        return _MARKS[part]
    if not part.isdigit():
        return read_word(part)
    return ENGLISH_DIGITS[part] if len(part) == 1 else spoken_number(part)  # A4, but S24


def _read_token_match(match: Match) -> str | None:
    return read_token(match[0].rstrip("-&"))


def _read_address(match: Match) -> str | None:
    """URLs and e-mail: the scheme is not spoken, marks are named, digits read one by one."""
    written = re.sub(r"^[A-Za-z]+://", "", match[0]).rstrip("/")
    spoken = "".join(map(_read_address_token, _ADDRESS_TOKEN.findall(written)))
    return re.sub(" +", " ", spoken).strip()


def _read_address_token(token: str) -> str:
    if token[0].isalpha():
        return read_word(token)
    return digits(token) if token[0].isdigit() else f" {_ADDRESS_MARKS.get(token, '')} "


def _read_abbreviation(match: Match) -> str | None:
    """vol. 3, ver.2, No.1, p.32, pp.12-15."""
    word = match[1].lower()
    numbers = "에서 ".join(spoken_number(part) for part in match.groups()[1:] if part)
    if word == "p":
        return numbers + " 페이지"
    name = {"no": "넘버", "pp": "페이지"}.get(word) or _WORDS[word]
    english = word == "no" and numbers == "일"
    return f"{name} {'원' if english else numbers}"


def _read_hashtag_number(match: Match) -> str | None:
    if before(match).endswith("번호"):
        return None  # a PIN: 비밀번호 #1234
    return "넘버 " + ("원" if match[1] == "1" else spoken_number(match[1]))


def _read_ordinal(match: Match) -> str | None:
    ordinals = {"1": "퍼스트", "2": "세컨드", "3": "서드"}
    return ordinals.get(match[1])


def _read_roman(match: Match) -> str | None:
    return spoken_number(str(int(unicodedata.numeric(match[0]))))


def _read_release(match: Match) -> str | None:
    """v1.0.2, PM2.5, GPT-3.5: a name and a decimal number."""
    major, _, rest = match[2].partition(".")
    minors = "".join("점" + digits(part, zero="영") for part in rest.split("."))
    return f"{read_word(match[1])} {spoken_number(major)}{minors}"


def _read_days_left(match: Match) -> str | None:
    """D-7: seven days to go; a seat or a block is read as other codes are."""
    return "디 마이너스 " + spoken_number(match[1])


ADDRESS_TOKEN_RULES: list[Rule] = [
    rule(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}", _read_address),
    rule(r"(?:https?://|www\.)[A-Za-z0-9._~:/?#@!$&'*+,;=%-]{0,400}[A-Za-z0-9/]", _read_address),
    rule(
        rf"[A-Za-z0-9-]{{1,63}}(?:\.[A-Za-z0-9-]{{1,63}}){{0,3}}\.(?:{_TOP_LEVEL})(?![A-Za-z0-9-])"
        r"(?:/[A-Za-z0-9._~/?#&=%@:+-]{0,300}[A-Za-z0-9/])?",
        _read_address,
    ),
]

LATIN_RULES: list[Rule] = [
    rule(r"[Tt]_+[Tt](?![A-Za-z])|OTL(?![A-Za-z])|[xX]D(?![A-Za-z0-9])", lambda _match: ""),
    rule("[Ⅰ-ⅿ]", _read_roman),
    rule(r"([A-Za-z]{1,10})-?(\d{1,4}(?:\.\d{1,4}){1,3})(?![\d.]\d|\d)", _read_release),
    rule(
        r"D-(\d{1,3})(?![\dA-Za-z-]|\s?(?:구역|블록|동|열|번|석|좌석|게이트|호))", _read_days_left
    ),
    rule(r"(?i:thank\s?(?:you|u))(?![A-Za-z])", lambda _match: "땡큐"),
    rule(
        r"(?i:(vol|ver|ep|lv|ch|no|pp|p))\.\s?(\d{1,6})(?:[-~](\d{1,6}))?(?![\d.-])",
        _read_abbreviation,
    ),
    rule(r"#(\d{1,4})(?!\d)", _read_hashtag_number),
    rule(r"([1-3])(?:st|nd|rd)(?![A-Za-z])", _read_ordinal),
    rule(r"\d[A-Z]{1,6}[0-9]?(?![A-Za-z0-9])", _read_token_match),  # 5G, 4K, 2NE1
    rule(r"(?:[A-Za-z]\.){2,}(?:[A-Za-z](?![A-Za-z]))?", _read_token_match),
    rule(
        r"[A-Za-z][A-Za-z0-9]{0,63}(?:(?:[&+/-][A-Za-z0-9]{1,30}|'[A-Za-z]{1,3}(?![A-Za-z]))){0,6}\+{0,2}",
        _read_token_match,
    ),
    rule(r"\d{1,4}[A-Za-z]{1,20}(?:-?[A-Za-z0-9]{1,20}){0,3}(?![A-Za-z0-9])", _read_token_match),
    rule(r"[A-Za-z]+", _read_token_match),
]
