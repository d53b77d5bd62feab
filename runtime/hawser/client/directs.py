"""What is sent to this client and to no channel (SPEC 15.12).

Rule: the server may send as much as there is place for here, and no more (ADR-11): nothing is dropped for want of room,
and who sends too much is told so at once.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser.entering import not_entered
from hawser.errors import RequestFailed, RequestLost
from hawser.payloads import decode_payload
from hawser.to import Target
from hawser_engine.codes import CloseCode, ErrorCode, TargetKind
from hawser_engine.errors import HawserError, RemoteProtocolError
from hawser_engine.messages import ADDRESSING, Listen, encode_body

from .operations import Kind, Pending

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hawser_engine.messages import Direct as DirectMessage
    from hawser_engine.messages import Listening

    from .dialogue import Dialogue

REQUEST_BYTES: Final = 32
DETAIL: Final = "to what is sent here"


@attrs.frozen
class Direct:
    """Something that was sent to this client."""

    to: Target | None
    """By which target it was reached; None if this side does not know such targets."""
    user: str | None
    """Id of the principal that sent it, nothing that a client could make up; None: the application did."""
    session: str | None
    """The session that sent it: ``client.send(to.session(direct.session), …)`` answers. None: the application did."""
    raw: bytes = attrs.field(repr=False)
    """The payload as it travelled."""

    @property
    def data(self) -> Any:
        """The payload as a value, decoded at each access.

        Raises:
            PayloadError: The sender sent something else than a payload of Hawser.
        """
        return decode_payload(self.raw)


class Directs:
    """What is sent to this client; `Client.directs` makes it.

    Enter it with ``async with``: from then on the client is there for whoever sends, and iterating brings what comes.
    It lives through broken links and resets of the session. What is left when the block ends is dropped.

    Raises (on entering):
        RequestFailed: The server knows no addressing.
        RuntimeError: This client has such a block already.
        SessionClosed: The client is closed.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._window = (dialogue.config.direct_messages, dialogue.config.direct_bytes)
        self._queue: deque[Direct] = deque()
        self._bytes = 0
        self._granting = False
        self._entered = False
        self._ready = trio.Event()
        self._arrival = trio.Event()
        self._over = False
        self._error: Exception | None = None
        self._session: str | None = None
        self.requested: bool = False
        """Whether the server was told; kept by `DirectDesk`."""

    @property
    def session(self) -> str | None:
        """The name under which others reach this session, with `hawser.to.session`; another one after a reset."""
        return self._session

    async def __aenter__(self) -> Directs:
        if self._entered:
            raise RuntimeError("it is entered only once; call directs again")
        self._entered = True
        desk = self._dialogue.directs
        try:
            await desk.enter(self)
            await self._ready.wait()  # the answer that `enter` has waited for may be lost in a reset
        except BaseException:
            desk.leave(self)
            raise
        if self._error is not None:
            desk.leave(self)
            raise self._error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dialogue.directs.leave(self)
        self.finish(None)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> Directs:
        return self

    async def __anext__(self) -> Direct:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> Direct:
        """Wait for the next one. Only one task at a time.

        Raises:
            trio.EndOfChannel: The client is closed, and everything that had come was received.
            RuntimeError: Its block has not begun.
            SessionClosed: The client was closed by the server.
        """
        if not self._entered:
            raise not_entered("a block of directs")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._queue or self._over:
            await trio.lowlevel.cancel_shielded_checkpoint()
        while not self._queue:
            if self._over:
                raise self._error or trio.EndOfChannel()
            await self._arrival.wait()
        direct = self._queue.popleft()
        self._bytes -= len(direct.raw)
        self._give_back()
        return direct

    # ------------------------------------------------------------ for the client

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._over

    def places(self, credit: tuple[int, int]) -> tuple[int, int]:
        """For how many items, of how many bytes, there is place here beside those for which there is credit."""
        items, length = self._window
        return max(0, items - len(self._queue) - credit[0]), max(0, length - self._bytes - credit[1])

    def put(self, direct: Direct) -> None:
        """Something has come, and there was credit for it."""
        self._queue.append(direct)
        self._bytes += len(direct.raw)
        self._wake()

    def answered(self, session: str) -> None:
        """The server sends from now on."""
        self._session = session
        self._ready.set()

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if not self._over:
            self._over, self._error = True, error
            self._ready.set()
            self._wake()

    def _give_back(self) -> None:
        """Give credit again for what was taken, half of all at a time."""
        items, length = self._dialogue.directs.places(self)
        half = 2 * items >= self._window[0] or 2 * length >= self._window[1]
        if half and not self._granting and not self._over:
            self._granting = True
            self._dialogue.start(self._grant)

    async def _grant(self) -> None:
        try:
            with suppress(HawserError):  # the session is over: a new one begins with all the credit that there is
                await self._dialogue.directs.grant(self)
        finally:
            self._granting = False

    def _wake(self) -> None:
        self._arrival.set()
        self._arrival = trio.Event()


class DirectDesk:
    """What this client was told to take, and for whom: the block that listens, if there is one."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._directs: Directs | None = None
        self._leaving: trio.Event | None = None
        self._credit = (0, 0)  # what the server has left, as far as it can know

    async def enter(self, directs: Directs) -> None:
        """Tell the server to send; its answer comes later.

        Raises:
            RequestFailed: It knows no addressing.
            RuntimeError: Somebody listens already.
            SessionClosed: The client is closed.
        """
        if self._directs is not None:
            raise RuntimeError("this client listens already; share what comes there")
        self._directs = directs
        while self._leaving is not None:
            await self._leaving.wait()
        directs.requested = True
        pending = await self.grant(directs)
        with suppress(RequestLost):  # `opened` has asked again
            await pending.wait()

    def leave(self, directs: Directs) -> None:
        """Nobody listens any more."""
        if self._directs is directs:
            self._directs = None
            if directs.requested and self._dialogue.line.over is None:
                self._leaving = trio.Event()
                self._dialogue.start(self._leave, self._leaving)

    async def _leave(self, left: trio.Event) -> None:
        try:
            with suppress(HawserError):  # the session is over, and with it its credit
                pending = Pending(Kind.LISTEN, DETAIL, REQUEST_BYTES)
                await self._dialogue.request(pending, lambda id: encode_body(Listen(id, 0, 0)))
                await pending.wait()
                self._credit = (0, 0)
        finally:
            self._leaving = None
            left.set()

    def check_feature(self) -> None:
        """Refuse where the server has no addressing.

        Raises:
            RequestFailed: It has none.
        """
        if ADDRESSING not in self._dialogue.line.features:
            raise RequestFailed(ErrorCode.NOT_FOUND, "the server knows no addressing")

    def places(self, directs: Directs) -> tuple[int, int]:
        """For how much more there is place than the server knows of."""
        return directs.places(self._credit)

    async def grant(self, directs: Directs) -> Pending:
        """Give credit for all the places that there are when it leaves."""
        pending = self._pending(directs)
        await self._dialogue.in_turn(pending, lambda: self._listen(directs, pending))
        return pending

    def _pending(self, directs: Directs) -> Pending:
        pending = Pending(Kind.LISTEN, DETAIL, REQUEST_BYTES)
        pending.directs = directs
        return pending

    def _listen(self, directs: Directs, pending: Pending) -> None:
        """Send LISTEN, now, unless there is nothing to say by it any more: both 0 says something else (ADR-5).

        Raises:
            RequestFailed: The server knows no addressing.
        """
        self.check_feature()
        items, length = directs.places(self._credit)
        if directs.over or not (items or length):
            pending.succeed(None)
            return
        self._credit = self._credit[0] + items, self._credit[1] + length
        self._dialogue.hand_over(pending, lambda id: encode_body(Listen(id, items, length)))

    # ------------------------------------------------------------ what the server tells

    def opened(self) -> None:
        """A new session: it has to be told again."""
        self._credit = (0, 0)
        directs = self._directs
        if directs is None or not directs.requested:
            return
        try:
            self.check_feature()
        except RequestFailed as error:
            directs.finish(error)
        else:
            self._dialogue.ask_again(partial(self._again, directs))

    def _again(self, directs: Directs) -> tuple[Pending, Callable[[int], bytes]] | None:
        if self._directs is not directs or directs.over:
            return None

        def encode(id: int) -> bytes:
            items, length = directs.places((0, 0))
            self._credit = items, length + 1  # so that the server hears of it even if there is no place
            return encode_body(Listen(id, *self._credit))

        return self._pending(directs), encode

    def answered(self, message: Listening) -> None:
        """LISTENING."""
        pending = self._dialogue.operations.answered(message)
        if pending is not None:
            pending.succeed(None)
        if self._directs is not None and self._leaving is None:
            self._directs.answered(message.session)

    def take(self, message: DirectMessage) -> None:
        """DIRECT.

        Raises:
            RemoteProtocolError: There was no credit for it.
        """
        items, length = self._credit
        if items <= 0 or length <= 0:
            detail = "saw something sent beyond the credit that was given for it"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "ADR-5", detail, "DIRECT")
        self._credit = items - 1, length - len(message.data)
        if self._directs is not None and self._leaving is None:  # else under way from before
            self._directs.put(Direct(_target(message), message.user, message.session, message.data))

    def end(self, error: Exception | None) -> None:
        """The client is closed."""
        if self._directs is not None:
            self._directs.finish(error)


def _target(message: DirectMessage) -> Target | None:
    known = message.to.kind in TargetKind.__members__.values()
    return Target(TargetKind(message.to.kind), message.to.name) if known else None
