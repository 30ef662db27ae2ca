import pytest

from serve_app.waiting import wait_s


@pytest.mark.parametrize(
    ("prefer", "expected_s"),
    [
        ("", 60),
        ("wait=5", 5),
        ("wait=0", 0),
        ('wait="7"', 7),
        ("wait=100000", 300),
        ("wait=-1", 60),
        ("wait=soon", 60),
        ("respond-async", 0),
        ("return=minimal, wait=9", 9),
        ("respond-async, wait=9", 0),
        ("respond-async; foo=1", 0),
        ("wait=٣", 60),
    ],
)
def test_prefer_says_how_long_to_wait(prefer: str, expected_s: float) -> None:
    assert wait_s([prefer]) == expected_s


def test_all_prefer_headers_count() -> None:
    assert wait_s([]) == 60
    assert wait_s(["return=minimal", "wait=3"]) == 3
