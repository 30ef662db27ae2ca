"""Why a notice did not arrive."""

from __future__ import annotations


class NoticeRefused(Exception):
    """The receiver did not take it this time."""


class NoticeImpossible(NoticeRefused):
    """The receiver will never take it: trying again is of no use."""
