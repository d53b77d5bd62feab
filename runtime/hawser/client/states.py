"""What a client goes through, as a stream that anybody may watch.

Rule: every pair of states that may follow each other is in FOLLOWING; a client that went through another one is wrong.

The stream is bounded: a watcher who does not keep up misses the oldest ordinary states, but never a `Reset`:
where only those are left, the two oldest become one with the sums of their counts.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FOLLOWING",
    "CircuitOpen",
    "Closed",
    "Connected",
    "Connecting",
    "HalfOpen",
    "Reset",
    "Resuming",
    "State",
    "StateStream",
    "Waiting",
]

WATCH_MAX: Final = 100


@attrs.frozen
class Connecting:
    """A link is being opened, and there is no session yet."""

    attempt: int
    """Attempts in a row that have not attached yet, this one counted."""


@attrs.frozen
class Resuming:
    """A link is being opened, to go on with the session that there is."""

    attempt: int
    """Attempts in a row that have not attached yet, this one counted."""


@attrs.frozen
class HalfOpen:
    """A link is being opened as a probe: whether it attaches decides about the circuit."""

    attempt: int
    """Attempts in a row that have not attached yet, this one counted."""


@attrs.frozen
class Connected:
    """Attached: what is sent leaves at once."""

    resumed: bool
    """True if the session goes on, False if it is a new one."""
    replayed: int
    """Messages sent again by this side because the last link had lost them, or may have."""
    carriage: str
    """What the link is made of, such as ``"websocket"`` or ``"long-poll"``. It may change without a `Waiting`."""


@attrs.frozen
class Waiting:
    """No link until the time has come to try again; what is sent waits too."""

    until: float
    """When that is, on the clock of `trio.current_time`; earlier if the process has slept meanwhile."""
    seconds: float
    """How long the wait is in all."""
    why: str
    """What ended the link or the attempt."""


@attrs.frozen
class CircuitOpen:
    """No link, after too many attempts in a row that never attached: only probes are made, ever less often."""

    until: float
    """When the next probe is made, on the clock of `trio.current_time`; earlier if the process has slept meanwhile."""
    seconds: float
    """How long the wait is in all."""
    why: str
    """What ended the last attempt."""


@attrs.frozen
class Reset:
    """The session could not be continued; a new one begins (SPEC RST-6).

    The three counts add up to all messages that this side had accepted and not yet seen delivered or reported.
    """

    reason: int
    """A `ResetReason`, or a number that this version does not know."""
    known_delivered: int
    """Messages that the other side is known to have taken."""
    unknown: int
    """Messages that had left or may have left, without proof of arrival."""
    not_sent: int
    """Messages that had not left."""


@attrs.frozen
class Closed:
    """The end: nothing comes after it."""

    code: int
    """A `CloseCode`, or a number that this version does not know."""
    reason: str
    """The text that came with it."""


State: TypeAlias = Connecting | Resuming | HalfOpen | Connected | Waiting | CircuitOpen | Reset | Closed

FOLLOWING: Final[Mapping[type[State], tuple[type[State], ...]]] = {
    Connecting: (Connected, Waiting, CircuitOpen, Reset, Closed),
    Resuming: (Connected, Reset, Waiting, CircuitOpen, Closed),
    HalfOpen: (Connected, Reset, CircuitOpen, Closed),
    Connected: (Connected, Waiting, Reset, Closed),  # the first where the session has moved to another carriage
    Waiting: (Connecting, Resuming, Closed),
    CircuitOpen: (HalfOpen, Closed),
    Reset: (Connected, Reset, Waiting, CircuitOpen, Closed),  # a new session follows, on the same link if it holds
    Closed: (),
}
"""What may come after each state."""


class StateStream:
    """An async iterator over the states of a client, beginning with the one it is in. Ends after `Closed`."""

    def __init__(self, first: State) -> None:
        self._states: deque[State] = deque([first])
        self._arrival = trio.Event()
        self._over = isinstance(first, Closed)

    def __aiter__(self) -> StateStream:
        return self

    async def __anext__(self) -> State:
        await trio.lowlevel.checkpoint()
        while not self._states:
            if self._over:
                raise StopAsyncIteration
            await self._arrival.wait()
        return self._states.popleft()

    def put(self, state: State) -> None:
        """Add a state; called by the client."""
        if len(self._states) >= WATCH_MAX:
            self._make_room()
        self._states.append(state)
        self._over = isinstance(state, Closed)
        self._arrival.set()
        self._arrival = trio.Event()

    def _make_room(self) -> None:
        """Drop the oldest state that is no reset; where all are, make one of the two oldest, with the sums."""
        for index, state in enumerate(self._states):
            if not isinstance(state, Reset):
                del self._states[index]
                return
        first, second = self._states.popleft(), self._states.popleft()
        assert isinstance(first, Reset)
        assert isinstance(second, Reset)
        self._states.appendleft(
            Reset(
                second.reason,
                first.known_delivered + second.known_delivered,
                first.unknown + second.unknown,
                first.not_sent + second.not_sent,
            )
        )
