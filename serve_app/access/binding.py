"""Nobody is let in from outside by accident: without keys, the service listens on loopback only."""

from __future__ import annotations

import ipaddress


class OpenToEverybody(RuntimeError):
    """Without keys the service would listen on an address that others can reach."""


def require_loopback(host: str | None) -> None:
    """Check where the service listens, when it asks for no key.

    Args:
        host: of Serve's HTTP options; None when it does not listen.

    Raises:
        OpenToEverybody: others could reach it.
    """
    if host is None or _is_loopback(host):
        return
    raise OpenToEverybody(
        f"the service would listen on {host} and let everybody in. Set API keys "
        "(python -m serve_app.access new NAME, with BAEWOO_API_KEYS_FILE), or listen on 127.0.0.1, "
        "or say `access: {allow_anonymous: true}` in the configuration"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
