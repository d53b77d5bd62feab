"""Where a client goes: the URL it was given, or another one that its server has named in CLOSE (SPEC CLS-8).

Rule: whoever is followed gets the credentials and the resume secret. So a URL is followed only to the same scheme or
its secure form, and only to a host that the program has named; by default that is the host of its own URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from hawser.principals import check_list

if TYPE_CHECKING:
    from collections.abc import Collection

SECURE_FORMS: Final = {"http": "https", "ws": "wss"}


class Places:
    """Decides where the next attempt goes.

    Args:
        home: The URL that the program gave.
        hosts: Other hosts that may be followed to, without ports.
        hops_max: How often in a row a client lets itself be sent on without any progress.

    Raises:
        TypeError: ``hosts`` is a string.
    """

    def __init__(self, home: str, hosts: Collection[str], hops_max: int) -> None:
        check_list("hosts", hosts)
        self.here: str = home
        """Where the next attempt goes."""
        self._home = home
        self._scheme = urlsplit(home).scheme
        self._hosts = {_host(urlsplit(home)), *(host.lower() for host in hosts)}
        self._hops_max = hops_max
        self._hops = 0

    def ended(self, *, attached: bool, progressed: bool) -> None:
        """An attempt has ended: a place that lets nobody in is left for the one that the program knows."""
        if progressed:
            self._hops = 0
        if not attached:
            self.here = self._home

    def advised(self, url: str) -> str | None:
        """The server says to come back somewhere else.

        Returns:
            Why that is not done; None if it is.
        """
        refusal = self._refusal(url)
        if refusal is None:
            self._hops += 1
            if self._hops > self._hops_max:
                refusal = f"sent on {self._hops_max} times without progress"
        self.here = self._home if refusal else url
        return refusal

    def _refusal(self, url: str) -> str | None:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            return "it is no URL"
        if parts.scheme not in (self._scheme, SECURE_FORMS.get(self._scheme)):
            return "it has another scheme, and not a safer one"
        if parts.username is not None or parts.password is not None or parts.fragment:
            return "it holds more than a place"
        if _host(parts) not in self._hosts:
            return "its host is not among those that may be followed to"
        return None


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host  # no name of the network; it equals itself alone
