"""Whose a record is: the name of an API key, or nobody's."""

from __future__ import annotations


def may_see(caller: str | None, owner: str | None) -> bool:
    """Whether a record exists for a caller.

    Args:
        caller: name of the caller's key; None where no keys are asked for, who sees everything.
        owner: who made the record; what has no owner is everybody's.
    """
    return caller is None or owner is None or owner == caller


def may_change(caller: str | None, owner: str | None) -> bool:
    """Whether a caller may replace or delete a record of the user's layer."""
    return caller is None or owner == caller
