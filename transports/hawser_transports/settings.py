"""The limits and times of listeners."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import attrs
from attrs import field, validators

from hawser_engine.bindings.head import HeadLimits

from .wires import WireSettings


def _networks(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...] | str) -> None:
    if isinstance(value, str):
        raise TypeError(f"{attribute.name} is a tuple of addresses and networks, not a string; write ({value!r},)")
    for each in value:
        try:
            ip_network(each)
        except ValueError as error:
            raise ValueError(f"{attribute.name} has {each!r}; it must be an address or a network: {error}") from None


@attrs.frozen(kw_only=True)
class MountSettings:
    """Limits of the handlers of plain HTTP, each; a wrong value is refused with the name of the field."""

    requests: int = field(default=100, validator=validators.ge(1))
    """Requests that are read or answered at once; one more is answered 503."""
    body_bytes: int = field(default=1_048_576, validator=validators.ge(0))
    """Longest body of a request; a longer one is answered 413, and not read."""
    body_seconds: float = field(default=10.0, validator=validators.gt(0))
    """From the head of a request to the end of its body; then the connection is closed."""
    reply_seconds: float = field(default=30.0, validator=validators.gt(0))
    """How long a handler has; then it is cancelled, and the answer is 503."""


@attrs.frozen(kw_only=True)
class ListenerSettings:
    """Limits of all listeners of one transport together; a wrong value is refused with the name of the field.

    `math.inf` lifts a limit.
    """

    handshake_seconds: float = field(default=10.0, validator=validators.gt(0))
    """From accept until a handler has the request, TLS included."""
    idle_seconds: float = field(default=75.0, validator=validators.gt(0))
    """From the answer to a request until the head of the next one is there; nginx, too, waits so long."""
    connections: float = field(default=10_000, validator=validators.ge(1))
    """WebSockets and long-poll links at once; one more is answered 503. There may be three times as many sockets."""
    connections_per_address: float = field(default=100, validator=validators.ge(1))
    """The same of one IPv4 address or one IPv6 network of 64 bits; one more is answered 429."""
    accepts_per_second: float = field(default=200.0, validator=validators.gt(0))
    """WebSockets and long-poll links that are let in within any second; one more is answered 503 and told its turn."""
    proxies: tuple[str, ...] = field(default=(), validator=_networks)
    """The addresses and networks of proxies whose X-Forwarded-For is believed, such as `10.0.0.0/8`."""
    head: HeadLimits = field(factory=HeadLimits)
    """Limits of a request's head."""
    wire: WireSettings = field(factory=WireSettings)
    """Limits of each connection's output."""
    mounts: MountSettings = field(factory=MountSettings)
    """Limits of the application's own handlers of HTTP."""
