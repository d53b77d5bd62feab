"""What a client asks for again in a new session, because it had it in the one that was lost (SPEC RST-10, RST-12).

Rule: it goes out in order, as the server has room for it (OPS-2), and before whatever the application asks for. What
nobody wants any more by then is passed over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from .operations import Pending

    Wanted: TypeAlias = "tuple[Pending, Callable[[int], bytes]]"
    """A request, and what makes a message of it."""
    Again: TypeAlias = Callable[[], Wanted | None]
    """What to ask for if it is handed over now; None: it is not wanted any more."""


class Reopening:
    """All that is still to be asked for again."""

    def __init__(self) -> None:
        self._waiting: deque[Again] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, again: Again) -> None:
        """One more, behind the others."""
        self._waiting.append(again)

    def first(self) -> Wanted | None:
        """The next one that is still wanted, which stays the first; None if there is none."""
        while self._waiting:
            wanted = self._waiting[0]()
            if wanted is not None:
                return wanted
            self._waiting.popleft()
        return None

    def handed_over(self) -> None:
        """The first one is on its way."""
        self._waiting.popleft()

    def clear(self) -> None:
        """The session is lost again, and whatever was asked for in it: the next one begins anew."""
        self._waiting.clear()
