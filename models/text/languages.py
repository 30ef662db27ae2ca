"""Which stretch of mixed text is spoken in which language, by script, as the reference decides.

Latin letters are English, Hangul is Korean, white space and punctuation belong to what they follow.
Numbers take the language of a neighbour.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

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
    pieces = _resolve_digits(text, _script_pieces(text), default)
    if default:
        pieces = _merge(p._replace(language=_class_of(p.language, default)) for p in pieces)
    return [LanguagePiece(piece.language, text[piece.start : piece.end]) for piece in pieces]


class _Span(NamedTuple):
    """A stretch by its place: joining stretches costs no copy of the text."""

    language: str
    start: int
    end: int


def _class_of(language: str, default: str) -> str:
    return language if language == "en" else default


def _script_pieces(text: str) -> list[_Span]:
    scripts: list[str] = []
    starts: list[int] = []
    is_open_korean = False
    for match in _SCRIPTS.finditer(text):
        script = str(match.lastgroup)
        joins_previous = script == "other" or (
            bool(scripts) and (script == scripts[-1] or (is_open_korean and script == _DIGITS))
        )
        if not joins_previous:
            starts.append(match.start() if scripts else 0)
            scripts.append(script)
        is_open_korean = script == "ko" or (is_open_korean and match[0][0] in _CONTINUES_KOREAN)
    if text and not scripts:
        return [_Span("other", 0, len(text))]
    return list(map(_Span, scripts, starts, [*starts[1:], len(text)]))


def _resolve_digits(text: str, pieces: list[_Span], default: str) -> list[_Span]:
    resolved: list[_Span] = []
    for at, piece in enumerate(pieces):
        if piece.language in (_DIGITS, "other"):
            following = pieces[at + 1] if at + 1 < len(pieces) else None
            language = default or _neighbour(
                text, resolved[-1] if resolved else None, piece, following
            )
            piece = piece._replace(language=language)
        _append(resolved, piece)
    return resolved


def _neighbour(text: str, previous: _Span | None, digits: _Span, following: _Span | None) -> str:
    """The language of a number between two pieces; Chinese, as the reference, where it is alone."""
    if previous is None or following is None:
        nearest = previous or following
        return nearest.language if nearest else "zh"
    if previous.language == following.language:
        return previous.language
    if text[previous.end - 1] in _ENDS_CLAUSE:
        return following.language
    if text[following.start] in _ENDS_CLAUSE or text[digits.end - 1] in ".。":
        return previous.language
    is_longer = following.end - following.start > previous.end - previous.start
    return following.language if is_longer else previous.language


def _merge(pieces: Iterable[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for piece in pieces:
        _append(merged, piece)
    return merged


def _append(pieces: list[_Span], piece: _Span) -> None:
    if pieces and pieces[-1].language == piece.language:
        piece = pieces.pop()._replace(end=piece.end)
    pieces.append(piece)
