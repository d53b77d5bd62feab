"""What a client asks for again in a new session, because it had it in the one that was lost (SPEC RST-10, RST-12).

Rule: it goes out in order, as the server has room for it (OPS-2), and before whatever the application asks for. What
nobody wants any more by then is passed over. What is refused for now comes again after a while (RST-13).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from .operations import Pending

    Wanted: TypeAlias = "tuple[Pending, Callable[[int], bytes]]"
    """A request, and what makes a message of it."""
    Again: TypeAlias = Callable[[], Wanted | None]
    """What to ask for if it is handed over now; None: it is not wanted any more."""


class Reopening:
    """All that is still to be asked for again.

    Args:
        pause: How many seconds to wait before something is asked for that was refused so many times in a row.
    """

    def __init__(self, pause: Callable[[int], float]) -> None:
        self._pause = pause
        self._waiting: deque[tuple[Again, int]] = deque()
        self._session = object()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, again: Again) -> None:
        """One more, behind the others."""
        self._waiting.append((again, 0))

    def first(self) -> Wanted | None:
        """The next one that is still wanted, which stays the first; None if there is none."""
        while self._waiting:
            again, refusals = self._waiting[0]
            wanted = again()
            if wanted is not None:
                wanted[0].reopens = refusals
                wanted[0].again = again
                return wanted
            self._waiting.popleft()
        return None

    def handed_over(self) -> None:
        """The first one is on its way."""
        self._waiting.popleft()

    async def add_later(self, again: Again, refusals: int) -> bool:
        """Wait, and then add one that was refused so many times; False if the session was lost meanwhile."""
        session = self._session
        await trio.sleep(self._pause(refusals))
        if session is not self._session:
            return False
        self._waiting.append((again, refusals))
        return True

    def clear(self) -> None:
        """The session is lost again, and whatever was asked for in it: the next one begins anew."""
        self._waiting.clear()
        self._session = object()
