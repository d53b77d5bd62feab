"""What Hawser raises where people use it.

HawserError                        (hawser_engine)
├─ ProtocolError …                 (hawser_engine) a clause of the specification is broken
├─ ConnectFailed                   `connect` never reached a session
├─ SessionClosed                   the client or server was closed; nothing more can be done with it
├─ RequestFailed                   the other side answered with an error
│  └─ CallError                    … to a call; procedures raise it to choose that error
├─ RequestLost                     the session was reset before the answer came
│  ├─ OutcomeUnknown               it may have been carried out
│  └─ NotSent                      it was not carried out
├─ Expired                         a publication was not sent in the time that it had
├─ OutboxFull                      more is waiting to be sent than may
├─ PoolFull                        a pool has no session to give
├─ Gap                             messages of a subscription are missing
└─ PayloadError                    data is no value that Hawser's payloads can hold
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hawser_engine.codes import CloseCode, ErrorCode, GapReason, ResetReason
from hawser_engine.errors import HawserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import IntEnum

    from hawser_engine.messages import Position

APPLICATION_ERRORS: Final = 100
"""Error codes from here on belong to applications (SPEC MSG registry)."""


class ConnectFailed(HawserError):
    """`connect` never reached a session.

    Attributes:
        attempts: What each attempt ended with, oldest first; at most the last 16.
        code: Why the server refused, as a number of the close-code registry; None if it never answered.
    """

    def __init__(self, url: str, why: str, attempts: Sequence[Exception] = (), *, code: int | None = None) -> None:
        last = f"; last: {attempts[-1]}" if attempts else ""
        super().__init__(f"cannot connect to {url}: {why}{last}")
        self.code = code
        self.attempts: ExceptionGroup[Exception] | None = (
            ExceptionGroup("attempts to connect", list(attempts)) if attempts else None
        )


class SessionClosed(HawserError):
    """This client is closed, by itself or by the server, and will not come back (SPEC CLS-1).

    Attributes:
        code: Why, as a number of the close-code registry.
        reason: The text that came with it.
    """

    def __init__(self, code: int, reason: str) -> None:
        name = _name(CloseCode, code)
        super().__init__(f"the session is closed: {name}{f' ({reason})' if reason else ''}")
        self.code = code
        self.reason = reason


class RequestFailed(HawserError):
    """The other side answered a request with an error (SPEC MSG-2).

    Attributes:
        code: A number of `ErrorCode`, or one from 100 on that the application chose.
        message: For people; never decide by it.
        temporary: Whether the same request may succeed later.
        data: A value that came with the error, or None.
    """

    def __init__(self, code: int, message: str = "", *, temporary: bool = False, data: object = None) -> None:
        name = _name(ErrorCode, code)
        super().__init__(f"{name}: {message}" if message else name)
        self.code = code
        self.message = message
        self.temporary = temporary
        self.data = data


class CallError(RequestFailed):
    """A call was answered with an error.

    A procedure raises it to answer with that error: ``raise CallError(100, "no such boat")``. Everything else that
    a procedure raises reaches the caller as INTERNAL with an incident number.
    """


class RequestLost(HawserError):
    """The session was reset before the answer came; raised by whatever waited for it (SPEC RST-6).

    Attributes:
        key: The idempotency key of a publication, to publish it again safely; None for other requests.
        reason: Why the session was reset, as a number of the reset-reason registry.
    """

    text = "the request was lost"

    def __init__(self, what: str, key: bytes | None, reason: int) -> None:
        super().__init__(f"{what}: {self.text} (session reset: {_name(ResetReason, reason)})")
        self.what = what
        self.key = key
        self.reason = reason


class OutcomeUnknown(RequestLost):
    """It had left or may have left: nobody can tell whether it was carried out."""

    text = "its outcome is unknown"


class NotSent(RequestLost):
    """It had not left: it was not carried out and never will be."""

    text = "it was not sent"


class Expired(HawserError):
    """A publication waited in the outbox for longer than it may: it was not sent and never will be.

    Attributes:
        key: Its idempotency key.
    """

    def __init__(self, what: str, key: bytes | None, seconds: float) -> None:
        super().__init__(f"{what}: it was not sent within {seconds:g} s")
        self.key = key


class OutboxFull(HawserError):
    """The outbox has no room: this publication was not accepted, and those before it still wait."""


class PoolFull(HawserError):
    """A pool holds as many sessions as it may, all of them are in use, and none became free in time."""


class Gap(HawserError):
    """Messages of a subscription are missing, and history no longer reaches them (SPEC CHN).

    Raised once by the iteration, before any later message; iterating again goes on behind the gap.

    Attributes:
        channel: The channel.
        since: The position of the last message before the gap; None if there was none.
        position: The position at which the subscription goes on: the next message has a higher offset.
        reason: A number of `hawser_engine.GapReason`: history too short, epoch changed, overflow.
    """

    def __init__(self, channel: str, since: Position | None, position: Position, reason: int) -> None:
        name = _name(GapReason, reason)
        super().__init__(f"messages of {channel!r} are missing from {_place(since)} to {_place(position)}: {name}")
        self.channel = channel
        self.since = since
        self.position = position
        self.reason = reason


class SubscriptionLost(HawserError):
    """The session was reset that the server had subscribed to a channel; whether it does so again is its to say.

    Raised by the iteration, behind everything that had come. If there is another subscription to the channel later, it
    begins with a `Gap` where it does not go on from here.

    Attributes:
        channel: The channel.
        position: How far it had come.
        reason: Why the session was reset, as a number of the reset-reason registry.
    """

    def __init__(self, channel: str, position: Position | None, reason: int) -> None:
        super().__init__(f"the subscription to {channel!r} ended with its session ({_name(ResetReason, reason)})")
        self.channel = channel
        self.position = position
        self.reason = reason


class PayloadError(HawserError):
    """Data holds something that a payload cannot carry, or arrived bytes are no payload (SPEC PKT-6)."""


def _name(registry: type[IntEnum], number: int) -> str:
    """A number as its registry names it, or itself."""
    try:
        return registry(number).name
    except ValueError:
        return str(number)


def _place(position: Position | None) -> str:
    return "the beginning" if position is None else f"offset {position.offset} of epoch {position.epoch.hex()}"
