import pytest

from serve_app.waiting import wait_s


@pytest.mark.parametrize(
    ("prefer", "expected_s"),
    [
        (None, 60),
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
    ],
)
def test_prefer_says_how_long_to_wait(prefer: str | None, expected_s: float) -> None:
    assert wait_s(prefer) == expected_s
