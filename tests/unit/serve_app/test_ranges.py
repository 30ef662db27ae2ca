import pytest

from deployments.errors import UnsatisfiableRange
from serve_app.ranges import parse_range


@pytest.mark.parametrize(
    ("asked", "bounds"),
    [
        ("bytes=0-99", (0, 99)),
        ("bytes=10-", (10, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("bytes=90-1000", (90, 99)),
        ("bytes=99-99", (99, 99)),
    ],
)
def test_a_range_is_cut_to_what_exists(asked: str, bounds: tuple[int, int]) -> None:
    assert parse_range(asked, 100) == bounds


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_outside_of_the_recording_is_refused(asked: str) -> None:
    with pytest.raises(UnsatisfiableRange) as raised:
        parse_range(asked, 100)
    assert raised.value.extensions == {"size_bytes": 100}


@pytest.mark.parametrize(
    "asked", ["bytes=-", "bytes=5-4", "bytes=0-1,5-6", "items=0-1", "bytes=a-b", "", "bytes=٣-٤"]
)
def test_what_is_not_a_single_range_is_ignored(asked: str) -> None:
    assert parse_range(asked, 100) is None
