"""The `Prefer` header (RFC 7240): how long a caller waits for a job."""

from __future__ import annotations

import re
from collections.abc import Sequence

DEFAULT_WAIT_S = 60.0
MAX_WAIT_S = 300.0

_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,6})\"?")


def wait_s(prefer: Sequence[str]) -> float:
    """Seconds to wait for a job before answering 202; preferences not understood are ignored.

    Args:
        prefer: values of all `Prefer` headers of the request.
    """
    # A preference may carry parameters after a semicolon; none changes the two known here.
    preferences = [
        preference.partition(";")[0].strip().lower() for preference in ",".join(prefer).split(",")
    ]
    if "respond-async" in preferences:
        return 0.0
    for preference in preferences:
        if match := _WAIT.fullmatch(preference):
            return min(float(match.group(1)), MAX_WAIT_S)
    return DEFAULT_WAIT_S
