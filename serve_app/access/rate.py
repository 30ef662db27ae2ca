"""How often a caller may ask: one token bucket a key."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from deployments.errors import RateLimited


class RateLimit:
    """Lets every caller ask `per_minute` times a minute, and as often at once after a pause.

    Args:
        per_minute: of one caller over all replicas of the ingress.
        num_replicas: how many replicas there are now; each grants its share.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        per_minute: int,
        num_replicas: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._num_replicas = num_replicas
        self._clock = clock
        # Per caller: what was left, and when. There are as many entries as there are keys.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Count one request of `caller`.

        Raises:
            RateLimited: there were too many.
        """
        share = self._per_minute / self._num_replicas()
        now = self._clock()
        left, at = self._buckets.get(caller, (share, now))
        left = min(share, left + (now - at) * share / 60)
        if left < 1:
            self._buckets[caller] = (left, now)
            retry_after_s = math.ceil((1 - left) * 60 / share)
            raise RateLimited(
                f"more than {self._per_minute} requests in a minute",
                {"limit": self._per_minute, "retry_after_s": retry_after_s},
            )
        self._buckets[caller] = (left - 1, now)
