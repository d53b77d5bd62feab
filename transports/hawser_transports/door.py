"""The doors of a service: how many are in, from where, whether one more may come, and what the others are told.

A *socket* is one TCP connection. A *connection* is what a client has: one WebSocket, which is one socket, or one
long-poll link, whatever number of sockets its requests take. Behind a trusted proxy sockets are the proxy's own, and
only connections tell its clients apart; so both are counted, each where it means something.

A service that listens at several places has a door at each, and one count of who is in: the ports behind a balancer
are one server's, and give nobody twice as much.

Rule: what is refused costs one look into a table and one answer; nothing of it is kept.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.head import HeadRefused

from .addresses import Proxies, group
from .admission import Admission, draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import ListenerSettings

SOCKETS_A_CONNECTION: Final = 3
"""A long-poll link takes two sockets, one for each request that is under way, and a third while one of them changes."""

_CLAUSE: Final = "LIM-3"
_TOO_MANY_SECONDS: Final = (5, 15)
"""When somebody tries again who waits for another one of his own address, or for any one, to leave."""
_SHUT_SECONDS: Final = (1, 5)
"""When somebody tries again whom another server will answer."""


class Busy(HeadRefused):
    """There is no room now; ``retry_seconds`` is when to try again."""

    def __init__(self, status: int, detail: str, retry_seconds: int) -> None:
        """Describe what there is too much of.

        Args:
            status: 503, or 429 where it is the client's own doing.
            detail: What there is no room for.
            retry_seconds: For ``Retry-After``.
        """
        super().__init__(status, detail, _CLAUSE)
        self.retry_seconds = retry_seconds


class Attendance:
    """Who is in, through whichever door of one service.

    Args:
        settings: Limits.
        random_bytes: Where jitter comes from.
    """

    def __init__(self, settings: ListenerSettings, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.settings: ListenerSettings = settings
        self.random_bytes: Callable[[int], bytes] = random_bytes
        self.proxies: Proxies = Proxies(settings.proxies)
        self.admission: Admission = Admission(settings.accepts_per_second, random_bytes)
        self.sockets: int = 0
        """TCP connections that are open now."""
        self.connections: int = 0
        """WebSockets and long-poll links that are there now."""
        self.refused: int = 0
        """Who was turned away because there was no room, or because of the rate."""
        self.sockets_of: dict[str, int] = {}
        """Those of each address that has any; of all proxies together under the empty one."""
        self.connections_of: dict[str, int] = {}
        """The same of connections."""


class Door:
    """Lets in and counts at one place; with the others of its service it shares who is in.

    Args:
        attendance: That of the service.
    """

    def __init__(self, attendance: Attendance) -> None:
        self.attendance: Attendance = attendance
        self.proxies: Proxies = attendance.proxies
        self.shut: bool = False
        """Whether nobody new comes in here any more."""

    # Sockets

    def opened(self, host: str) -> str | None:
        """Count a socket that was accepted.

        Args:
            host: The address at its other end.

        Returns:
            What to hand to `closed`; None if there is no room for it, and it has to go.
        """
        there = self.attendance
        limits = there.settings
        own = "" if self.proxies.trusts(host) else group(host)  # those of proxies are no one address's
        full = there.sockets >= limits.connections * SOCKETS_A_CONNECTION
        if full or (own and there.sockets_of.get(own, 0) >= limits.connections_per_address * SOCKETS_A_CONNECTION):
            there.refused += 1
            return None
        there.sockets += 1
        _count(there.sockets_of, own, 1)
        return own

    def closed(self, own: str) -> None:
        """A socket was closed."""
        self.attendance.sockets -= 1
        _count(self.attendance.sockets_of, own, -1)

    # Connections

    def enter(self, host: str, now: float) -> str:
        """Count a connection that a client asks for.

        Args:
            host: The client's address, whoever has told it.
            now: Seconds.

        Returns:
            What to hand to `left`.

        Raises:
            Busy: There is no room.

        Spec: LIM-3.
        """
        there = self.attendance
        settings, admission = there.settings, there.admission
        own = group(host)
        if self.shut:
            raise self._busy(503, "the server is draining", self.soon(_SHUT_SECONDS))
        if there.connections_of.get(own, 0) >= settings.connections_per_address:
            # Before the rate is asked: nobody takes others' places by being refused.
            raise self._busy(429, "too many connections from one address", self.soon())
        if there.connections >= settings.connections:
            raise self._busy(503, "too many connections", admission.whole_turn(now))
        if not admission.enters(now):
            raise self._busy(503, "too many connections at once", admission.whole_turn(now))
        there.connections += 1
        _count(there.connections_of, own, 1)
        return own

    def left(self, own: str) -> None:
        """A connection has ended."""
        self.attendance.connections -= 1
        _count(self.attendance.connections_of, own, -1)

    def soon(self, seconds: tuple[int, int] = _TOO_MANY_SECONDS) -> int:
        """Draw when to try again where nobody has a turn."""
        low, high = seconds
        return low + int((high - low + 1) * draw(self.attendance.random_bytes))

    def _busy(self, status: int, detail: str, retry_seconds: int) -> Busy:
        self.attendance.refused += 1
        return Busy(status, detail, retry_seconds)


def _count(table: dict[str, int], own: str, change: int) -> None:
    """Count in a table that holds whom there is something to count of, and nobody else."""
    number = table.get(own, 0) + change
    if number:
        table[own] = number
    else:
        table.pop(own, None)
