"""The URLs of services that are reached over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Collection

_PORTS: Final = {"ws": 80, "wss": 443, "http": 80, "https": 443}
_SECURE: Final = ("wss", "https")


@attrs.frozen
class ServiceUrl:
    """Where a service is."""

    scheme: str
    host: str
    """A name or an address, without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def secure(self) -> bool:
        """Whether TLS goes below."""
        return self.scheme in _SECURE

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def authority(self) -> str:
        """Host and port as a request names them: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """The URL without its query, which may hold what does not belong into a log."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(url: str, schemes: Collection[str]) -> ServiceUrl:
    """Take a URL apart.

    Args:
        url: For example ``ws://127.0.0.1:8000/chat``.
        schemes: Those that are meant.

    Raises:
        ValueError: It is no such URL; the message says what one looks like.

    Spec: CAR-9, SEC-5.
    """
    example = f"one looks like {next(iter(schemes))}://host:port/path"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{without_secrets(url)!r} is no URL of a service; {example}") from None
    if parts.scheme not in schemes or not parts.hostname or parts.fragment:
        raise ValueError(f"{without_secrets(url)!r} is no URL of a service; {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not stand in a URL; hand them to connect (SPEC SEC-5)")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
    try:
        host = parts.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        shown = without_secrets(url)
        raise ValueError(f"{shown!r} is no URL of a service (nothing has such a name); {example}") from None
    return ServiceUrl(
        parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path + (f"?{query}" if query else "")
    )


def without_secrets(url: str) -> str:
    """Return a URL, or what was meant for one, as it may be shown: no credentials, no query (SPEC SEC-5)."""
    before = url.partition("#")[0].partition("?")[0]
    scheme, mark, rest = before.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def check_origins(origins: Collection[str]) -> frozenset[str]:
    """Check the origins whose pages may connect; return them as a set.

    Raises:
        TypeError: It is a string.
        ValueError: One of them is what no browser names, and so would match nothing, or more than was meant.

    Spec: CAR-7.
    """
    if isinstance(origins, str):
        raise TypeError(f"origins is a list of them, not a string; write [{origins!r}]")
    for origin in origins:
        parts = urlsplit(origin)
        plain = f"{parts.scheme}://{parts.netloc}"
        if not parts.scheme or not parts.netloc or origin != plain.lower() or "@" in plain or "*" in plain:
            raise ValueError(f"{origin!r} is no origin of pages; one looks like https://example.org, or with a port")
    return frozenset(origins)
