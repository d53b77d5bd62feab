"""Who is at the other end: addresses, what counts as one of them, and whose word about others is taken.

A proxy hides its clients' addresses behind its own and tells them in ``X-Forwarded-For``. Anybody can write that
header, so it is read only from proxies that the configuration names, and from the right: what a trusted proxy has
written is behind what its client may have written.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.head import HeadRefused

if TYPE_CHECKING:
    from collections.abc import Collection

    from hawser_engine.bindings.head import Head

HEADER: Final = b"x-forwarded-for"
"""What nginx, HAProxy, Envoy and the balancers of the clouds write. `Forwarded` (RFC 7239) is ignored: hardly any of
them writes it, and a server that reads both has to guess which one the proxy has checked."""

_IPV6_NETWORK_BITS: Final = 64


def group(host: str) -> str:
    """What counts as one address: of IPv6 everybody has a network of 64 bits.

    Args:
        host: An address; a zone behind a percent sign is left out.
    """
    address = _plain(ip_address(host.partition("%")[0]))
    return str(address) if isinstance(address, IPv4Address) else f"{int(address) >> _IPV6_NETWORK_BITS:x}::/64"


class Proxies:
    """The proxies that are trusted.

    Args:
        networks: Their addresses or networks, for example ``10.0.0.0/8`` or ``::1``.

    Raises:
        ValueError: One of them is none; the message names it.
    """

    def __init__(self, networks: Collection[str]) -> None:
        self._networks = [ip_network(network) for network in networks]

    def trusts(self, host: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        if not self._networks:
            return False
        address = _plain(ip_address(host.partition("%")[0]))
        return any(address in network for network in self._networks)

    def client(self, head: Head, peer: str) -> str:
        """Find who has made a request: the last hop that no trusted proxy is.

        Args:
            head: Of the request.
            peer: The address at the other end of the connection.

        Raises:
            HeadRefused: A trusted proxy has written something that is no address.
        """
        found = peer
        if not self.trusts(peer):
            return found
        for hop in reversed([hop for value in head.values(HEADER) for hop in value.split(b",")]):
            found = _hop(hop.strip(b" \t"))
            if not self.trusts(found):
                break
        return found


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address also where it is written as one of IPv6."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _hop(text: bytes) -> str:
    """Read one hop: an address, of which some proxies tell the port, too."""
    host = text.decode("ascii")
    if host.startswith("[") and "]" in host:
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ip_address(host))
    except ValueError:
        raise HeadRefused(400, "saw a hop in X-Forwarded-For that is no address", "LIM-3") from None
