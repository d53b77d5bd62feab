"""How many connections each user has, and how many sessions wait for it (SPEC LIM-3).

A session has one connection at a time, so a resume releases the one before it by itself; one that is not proved yet
counts for nothing (SPEC UNC-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from hawser.principals import ANONYMOUS

if TYPE_CHECKING:
    from hawser.principals import Principal

    from .session import Session


class Attachable(Protocol):
    """What counting needs of a session."""

    handle: Session
    counted: bool
    """Whether it counts as attached; kept by `Users`."""


SessionT = TypeVar("SessionT", bound=Attachable)


class Users(Generic[SessionT]):
    """Counts the sessions of each principal, except of `ANONYMOUS`, who is not one user but everyone.

    Args:
        attached: How many a principal may have that are attached.
        detached: How many are kept for it that are not.
    """

    def __init__(self, attached: int, detached: int) -> None:
        self._limit = attached
        self._detached_limit = detached
        self._attached: dict[str, int] = {}
        self._detached: dict[str, dict[SessionT, None]] = {}  # longest first

    def has_room(self, principal: Principal) -> bool:
        """Whether one more session of this principal may attach."""
        return self._attached.get(principal.id, 0) < self._limit

    def arrived(self, session: SessionT) -> bool:
        """Count a session that is attached; False if it is one too many: it is not counted, and has to go."""
        principal = session.handle.principal
        self._came_back(session)
        if session.counted or principal == ANONYMOUS:
            return True
        if not self.has_room(principal):
            return False
        session.counted = True
        self._attached[principal.id] = self._attached.get(principal.id, 0) + 1
        return True

    def left(self, session: SessionT) -> SessionT | None:
        """A session is detached; returns one of its user that is to be given up for it."""
        self._release(session)
        principal = session.handle.principal
        if principal == ANONYMOUS:
            return None
        waiting = self._detached.setdefault(principal.id, {})
        waiting[session] = None
        return next(iter(waiting)) if len(waiting) > self._detached_limit else None

    def over(self, session: SessionT) -> None:
        """A session has ended."""
        self._release(session)
        self._came_back(session)

    def _came_back(self, session: SessionT) -> None:
        name = session.handle.principal.id
        waiting = self._detached.get(name)
        if waiting is not None and session in waiting:
            del waiting[session]
            if not waiting:
                del self._detached[name]

    def _release(self, session: SessionT) -> None:
        if session.counted:
            session.counted = False
            name = session.handle.principal.id
            self._attached[name] -= 1
            if not self._attached[name]:
                del self._attached[name]
