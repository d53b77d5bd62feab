"""What a node keeps of one session, beside the engine's record of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from hawser_engine.channels.memberships import Membership, Mode, Outlet
from hawser_engine.errors import BacklogFull, MessageTooLarge

from .assigning import Assigner
from .calling import ClientCalls
from .requests import Requests
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser.principals import Principal
    from hawser_engine.batch import Batch
    from hawser_engine.passage import Passage
    from hawser_engine.session import ServerSession as EngineSession

    from .node import Node
    from .strays import SessionPatterns


_BEHIND: Final = Mode.BEHIND  # as in ``hawser_engine.channels.channel``


class ServerSession(Outlet):
    """One session of a node: its requests, its channels, its tasks."""

    __slots__ = (
        "_feeding",
        "_idle",
        "_queued",
        "_requests",
        "_scopes",
        "_starved",
        "assigned",
        "calls",
        "counted",
        "ended",
        "engine",
        "greeted",
        "handle",
        "member",
        "memberships",
        "node",
        "passage",
        "vacancy",
        "wildcards",
    )

    def __init__(self, node: Node, engine: EngineSession, principal: Principal, number: int) -> None:
        self.node: Node = node
        self.engine: EngineSession = engine
        self.calls: ClientCalls = ClientCalls(self)
        """What the application calls there."""
        self.handle: Session = Session(principal, number, self.calls, Assigner(self))
        """The session as handlers see it."""
        self.member: bytes | None = None
        """What names it among all, once somebody has asked for that; see `Addressing.id`."""
        self.memberships: dict[str, Membership] = {}
        self.assigned: frozenset[str] = frozenset()
        """Those of its channels that it has not asked for itself (SPEC ASG-1)."""
        self.wildcards: SessionPatterns | None = None
        """What it has of patterns; None as long as that is nothing."""
        self.passage: Passage | None = None
        self._requests: Requests | None = None
        self.ended: bool = False
        self.counted: bool = False
        """Whether it counts as a connection of its user; kept by `Users`."""
        self.greeted: bool = False
        """Whether the application was told of it."""
        self.vacancy: trio.Event | None = None
        """Set when there may be room again; made by whoever waits for it."""
        self._scopes: dict[trio.CancelScope, None] | None = None  # of what runs; an idle session keeps no dict for it
        self._feeding = False
        self._queued = False  # … because something waited in the engine's queue
        self._starved = False  # an offer was refused, and there was no word of window since
        self._idle: trio.Event | None = None

    @property
    def requests(self) -> Requests:
        """What the client asks for; made when it first asks."""
        if self._requests is None:
            self._requests = Requests(self.node, self)
        return self._requests

    # ------------------------------------------------------------ sending

    @property
    def message_bytes(self) -> int:
        """See `Outlet.message_bytes`."""
        return self.engine.outbox.message_bytes or 0

    @property
    def name(self) -> str | None:
        """See `Outlet.name`."""
        return self.node.addressing.known(self)

    def deliver(self, batch: Batch, now: float) -> bool:
        """See `Outlet.deliver`."""
        taken = self.offer(batch, now)
        if taken:
            self.flush(now)
            if self.passage is None:
                self.passage = self.node.lay_passage(self.engine)  # for the next ones
        return taken

    def offer(self, batch: Batch, now: float) -> bool:
        """See `Outlet.offer`."""
        taken = self.engine.send_batch(batch, now)
        if not taken and batch.count == 1:
            self._starved = True  # several at once may be too many where one would do
        return taken

    def deliver_volatile(self, packet: bytes, now: float) -> bool:
        """See `Outlet.deliver_volatile`; what waits for window, as a SUBSCRIBED may, is not overtaken (SPEC VOL-4)."""
        taken = not self.engine.outbox.queue and self.engine.send_volatile_packet(packet, now)
        if taken:
            self.flush(now)
        return taken

    async def room(self, length: int = 0) -> None:
        """Wait until a message of this length can be put, or the session is over; no checkpoint where it is so."""
        while not self.ended and not self.engine.has_room(length):
            if self.vacancy is None:
                self.vacancy = trio.Event()
            await self.vacancy.wait()

    def put(self, body: bytes) -> int | None:
        """Send a message for which there is room; its ordinal in the session, None if that is over."""
        if self.engine.ended is not None:
            return None
        ordinal = self.engine.send(body, trio.current_time())
        self.node.touch_session(self.engine)
        return ordinal

    def has_taken(self, ordinal: int | None) -> bool:
        """Whether the client has a message that was put, by all that is known of its counts (SPEC CNT-3)."""
        return ordinal is not None and ordinal <= self.engine.outbox.delivered_messages  # a server drops none of them

    async def send(self, body: bytes) -> None:
        """Send a message, waiting for room where needed.

        Raises:
            MessageTooLarge: The client does not take so long a message.
        """
        await self.room(len(body))
        self.put(body)

    def queue(self, body: bytes) -> bool:
        """See `Outlet.queue`."""
        if self.engine.carrier is None or self.engine.outbox.queue:
            self._starved = self._queued = True
            return False
        self.put(body)
        return True

    def tell(self, body: bytes) -> None:
        """Send what cannot wait, from the reserve; a session whose reserve is used up is over (SPEC LIM-4)."""
        if self.engine.ended is None:
            with suppress(BacklogFull, MessageTooLarge):  # a client that takes no message of any length gets no answer
                self.engine.send(body, trio.current_time(), urgent=True)
        self.node.touch_session(self.engine)

    def flush(self, now: float) -> None:
        """See `Outlet.flush`."""
        self.node.flush(self.engine, now)

    @property
    def attached(self) -> bool:
        """Whether there is a link to the client."""
        return self.engine.carrier is not None

    @property
    def open_calls(self) -> int:
        """How many calls the client has not answered yet."""
        return self.calls.count

    def detached(self) -> None:
        """The connection is gone."""
        if self.engine.carrier is None:
            self.passage = None

    def made_room(self) -> None:
        """The client has acknowledged something, or is attached again: whoever waits may look."""
        if self.vacancy is not None:
            self.vacancy.set()
            self.vacancy = None
        if self._queued:
            self.feed_again()

    def feed_again(self) -> None:
        """There is window again after there was none."""
        self._starved = self._queued = False
        self.feed()
        self.node.presence.feed(self)

    def feed(self) -> None:
        """Bring up the channels that are behind, in a task that lives as long as there is something to do."""
        if not self._feeding and not self._starved and self._is_behind():
            self._feeding = True
            self.spawn(self._feed)

    def _is_behind(self) -> bool:
        if any(member.mode is _BEHIND for member in self.memberships.values()):
            return True
        return self.wildcards is not None and self.wildcards.behind

    async def _feed(self) -> None:
        try:
            while not self._starved and self._is_behind():
                await self.node.hub.feed(self)
        finally:
            self._feeding = False

    # ------------------------------------------------------------ life

    def hold_back(self) -> bool:
        """Begin nothing more that the client asks for; whether nothing is left of what it asked for before.

        Messages are held in the engine, not delivered, so that a session that goes on elsewhere loses none. As long as
        the application waits for an answer of the client, they come in all the same: it is among them. So are items of
        what streams, and the credit for them.
        """
        streaming = self._requests is not None and self._requests.streaming
        self.engine.paused = not (self.calls.waiting or streaming)
        return self.engine.paused and not self._owes() and (self._requests is None or self._requests.idle)

    def _owes(self) -> bool:
        """Whether a client that is there has still to be given something: what it has not taken, or is behind with."""
        if self.engine.carrier is None:
            return False
        outbox = self.engine.outbox
        return bool(outbox.queue) or outbox.delivered < outbox.sent or self._is_behind()

    def belongs_to(self, principal: Principal) -> None:
        """Credentials were accepted again: the same user, perhaps with other rights (SPEC AUT-6, SUB-8)."""
        self.handle.principal = principal
        if self.memberships or self._requests is not None:  # else there is nothing that it could lose
            self.requests.recheck()

    def time_ms(self) -> int:
        """The session's time (SPEC CAL-3)."""
        return self.engine.time_ms(trio.current_time())

    def spawn(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run something that ends with the session."""
        if not self.ended:
            self.node.start_session_task(self._run, function, arguments)

    async def _run(self, function: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
        if self.ended:
            return
        with trio.CancelScope() as scope:
            if self._scopes is None:
                self._scopes = {}
            self._scopes[scope] = None
            try:
                await function(*arguments)
            except Exception as error:
                self.node.incident(f"session {self.handle.number}: {function.__qualname__}", error)
            finally:
                del self._scopes[scope]
                if not self._scopes:
                    self._scopes = None
                    if self._idle is not None:
                        self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing runs for the session any more."""
        if self._scopes:
            self._idle = trio.Event()
            await self._idle.wait()

    def end(self) -> None:
        """The session is over: cancel what runs for it and leave its channels."""
        self.ended = True
        # First of all: a handler that waits for its client is cancelled, and does not fail because there is no answer.
        for scope in list(self._scopes or ()):
            scope.cancel(reason="the session has ended")
        self.node.router.leave(self)
        self.calls.lose()
        if self.vacancy is not None:
            self.vacancy.set()
        self.node.hub.wildcards.ended(self)
        for name in list(self.memberships):
            self.node.hub.remove(self, name)
        self.node.presence.ended(self)
        self.node.mailboxes.ended(self)
        self.node.addressing.ended(self)
