"""One engine connection on one link: bytes in, bytes out, nothing else.

Rule: mutation and flush are one synchronous call. Whoever changes an engine connection flushes its driver before
anything else can run, so there is no lock, and order on the link is order of mutation. A writer task exists only
while the link has not taken everything.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import trio

from hawser_engine.gaps import Gap

if TYPE_CHECKING:
    from hawser_engine.connection import Connection
    from hawser_engine.passage import Passage
    from hawser_transports import Link

ConnectionT = TypeVar("ConnectionT", bound="Connection")
"""Which role's it drives."""


class Owner(Protocol):
    """Who drains the engine after each input: the node of a server, or a client."""

    def touch(self, driver: Driver[Any]) -> None:
        """Handle the events of the driver's connection and flush it, now or at the end of what is being done."""

    def start_writer(self, driver: Driver[Any]) -> None:
        """Run ``driver.write`` in a task."""

    def contain(self, driver: Driver[Any], error: Exception) -> None:
        """Something failed that should not: end this connection, and only it."""


class Driver(Generic[ConnectionT]):
    """Receives for one link, and writes to it."""

    __slots__ = (
        "__weakref__",
        "_backlog",
        "_close_seconds",
        "_owner",
        "_writing",
        "abandoned",
        "armed",
        "connection",
        "failed",
        "link",
        "over",
    )

    def __init__(self, owner: Owner, connection: ConnectionT, link: Link, *, close_seconds: float) -> None:
        self.armed: float = inf
        self.connection: ConnectionT = connection
        self.link: Link = link
        self.over: bool = False
        """Whether the link has ended, or is to end once everything is written."""
        self.failed: bool = False
        """Whether something failed that should not; kept by the owner."""
        self.abandoned: bool = False
        """Whether it is of no interest any more."""
        self._owner = owner
        self._close_seconds = close_seconds
        self._backlog: list[bytes] = []
        self._writing = False
        link.watch(self.heard)

    # ------------------------------------------------------------ inputs

    def received(self, batches: list[bytes]) -> None:
        """See `hawser_transports.Receiver`."""
        now = trio.current_time()
        try:
            for batch in batches:
                self.connection.receive_batch(batch, now)
                self._owner.touch(self)
        except Exception as error:
            self._owner.contain(self, error)

    def heard(self) -> None:
        """See `hawser_transports.Link.watch`."""
        try:
            self.connection.receive_life(trio.current_time())
            self._owner.touch(self)
        except Exception as error:
            self._owner.contain(self, error)

    def ended(self, error: Exception | None) -> None:
        """See `hawser_transports.Receiver`."""
        self.over = True
        self._backlog.clear()
        try:
            self.connection.receive_eof(trio.current_time())
            self._owner.touch(self)
        except Exception as failure:
            self._owner.contain(self, failure)

    def handle_timeout(self, now: float) -> None:
        """See `hawser.timekeeper.Timed`."""
        try:
            self.connection.handle_timeout(now)
            self._owner.touch(self)
        except Exception as error:
            self._owner.contain(self, error)

    def gap(self, now: float, found: Gap) -> None:
        """Time has jumped (SPEC LIV-5)."""
        if found is Gap.LATE_PASS:
            self.connection.handle_gap(now)
        else:
            self.connection.probe(now)
        self._owner.touch(self)

    # ------------------------------------------------------------ output

    def flush(self, now: float | None = None) -> bool:
        """Write what the connection has to send, as far as the link takes it now.

        Args:
            now: The time, from whoever flushes many and has asked for it already.

        Returns:
            Whether everything has left.
        """
        batches = self.connection.data_to_send()
        if not batches:
            return not self._writing
        if self._writing:
            self._backlog.extend(batches)
            return False
        if self.over:
            return True
        try:
            taken = self.link.send_nowait(batches)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The receiving side learns of it and says so; until then this is only bytes that do not arrive.
            taken = len(batches)
        if taken == len(batches):
            self.connection.written(trio.current_time() if now is None else now)
            return True
        self._backlog.extend(batches[taken:])
        self._start()
        return False

    def lay_passage(self) -> Passage:
        """The way for shared batches straight to the link, as long as its session stays (SPEC CHN-6)."""
        return self.connection.lay_passage(self.link.carry, self)

    def refused(self, data: bytes, now: float) -> None:
        """See `hawser_engine.passage.Writer`."""
        self.connection.push(data, now)
        self._owner.touch(self)

    def finish(self, code: int) -> None:
        """Send the last words, and close the link once everything is written.

        Args:
            code: Of the CLOSE that was sent or that came, for a carriage that can say it again (SPEC CAR-5).
        """
        self.flush()
        self.link.say_why(code)
        self.over = True
        if not self._writing:
            self._start()

    def abandon(self) -> None:
        """Close the link without asking the connection any more."""
        self.over = self.abandoned = True
        self.connection.bar_passage()  # nothing may follow what is thrown away here
        self._backlog.clear()
        if not self._writing:
            self._start()

    def _start(self) -> None:
        self._writing = True
        self._owner.start_writer(self)

    async def write(self) -> None:
        """Write the backlog, then end; close the link if it is over."""
        try:
            while self._backlog:
                if self.over:  # CLS-3: at the latest after the write deadline
                    with trio.move_on_after(self._close_seconds):
                        await self._write_some()
                    break
                await self._write_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._writing = False
            self._backlog.clear()
            if self.over:
                with trio.move_on_after(self._close_seconds):
                    await self.link.aclose()

    async def _write_some(self) -> None:
        batches, self._backlog = self._backlog, []
        await self.link.send_batches(batches)
        self.connection.written(trio.current_time(), sum(map(len, self._backlog)))
