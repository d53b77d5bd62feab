"""Channels and their subscribers against plain lists, whatever is published, asked for, claimed and withheld.

A real server, a real broker and clients that say anything; `channel_ears` tells what each of them may be told.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hawser import App, Position, Principal, claims, serve
from hawser.brokers import MemoryBroker
from hawser.payloads import decode_payload, encode_payload
from hawser.testing import FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.messages import (
    ADDRESSING,
    ChannelRequest,
    Continue,
    GapNotice,
    Pause,
    PositionNotice,
    Publication,
    Publish,
    Published,
    PublishOptions,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Unsubscribe,
    Unsubscribed,
)
from tests.runtime.channel_ears import FILTERS, Declared, Ear, Item, Log
from tests.runtime.helpers import FAST, URL, RawClient, counting_bytes
from tests.runtime.stepping import Stepper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hawser_engine.messages import AnyMessage

RING: Final = 4
CHANNELS: Final = {
    "catch-up": Declared(history=6),
    "drop-oldest": Declared(ring=RING),
    "both": Declared(history=6, overflow="drop-oldest", ring=RING),
    "keep-latest": Declared(history=4, overflow="keep-latest"),
}
WINDOWS: Final = (1_000, 3, 2)
READERS: Final = (True, True, False)
"""Which of the clients may read history."""
NOWHERE: Final = b"no epoch"
REST: Final = 3.0
"""Virtual seconds in which everything that can come about does."""

NUMBERS: Final = st.integers(0, 5)
"""Which channel, which client or which subscription, of those that there are."""
TAGS: Final = st.sampled_from("abc")
KEYS: Final = st.sampled_from(["x", "y", None])
COUNTS: Final = st.sampled_from([0, 1, 2, 5, 9])
"""How many publications: some are more than a window or a history."""
RESTS: Final = st.booleans()
"""Whether everything comes about that is under way, before the next step."""
CLAIMS: Final = st.none() | st.tuples(st.integers(0, 2), st.integers(-8, 8))
"""None: where the client stands. Else how many epochs ago, and how far from there."""


class Listener(RawClient):
    """A client that hands what it hears to the ears of its channels."""

    def __init__(self, number: int) -> None:
        config = EngineConfig(window_messages=WINDOWS[number])
        super().__init__(config, {"reads": READERS[number]}, (ADDRESSING,))
        self.number = number
        self.ears: dict[str, Ear] = {}
        self.asked = self.answers = 0
        self.failures: list[Exception] = []

    def take(self, message: AnyMessage | None) -> None:
        try:
            self._tell(message)
        except Exception as failure:
            self.failures.append(failure)

    def take_volatile(self, message: AnyMessage | None) -> None:
        assert isinstance(message, Publication)
        number, tag = decode_payload(message.data)
        try:
            self.ears[message.channel].fleeting(Position(message.epoch, message.offset), number, tag)
        except Exception as failure:
            self.failures.append(failure)

    def _tell(self, message: AnyMessage | None) -> None:
        match message:
            case Publication():
                number, _ = decode_payload(message.data)
                self.ears[message.channel].publication(message.epoch, message.offset, number)
            case PositionNotice():
                self.ears[message.channel].position(Position(message.epoch, message.offset))
            case GapNotice():
                self.ears[message.channel].gap(message.since, message.position, message.reason)
            case Subscribed():
                [outcome] = message.channels
                self.ears[outcome.channel].subscribed(outcome)
                self.answers += 1
            case Unsubscribed():
                [channel] = message.channels
                self.ears[channel].unsubscribed()
                self.answers += 1
            case Published():
                self.answers += 1
            case _:
                raise AssertionError(f"{message!r} is no answer to anything")

    def ask(self, question: Callable[[int], AnyMessage]) -> None:
        """Say something that is answered, with an id of its own."""
        self.asked += 1
        self.say(question(self.asked))

    async def have_taken(self, count: int) -> None:
        """Say that so many messages were taken in all."""
        self.engine.session.delivered(count, trio.current_time())
        self.flush()

    async def answered(self) -> None:
        """Wait for all answers."""
        await self.until(lambda: self.answers == self.asked)


class Channels(RuleBasedStateMachine):
    """Any steps; between two of them what is under way may stay so."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = MemoryBroker(random_bytes=counting_bytes())
        self.app = App(broker=self.broker)
        for name, declared in CHANNELS.items():
            self.app.channel(
                name,
                history=declared.history,
                overflow=declared.overflow,
                last_value=declared.keeps_latest,
                about=["tags"],
                volatile=True,
                read_history=claims("reads"),
                open=True,
            )

        @self.app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal:
            return Principal("ada", credentials)

        self.logs: list[Log] = []
        self.clients: list[Listener] = []
        self.published = 0
        self.stepper = Stepper()
        self.stepper.start(self._live)

    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        config = attrs.evolve(FAST, ring_messages=RING)
        async with (
            trio.open_nursery() as nursery,
            FaultyNetwork(delay_seconds=(0.0, 0.02)) as network,
            AsyncExitStack() as stack,
        ):
            await nursery.start(partial(serve, config=config, random_bytes=counting_bytes()), self.app, URL)
            for number in range(len(WINDOWS)):
                client = await stack.enter_async_context(Listener(number).connected(URL, network))
                assert isinstance(client, Listener)
                self.clients.append(client)
                await client.opened.wait()
            task_status.started()
            await trio.sleep_forever()

    @initialize(
        names=st.lists(st.sampled_from(list(CHANNELS)), min_size=1, max_size=2, unique=True),
        filters=st.tuples(*[st.sampled_from([None, None, *FILTERS]) for _ in WINDOWS]),
        count=COUNTS,
    )
    def open(self, names: list[str], filters: tuple[str | None, ...], count: int) -> None:
        """A few channels at a time, so that the steps are about the same ones."""
        self.logs = [Log(name, CHANNELS[name]) for name in names]
        for log in self.logs:
            self._publish_some(log, 1 + count)
            for client, filter in zip(self.clients, filters, strict=True):
                self._subscribe(client, log, filter, None, None, 0)

    def rest(self) -> None:
        """Let everything come about that is under way."""
        self.stepper.do(trio.sleep, REST)
        for _, ear in self._subscriptions():
            ear.quiet = ear.paused

    def rest_if(self, rest: bool) -> None:
        if rest:
            self.rest()

    # ------------------------------------------------------------ publishing

    @rule(number=NUMBERS, count=COUNTS, tag=TAGS, key=KEYS, rest=RESTS)
    def publish(self, number: int, count: int, tag: str, key: str | None, rest: bool) -> None:
        """First one as it is wanted, then any."""
        log = self._log(number)
        self._publish(log, tag, key)
        self._publish_some(log, count)
        self.rest_if(rest)

    def _publish_some(self, log: Log, count: int) -> None:
        """Of all kinds, in turn."""
        for number in range(self.published, self.published + count):
            self._publish(log, "abc"[number % 3], ("x", "y", None, "x")[number % 4])

    def _publish(self, log: Log, tag: str, key: str | None = None) -> None:
        item = Item(self._count(), tag, key if log.declared.keeps_latest else None, None)
        log.add(self._stream(log).epoch, item)
        publish = partial(self.app.publish, tags={"tag": tag}, latest_key=item.latest_key)
        assert self.stepper.do(publish, log.name, [item.number, tag]).position == log.end

    @rule(number=NUMBERS, by=NUMBERS, tag=TAGS, rest=RESTS)
    def publish_for_others(self, number: int, by: int, tag: str, rest: bool) -> None:
        """SPEC ADR-8."""
        client, log = self._client(by), self._log(number)
        if client.deliver:
            item = Item(self._count(), tag, None, client.number)
            log.add(log.end.epoch, item)
            data = encode_payload([item.number, tag])
            options = PublishOptions(tags={"tag": tag}, except_me=True)
            client.ask(lambda id: Publish(id, log.name, data, None, options))
            self.stepper.do(client.answered)
        self.rest_if(rest)

    @rule(number=NUMBERS, before=st.integers(0, 2), tag=TAGS, rest=RESTS)
    def publish_volatile(self, number: int, before: int, tag: str, rest: bool) -> None:
        """Whoever has everything, or window for it, gets it; of another one there is no telling."""
        self.rest_if(rest)
        log = self._log(number)
        due = [
            ear
            for client, ear in self._subscriptions()
            if rest and client.deliver and ear.log is log and ear.settled and ear.passes(tag)
            if before < WINDOWS[client.number] // 2
        ]
        self._publish_some(log, before)
        count = self._count()
        publish = partial(self.app.publish, tags={"tag": tag}, volatile=True)
        assert self.stepper.do(publish, log.name, [count, tag]).position == log.end
        self.rest_if(rest)
        for ear in due:
            assert ear.volatile[-1:] == [count]

    @rule(number=NUMBERS, tag=TAGS, rest=RESTS)
    def forget(self, number: int, tag: str, rest: bool) -> None:
        """The broker has lost the channel, which begins anew."""
        log = self._log(number)
        sinks = self._stream(log).sinks
        del self.broker._streams[log.name]  # pyright: ignore[reportPrivateUsage]
        self._stream(log).sinks = sinks
        self._publish(log, tag)
        self.rest_if(rest)

    # ------------------------------------------------------------ subscribing

    @rule(
        number=NUMBERS,
        filter=st.sampled_from([None, None, *FILTERS]),
        since=st.sampled_from([None, None, "where it was", "where it was", "nowhere"]) | st.integers(0, 12),
        rewind=st.sampled_from([None, None, 1, 3, 9]),
        away=COUNTS,
        meanwhile=COUNTS,
        rest=RESTS,
    )
    def leave_and_return(
        self, number: int, filter: str | None, since: str | int | None, rewind: int | None, away: int, meanwhile: int,
        rest: bool,
    ) -> None:  # fmt: skip
        """Unsubscribe, and subscribe again, while something is published."""
        client, ear = self._subscription(number)
        log = ear.log
        if not client.deliver:  # the answers would not come
            return
        client.ask(lambda id: Unsubscribe(id, (log.name,)))
        self.stepper.do(client.answered)
        del client.ears[log.name]
        self._publish_some(log, away)
        place: Position | None = None
        if since == "where it was":
            place = ear.stands
        elif since is not None:
            place = Position(NOWHERE, 1) if isinstance(since, str) else Position(log.end.epoch, since)
        reads = READERS[client.number]
        self._subscribe(client, log, filter, place, rewind if reads and place is None else None, meanwhile)
        self.rest_if(rest)

    def _subscribe(
        self, client: Listener, log: Log, filter: str | None, since: Position | None, rewind: int | None, meanwhile: int
    ) -> None:
        client.ears[log.name] = Ear(
            log,
            client.number,
            filter=filter,
            since=since,
            rewind=rewind,
            reads=READERS[client.number],
            known=self.published,
        )
        options = SubscribeOptions(rewind=rewind, filter=filter)
        client.ask(lambda id: Subscribe(id, (ChannelRequest(log.name, since, options),)))
        self._publish_some(log, meanwhile)
        self.stepper.do(client.answered)

    # ------------------------------------------------------------ taking, and not

    @rule(number=NUMBERS, claim=CLAIMS, meanwhile=COUNTS, again=CLAIMS, on=st.booleans(), rest=RESTS)
    def pause(
        self, number: int, claim: tuple[int, int] | None, meanwhile: int, again: tuple[int, int] | None, on: bool,
        rest: bool,
    ) -> None:  # fmt: skip
        """At any place that a client may name, for a while or until it goes on."""
        client, ear = self._subscription(number)
        ear.paused = True
        place = self._claimed(ear, claim)
        client.say(Pause(ear.log.name, place.epoch, place.offset))
        self.rest_if(rest)
        self._publish_some(ear.log, meanwhile)
        if on:
            self.go_on(number, again, rest)

    @rule(number=NUMBERS, claim=CLAIMS, rest=RESTS)
    def go_on(self, number: int, claim: tuple[int, int] | None, rest: bool) -> None:
        """Also where there was no pause, which means nothing."""
        self.rest_if(claim is not None)  # what is under way cannot be told from what is claimed
        client, ear = self._subscription(number)
        place = self._claimed(ear, claim)
        if ear.paused:
            ear.go_on(place)
        client.say(Continue(ear.log.name, place.epoch, place.offset))
        self.rest_if(rest)

    def _claimed(self, ear: Ear, claim: tuple[int, int] | None) -> Position:
        if claim is None:
            return ear.stands
        ago, far = claim
        epochs = [NOWHERE, *ear.log.eras]
        return Position(epochs[max(-1 - ago, -len(epochs))], max(0, ear.stands.offset + far))

    @rule(number=NUMBERS, meanwhile=COUNTS, rest=RESTS)
    def withhold(self, number: int, meanwhile: int, rest: bool) -> None:
        """It takes what comes, and does not say so: soon there is no window."""
        client, ear = self._subscription(number)
        client.deliver = False
        self._publish_some(ear.log, meanwhile)
        self.rest_if(rest)

    @rule(number=NUMBERS, count=st.sampled_from([None, None, 1]), rest=RESTS)
    def give_back(self, number: int, count: int | None, rest: bool) -> None:
        """All the window, for good, or for so many messages."""
        client = self._client(number)
        inbox = client.engine.session.inbox
        taken = inbox.received if count is None else min(inbox.received, inbox.delivered + count)
        client.deliver |= count is None
        self.stepper.do(client.have_taken, taken)
        self.rest_if(rest)

    # ------------------------------------------------------------ what there is

    def _count(self) -> int:
        self.published += 1
        return self.published

    def _log(self, number: int) -> Log:
        return self.logs[number % len(self.logs)]

    def _client(self, number: int) -> Listener:
        return self.clients[number % len(self.clients)]

    def _stream(self, log: Log) -> Any:
        return self.broker._stream(log.name)  # pyright: ignore[reportPrivateUsage]

    def _subscriptions(self) -> list[tuple[Listener, Ear]]:
        return [(client, ear) for client in self.clients for ear in client.ears.values()]

    def _subscription(self, number: int) -> tuple[Listener, Ear]:
        found = self._subscriptions()
        return found[number % len(found)]

    # ------------------------------------------------------------ what holds

    @invariant()
    def everybody_was_told_what_the_lists_say(self) -> None:
        for client in self.clients:
            for failure in client.failures:
                raise failure
            assert client.terminations == []

    def teardown(self) -> None:
        try:
            self.everybody_was_told_what_the_lists_say()
            self._drain()
        finally:
            self.stepper.close()

    def _drain(self) -> None:
        """In the end everybody has everything."""
        for client in self.clients:
            self.give_back(client.number, None, rest=True)
        for number, (_, ear) in enumerate(self._subscriptions()):
            if ear.paused:
                self.go_on(number, None, rest=True)
        self.everybody_was_told_what_the_lists_say()
        for _, ear in self._subscriptions():
            assert ear.settled
            assert not ear.honest or ear.heard == sorted(set(ear.heard))


TestChannels = Channels.TestCase
TestChannels.settings = settings(max_examples=max(2, settings().max_examples // 16), stateful_step_count=40)


class ManyChannels(Channels):
    """The same, with other steps every time."""


TestManyChannels = pytest.mark.verify(ManyChannels.TestCase)
TestManyChannels.settings = settings(max_examples=1_000, stateful_step_count=60, derandomize=False)
