"""A reading rule and the small vocabulary that rules share."""

import re
from collections.abc import Callable
from typing import NamedTuple

Match = re.Match[str]


class Rule(NamedTuple):
    """Reads what `pattern` matches; `read` returns None to leave it to the rules after it."""

    pattern: re.Pattern[str]
    read: Callable[[Match], str | None]


TOPIC_PARTICLE = "{은/는}"  # in a reading: 은 or 는, by the sound that comes before it
INTEGER = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)"
DECIMAL = rf"{INTEGER}(?:\.\d+)?"
MAGNITUDE = "(?:[십백천]?[만억조경해]|[십백천])"

_CONTEXT_CHARS = 24


def rule(pattern: str, read: Callable[[Match], str | None]) -> Rule:
    return Rule(re.compile(pattern), read)


_RANGE_START = re.compile(r"\d[\d,.]*[가-힣%]{0,2}\s?~$")


def before(match: Match) -> str:
    """The text just before the match, or before the range it ends, without trailing space."""
    text = match.string[max(0, match.start() - _CONTEXT_CHARS) : match.start()].rstrip()
    return _RANGE_START.sub("", text).rstrip()


def after(match: Match) -> str:
    """The text just after the match."""
    return match.string[match.end() : match.end() + _CONTEXT_CHARS]
