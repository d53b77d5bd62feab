"""What a client goes through, as a stream that anybody may watch.

The stream is bounded: a watcher who does not keep up misses the oldest ordinary states, but never a `Reset`:
where only those are left, the two oldest become one with the sums of their counts.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import attrs
import trio

__all__ = ["Closed", "Connected", "Connecting", "Disconnected", "Reset", "State", "StateStream"]

WATCH_MAX: Final = 100


@attrs.frozen
class Connecting:
    """A link is being opened."""

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
    """What the link is made of, such as ``"websocket"`` or ``"long-poll"``. It may change without a `Disconnected`."""


@attrs.frozen
class Disconnected:
    """No link; the session waits for the next one, and so does what is sent."""

    reason: str
    """What ended the link or the attempt."""
    retry_seconds: float
    """When the next attempt begins."""


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


State: TypeAlias = Connecting | Connected | Disconnected | Reset | Closed


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
