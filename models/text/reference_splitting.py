"""The splitting methods of the reference by name: cut0 to cut5, and the steps around them."""

import re
from collections.abc import Callable

from models.text.errors import UnspeakableText

_ENDS = set("，。？！,.?!~:：—…")
_PUNCTUATION = set("!?…,.- ")
_CUT5_ENDS = set(",.;?!、，。？！：…")
_MIN_CHARS = 5
_MAX_CHARS = 510
_CUT2_CHARS = 50
_CUT1_PIECES = 4


def cut(text: str, method: str) -> str:
    """The raw result of a method: pieces joined by newlines.

    Raises:
        ValueError: if `method` is not one of cut0 to cut5.
    """
    if method not in METHODS:
        raise ValueError(f"unknown split method {method!r}; allowed: {', '.join(METHODS)}")
    return METHODS[method](text)


def split_as_reference(text: str, method: str, language: str) -> list[str]:
    """What the reference would synthesise one after another for `text`.

    Args:
        text: the target text.
        method: cut0 to cut5.
        language: decides the full stop that is added where one is missing: ``"en"`` or any other.

    Raises:
        UnspeakableText: if nothing is left to speak.
        ValueError: if `method` is unknown.
    """
    stop = "." if language == "en" else "。"
    text = re.sub(r"([!?…,.\-])[!?…,.\-]+", r"\1", text).strip("\n")
    if not text:
        return []
    if text[0] not in _ENDS and len(_pieces(text)[0].rstrip("".join(_ENDS)).strip()) < 4:
        text = stop + text
    parts = [part for part in cut(text, method).split("\n") if part not in ("", " ")]
    if not parts:
        raise UnspeakableText(f"nothing to speak in {text[:40]!r}")
    return [
        chunk
        for part in _merge_short(parts)
        if re.search(r"\w", part)
        for chunk in _split_long(part if part[-1] in _ENDS else part + stop)
    ]


def _cut0(text: str) -> str:
    return text if set(text) - _PUNCTUATION else "\n"


def _cut1(text: str) -> str:
    text = text.strip("\n")
    pieces = _pieces(_with_full_stop(text))
    boundaries = list(range(0, len(pieces), _CUT1_PIECES))[:-1]
    if not boundaries:
        return _join_spoken([text])
    ends = [*boundaries[1:], len(pieces)]
    return _join_spoken(["".join(pieces[s:e]) for s, e in zip(boundaries, ends, strict=True)])


def _cut2(text: str) -> str:
    text = text.strip("\n")
    pieces = _pieces(_with_full_stop(text))
    if len(pieces) < 2:
        return text
    groups = [""]
    for piece in pieces:
        if len(groups[-1]) > _CUT2_CHARS:
            groups.append("")
        groups[-1] += piece
    if len(groups) > 1 and len(groups[-1]) < _CUT2_CHARS:
        tail = groups.pop()
        groups[-1] += tail
    return _join_spoken(groups)


def _cut3(text: str) -> str:
    return _join_spoken(text.strip("\n").strip("。").split("。"))


def _cut4(text: str) -> str:
    return _join_spoken(re.split(r"(?<!\d)\.(?!\d)", text.strip("\n").strip(".")))


def _cut5(text: str) -> str:
    text = text.strip("\n")
    pieces = [""]
    for at, char in enumerate(text):
        pieces[-1] += char
        is_decimal = (
            char == "."
            and 0 < at < len(text) - 1
            and text[at - 1].isdigit()
            and text[at + 1].isdigit()
        )
        if char in _CUT5_ENDS and not is_decimal:
            pieces.append("")
    return "\n".join(piece for piece in pieces if set(piece) - _CUT5_ENDS)


METHODS: dict[str, Callable[[str], str]] = {
    "cut0": _cut0,
    "cut1": _cut1,
    "cut2": _cut2,
    "cut3": _cut3,
    "cut4": _cut4,
    "cut5": _cut5,
}


def _with_full_stop(text: str) -> str:
    text = text.replace("……", "。").replace("——", "，")
    return text if text and text[-1] in _ENDS else text + "。"


def _pieces(text: str) -> list[str]:
    """Split after every sentence end; what follows the last one is a piece too."""
    pieces = [""]
    for char in text:
        pieces[-1] += char
        if char in _ENDS:
            pieces.append("")
    return pieces if pieces[-1] else pieces[:-1]


def _join_spoken(pieces: list[str]) -> str:
    return "\n".join(piece for piece in pieces if set(piece) - _PUNCTUATION)


def _merge_short(parts: list[str]) -> list[str]:
    merged: list[str] = []
    pending = ""
    for part in parts:
        pending += part
        if len(pending) >= _MIN_CHARS:
            merged.append(pending)
            pending = ""
    if pending and merged:
        merged[-1] += pending
    elif pending:
        merged.append(pending)
    return merged


def _split_long(text: str) -> list[str]:
    """Greedy packing of at most 510 characters; a separator may start the next part."""
    if len(text) <= _MAX_CHARS:
        return [text]
    parts = [""]
    for piece in re.split(f"([{re.escape(''.join(_ENDS))}])", text):
        if parts[-1] and len(parts[-1]) + len(piece) > _MAX_CHARS:
            parts.append("")
        parts[-1] += piece
    return [part for part in parts if part]
