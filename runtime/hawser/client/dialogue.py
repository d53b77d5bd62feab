"""What is said over a line: requests and their answers, subscriptions and what they are fed, states.

Answers, publications and session events go straight to whoever waits for them; nothing here awaits an application,
so no slow consumer delays a reply or another subscription (SPEC CHN-10, OPS-3).
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, assert_never

import trio

from hawser.addressing import Sent, outcome_of, read
from hawser.answers import ASK_PROCEDURE, Question
from hawser.brokers import Published
from hawser.calls import failure
from hawser.errors import CallError, Gap, PayloadError, RequestFailed, SessionClosed
from hawser.message import Message
from hawser.randomness import uniform
from hawser_engine.agents import Offer, Offered, Withdraw
from hawser_engine.calls import Call, Cancel, ErrorReply, Reply
from hawser_engine.channels.segments import is_pattern
from hawser_engine.codes import CloseCode, ErrorCode
from hawser_engine.errors import BacklogFull, HawserError, MessageTooLarge, RemoteProtocolError
from hawser_engine.mailboxes import Held, Hold, Letter, Post, Settle
from hawser_engine.messages import (
    ADDRESSING,
    AGENTS,
    ASSIGNED,
    HISTORY,
    MAILBOXES,
    PRESENCE,
    STREAMS,
    WILDCARDS,
    AnyMessage,
    Continue,
    Direct,
    GapNotice,
    Listen,
    Listening,
    Page,
    Pause,
    PositionNotice,
    Publication,
    Publish,
    Read,
    Send,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    decode_message,
    encode_body,
)
from hawser_engine.messages import Published as PublishedMessage
from hawser_engine.messages import Sent as SentMessage
from hawser_engine.presence import Changes, Members, Presence, Present
from hawser_engine.streams import Stream, StreamCredit, StreamItem

from .answering import Answering, Procedures
from .assigned import Assigned
from .directs import DirectDesk
from .feed import Feed, Flow, gap_reason
from .mailboxes import Mailboxes
from .offering import Offers
from .operations import Kind, Operations, Pending, request_bytes
from .postman import Postman
from .presence import Presences
from .reading import page_of, taken_out
from .reopening import Reopening
from .states import FOLLOWING, Closed, Connecting, Reset, State, StateStream
from .wildcards import Patterns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from hawser.config import Config
    from hawser_engine.events import SessionReset
    from hawser_engine.messages import Position

    from .assigned import AssignedHandler
    from .line import Line
    from .operations import Answer
    from .outbox import Outbox
    from .reopening import Again
    from .subscription import Subscription
    from .wildcards import PatternFeed

SUBSCRIBE_MAX = 128
"""Channels in one SUBSCRIBE (SUB-1)."""

TEMPORARY = frozenset({ErrorCode.BUSY, ErrorCode.UNAVAILABLE})
"""What always is (SPEC section 15), also where SUBSCRIBED has no word for it."""


class Dialogue:
    """Everything of a client that is not the line itself."""

    def __init__(
        self,
        config: Config,
        nursery: trio.Nursery,
        offer: Procedures,
        random_bytes: Callable[[int], bytes],
        outbox: Outbox | None,
        assigned: AssignedHandler | None = None,
    ) -> None:
        self.config = config
        self.offer = offer
        """What the server may call."""
        self.state: State = Connecting(1)
        self.line: Line
        self.arrived: trio.Event = trio.Event()
        """Set when the first session is there, or when there will be none."""
        self._nursery = nursery
        self.operations: Operations = Operations()
        self._reopening = Reopening(self._rest_after)
        self.offers: Offers = Offers(self)
        """What this client offers to others."""
        self.presences: Presences = Presences(self, nursery)
        """Where this client is a member, or watches who is."""
        self.mailboxes: Mailboxes = Mailboxes(self, nursery)
        """What this client holds, or waits for."""
        self.directs: DirectDesk = DirectDesk(self)
        """What is sent to this client and to no channel."""
        self.postman: Postman | None = None if outbox is None else Postman(self, outbox, nursery)
        """Who takes publications, if the client has an outbox."""
        self._subscriptions: dict[str, Subscription] = {}
        self._answers = False  # whether there is a procedure for questions
        self._patterns = Patterns()
        self._assigned = Assigned(self, assigned, random_bytes)
        self._leaving: dict[str, _Leaving] = {}
        self._random_bytes = random_bytes
        self._answering = self._new_answering()
        self._watchers: list[weakref.ref[StateStream]] = []
        self._news = trio.Event()
        """Set and replaced when credentials may have been judged."""

    # ------------------------------------------------------------ requests

    async def request(self, pending: Pending, encode: Callable[[int], bytes]) -> None:
        """Wait for room and one's turn, then give a request its id and hand it over, in one step (OPS-2).

        Raises:
            PayloadError: The server does not take so long a message.
            NotSent: What it was to come after was lost.
            SessionClosed: The client is closed.
        """
        await self.in_turn(pending, lambda: self.hand_over(pending, encode))

    async def in_turn(self, pending: Pending, make: Callable[[], None]) -> None:
        """Wait for room for a request and for its turn, then make it, in one step.

        Raises:
            NotSent: What it was to come after was lost.
            SessionClosed: The client is closed.
        """

        def ready() -> bool:
            self.check_open()
            pending.check_order()
            return self.has_room(pending)

        await self.operations.in_turn(ready, make)

    def has_room(self, pending: Pending) -> bool:
        """Whether the application may ask for something now: whatever is asked for again comes first (RST-12)."""
        if pending.kind is Kind.CALL:  # of which there is no such limit, and no order with the others
            return self.line.has_room(pending.size)
        return not self._reopening and self._fits(pending)

    def _fits(self, pending: Pending) -> bool:
        """Whether the server takes one more operation (OPS-2), and the session one more message."""
        return self.operations.has_room(pending.size, *self.line.operations) and self.line.has_room(pending.size)

    def start(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run something that ends with the client."""
        self._nursery.start_soon(function, *arguments)

    def time_ms(self) -> int:
        """See `hawser.client.answering.Voice`."""
        return self.line.time_ms()

    def deadline_ms(self, deadline: float) -> int | None:
        """A deadline of Trio's clock as it travels (CAL-3)."""
        if deadline == inf:
            return None
        return self.time_ms() + round(max(0.0, deadline - trio.current_time()) * 1_000)

    async def answer(self, body: bytes, current: Callable[[], bool]) -> None:
        """See `hawser.client.answering.Voice`."""
        while current() and self.line.over is None:
            if self.line.has_room(len(body)):
                self.line.send(body)
                return
            await self.operations.change()

    async def let_leave(self) -> None:
        """Wait until all that was handed over has left, or was taken: a goodbye overtakes it otherwise (EXP-7)."""
        while self.line.over is None and self.line.holds_back:
            await self.operations.change()

    def _new_answering(self) -> Answering:
        return Answering(self, self.offer, self._nursery, config=self.config, random_bytes=self._random_bytes)

    async def authenticate(self, credentials: Mapping[str, Any]) -> None:
        """Use new credentials and wait until they are accepted.

        Raises:
            SessionClosed: They were not, or the client is closed.
        """
        self.check_open()
        wanted = self.line.authenticate(credentials)
        await trio.lowlevel.checkpoint()
        while self.line.accepted_credentials < wanted:
            self.check_open()
            await self._news.wait()

    def tell(self, body: bytes) -> None:
        """Send what cannot wait, unless the client is closed."""
        if self.line.over is None:
            # A full reserve ends the session with OVERFLOW (LIM-4), and with it what this was about.
            with suppress(BacklogFull):
                self.line.send(body, urgent=True)

    def hand_over(self, pending: Pending, encode: Callable[[int], bytes]) -> None:
        """Give a request its id and send it, now.

        Raises:
            PayloadError: The server does not take so long a message.
            RequestFailed: ``encode`` says that this server does not know such a thing.
        """
        id = self.operations.add(pending)
        try:
            pending.ordinal = self.line.send(encode(id))
        except MessageTooLarge as error:
            self.operations.drop(id)
            raise PayloadError(str(error)) from None
        except RequestFailed:  # it is nothing for this server
            self.operations.drop(id)
            raise

    def check_open(self) -> None:
        """Refuse to be used any more.

        Raises:
            SessionClosed: The client is closed.
        """
        over = self.line.over
        if over is not None:
            raise SessionClosed(over.code, over.reason)

    # ------------------------------------------------------------ subscriptions

    async def enter(self, subscription: Subscription) -> None:
        """Ask for a subscription; its answer comes later.

        Raises:
            RequestFailed: It is to answer, and the server knows no questions.
            RuntimeError: The client has a subscription to this channel.
            RequestFailed: The server knows no patterns, and this is one.
            SessionClosed: The client is closed.
        """
        channel = subscription.channel
        if channel in self._subscriptions:
            raise RuntimeError(f"this client is subscribed to {channel!r} already; share that subscription")
        self._subscriptions[channel] = subscription
        if subscription.answers is not None:
            await self.arrived.wait()
            self.check_open()
            self.directs.check_feature()
            if not self._answers:
                self.offer.add(ASK_PROCEDURE, self._ask)
                self._answers = True
        self._patterns.add(subscription)
        while channel in self._leaving:  # the server answers in order, but an UNSUBSCRIBE may not have left yet
            await self._leaving[channel].over.wait()
        if is_pattern(channel):
            await self.arrived.wait()
            self.check_open()
            self._check_patterns()
        await self.request(*self._subscribe([subscription]))

    def adopt(self, subscription: Subscription) -> None:
        """A subscription that the server has decided stands."""
        subscription.requested = True
        self._subscriptions[subscription.channel] = subscription

    def forget(self, subscription: Subscription) -> None:
        """One that the server had decided is over, and it knows."""
        subscription.requested = False
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]

    def leave(self, subscription: Subscription) -> None:
        """Give a subscription up, whatever became of it."""
        channel = subscription.channel
        if self._subscriptions.get(channel) is subscription:
            del self._subscriptions[channel]
            self._patterns.remove(subscription)
            if subscription.requested and self.line.over is None:
                leaving = self._leaving[channel] = _Leaving(subscription.feed)
                self._patterns.inherit(subscription.feed)
                self._nursery.start_soon(self._unsubscribe, channel, leaving)

    def go_on(self, channel: str, position: Position | None) -> None:
        """There is room again in a subscription's queue (CHN-9)."""
        if position is not None:
            self.tell(encode_body(Continue(channel, position.epoch, position.offset)))

    def _check_patterns(self) -> None:
        """Refuse a pattern where the server knows none: there it would be the name of a channel."""
        if WILDCARDS not in self.line.features:
            raise RequestFailed(ErrorCode.NOT_FOUND, "the server knows no patterns of channels")

    async def _unsubscribe(self, channel: str, leaving: _Leaving) -> None:
        pending = Pending(Kind.UNSUBSCRIBE, channel, request_bytes(channel))
        try:
            await self.request(pending, lambda id: encode_body(Unsubscribe(id, (channel,))))
            await pending.wait()
        except HawserError:
            pass  # the session is over, and with it the subscription
        finally:
            self._left(channel, leaving)

    def _left(self, channel: str, leaving: _Leaving | None) -> None:
        """The server has said so: what comes now of the channel is for the pattern that it is of."""
        if leaving is not None:
            leaving.over.set()
            if self._leaving.get(channel) is leaving:
                del self._leaving[channel]

    async def _ask(self, channel: str, user: str | None, data: bytes) -> object:
        """A question to the members of a channel (ASK-2)."""
        subscription = self._subscriptions.get(channel)
        if subscription is None or subscription.answers is None:
            raise CallError(ErrorCode.NOT_FOUND, f"nobody answers for {channel!r}")
        return await subscription.answers(Question(channel, user, data))

    def _subscribe_again(self, before: list[Subscription]) -> tuple[Pending, Callable[[int], bytes]] | None:
        """The same for those of some that are still wanted."""
        wanted = [one for one in before if one.requested and self._subscriptions.get(one.channel) is one]
        return self._subscribe(wanted) if wanted else None

    def _subscribe(self, subscriptions: list[Subscription]) -> tuple[Pending, Callable[[int], bytes]]:
        """One SUBSCRIBE for several channels, each from where it is."""
        names = ", ".join(subscription.channel for subscription in subscriptions)
        pending = Pending(Kind.SUBSCRIBE, names, sum(one.request_bytes for one in subscriptions))
        pending.subscriptions = subscriptions

        def encode(id: int) -> bytes:
            for subscription in subscriptions:
                subscription.requested = True
            return encode_body(Subscribe(id, tuple([one.request() for one in subscriptions])))

        return pending, encode

    # ------------------------------------------------------------ states

    def watch(self) -> StateStream:
        """A new stream of states."""
        stream = StateStream(self.state)
        self._watchers.append(weakref.ref(stream))
        return stream

    def changed(self, state: State) -> None:
        """See `hawser.client.conversation.Conversation`."""
        before, self.state = self.state, state
        assert type(state) in FOLLOWING[type(before)], f"{state} follows {before}"
        watchers = [(reference, reference()) for reference in self._watchers]
        self._watchers = [reference for reference, stream in watchers if stream is not None]
        for _, stream in watchers:
            if stream is not None:
                stream.put(state)
        if isinstance(state, Reset):
            self._assigned.lost(state.reason)
        if isinstance(state, Closed):
            self._end(SessionClosed(state.code, state.reason))

    def _end(self, error: SessionClosed) -> None:
        self.arrived.set()
        self.judged()
        self._reopening.clear()
        self.operations.end(error)
        self.offers.end(error)
        if self.postman is not None:
            self.postman.end(error)
        self.presences.end(None if error.code == CloseCode.NORMAL else error)
        self.mailboxes.end(None if error.code == CloseCode.NORMAL else error)
        self.directs.end(None if error.code == CloseCode.NORMAL else error)
        for subscription in list(self._subscriptions.values()):
            subscription.finish(None if error.code == CloseCode.NORMAL else error)

    # ------------------------------------------------------------ what the line tells

    def judged(self) -> None:
        """See `hawser.client.conversation.Conversation`."""
        self._news.set()
        self._news = trio.Event()

    def opened(self) -> None:
        """See `hawser.client.conversation`: ask for everything again, first of all (RST-10, RST-12)."""
        self.arrived.set()
        again = [one for one in self._subscriptions.values() if one.requested]
        for feed in (*(one.feed for one in again), *(one.feed for one in self._leaving.values())):
            feed.live = False  # until it stands in this session
        for first in range(0, len(again), SUBSCRIBE_MAX):
            self.ask_again(partial(self._subscribe_again, again[first : first + SUBSCRIBE_MAX]))
        self.offers.opened()
        self.presences.opened()
        self.mailboxes.opened()
        self.directs.opened()
        self._reopen()

    def ask_again(self, again: Again) -> None:
        """Ask for something that the session before had, when it is its turn; only while one is opened."""
        self._reopening.add(again)

    def _reopen(self) -> None:
        """Ask for as much again as there is room for. At an answer it goes on in the same step, before all others."""
        while (wanted := self._reopening.first()) is not None and self._fits(wanted[0]):
            self._reopening.handed_over()
            try:
                self.hand_over(*wanted)
            except PayloadError as error:
                self._refuse(wanted[0], error)

    async def _reopen_later(self, again: Again, refusals: int) -> None:
        if await self._reopening.add_later(again, refusals):
            self._reopen()

    def _rest_after(self, refusals: int) -> float:
        """RST-13: as between attempts that get nowhere."""
        longest = self.config.backoff_base_seconds * float(2 ** min(refusals, 16))
        return uniform(self._random_bytes, 0.0, min(self.config.backoff_cap_seconds, longest))

    def lost(self, report: SessionReset) -> None:
        """See `hawser.client.conversation.Conversation`."""
        self._reopening.clear()
        self.operations.lose(report.numbered, int(report.reason))
        self.mailboxes.lost()
        self._answering.end()
        self._answering = self._new_answering()

    def room(self) -> None:
        """See `hawser.client.conversation.Conversation`."""
        self._reopen()
        self.operations.changed()

    def volatile(self, body: bytes) -> None:
        """See `hawser.client.conversation.Conversation`: whatever is no PUBLICATION is dropped (MSG-7)."""
        with suppress(RemoteProtocolError):
            message = decode_message(body)
            if isinstance(message, Publication):
                self._volatile(message)

    def message(self, body: bytes) -> bool:
        """See `hawser.client.conversation.Conversation`."""
        message = decode_message(body)
        self._take(message)
        if self._reopening:  # it may have been an answer
            self._reopen()
        return isinstance(message, Letter)

    def _take(self, message: AnyMessage | None) -> None:
        match message:
            case None:
                pass  # MSG-3
            case Publication():
                self._publication(message)
            case PublishedMessage():
                self._answer(message, Published(message.position, message.duplicate))
            case Reply():
                self._answer(message, message.data)
            case ErrorReply():
                self._failed(message)
            case Subscribed():
                self._subscribed(message)
            case Unsubscribed():
                self._unsubscribed(message)
            case GapNotice():
                self._gap(message)
            case PositionNotice():
                feed, _ = self._feed_of(message.channel)
                if feed is not None:
                    feed.considered(message.epoch, message.offset)
            case Call():
                self._answering.callee.start(message)
            case Stream() | StreamItem() | StreamCredit() if STREAMS in self.line.features:
                self._stream(message)
            case Cancel():
                self._answering.callee.cancel(message.id)
            case Offered() if AGENTS in self.line.features:
                self.offers.answered(message)
            case Direct() | Listening() | SentMessage() if ADDRESSING in self.line.features:
                self._addressed(message)
            case Present() | Members() | Changes() if PRESENCE in self.line.features:
                if isinstance(message, Present) and message.id is not None:
                    self._answer(message, None)
                self.presences.take(message)
            case Held() if MAILBOXES in self.line.features:
                self.mailboxes.answered(message, self._answer(message, None))
            case Letter() if MAILBOXES in self.line.features:
                self.mailboxes.arrived(message)
            case Page() if HISTORY in self.line.features:
                read = taken_out(message)
                pending = self.operations.answered(message)
                if pending is not None and pending.page is not None:
                    pending.succeed(page_of(pending.page, message, *read))
            case (
                Subscribe()
                | Unsubscribe()
                | Publish()
                | Pause()
                | Continue()
                | Presence()
                | Present()
                | Members()
                | Changes()
                | Offer()
                | Offered()
                | Withdraw()
                | Stream()
                | StreamItem()
                | StreamCredit()
                | Post()
                | Hold()
                | Held()
                | Letter()
                | Settle()
                | Send()
                | SentMessage()
                | Direct()
                | Listen()
                | Listening()
                | Read()
                | Page()
            ):
                detail = f"saw {message.NAME}, which is not a server's to send"
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "MSG-4", detail, "message")
            case _:
                assert_never(message)

    def _addressed(self, message: Direct | Listening | SentMessage) -> None:
        """Something that was sent here, or what became of what was sent from here (ADR-3, ADR-5)."""
        match message:
            case Direct():
                self.directs.take(message)
            case Listening():
                self.directs.answered(message)
            case SentMessage():
                pending = self.operations.answered(message)
                if pending is not None:
                    told = zip(pending.targets, read(message), strict=True)
                    pending.succeed(Sent(tuple(outcome_of(target, one) for target, one in told)))

    def _stream(self, message: Stream | StreamItem | StreamCredit) -> None:
        """A call that has items, or one of its items: of this side's call or of the server's (STR-1 to STR-4)."""
        callee = self._answering.callee
        if isinstance(message, Stream):
            callee.start(message)
        elif isinstance(message, StreamItem) and message.inward:
            callee.item(message)
        elif isinstance(message, StreamCredit) and not message.inward:
            callee.credit(message)
        elif (flow := self.operations.flow(message.id)) is not None:
            flow.take(message)

    def _answer(self, answer: Answer, value: Any) -> Pending | None:
        """A request has succeeded: the one that an answer names, if any is open."""
        pending = self.operations.answered(answer)
        if pending is not None:
            pending.succeed(value)
        return pending

    def _failed(self, message: ErrorReply) -> None:
        pending = self.operations.answered(message)
        if pending is None:
            return
        error = failure(message, RequestFailed)
        if error.temporary and pending.again is not None:
            pending.fail(error)
            self.start(self._reopen_later, pending.again, pending.reopens + 1)
        else:
            self._refuse(pending, error)

    def _refuse(self, pending: Pending, error: HawserError) -> None:
        """Nothing comes of a request: whatever it was for is told."""
        for subscription in pending.subscriptions:
            self._refused(subscription, error)
        if pending.offering is not None:
            pending.offering.finish(error)
        if pending.presence is not None:
            pending.presence.requested = False
            pending.presence.finish(error)
        if pending.mailbox is not None:
            pending.mailbox.requested = False
            pending.mailbox.finish(error)
        if pending.directs is not None:
            pending.directs.requested = False
            pending.directs.finish(error)
        pending.fail(error)

    def _subscribed(self, message: Subscribed) -> None:
        if message.id is None:
            if ASSIGNED not in self.line.features:
                detail = f"saw {message.NAME} without an id, of the feature {ASSIGNED!r}, which is not in force"
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "ASG-1", detail, "message")
            for outcome in message.channels:
                # ASG-2: one that the client has asked for, or is about to leave, is still answered.
                if outcome.channel not in self._subscriptions and outcome.channel not in self._leaving:
                    self._assigned.begin(outcome)
            return
        pending = self.operations.answered(message)
        if pending is None:
            return
        pending.succeed(None)
        later: list[Subscription] = []
        remarks = iter(message.remarks or ())
        for subscription, outcome in zip(pending.subscriptions, message.channels, strict=True):
            remark = next(remarks, "") if outcome.position is None else ""  # MSG-10
            if self._subscriptions.get(outcome.channel) is not subscription:
                continue  # given up meanwhile
            if outcome.position is None:
                code = ErrorCode.__members__.get(outcome.reason, ErrorCode.INTERNAL)
                temporary = code in TEMPORARY
                if temporary and pending.again is not None:
                    later.append(subscription)
                    continue
                why = remark or f"subscribe {outcome.channel!r}"
                self._refused(subscription, RequestFailed(code, why, temporary=temporary))
            else:
                flow = subscription.feed.joined(outcome.position, gap_reason(outcome))
                self._pause(outcome.channel, subscription.position, flow)
                subscription.answered()
        if later:
            self.start(self._reopen_later, partial(self._subscribe_again, later), pending.reopens + 1)

    def _refused(self, subscription: Subscription, error: HawserError) -> None:
        subscription.requested = False
        subscription.finish(error)

    def _unsubscribed(self, message: Unsubscribed) -> None:
        if message.id is not None:
            self._answer(message, None)
            for channel in message.channels:
                self._left(channel, self._leaving.get(channel))
            return
        error = RequestFailed(message.code, message.reason) if message.code else None
        for channel in message.channels:
            feed, _ = self._feed_of(channel)
            if feed is not None:
                self._patterns.inherit(feed)
                feed.live = False  # what comes now of the channel is for the pattern
            subscription = self._subscriptions.get(channel)
            if subscription is not None:
                if self._assigned.over(subscription):
                    self.forget(subscription)
                subscription.requested = False
                subscription.finish(error)

    def _publication(self, message: Publication) -> None:
        feed, subscription = self._feed_of(message.channel)
        if feed is None:
            # Of a pattern, or under way from before the UNSUBSCRIBE.
            self._patterns.message(Message(message.channel, message.epoch, message.offset, message.data, message.about))
            return
        flow = feed.publication(message.epoch, message.offset, message.data, message.about)
        if subscription is not None:
            self._pause(feed.channel, feed.position, flow)
            subscription.arrived()
        else:
            self._patterns.inherit(feed)
            if flow is Flow.PAUSE and not feed:
                feed.paused = False  # there is room: the server need not be asked

    def _volatile(self, message: Publication) -> None:
        feed, subscription = self._feed_of(message.channel)
        where = message.epoch, message.offset, message.data, message.about
        if feed is None:
            self._patterns.message(Message(message.channel, *where, volatile=True))
        elif subscription is not None:
            feed.volatile(*where)
            subscription.arrived()

    def _gap(self, message: GapNotice) -> None:
        feed, subscription = self._feed_of(message.channel)
        if feed is None:
            self._patterns.gap(Gap(message.channel, message.since, message.position, message.reason))
            return
        feed.gap(message.since, message.position, message.reason)
        if subscription is not None:
            subscription.arrived()
        else:
            self._patterns.inherit(feed)

    def _feed_of(self, channel: str) -> tuple[Feed | None, Subscription | None]:
        """Whose a publication is: of the subscription to its channel, if that stands, or stood until it was left."""
        leaving = self._leaving.get(channel)
        subscription = None if leaving is not None else self._subscriptions.get(channel)
        feed = leaving.feed if leaving is not None else None if subscription is None else subscription.feed
        return (feed, subscription) if isinstance(feed, Feed) and feed.live else (None, None)

    def _pause(self, channel: str, position: Position | None, flow: Flow) -> None:
        """Ask for a pause from where a feed stands, if it wants one (CHN-10)."""
        if flow is Flow.PAUSE and position is not None:
            self.tell(encode_body(Pause(channel, position.epoch, position.offset)))


class _Leaving:
    """A subscription that was left, until the server has said so."""

    __slots__ = ("feed", "over")

    def __init__(self, feed: Feed | PatternFeed) -> None:
        self.feed = feed
        self.over = trio.Event()
