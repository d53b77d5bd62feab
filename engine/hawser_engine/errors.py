"""What the engine raises.

    HawserError
    └─ ProtocolError               a clause of the specification is broken; never raised itself
       ├─ LocalProtocolError       by the caller: nothing was sent, nothing has changed
       │  ├─ BacklogFull           there is no room to queue it now; try again when there is
       │  └─ MessageTooLarge       it is longer than will ever be accepted
       └─ RemoteProtocolError      by the peer

The text of a ProtocolError says code, who, where, what was seen and expected, and the clause:

    PROTOCOL_ERROR (remote) in ACK: saw sent=-1, expected an integer from 0 to 9007199254740992 (SPEC PKT-8)
"""

from typing import ClassVar, Self

from .codes import CloseCode

__all__ = [
    "BacklogFull",
    "HawserError",
    "LocalProtocolError",
    "MessageTooLarge",
    "ProtocolError",
    "RemoteProtocolError",
]


class HawserError(Exception):
    """Base of everything that Hawser raises on purpose."""


class ProtocolError(HawserError):
    """A clause of the specification was about to be, or has been, broken."""

    who: ClassVar[str]
    """Which side broke it, seen from here: local or remote."""

    def __init__(self, code: CloseCode, clause: str, detail: str, where: str = "") -> None:
        """Describe the fault.

        Args:
            code: The code that a CLOSE for this fault carries.
            clause: The clause of SPEC.md that is broken, such as ``PKT-8``.
            detail: What was seen and what was expected. Never holds secrets or payloads.
            where: The packet or place concerned, such as ``ACK``; empty if there is none.
        """
        super().__init__(code, clause, detail, where)
        self.code = code
        self.clause = clause
        self.detail = detail
        self.where = where

    def at(self, where: str) -> Self:
        """Return the same error, with the place where it happened."""
        return type(self)(self.code, self.clause, self.detail, where)

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        return f"{self.code.name} ({self.who}){place}: {self.detail} (SPEC {self.clause})"


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the protocol forbids; nothing has changed."""

    who = "local"


class BacklogFull(LocalProtocolError):
    """A bounded queue has no room now; the message was not accepted."""


class MessageTooLarge(LocalProtocolError):
    """The message is longer than the protocol, or the peer, will ever accept; it was not accepted."""


class RemoteProtocolError(ProtocolError):
    """The peer broke a clause; the connection cannot go on, the session can."""

    who = "remote"
