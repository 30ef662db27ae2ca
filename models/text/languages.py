"""Which stretch of mixed text is spoken in which language, by script, as the reference decides.

Latin letters are English, Hangul is Korean, white space and punctuation belong to what they follow.
Numbers take the language of a neighbour.
"""

import re
from dataclasses import dataclass

from models.text.errors import UnsupportedLanguage

SUPPORTED_LANGUAGES = ("ko", "en", "auto")
_DIGITS = "digits"
_SCRIPTS = re.compile(
    r"(?P<en>[A-Za-zＡ-Ｚａ-ｚ]+)|(?P<ko>[가-힣ㄱ-ㆎᄀ-ᇿ]+)|(?P<digits>\d+)"
    r"|(?P<ja>[ぁ-ヿ]+)|(?P<zh>[\u3400-\u4dbf\u4e00-\u9fff]+)|(?P<other>(?s:.))"
)
# What the reference lets follow Hangul inside one Korean piece, before it looks at digits.
_CONTINUES_KOREAN = set("0123456789 、-〜。！？.!?…")
_ENDS_CLAUSE = set(",.!?，。！？")


@dataclass(frozen=True, slots=True)
class LanguagePiece:
    """A stretch of text in one language."""

    language: str
    text: str


def require_supported(language: str) -> None:
    """Raises UnsupportedLanguage, which lists what is supported."""
    if language not in SUPPORTED_LANGUAGES:
        supported = ", ".join(SUPPORTED_LANGUAGES)
        raise UnsupportedLanguage(
            f"language {language!r} is not supported yet; supported: {supported}"
        )


def language_pieces(text: str, default: str = "") -> list[LanguagePiece]:
    """Splits `text` by language; the pieces' texts joined are `text`.

    Args:
        text: mixed text.
        default: the language of numbers and of every script but Latin; neighbours decide if empty.
    """
    pieces = _merge(_resolve_digits(_script_pieces(text), default))
    if default:
        pieces = _merge([(lang if lang == "en" else default, part) for lang, part in pieces])
    return [LanguagePiece(language, part) for language, part in pieces]


def _script_pieces(text: str) -> list[tuple[str, str]]:
    pieces: list[tuple[str, str]] = []
    leading = ""
    is_open_korean = False
    for match in _SCRIPTS.finditer(text):
        script, part = str(match.lastgroup), match[0]
        joins_korean = is_open_korean and script == _DIGITS
        if script == "other" and not pieces:
            leading += part
        elif pieces and (script in ("other", pieces[-1][0]) or joins_korean):
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + part)
        else:
            pieces.append((script, leading + part))
            leading = ""
        is_open_korean = script == "ko" or (is_open_korean and part[0] in _CONTINUES_KOREAN)
    return pieces or ([("other", leading)] if leading else [])


def _resolve_digits(pieces: list[tuple[str, str]], default: str) -> list[tuple[str, str]]:
    resolved: list[tuple[str, str]] = []
    for at, (language, text) in enumerate(pieces):
        if language in (_DIGITS, "other"):
            following = pieces[at + 1] if at + 1 < len(pieces) else None
            language = default or _neighbour(resolved[-1] if resolved else None, text, following)
        if resolved and resolved[-1][0] == language:
            resolved[-1] = (language, resolved[-1][1] + text)
        else:
            resolved.append((language, text))
    return resolved


def _neighbour(
    previous: tuple[str, str] | None, digits: str, following: tuple[str, str] | None
) -> str:
    """The language of a number between two pieces; Chinese, as the reference, where it is alone."""
    if previous is None or following is None:
        nearest = previous or following
        return nearest[0] if nearest else "zh"
    if previous[0] == following[0]:
        return previous[0]
    if previous[1][-1] in _ENDS_CLAUSE:
        return following[0]
    if following[1][0] in _ENDS_CLAUSE or digits[-1] in ".。":
        return previous[0]
    return following[0] if len(following[1]) > len(previous[1]) else previous[0]


def _merge(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for language, text in pieces:
        if merged and merged[-1][0] == language:
            merged[-1] = (language, merged[-1][1] + text)
        else:
            merged.append((language, text))
    return merged
