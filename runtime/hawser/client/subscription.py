"""A subscription: an async iterator over the messages of one channel, or of those of a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.entering import not_entered
from hawser.errors import Gap, SessionClosed
from hawser_engine.messages import ChannelRequest, SubscribeOptions

from .feed import Feed, Flow

if TYPE_CHECKING:
    from types import TracebackType

    from hawser.answers import Answering
    from hawser.message import Message
    from hawser_engine.messages import Position

    from .dialogue import Dialogue
    from .wildcards import PatternFeed


class Subscription:
    """The messages of one channel, or of those of a pattern, in order, each once; `Client.subscribe` makes it.

    Enter it with ``async with``; it is subscribed when the block begins and no longer when it ends. It lives through
    broken links and through resets of the session. A hole that history could not close raises `Gap` once, before any
    later message; iterating again goes on behind it.

    Raises (on entering):
        RequestFailed: The server refused, for example DENIED or NOT_FOUND.
        SessionClosed: The client is closed.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        feed: Feed | PatternFeed,
        options: SubscribeOptions | None = None,
        answers: Answering | None = None,
    ) -> None:
        self._dialogue = dialogue
        self._options = options
        self._entered = False
        self._answered = trio.Event()
        self._arrival = trio.Event()
        self._over = False
        self._error: Exception | None = None
        self.feed: Feed | PatternFeed = feed
        self.answers = answers
        """Answers what the members of the channel are asked; None: nothing."""
        self.requested = False
        """Whether the server was asked for it; kept by the dialogue."""

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.feed.channel

    @property
    def position(self) -> Position | None:
        """How far it has come: the last position that is queued or told as a gap; ``since`` before the first answer."""
        return self.feed.position

    async def __aenter__(self) -> Subscription:
        if self._entered:
            raise RuntimeError("a subscription is entered only once; subscribe again for another one")
        self._entered = True
        try:
            await self._dialogue.enter(self)
            await self._answered.wait()
        except BaseException:
            self._dialogue.leave(self)
            raise
        if self._error is not None:
            self._dialogue.leave(self)
            raise self._error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dialogue.leave(self)
        self.finish(None)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> Message:
        """Wait for the next message. Only one task at a time.

        Raises:
            Gap: Messages are missing here; the next call goes on behind them.
            trio.EndOfChannel: The subscription is over, and all of it was received.
            RequestFailed: The server has ended the subscription, for example DENIED when a right was withdrawn.
            RuntimeError: Its block has not begun.
            SessionClosed: The client was closed by the server.
        """
        if not self._entered:
            raise not_entered("a subscription")
        await trio.lowlevel.checkpoint_if_cancelled()
        item, flow = self.feed.take()
        if item is not None or self._over:
            await trio.lowlevel.cancel_shielded_checkpoint()
        while item is None:
            if self._over:
                raise self._error or trio.EndOfChannel()
            await self._arrival.wait()
            item, flow = self.feed.take()
        if flow is Flow.CONTINUE:
            self._dialogue.go_on(self.channel, self.position)
        if isinstance(item, Gap):
            raise item
        return item

    # ------------------------------------------------------------ for the client

    @property
    def request_bytes(self) -> int:
        """How long the request for it is, at most."""
        filter = "" if self._options is None or self._options.filter is None else self._options.filter
        return len(self.channel) + 300 + 4 * len(filter)

    def request(self) -> ChannelRequest:
        """What to ask the server for: to go on from where it is, or to begin as was asked for."""
        options = self._options
        if self.position is not None and options is not None:
            kept = options.filter is not None or options.answers
            options = SubscribeOptions(filter=options.filter, answers=options.answers) if kept else None
        return ChannelRequest(self.channel, self.position, options)

    def given(self) -> None:
        """The server has subscribed the client by itself, and nobody enters it."""
        self._entered = True
        self.answered()

    def answered(self) -> None:
        """The server has answered: the subscription stands."""
        self._answered.set()
        self.arrived()

    def arrived(self) -> None:
        """Something was queued."""
        if self.feed or self._over:
            self._arrival.set()
            self._arrival = trio.Event()

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come; ``error`` is raised once everything queued was received."""
        if not self._over:
            self._over = True
            self._error = None if isinstance(error, SessionClosed) and error.code == 300 else error
            self._answered.set()
            self.arrived()
