import pytest

from serve_app.access.binding import OpenToEverybody, require_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", None])
def test_loopback_needs_no_key(host: str | None) -> None:
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_anything_else_is_refused_with_the_remedy(host: str) -> None:
    with pytest.raises(OpenToEverybody, match="allow_anonymous"):
        require_loopback(host)
