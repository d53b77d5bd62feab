"""How many connections each user has (SPEC LIM-3).

What is counted are attached sessions. A session has one connection at a time, so a resume releases the one before it
by itself; one that is not proved yet counts for nothing (SPEC UNC-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hawser.principals import ANONYMOUS

if TYPE_CHECKING:
    from hawser.principals import Principal

    from .session import Session


class Attachable(Protocol):
    """What counting needs of a session."""

    handle: Session
    counted: bool
    """Whether it counts now; kept by `Users`."""


class Users:
    """Counts the attached sessions of each principal, except of `ANONYMOUS`, who is not one user but everyone.

    Args:
        limit: How many a principal may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._attached: dict[str, int] = {}

    def has_room(self, principal: Principal) -> bool:
        """Whether one more session of this principal may attach."""
        return self._attached.get(principal.id, 0) < self._limit

    def arrived(self, session: Attachable) -> bool:
        """Count a session that is attached; False if it is one too many: it is not counted, and has to go."""
        principal = session.handle.principal
        if session.counted or principal == ANONYMOUS:
            return True
        if not self.has_room(principal):
            return False
        session.counted = True
        self._attached[principal.id] = self._attached.get(principal.id, 0) + 1
        return True

    def left(self, session: Attachable) -> None:
        """A session is detached, or over."""
        if session.counted:
            session.counted = False
            name = session.handle.principal.id
            self._attached[name] -= 1
            if not self._attached[name]:
                del self._attached[name]
