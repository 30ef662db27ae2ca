import pytest

from deployments.errors import RateLimited
from serve_app.access.rate import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def granted(rate: RateLimit, caller: str, at_most: int = 1000) -> int:
    for count in range(at_most):
        try:
            rate.take(caller)
        except RateLimited:
            return count
    return at_most


def test_a_caller_gets_its_minute_at_once_and_then_what_time_brings() -> None:
    clock = Clock()
    rate = RateLimit(60, lambda: 1, clock)
    assert granted(rate, "alice") == 60
    clock.now += 5
    assert granted(rate, "alice") == 5


def test_one_caller_takes_nothing_from_another() -> None:
    rate = RateLimit(10, lambda: 1, Clock())
    assert (granted(rate, "alice"), granted(rate, "bob")) == (10, 10)


def test_all_replicas_together_keep_the_bound() -> None:
    replicas = [RateLimit(60, lambda: 3, Clock()) for _ in range(3)]
    assert sum(granted(rate, "alice") for rate in replicas) == 60


def test_a_refusal_says_when_to_come_back_and_then_it_works() -> None:
    clock = Clock()
    rate = RateLimit(6, lambda: 1, clock)
    granted(rate, "alice")
    with pytest.raises(RateLimited) as raised:
        rate.take("alice")
    clock.now += raised.value.extensions["retry_after_s"]
    rate.take("alice")
