"""The messages of SPEC.md section 15.1 as plain lists, and the MESSAGE packets that carry them."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from ..encoding import Raw, encode
from .packets import PART, message, parts_of
from .patterns import REASON, Inside, Joined, some_bytes

Message: TypeAlias = list[Any]

EPOCH: Final = some_bytes("epoch")
"""The epoch of the one channel that most scenes are about."""

ERRORS: Final = {
    "BAD_REQUEST": 1,
    "DENIED": 2,
    "NOT_FOUND": 3,
    "BUSY": 4,
    "DEADLINE": 5,
    "CANCELLED": 6,
    "INTERNAL": 7,
    "TOO_LARGE": 8,
    "CALLEE_LOST": 10,
    "LIMIT": 11,
    "TAKEN_OVER": 12,
}
REFUSED: Final = 3
GAPS: Final = {"HISTORY_TOO_SHORT": 1, "EPOCH_CHANGED": 2, "OVERFLOW": 3}


def carried(*values: Message) -> list[list[Any]]:
    """Write MESSAGE packets, one for each message."""
    return [[6, False, Inside(value)] for value in values]


def in_parts(value: Message) -> list[list[Any]]:
    """Write the MESSAGE packets of one long message."""
    return parts_of(encode(value))


def publication_in_parts(channel: str, offset: int, data: bytes) -> tuple[list[Any], list[Any]]:
    """Write the two MESSAGE packets of a long PUBLICATION."""
    before, behind = encode(channel), encode(offset) + encode(data)
    room = PART - 2 - len(before) - 9  # the array's head and kind; the epoch, of eight bytes and a head
    first = Joined((Raw(b"\x85\x07" + before, "[7, ..."), EPOCH, Raw(behind[:room], "...")))
    return [6, True, Inside(first)], [6, False, behind[room:]]


def raw(data: bytes) -> list[list[Any]]:
    """Write a MESSAGE with any bytes."""
    return [message(data)]


def position(offset: int, epoch: Any = EPOCH) -> list[Any]:
    """Write a Position."""
    return [epoch, offset]


def subscribe(id: int, *channels: str, since: Any = None, options: Any = None) -> Message:
    """Write SUBSCRIBE, with options where they say something."""
    behind = [] if options is None else [options]
    return [1, id, [[channel, since, *behind] for channel in channels]]


def subscribed(id: int | None, *outcomes: list[Any]) -> Message:
    """Write SUBSCRIBED."""
    return [2, id, list(outcomes), *remarks_on(status == REFUSED for _, status, *_ in outcomes)]


def remarks_on(refused: Iterable[bool]) -> list[Any]:
    """Write the item that says why, if any of the outcomes before it are refused (MSG-10)."""
    remarks = [REASON for each in refused if each]
    return [remarks] if remarks else []


def live(channel: str, offset: int = 0, epoch: Any = EPOCH) -> list[Any]:
    """Write the outcome of a channel that goes on from its present end."""
    return [channel, 0, [epoch, offset], ""]


def recovered(channel: str, offset: int) -> list[Any]:
    """Write the outcome of a channel that goes on from what was asked for."""
    return [channel, 1, position(offset), ""]


def broken(channel: str, offset: int, reason: str) -> list[Any]:
    """Write the outcome of a channel that has lost something."""
    return [channel, 2, position(offset), reason]


def refused(channel: str, code: str) -> list[Any]:
    """Write the outcome of a channel that is refused."""
    return [channel, REFUSED, None, code]


def unsubscribe(id: int, *channels: str) -> Message:
    """Write UNSUBSCRIBE."""
    return [3, id, list(channels)]


def unsubscribed(id: int | None, *channels: str, code: str | None = None) -> Message:
    """Write UNSUBSCRIBED."""
    return [4, id, list(channels), 0 if code is None else ERRORS[code], REASON]


def publish(id: int, channel: str, data: bytes | str, key: bytes | None = None, *, about: Any = None) -> Message:
    """Write PUBLISH, with options where they say something."""
    behind = [] if about is None else [about]
    return [5, id, channel, data.encode() if isinstance(data, str) else data, key, *behind]


def published(id: int, offset: int, *, duplicate: bool = False, epoch: Any = EPOCH) -> Message:
    """Write PUBLISHED."""
    return [6, id, position(offset, epoch), duplicate]


def publication(
    channel: str, offset: int, data: bytes | str | Inside, *, epoch: Any = EPOCH, about: Any = None
) -> Message:
    """Write PUBLICATION, with what it carries where that is something."""
    behind = [] if about is None else [about]
    return [7, channel, epoch, offset, data.encode() if isinstance(data, str) else data, *behind]


def gap(channel: str, since: int, until: int, reason: str, *, epoch: Any = EPOCH) -> Message:
    """Write GAP; its second position may be in another epoch."""
    return [9, channel, position(since), position(until, epoch), GAPS[reason]]


def pause(channel: str, offset: int) -> Message:
    """Write PAUSE."""
    return [10, channel, EPOCH, offset]


def go_on(channel: str, offset: int) -> Message:
    """Write CONTINUE."""
    return [11, channel, EPOCH, offset]


def call(id: int, procedure: str, arguments: Any = (), deadline_ms: int | None = None) -> Message:
    """Write CALL; the arguments are an array, as the open service wants them."""
    return [12, id, procedure, encode(arguments), deadline_ms]


def reply(id: int, value: Any = ()) -> Message:
    """Write REPLY."""
    return [13, id, encode(value)]


def error(id: int, code: str, *, temporary: bool = False, message: Any = REASON, data: Any = None) -> Message:
    """Write ERROR, with any message where none is given; its data is a byte string, or a pattern of one."""
    return [14, id, ERRORS[code], message, temporary, data]


def cancel(id: int) -> Message:
    """Write CANCEL."""
    return [15, id]


def offer(id: int, agent: str, *procedures: str, worker: str | None = None, description: bytes = b"") -> Message:
    """Write OFFER; each procedure has the same description as the agent."""
    return [24, id, agent, worker, description, [[procedure, description] for procedure in procedures]]


def offered(id: int | None, agent: str, *, code: str | None = None) -> Message:
    """Write OFFERED."""
    return [25, id, agent, 0 if code is None else ERRORS[code], REASON]


def withdraw(id: int, agent: str) -> Message:
    """Write WITHDRAW."""
    return [26, id, agent]


def stream(
    id: int,
    procedure: str,
    arguments: Any = (),
    *,
    deadline_ms: int | None = None,
    inputs: bool = False,
    items: int = 32,
    bytes: int = 65_536,
) -> Message:
    """Write STREAM."""
    return [27, id, procedure, encode(arguments), deadline_ms, inputs, items, bytes]


def item(id: int, value: Any, *, inward: bool = False) -> Message:
    """Write ITEM."""
    return [28, id, inward, encode(value)]


def credit(id: int, items: int, bytes: int, *, inward: bool = False) -> Message:
    """Write CREDIT."""
    return [29, id, inward, items, bytes]
