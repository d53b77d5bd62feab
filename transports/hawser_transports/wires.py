"""Bytes both ways over one stream: what HTTP and WebSocket stand on.

Writing never waits: a wire takes bytes, writes what it can at once and leaves the rest to a writer, a task that exists
only while something is left. So mutation and flush stay one synchronous call, and no caller's cancellation ever tears
a write apart.

Rule 1: one place writes: `Wire.write` while nothing is left over, the writer as long as something is.
Rule 2: a write that failed, or took too long, breaks the wire for good.

A writer is a system task, for a link belongs to nobody's nursery: `Transport.connect` returns it.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import attrs
import trio
from attrs import field, validators
from trio.lowlevel import (
    ParkingLot,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    notify_closing,
    spawn_system_task,
    wait_readable,
    wait_writable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES: Final = 65_536
"""How much one read takes; what a peer makes us hold before any limit of a protocol can judge it."""

ROOM_BYTES: Final = 65_536
"""With so much left over a wire has no room: senders wait."""

DISCARD_BYTES: Final = 1_048_576
"""How much a closing end reads and throws away, so that its last words are not lost to a TCP reset."""


@attrs.frozen(kw_only=True)
class WireSettings:
    """Limits of one wire; a wrong value is refused with the name of the field."""

    outbound_bytes: int = field(default=1_048_576, validator=validators.ge(ROOM_BYTES))
    """Bytes that may wait to be written; more break the wire (SPEC LIM-6)."""
    write_seconds: float = field(default=10.0, validator=validators.gt(0))
    """What has been handed to the stream is taken within this time, or the wire breaks (SPEC LIM-6)."""
    close_seconds: float = field(default=2.0, validator=validators.ge(0))
    """How long a graceful close waits for the peer."""
    unanswered_seconds: float = field(default=20.0, validator=validators.ge(1))
    """A connection that a client has opened is lost when the system at its other end has answered nothing for so long,
    neither bytes nor the probes that this one sends while there are none; `math.inf` leaves that to the protocol."""


class Wire(ABC):
    """One end of a stream of bytes; at most one task receives at a time."""

    __slots__ = (
        "_backlog",
        "_settings",
        "_waiting",
        "began",
        "broken",
        "closed",
        "description",
        "on_close",
        "unwritten",
    )

    def __init__(self, description: str, settings: WireSettings) -> None:
        self.description: str = description
        self._settings = settings
        self._backlog: list[bytes] = []
        self._waiting: ParkingLot | None = None  # a lot weighs 300 bytes, and few wires ever have a full backlog
        self.began: float | None = None
        """When its connection was accepted; set by the listener."""
        self.unwritten: int = 0
        """Bytes that were taken and that the stream has not."""
        self.broken: bool = False
        """Whether a write has failed."""
        self.closed: bool = False
        """Whether the stream is closed."""
        self.on_close: Callable[[], None] | None = None
        """Called once when it closes."""

    def write(self, data: bytes) -> None:
        """Take bytes. Never waits, and never raises: a wire that is broken or closed drops them."""
        if self.broken or self.closed or not data:
            return
        if self.unwritten + len(data) > self._settings.outbound_bytes:
            self.abort()
            return
        self._backlog.append(data)
        if not self.unwritten:
            spawn_system_task(self._run_writer, name=f"writer of {self.description}")
        self.unwritten += len(data)

    def offer(self, data: bytes) -> bool:
        """`write` where there is room; False if there is none, and nothing was taken."""
        if self.unwritten >= ROOM_BYTES:
            return False
        self.write(data)
        return True

    async def wait_room(self) -> None:
        """Wait until there is room again or something has happened to the wire. A checkpoint only where it waits."""
        if self.unwritten >= ROOM_BYTES and not (self.broken or self.closed):
            await self._park()

    @abstractmethod
    async def receive(self) -> bytes:
        """Wait for bytes; empty at the end of the stream. Always a checkpoint; a cancelled call has taken nothing.

        Raises:
            trio.ClosedResourceError: `interrupt` was called, or the wire was closed.
            trio.BrokenResourceError: The stream is lost.
        """

    @abstractmethod
    def interrupt(self) -> None:
        """Wake the task that receives and those that wait for room."""

    def lend(self, back: Callable[[], None]) -> int:
        """See `Link.lend`; -1 unless this is a plain socket."""
        return -1

    def receive_nowait(self) -> bytes | None:
        """`receive` without waiting: None if nothing is there. Only for a wire that was lent.

        Raises:
            trio.ClosedResourceError: The wire was closed.
            trio.BrokenResourceError: The stream is lost.
        """
        raise NotImplementedError

    async def finish(self, discard: Callable[[bytes], bool] | None = None) -> None:
        """Close gracefully: write what is left, say that it was all, hear the peer out, within `close_seconds`.

        Closed at once if cancelled.

        Args:
            discard: Given what still arrives; answers whether the peer has said its last word.
        """
        try:
            await checkpoint()
            with trio.move_on_after(self._settings.close_seconds):
                while self.unwritten and not (self.broken or self.closed):
                    await self._park()
                self._end()
                seen = 0
                while seen < DISCARD_BYTES and not self.broken:
                    data = await self.receive()
                    seen += len(data)
                    if not data or (discard is not None and discard(data)):
                        break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close without waiting: what the stream has not taken is lost. Idempotent."""
        if not self.closed:
            self.closed = True
            self._drop()
            self._close()
            if self.on_close is not None:
                self.on_close()

    def abort(self) -> None:
        """Close because writing has failed."""
        self.broken = True
        self.close()

    @abstractmethod
    async def _write(self, data: bytes) -> None:
        """Write all of it, and count down `unwritten`."""

    @abstractmethod
    def _end(self) -> None:
        """Tell the peer that nothing follows, where the stream can say that."""

    @abstractmethod
    def _close(self) -> None:
        """Close the stream at once."""

    async def _run_writer(self) -> None:
        try:
            while self._backlog:
                data = b"".join(self._backlog)
                self._backlog.clear()
                with trio.move_on_after(self._settings.write_seconds) as patience:
                    await self._write(data)
                if patience.cancelled_caught:
                    self.abort()
        except Exception:  # of whatever kind: a system task that raises ends the whole program
            self.abort()
        except trio.Cancelled:  # the run is over
            self.abort()
            raise

    async def _park(self) -> None:
        if self._waiting is None:
            self._waiting = ParkingLot()
        await self._waiting.park()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.unpark_all()

    def _took(self, count: int) -> None:
        """Note that the stream has taken bytes of the writer's."""
        if not self.closed:
            self.unwritten -= count
            if self.unwritten < ROOM_BYTES:
                self._wake()

    def _drop(self) -> None:
        self._backlog.clear()
        self.unwritten = 0
        self._wake()


class SocketWire(Wire):
    """A wire over a connected, non-blocking socket of the standard library, written to inline.

    A send costs 5 µs here; handing it to a task, or awaiting Trio's stream, would cost three to six times that.
    """

    __slots__ = ("_back", "_drained", "_socket")

    def __init__(self, connected: socket.socket, description: str, settings: WireSettings) -> None:
        super().__init__(description, settings)
        self._socket = connected
        self._back: Callable[[], None] | None = None
        # The last read took less than it could: another one would only hear that nothing is there, for 3 µs.
        self._drained = False

    def write(self, data: bytes) -> None:
        """See `Wire.write`: what the socket takes leaves at once, the rest by the writer."""
        if self.unwritten or self.broken or self.closed:
            super().write(data)
        else:
            self.offer(data)

    def offer(self, data: bytes) -> bool:
        """See `Wire.offer`: a fan-out comes here for every delivery, and nearly every socket takes all of it."""
        if self.unwritten:
            return super().offer(data)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            if self.closed:  # which a socket says by itself, so that nobody need ask before
                return super().offer(data)
            self.abort()
            return True
        if sent < len(data):
            super().write(data[sent:])
        return True

    async def receive(self) -> bytes:
        """See `Wire.receive`."""
        if not self._drained or self.closed:
            await checkpoint_if_cancelled()
            data = self._read()
            if data is not None:
                await cancel_shielded_checkpoint()
                return data
        while True:
            await wait_readable(self._socket)
            data = self._read()
            if data is not None:
                return data

    def interrupt(self) -> None:
        """See `Wire.interrupt`."""
        self._wake()
        self._give_back()
        if not self.closed:
            notify_closing(self._socket)

    def lend(self, back: Callable[[], None]) -> int:
        """See `Wire.lend`; -1 also if it is closed already."""
        self._back = back
        return self._socket.fileno()

    def receive_nowait(self) -> bytes | None:
        """See `Wire.receive_nowait`."""
        if self.closed:
            raise trio.ClosedResourceError("the wire was closed")
        return self._read()

    def _give_back(self) -> None:
        if self._back is not None:
            back, self._back = self._back, None
            back()

    def _read(self) -> bytes | None:
        """What has arrived; None if nothing has."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._lost(error) from error
        self._drained = len(data) < READ_BYTES
        return data

    def _lost(self, error: OSError) -> Exception:
        if self.closed and not self.broken:
            return trio.ClosedResourceError("the wire was closed")
        return trio.BrokenResourceError(f"the connection was lost: {error}")

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                await wait_writable(self._socket)
            except trio.ClosedResourceError:
                if self.closed:
                    return
                continue  # `interrupt` meant the task that receives
            sent = self._socket.send(view)
            view = view[sent:]
            self._took(sent)

    def _end(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.broken = True

    def _close(self) -> None:
        # A close with unread bytes is a reset, and a reset takes from the peer what it has not read yet.
        try:
            for _ in range(DISCARD_BYTES // READ_BYTES):
                if not self._socket.recv(READ_BYTES):
                    break
        except OSError:
            pass
        self._give_back()
        notify_closing(self._socket)
        self._socket.close()


class StreamWire(Wire):
    """A wire over any Trio stream: TLS, or a foreign one. Everything leaves through the writer, joined."""

    __slots__ = ("_receiving", "_stream")

    def __init__(self, stream: trio.abc.Stream, description: str, settings: WireSettings) -> None:
        super().__init__(description, settings)
        self._stream = stream
        self._receiving: trio.CancelScope | None = None

    async def receive(self) -> bytes:
        """See `Wire.receive`."""
        if self.closed:
            await cancel_shielded_checkpoint()
            raise trio.ClosedResourceError("the wire was closed")
        while self._receiving is not None:
            await checkpoint()  # one that was interrupted has still to leave, which takes it a step or two
        try:
            with trio.CancelScope() as self._receiving:
                return bytes(await self._stream.receive_some(READ_BYTES))
        finally:
            self._receiving = None
        raise trio.ClosedResourceError("the wire was closed while waiting")

    def interrupt(self) -> None:
        """See `Wire.interrupt`."""
        self._wake()
        if self._receiving is not None:
            self._receiving.cancel(reason="the wire is closing")

    async def _write(self, data: bytes) -> None:
        await self._stream.send_all(data)
        self._took(len(data))

    def _end(self) -> None:
        pass  # TLS cannot be half-closed; the protocol above has said that it is done

    def _close(self) -> None:
        self.interrupt()
        spawn_system_task(trio.aclose_forcefully, self._stream, name=f"closing {self.description}")
