"""A client that hands what it hears to the ears of its channels and patterns, and to the right one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

from hawser import Position
from hawser.answers import ASK_PROCEDURE
from hawser.payloads import decode_payload, encode_payload
from hawser_engine import Client, EngineConfig
from hawser_engine.calls import Call, Cancel, Reply
from hawser_engine.codes import GapReason
from hawser_engine.messages import (
    ADDRESSING,
    WILDCARDS,
    GapNotice,
    PositionNotice,
    Publication,
    Published,
    Subscribed,
    Unsubscribed,
)
from tests.runtime.channel_lists import Taste
from tests.runtime.helpers import URL, RawClient
from tests.runtime.pattern_ears import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.testing import FaultyNetwork
    from hawser_engine.messages import AnyMessage
    from tests.runtime.channel_ears import Ear
    from tests.runtime.pattern_ears import PatternEar, Place

AMPLE: Final = 1_000
"""Messages of window that a story never fills."""


@attrs.frozen
class Traits:
    """What a client is like."""

    window: int = AMPLE
    """In messages."""
    longest: int = 1_048_576
    """The longest message that it takes, in bytes."""
    reads: bool = True
    """Whether it may read history."""


class Listener(RawClient):
    """One client, in one session after another."""

    def __init__(self, number: int, traits: Traits) -> None:
        super().__init__(
            EngineConfig(window_messages=traits.window, message_bytes=traits.longest),
            {"name": f"client {number}", "number": number, "reads": traits.reads},
            (ADDRESSING, WILDCARDS),
        )
        self.number = number
        self.traits = traits
        self.session = number
        """Which one it is, of those of all clients."""
        self.here = False
        """Whether it has a link."""
        self.away_seconds: float = 0
        self.ears: dict[str, Ear] = {}
        self.patterns: dict[str, PatternEar] = {}
        self.answering: set[str] = set()
        """The channels in which it answers questions."""
        self.asked = self.answers = 0
        self.failures: list[Exception] = []
        self._leave = trio.Event()
        self._left = trio.Event()
        self._goodbye = False

    @property
    def at_ease(self) -> bool:
        """Whether it has window for whatever is published, and a link."""
        return self.here and self.deliver and self.traits.window == AMPLE

    @property
    def was_heard(self) -> bool:
        """Whether all that it has said has arrived."""
        outbox = self.engine.session.outbox
        return not (outbox.queue or any(outbox.held()))

    def taste(self, filter: str | None) -> Taste:
        """What it gets by a filter."""
        return Taste(self.session, filter, self.traits.longest)

    # ------------------------------------------------------------ links and sessions

    async def stay(self, network: FaultyNetwork, *, task_status: trio.TaskStatus[None]) -> None:
        """Be there, on a link, until `go`."""
        self.opened, self.resumed = trio.Event(), trio.Event()
        self._leave, self._left = trio.Event(), trio.Event()
        new = not self.engine.session.opened
        async with self.connected(URL, network):
            await (self.opened if new else self.resumed).wait()
            self.here = True
            task_status.started()
            await self._leave.wait()
            assert self._goodbye or self.terminations == []
            self.here = self._goodbye = False
        self.terminations.clear()  # that is what was wanted
        self._left.set()

    async def go(self) -> None:
        """The link is cut."""
        self._leave.set()
        await self._left.wait()

    def say_goodbye(self) -> None:
        """End the session."""
        self._goodbye = True
        self.engine.close(trio.current_time())
        self.flush()

    def begin_anew(self, session: int) -> None:
        """Be a program that has just started, and knows nothing but what it has heard."""
        engine = self.engine
        self.engine = Client(
            engine.config, trio.current_time(), credentials=engine.credentials, features=engine.features
        )
        self.session = session
        self.ears, self.patterns, self.answering = {}, {}, set()
        self.asked = self.answers = 0
        self.deliver = True

    # ------------------------------------------------------------ what it says

    def ask(self, question: Callable[[int], AnyMessage]) -> None:
        """Say something that is answered, with an id of its own."""
        self.asked += 1
        self.say(question(self.asked))

    async def answered(self) -> None:
        """Wait for all answers."""
        await self.until(lambda: self.answers == self.asked)

    async def have_taken(self, count: int) -> None:
        """Say that so many messages were taken in all."""
        self.engine.session.delivered(count, trio.current_time())
        self.flush()

    # ------------------------------------------------------------ what it hears

    def take(self, message: AnyMessage | None) -> None:
        try:
            self._tell(message)
        except Exception as failure:
            self.failures.append(failure)

    def take_volatile(self, message: AnyMessage | None) -> None:
        assert isinstance(message, Publication)
        number, tag, _ = decode_payload(message.data)
        try:
            self._of(message.channel).fleeting(Position(message.epoch, message.offset), number, tag)
        except Exception as failure:
            self.failures.append(failure)

    def place(self, channel: str) -> Place | None:
        """Where its pattern stands in a channel, if it has one."""
        found = [ear.places[channel] for ear in self.patterns.values() if ear.began and channel in ear.places]
        return found[0] if found else None

    def _of(self, channel: str) -> Ear | Place:
        """What a message of a channel belongs to (WLD-4)."""
        ear = self.ears.get(channel)
        if ear is not None and ear.joined:
            return ear
        place = self.place(channel)
        assert place is not None, f"{channel!r} is not subscribed to"
        return place

    def _tell(self, message: AnyMessage | None) -> None:
        match message:
            case Publication():
                number, _, _ = decode_payload(message.data)
                self._of(message.channel).publication(message.epoch, message.offset, number)
            case PositionNotice():
                ear = self.ears.get(message.channel)
                if (ear is not None and ear.joined) or self.place(message.channel) is None:
                    assert ear is not None
                    ear.position(Position(message.epoch, message.offset))
            case GapNotice() if message.channel in self.patterns:
                assert (message.since, message.position, message.reason) == (None, NOWHERE, GapReason.OVERFLOW)
                self.patterns[message.channel].lost()
            case GapNotice():
                self._of(message.channel).gap(message.since, message.position, message.reason)
            case Subscribed():
                self._subscribed(message)
            case Unsubscribed():
                [channel] = message.channels
                self._unsubscribed(channel)
            case Published():
                self.answers += 1
            case Call(procedure=procedure) if procedure == ASK_PROCEDURE:
                channel, _, question = decode_payload(message.arguments)
                assert channel in self.answering, "who does not answer is not asked (ASK-1)"
                self.say(Reply(message.id, encode_payload([self.number, decode_payload(question)])))
            case Cancel():
                pass
            case _:
                raise AssertionError(f"{message!r} is no answer to anything")

    def _subscribed(self, message: Subscribed) -> None:
        [outcome] = message.channels
        self.answers += 1
        pattern = self.patterns.get(outcome.channel)
        if pattern is not None:
            for name in self.ears.keys() & pattern.places.keys():
                pattern.places[name].apart = True
            pattern.subscribed(outcome)
            return
        place, ear = self.place(outcome.channel), self.ears[outcome.channel]
        ear.subscribed(outcome)
        if place is not None:
            place.taken(ear)

    def _unsubscribed(self, channel: str) -> None:
        self.answers += 1
        if self.patterns.pop(channel, None) is not None:
            return
        ear, place = self.ears[channel], self.place(channel)
        ear.unsubscribed()
        if place is not None:
            place.returned(ear)
