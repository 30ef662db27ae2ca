"""Errors of Zonos that are no fault of what was asked."""


class MissingLibrary(RuntimeError):
    """An optional library is not installed; the message says how to install it."""
