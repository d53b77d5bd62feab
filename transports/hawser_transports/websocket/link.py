"""A link over one WebSocket: the engine's binding on a wire (SPEC 14.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from hawser_engine.bindings.websocket import CLOSE_CODES
from hawser_transports.contract import Link, check_batches
from hawser_transports.wires import ROOM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser_engine.bindings.websocket import WebSocket
    from hawser_transports.wires import Wire

CODES: Final = 1_000
"""How many close codes have a place above 4000."""

NORMAL: Final = 1_000
"""The WebSocket close code of a link that is closed without a word of the session."""


class WebSocketLink(Link):
    """One end of a WebSocket behind its handshake."""

    carriage = "websocket"

    __slots__ = (
        "_closed",
        "_code",
        "_early",
        "_framer",
        "_heard",
        "_inbox",
        "_ready",
        "_receiving",
        "_sending",
        "_websocket",
        "_wire",
    )

    def __init__(self, wire: Wire, websocket: WebSocket, early: bytes = b"") -> None:
        """Make a link.

        Args:
            wire: It belongs to the link from now on.
            websocket: New, for the role of this end.
            early: What had arrived behind the handshake.
        """
        self._wire = wire
        self._websocket = websocket
        self._framer = websocket.framer
        self._inbox: list[bytes] = []
        self._code = NORMAL
        self._closed = False
        self._receiving = False
        self._sending = False
        self._ready = True  # to write batches; see `_look`
        self._heard: Callable[[], None] | None = None
        self._early = early  # not looked at before somebody receives, so that `bound` comes first

    @property
    def description(self) -> str:
        """See `Link.description`."""
        return self._wire.description

    @property
    def began(self) -> float | None:
        """See `Link.began`."""
        return self._wire.began

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        """See `Link.send_nowait`."""
        if not self._ready or self._wire.broken:
            self._check_sending()  # which says why
        check_batches(batches)
        if len(batches) == 1:  # as nearly always
            return int(self._wire.offer(self._framer.batch(batches[0])))
        return self._send_some(batches, 0)

    def carry(self, batch: bytes) -> bool:
        """See `Link.carry`."""
        framer = self._framer
        if batch is framer.newest and self._ready:  # what is the same for many links was looked at once
            return self._wire.offer(framer.newest_frame)
        return super().carry(batch)

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        """See `Link.send_batches`."""
        await checkpoint_if_cancelled()
        self._check_sending()
        check_batches(batches)
        rest = tuple(batches)
        taken = self._send_some(rest, 0)
        self._check_alive()
        if taken == len(rest):
            await cancel_shielded_checkpoint()
            return
        self._sending = True
        self._look()
        try:
            while taken < len(rest):
                await self._wire.wait_room()
                self._check_alive()
                taken = self._send_some(rest, taken)
                self._check_alive()
        except trio.Cancelled:
            # CAR-1: the caller cannot know what left, so nobody may write after it.
            if taken:
                self._wire.abort()
            raise
        finally:
            self._sending = False
            self._look()

    async def receive_batches(self) -> list[bytes]:
        """See `Link.receive_batches`."""
        await checkpoint_if_cancelled()
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this link")
        self._receiving = True
        try:
            if self._early:
                early, self._early = self._early, b""
                self._take(early)
            if self._inbox or self._closed or self._websocket.ended is not None:
                await cancel_shielded_checkpoint()
            while True:
                if self._closed:
                    raise trio.ClosedResourceError("this end of the link is closed")
                if self._inbox:
                    batches, self._inbox = self._inbox, []
                    return batches
                self._check_ended()
                await self._receive()
        finally:
            self._receiving = False

    def lend(self, back: Callable[[], None]) -> int:
        """See `Link.lend`: plain sockets only."""
        return self._wire.lend(back)

    def receive_nowait(self) -> list[bytes]:
        """See `Link.receive_nowait`."""
        if self._closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        if self._early:
            early, self._early = self._early, b""
            self._take(early)
        elif not self._inbox and self._websocket.ended is None:
            try:
                data = self._wire.receive_nowait()
            except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
                raise trio.BrokenResourceError("the link is lost") from error
            if data is not None:
                self._take_or_end(data)
        if self._inbox:
            batches, self._inbox = self._inbox, []
            return batches
        self._check_ended()
        return []

    def bound(self, bytes_max: int | None) -> None:
        """See `Link.bound`: longer batches are refused by the head of their frame."""
        self._websocket.bound(bytes_max)

    def watch(self, heard: Callable[[], None]) -> None:
        """See `Link.watch`: pings, pongs, and frames that have not come whole are life (SPEC CAR-6)."""
        self._heard = heard

    def say_why(self, code: int) -> None:
        """See `Link.say_why`: the WebSocket is closed with 4000 and the code (SPEC CAR-5)."""
        if 0 <= code < CODES:  # a peer may have named any number, and 5000 is no close code of a WebSocket's
            self._code = CLOSE_CODES + code

    async def aclose(self) -> None:
        """See `Link.aclose`: closing frame, what is left, the peer's closing frame, end."""
        if self._closed:
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                self._wire.close()
                raise
            return
        self._closed = True
        self._look()
        self._heard = None  # its owner knows this link too: a circle that the garbage collector would have to find
        self._websocket.close(self._code)
        self._wire.write(self._websocket.data_to_send())
        self._wire.interrupt()
        await self._wire.finish(self._heard_out)

    def _send_some(self, batches: Sequence[bytes], first: int) -> int:
        """Write batches from one on while there is room; return the index of the first that is not taken."""
        wire, count = self._wire, len(batches)
        while first < count and wire.unwritten < ROOM_BYTES:
            last = first + 1
            size = len(batches[first])
            while last < count and size < ROOM_BYTES:
                size += len(batches[last])
                last += 1
            wire.write(self._websocket.framer.batches(batches[first:last]))
            first = last
        return first

    async def _receive(self) -> None:
        try:
            data = await self._wire.receive()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            if self._closed:
                raise trio.ClosedResourceError("this end of the link is closed") from None
            raise trio.BrokenResourceError("the link is lost") from error
        self._take_or_end(data)

    def _take_or_end(self, data: bytes) -> None:
        if data:
            self._take(data)
        else:
            self._websocket.receive_eof()
            self._look()

    def _take(self, data: bytes) -> None:
        batches = self._websocket.receive_data(data)
        self._inbox += batches
        if self._websocket.ended is not None:
            self._look()
        if not batches and self._heard is not None:
            self._heard()
        answer = self._websocket.data_to_send()
        if answer:
            self._wire.write(answer)

    def _heard_out(self, data: bytes) -> bool:
        self._websocket.receive_data(data)
        return self._websocket.ended is not None

    def _look(self) -> None:
        """See whether batches may be written: a fan-out asks a thousand links, and the answer rarely changes."""
        self._ready = not (self._sending or self._closed or self._websocket.ended is not None)

    def _check_ended(self) -> None:
        ended = self._websocket.ended
        if ended is None:
            return
        if ended.by_peer:
            raise trio.EndOfChannel
        raise trio.BrokenResourceError(f"the link is lost: {ended.code} {ended.reason}")

    def _check_sending(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this link")
        self._check_alive()

    def _check_alive(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        if self._wire.broken or self._websocket.ended is not None:
            raise trio.BrokenResourceError("the link is lost, or was closed by the peer")
