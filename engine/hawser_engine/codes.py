"""The numbers that travel: why a connection closes, why a session ends, why a request fails.

Numbers are permanent. A receiver accepts numbers it does not know (SPEC CLS-2): ranges, not names, decide what a
client does next.
"""

from enum import IntEnum
from typing import Final

_RESTART: Final = 200
_FINAL: Final = 300
_UNASSIGNED: Final = 400


class CloseCode(IntEnum):
    """Why a connection ends (SPEC CLS-1): 100-199 come back and resume, 200-299 come back anew, 300-399 stay away."""

    GOING_AWAY = 100
    """The server drains or restarts; the CLOSE names the spread in which clients come back."""
    TIMEOUT = 101
    """The handshake took too long, or nothing was heard from the peer."""
    FLOW = 102
    """The peer sent more than the window allowed."""
    RATE = 103
    """The peer sent or attached more often than it may."""
    SLOW = 104
    """The peer took too long to read what was written to it."""
    UNAVAILABLE = 105
    """Credentials could not be checked now; they may well be good."""
    OVERLOADED = 106
    """The node has no room for this connection."""
    INTERNAL = 107
    """This side failed through a fault of its own."""
    PROTOCOL_ERROR = 108
    """The peer broke a clause of the specification."""
    TOO_LARGE = 109
    """A message was longer than this side accepts."""
    SESSION_ENDED = 200
    """The session is over, the user is still welcome: come back with OPEN."""
    NORMAL = 300
    """Goodbye: the sender is done, and the session ends with it."""
    SUPERSEDED = 301
    """A later attach of the same session has taken over."""
    UNAUTHORIZED = 302
    """The credentials are refused, have expired, or name somebody else."""
    VERSION = 303
    """The two sides have no protocol version in common."""
    FORBIDDEN = 304
    """This client may not connect here, whoever it says it is."""

    @property
    def advice(self) -> tuple[bool, bool]:
        """What this code means when nothing else is known: (reconnect, resume)."""
        return close_advice(self)


class ResetReason(IntEnum):
    """Why a session cannot be continued (SPEC RST-1)."""

    UNKNOWN_SESSION = 1
    """No such session, or not with this secret or principal: the three look alike (SPEC SEC-6)."""
    EXPIRED = 2
    """The session was detached for longer than its resume period."""
    DRIFT = 3
    """The counts of the two sides contradict each other."""
    OVERFLOW = 4
    """A bound was reached behind which nothing can be kept."""
    FLOW = 5
    """The window was violated three times in a row."""
    RESTARTED = 6
    """The server's session store is another one than the session was made in."""
    CLOSED = 7
    """A goodbye ended the session."""
    REVOKED = 8
    """The principal's rights were withdrawn."""
    EVICTED = 9
    """The session had to make room for others."""
    TAKEN_OVER = 10
    """Another holder of the same session has attached; known to a client only, never sent."""
    INTERNAL = 11
    """This side failed through a fault of its own."""


class ErrorCode(IntEnum):
    """Why a request of the message layer failed; numbers from 100 belong to applications."""

    BAD_REQUEST = 1
    """The request makes no sense where it was sent."""
    DENIED = 2
    """The principal may not do this."""
    NOT_FOUND = 3
    """No such channel, procedure or agent."""
    BUSY = 4
    """Too many operations or calls are unanswered already."""
    DEADLINE = 5
    """The deadline had passed before an answer was there."""
    CANCELLED = 6
    """The caller withdrew the call."""
    INTERNAL = 7
    """The handler failed; the message carries an incident number."""
    TOO_LARGE = 8
    """The request or its answer is longer than allowed."""
    UNAVAILABLE = 9
    """A part that is needed (broker, store) cannot be used; if that may pass, the error is temporary."""
    CALLEE_LOST = 10
    """The callee's session ended before it replied."""
    LIMIT = 11
    """A quota of this session or user is used up."""
    TAKEN_OVER = 12
    """Another session stands in this one's place now."""


class HoldState(IntEnum):
    """What a session is to a mailbox (SPEC MBX-5)."""

    ENDED = 0
    """Nothing, or nothing any more."""
    WAITING = 1
    """It is the holder when those before it have ended."""
    HOLDING = 2
    """It is the one that gets the letters."""


class SubscribeStatus(IntEnum):
    """What became of one channel of a SUBSCRIBE (SPEC SUB-2)."""

    LIVE = 0
    """Everything behind the given position will come."""
    RECOVERED = 1
    """Everything behind the position that the client named will come."""
    GAP = 2
    """What lies between the position that the client named and the given one is lost; the rest will come."""
    REFUSED = 3
    """Nothing will come; the reason names an ErrorCode."""


class TargetKind(IntEnum):
    """What something can be sent to (SPEC ADR-2)."""

    SESSION = 0
    """One session."""
    USER = 1
    """All sessions of a principal."""
    AGENT = 2
    """One worker of an agent."""
    EVERYBODY = 3
    """All sessions."""
    CHANNEL = 4
    """A channel, in which it is published."""


class SendStatus(IntEnum):
    """What became of one target of a SEND (SPEC ADR-3)."""

    DELIVERED = 0
    """At least one session has accepted it."""
    QUEUED = 1
    """No session takes it, and it is a letter in the mailbox of the target; the position names it."""
    NOBODY = 2
    """Nobody is there who takes it."""
    FULL = 3
    """Whoever is there has no room for it."""
    PUBLISHED = 4
    """It has its position in the channel."""
    DUPLICATE = 5
    """The key had been used in the channel or the mailbox before; the position is that of the first time."""
    REFUSED = 6
    """Nothing was done; the reason names an ErrorCode."""


class GapReason(IntEnum):
    """Why publications of a channel are lost to a subscriber (SPEC CHN-5)."""

    HISTORY_TOO_SHORT = 1
    """The history no longer reaches back to them."""
    EPOCH_CHANGED = 2
    """The channel has begun anew, with a new order."""
    OVERFLOW = 3
    """The subscriber's queue was full and the channel keeps no history."""


def close_advice(code: int) -> tuple[bool, bool]:
    """Say what to do after a close whose CLOSE packet carried only a number, or none arrived.

    Args:
        code: Any number, known or not; outside 100-399 it is treated like 100-199, with backoff.

    Returns:
        (reconnect, resume): may the client come back, and if so, may it resume the session.

    Spec: CLS-2.
    """
    if _FINAL <= code < _UNASSIGNED:
        return False, False
    return True, not _RESTART <= code < _FINAL
