"""Recognises a sequence that repeats itself and would never end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Token = TypeVar("Token")


def is_looping(
    tokens: Sequence[Token], max_period: int = 25, min_repeats: int = 4, min_tokens: int = 60
) -> bool:
    """Whether the end of `tokens` is one pattern over and over.

    The defaults are for semantic tokens at 25 Hz: a pattern of up to a second, heard four times or
    more, over at least 2.4 s. Speech holds a sound that long only when it is stuck; a pause of that
    length is cut as well, which the caller sees from the finish reason.

    Args:
        tokens: all tokens so far.
        max_period: longest pattern looked for.
        min_repeats: how often it must occur, one after the other.
        min_tokens: how long the repetition must be at least.
    """
    for period in range(1, max_period + 1):
        span = max(min_repeats * period, min_tokens)
        if len(tokens) < span:
            continue
        tail = tokens[-span:]
        if all(tail[i] == tail[i - period] for i in range(period, span)):
            return True
    return False
