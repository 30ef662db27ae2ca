"""Where a webhook may go: the addresses of the public internet, unless configured otherwise.

A host is resolved once, all its addresses are checked, and the connection goes to one of those that
were checked: a name that changes its answer between check and connection leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpcore

from deployments.jobs.notices.errors import NoticeImpossible, NoticeRefused

# Addresses of one site, which `ipaddress` takes for global ones (RFC 3879).
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")
# IPv6 addresses that stand for an IPv4 address behind a translator (RFC 6052, RFC 8215).
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48")))

# A name server of the receiver's own may take its time, and a look-up can't be cut off: in threads
# of their own, look-ups hold up other notices at most, and never the leases of running jobs.
_LOOK_UPS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="webhook-look-up")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also the one embedded in it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in (_SITE_LOCAL, *_TRANSLATED)):
            return False
        for embedded in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())):
            if embedded is not None and not is_public(str(embedded)):
                return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects by name, but only to addresses that are allowed.

    Args:
        allow_private: every address is.
    """

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the host's addresses.

        Raises:
            NoticeRefused: the name has no address at the moment.
            NoticeImpossible: it has one that is not allowed, or is no name.
        """
        address = await self._resolve(host, port)
        return await self._network.connect_tcp(
            address, port, timeout, local_address, socket_options
        )

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                _LOOK_UPS, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            )
        except UnicodeError:  # labels that are empty or too long
            raise NoticeImpossible(f"{host[:80]!r} is not the name of a host") from None
        except OSError as error:
            raise NoticeRefused(f"host {host!r} can't be resolved: {error.strerror}") from None
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private and not all(map(is_public, addresses)):
            raise NoticeImpossible(f"host {host!r} is not a public address")
        return addresses[0]
