"""Brokers: the contract suite, that it catches wrong ones, and the bounds of the memory broker."""

from __future__ import annotations

from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import Position
from hawser.brokers import (
    Broker,
    BrokerUnavailable,
    DeadLetters,
    Entry,
    History,
    Keeping,
    LetterTooLarge,
    MailboxFull,
    MemoryBroker,
    MemoryKeys,
    MemoryMailboxes,
    PositionMoved,
    Posting,
    Published,
    Retention,
    Sink,
    Submission,
)
from hawser.brokers.check import BrokerContractError, check_broker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from trio.testing import MockClock

    from hawser.brokers import LossSink, MailSink, News
    from hawser_engine.messages import About

KEEP = Retention(messages=5)


def numbered_epochs() -> Callable[[int], bytes]:
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def dated() -> float:
    """A wall clock that jumps with Trio's."""
    return 1_700_000_000 + trio.current_time()


async def test_the_memory_broker_keeps_the_contract(autojump_clock: MockClock) -> None:
    await check_broker(MemoryBroker(clock=dated), key_window_seconds=300, age_seconds=10)


class Wrong(MemoryBroker):
    """A right broker; subclasses spoil one thing each."""


class CountsFromZero(Wrong):
    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        result = await super().publish(channel, data, **options)
        return Published(Position(result.position.epoch, result.position.offset - 1), result.duplicate)


class KeepsTooMuch(Wrong):
    async def publish(self, channel: str, data: bytes, *, retention: Retention, **options: Any) -> Published:
        return await super().publish(channel, data, retention=Retention(messages=100), **options)


class ForgetsKeys(Wrong):
    async def publish(self, channel: str, data: bytes, *, key: bytes | None = None, **options: Any) -> Published:
        return await super().publish(channel, data, **options)


class ReportsTwice(Wrong):
    async def join(self, channel: str, sink: Sink) -> Position:
        await super().join(channel, sink)
        return await super().join(channel, sink)


class NeverLeaves(Wrong):
    async def leave(self, channel: str, sink: Sink) -> None:
        await trio.lowlevel.checkpoint()


class ReportsToEveryPattern(Wrong):
    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        def again(channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
            sink(channel, epoch, entries)

        await super().watch(pattern, again, lost)


class WatchesForEver(Wrong):
    async def unwatch(self, pattern: str, sink: Sink) -> None:
        await trio.lowlevel.checkpoint()


class ReportsBackwards(Wrong):
    async def join(self, channel: str, sink: Sink) -> Position:
        held: list[Entry] = []

        def spoil(channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
            held.extend(entries)
            if len(held) == 3:
                sink(channel, epoch, held[::-1])

        return await super().join(channel, spoil)


class IgnoresTheLimit(Wrong):
    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        return await super().history(channel, after, limit=1_000, limit_bytes=limit_bytes, seconds=seconds)


class ReadsBackFromTheWrongEnd(Wrong):
    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        page = await self.history(channel, 0, limit=limit, limit_bytes=limit_bytes)
        return attrs.evolve(page, entries=tuple(entry for entry in page.entries if entry.offset < before))


class ReadsBackInWrongOrder(Wrong):
    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        page = await super().history_before(channel, before, limit=limit, limit_bytes=limit_bytes)
        return attrs.evolve(page, entries=page.entries[::-1])


class ReadsBackTooFar(Wrong):
    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        return await super().history_before(channel, before + 1, limit=limit, limit_bytes=limit_bytes)


class KeepsForEver(Wrong):
    async def publish(self, channel: str, data: bytes, *, retention: Retention, **options: Any) -> Published:
        keep = attrs.evolve(retention, seconds=inf)
        return await super().publish(channel, data, retention=keep, **options)


class IgnoresTheAgeAskedFor(Wrong):
    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        return await super().history(channel, after, limit=limit, limit_bytes=limit_bytes)


class LosesWhatIsCarried(Wrong):
    async def publish(self, channel: str, data: bytes, *, about: About | None = None, **options: Any) -> Published:
        return await super().publish(channel, data, **options)


class SortsTags(Wrong):
    async def publish(self, channel: str, data: bytes, *, about: About | None = None, **options: Any) -> Published:
        if about is not None and about.tags is not None:
            about = attrs.evolve(about, tags=dict(sorted(about.tags.items())))
        return await super().publish(channel, data, about=about, **options)


class DatesBackwards(Wrong):
    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        page = await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        dated = [attrs.evolve(entry, time_ms=-entry.offset) for entry in page.entries]
        return attrs.evolve(page, entries=tuple(dated))


class PublishesAndIsThenCancelled(Wrong):
    async def publish(self, channel: str, data: bytes, *, key: bytes | None = None, **options: Any) -> Published:
        result = await super().publish(channel, data, **options)
        await trio.lowlevel.checkpoint()
        return result


class IgnoresWhatIsExpected(Wrong):
    async def publish(
        self, channel: str, data: bytes, *, expected: Position | None = None, **options: Any
    ) -> Published:
        return await super().publish(channel, data, **options)


class LooksAtTheOffsetAlone(Wrong):
    async def publish(
        self, channel: str, data: bytes, *, expected: Position | None = None, **options: Any
    ) -> Published:
        if expected is not None:
            expected = attrs.evolve(expected, epoch=self._stream(channel).epoch)
        return await super().publish(channel, data, expected=expected, **options)


class LooksBeforeItPublishes(Wrong):
    async def publish(
        self, channel: str, data: bytes, *, expected: Position | None = None, **options: Any
    ) -> Published:
        known = self._keys.known(channel, options.get("key"), trio.current_time())
        if expected is not None and known is None and self._stream(channel).position() != expected:
            raise PositionMoved(channel, self._stream(channel).position())
        await trio.lowlevel.checkpoint()
        return await super().publish(channel, data, **options)


class RefusesWhatItHasPublished(Wrong):
    async def publish(
        self, channel: str, data: bytes, *, expected: Position | None = None, **options: Any
    ) -> Published:
        if expected is not None and self._stream(channel).position() != expected:
            raise PositionMoved(channel, self._stream(channel).position())
        return await super().publish(channel, data, **options)


class TellsWhatWasExpected(Wrong):
    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        try:
            return await super().publish(channel, data, **options)
        except PositionMoved:
            raise PositionMoved(channel, options["expected"]) from None


class RemembersTheRefused(Wrong):
    async def publish(self, channel: str, data: bytes, *, key: bytes | None = None, **options: Any) -> Published:
        try:
            return await super().publish(channel, data, key=key, **options)
        except PositionMoved as moved:
            self._keys.remember(channel, key, moved.position, trio.current_time())
            raise


class TurnsThemAround(Wrong):
    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        return (await super().publish_all(submissions[::-1]))[::-1]


class AnswersBackwards(Wrong):
    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        return (await super().publish_all(submissions))[::-1]


class FinishesWithTheLast(Wrong):
    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        try:
            return await super().publish_all(submissions)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await super().publish_all(submissions[-1:])
            raise


class IsAway(Wrong):
    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        return [BrokerUnavailable("away") for _ in submissions]


class LosesTheRest(Wrong):
    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        return await super().publish_all(submissions[:1])


@pytest.mark.parametrize("kind", Wrong.__subclasses__())
async def test_every_wrong_broker_is_caught(autojump_clock: MockClock, kind: type[MemoryBroker]) -> None:
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check_broker(kind(clock=dated), key_window_seconds=300, age_seconds=10)


async def test_a_key_that_never_ages_is_caught(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True):
        await check_broker(MemoryBroker(), key_window_seconds=100)


async def test_a_clock_that_is_set_back_turns_no_order_around() -> None:
    times = iter([5.0, 3.0, 9.0, 9.0])
    broker = MemoryBroker(clock=lambda: next(times))
    for _ in range(3):
        await broker.publish("one", b"x", retention=KEEP)
    page = await broker.history("one", 0, limit=9, limit_bytes=99)
    assert [entry.time_ms for entry in page.entries] == [5_000, 5_000, 9_000]


async def test_a_channel_that_made_room_begins_anew_under_another_epoch() -> None:
    broker = MemoryBroker(random_bytes=numbered_epochs(), channels_max=2)
    first = (await broker.publish("one", b"x", retention=KEEP)).position
    await broker.join("two", lambda channel, epoch, entries: None)
    await broker.publish("three", b"x", retention=KEEP)
    again = await broker.history("one", 0, limit=9, limit_bytes=99)
    assert again.top == Position((4).to_bytes(8, "big"), 0)
    assert again.top.epoch != first.epoch
    assert (await broker.history("two", 0, limit=9, limit_bytes=99)).top.epoch == (2).to_bytes(8, "big")


async def leased(broker: Broker) -> bytes:
    return await broker.presence.begin(5)


async def entered(broker: Broker) -> bytes:
    return await broker.sessions.enter(5, lambda number, question: None)


async def posted(broker: Broker) -> bytes:
    return (await broker.mailboxes.post(Posting("user:ada", b"", Keeping()))).position.epoch


@pytest.mark.parametrize("draw", [leased, entered, posted])
async def test_whatever_belongs_to_a_broker_draws_from_its_source(draw: Callable[[Broker], Awaitable[bytes]]) -> None:
    drawn = await draw(MemoryBroker(random_bytes=numbered_epochs()))
    assert int.from_bytes(drawn, "big") == 1


async def test_the_channel_unused_for_longest_makes_room_first() -> None:
    broker = MemoryBroker(channels_max=2)
    await broker.publish("one", b"x", retention=KEEP)
    await broker.publish("two", b"x", retention=KEEP)
    await broker.publish("one", b"x", retention=KEEP)
    await broker.publish("three", b"x", retention=KEEP)
    assert (await broker.history("one", 0, limit=9, limit_bytes=99)).top.offset == 2


async def test_the_oldest_key_is_forgotten_when_there_are_too_many() -> None:
    broker = MemoryBroker(keys_max=3)
    for number in range(4):
        await broker.publish("one", b"x", retention=KEEP, key=b"%d" % number)
    assert not (await broker.publish("one", b"x", retention=KEEP, key=b"0")).duplicate
    assert (await broker.publish("one", b"x", retention=KEEP, key=b"3")).duplicate


async def test_a_key_that_comes_again_makes_room_for_nobody_least_of_all_for_itself() -> None:
    broker = MemoryBroker(keys_max=3)
    for number in range(3):
        await broker.publish("one", b"x", retention=KEEP, key=b"%d" % number)
    for _ in range(2):
        await broker.publish("one", b"x", retention=KEEP)
        for number in range(3):
            assert (await broker.publish("one", b"x", retention=KEEP, key=b"%d" % number)).duplicate


async def test_a_mailbox_that_is_empty_makes_room_and_no_other(autojump_clock: MockClock) -> None:
    store = MemoryMailboxes(MemoryBroker(), mailboxes_max=2, keys=MemoryKeys(1))

    def deaf(_mailbox: str, _news: News) -> None:
        """A sink."""

    first = await store.post(Posting("user:1", b"x", Keeping(), key=b"k"))
    await store.hold("user:2", deaf)
    with pytest.raises(MailboxFull, match="there are 2 mailboxes, and none of them is empty"):
        await store.post(Posting("user:3", b"x", Keeping()))
    await store.post(Posting("user:1", b"x", Keeping(), key=b"l"))
    assert await store.known("user:1", b"k") is None
    assert not (await store.post(Posting("user:1", b"x", Keeping(), key=b"k"))).duplicate
    await store.release("user:2", deaf)
    await store.post(Posting("user:3", b"x", Keeping()))
    assert [letter.position for letter in await store.read("user:1", 0, limit=1, limit_bytes=9)] == [first.position]
    assert await store.known("user:1", b"k") is not None
    await trio.sleep(301)
    assert await store.known("user:1", b"k") is None
    assert not (await store.post(Posting("user:1", b"x", Keeping(), key=b"k"))).duplicate


class PublishesNothing(MemoryBroker):
    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        raise BrokerUnavailable("away")


async def test_what_cannot_be_published_of_dead_letters_stays(autojump_clock: MockClock) -> None:
    store = PublishesNothing(clock=trio.current_time).mailboxes
    keeping = Keeping(dead=DeadLetters("dead", KEEP))
    for lasts in (1, inf, 1):
        await store.post(Posting("user:1", b"%d" % lasts if lasts == 1 else b"-", keeping, seconds=lasts))
    await trio.sleep(2)
    with pytest.raises(BrokerUnavailable):
        await store.bury("user:1", keeping)
    assert [*await store.overdue()] == ["user:1"]
    await store.bury("user:1", Keeping())
    assert [*await store.overdue()] == []
    assert [letter.data for letter in await store.read("user:1", 0, limit=9, limit_bytes=9)] == [b"-"]


class WrongMailboxes(MemoryMailboxes):
    """A right store of letters; subclasses spoil one thing each."""


class LosesFailures(WrongMailboxes):
    async def fail(self, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping) -> int | None:
        return await super().fail(mailbox, sink, (), keeping)


class CountsWhatFailedAndIsNotDead(WrongMailboxes):
    async def fail(self, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping) -> int | None:
        buried = await super().fail(mailbox, sink, letters, keeping)
        return None if buried is None else len(letters)


class LetsAnybodyRemove(WrongMailboxes):
    async def remove(self, mailbox: str, sink: MailSink, letters: Collection[Position]) -> bool:
        await super().hold(mailbox, sink)
        return await super().remove(mailbox, sink, letters) or True


class LetsEverybodyHold(WrongMailboxes):
    async def hold(self, mailbox: str, sink: MailSink) -> bool:
        return await super().hold(mailbox, sink) or True


class ForgetsKeysOfLetters(WrongMailboxes):
    async def post(self, posting: Posting) -> Published:
        return await super().post(attrs.evolve(posting, key=None))


class KnowsNoKeys(WrongMailboxes):
    async def known(self, mailbox: str, key: bytes) -> Position | None:
        return None


class KnowsKeysOfAllMailboxes(WrongMailboxes):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.everything: dict[bytes, Position] = {}

    async def post(self, posting: Posting) -> Published:
        published = await super().post(posting)
        if posting.key is not None:
            self.everything[posting.key] = published.position
        return published

    async def known(self, mailbox: str, key: bytes) -> Position | None:
        return self.everything.get(key)


class TakesAnyNumber(WrongMailboxes):
    async def post(self, posting: Posting) -> Published:
        return await super().post(attrs.evolve(posting, keeping=Keeping()))


class HopesForRoomForEver(WrongMailboxes):
    async def post(self, posting: Posting) -> Published:
        try:
            return await super().post(posting)
        except LetterTooLarge as error:
            raise MailboxFull(str(error)) from None


class KeepsLettersForEver(WrongMailboxes):
    async def post(self, posting: Posting) -> Published:
        return await super().post(attrs.evolve(posting, seconds=inf))


class BuriesWhatSomebodyIsAt(WrongMailboxes):
    async def bury(self, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()) -> int:
        return await super().bury(mailbox, keeping)


class CountsNothingThatIsDead(WrongMailboxes):
    async def bury(self, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()) -> int:
        await super().bury(mailbox, keeping, sparing)
        return 0


class PublishesNoDeadLetters(WrongMailboxes):
    async def bury(self, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()) -> int:
        return await super().bury(mailbox, attrs.evolve(keeping, dead=None), sparing)


@pytest.mark.parametrize("kind", WrongMailboxes.__subclasses__())
async def test_every_wrong_store_of_letters_is_caught(autojump_clock: MockClock, kind: type[WrongMailboxes]) -> None:
    broker = MemoryBroker(clock=dated)
    broker.mailboxes = kind(broker, clock=dated)
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check_broker(broker, age_seconds=10)
