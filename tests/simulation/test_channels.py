"""Would the worlds of channels notice if the runtime were wrong? Planted bugs say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from hawser import Subscription, SubscriptionLost
from hawser.brokers.keys import KeyWindow
from hawser.brokers.sqlite import SqliteBroker
from hawser.brokers.sqlite.book import Book, Contents
from hawser.brokers.sqlite.file import StoreFile
from hawser.brokers.sqlite.keys import KEY_WINDOW_MS, Keys
from hawser.client.assigned import Assigned
from hawser.client.feed import Feed
from hawser.client.wildcards import PatternFeed, Patterns
from hawser.server.flushing import Flusher
from hawser.server.wildcards import Wildcards
from hawser_engine.channels.channel import Channel
from hawser_engine.channels.feeding import Feeder
from hawser_engine.channels.filtered import FilteredMembership
from hawser_engine.channels.latest import Latest
from hawser_engine.channels.memberships import Membership
from hawser_engine.messages import Position
from tests.runtime.channel_breaks import (
    begin_behind_the_first,
    believe_the_report,
    bridge_without_a_word,
    give_it_up,
    go_on_without_a_word,
    let_everything_pass,
    spare_without_a_word,
    take_it_from_the_pattern,
    write_it_with_the_next,
)
from tests.runtime.channels_world import run_world
from tests.runtime.planting import Planted, each_planted

if TYPE_CHECKING:
    from hawser.brokers.sqlite.book import Change


def spare_nobody(flusher: Flusher, channel: Channel, chunk: Any, now: float) -> None:
    """Whoever publishes without itself gets it all the same."""


def feed_everybody_from_what_waits(channel: Channel, member: Membership) -> bool:
    """Who begins in the past gets only what a slow one would (OVF-1)."""
    return False


def forget_where_it_stood(wildcards: Wildcards, channel: Channel, position: Position) -> None:
    """A report that is lost of a channel that only patterns have is not noticed: it once was so (CHN-15)."""
    channel.visit(position)


def drop_what_was_not_read(patterns: Patterns, former: Feed | PatternFeed) -> None:
    """What was not taken of a subscription that is left does not come to the pattern (WLD-8)."""
    if isinstance(former, Feed):
        former.drain()


def bring_it_again(patterns: Patterns, channel: str, epoch: bytes) -> int:
    """A pattern takes what it had, or what a subscription to the channel had, from one that was left (WLD-4)."""
    return -1


def forget_where_it_was_lost(assigned: Assigned, reason: int) -> None:
    """What the server decides anew after a reset begins as if nothing could be missing (ASG-4)."""
    current: dict[str, Subscription] = assigned._current  # pyright: ignore[reportPrivateUsage]
    for channel, subscription in list(current.items()):
        assigned.over(subscription)
        assigned._dialogue.forget(subscription)  # pyright: ignore[reportPrivateUsage]
        subscription.finish(SubscriptionLost(channel, subscription.position, reason))


def take_what_is_volatile(feed: Feed, epoch: bytes, offset: int, data: bytes, about: Any = None) -> None:
    """Something volatile moves the position of a subscription (VOL-2)."""
    feed.position = Position(epoch, offset)


write: Final = SqliteBroker._write  # pyright: ignore[reportPrivateUsage]


async def answer_it_unwritten(broker: Any, store: Any, writer: Any, batch: Any) -> None:
    """Whoever publishes is told so before it is in the file, and the server is killed (PUB-2)."""

    class Eager:
        async def write(self, change: Change) -> None:
            for waiting, answer in zip(batch, change.answers, strict=True):
                waiting.answer(answer)
            await writer.write(change)

    eager: Any = Eager()
    await write(broker, store, eager, batch)


remember_keys: Final = Keys.__init__


def forget_keys(keys: Keys, rows: Any, keys_max: int) -> None:
    """What is published again under its key, after a restart, is published twice (PUB-3)."""
    remember_keys(keys, rows, keys_max)
    keys._window = KeyWindow(keys_max, KEY_WINDOW_MS)  # pyright: ignore[reportPrivateUsage]


remember_heads: Final = Book.__init__


def begin_anew(book: Book, contents: Any, random_bytes: Any, *others: Any) -> None:
    """Every start gives the channels new epochs, as if the file had lost something."""
    remember_heads(book, contents, random_bytes, *others)
    for head in book._heads.values():  # pyright: ignore[reportPrivateUsage]
        head.epoch = random_bytes(8)


load: Final = StoreFile._load  # pyright: ignore[reportPrivateUsage]


def forget_which_is_the_latest(file: StoreFile, writer: Any) -> Contents:
    """What was published before a restart is not replaced by what is newer of its key (LAT-1)."""
    return attrs.evolve(load(file, writer), kept=())


def forget_how_much_there_was(file: StoreFile, writer: Any) -> Contents:
    """A channel has all of its past after a restart, also what it had given up (CHN-14)."""
    contents = load(file, writer)
    return attrs.evolve(contents, heads=[(*row[:5], 1, 0, *row[7:]) for row in contents.heads])


commit: Final = StoreFile.commit


def write_it_with_the_next_one(file: StoreFile, change: Change) -> None:
    """A commit is in the file when the next one is: the last one is forgotten with a restart."""
    late: Any = file
    last, late.last = getattr(late, "last", None), change
    if last is not None:
        commit(file, last)


PLANTED: Final = (
    Planted(Membership, "go_on", go_on_without_a_word, "has not had the end", 0),
    Planted(Membership, "spare", spare_without_a_word, "though history reaches", 0),
    Planted(Flusher, "_spare", spare_nobody, "wanted to be left out", 1),
    Planted(Feeder, "_bridge", bridge_without_a_word, "though history reaches", 9),
    Planted(Latest, "after", begin_behind_the_first, "nobody said so", 1),
    Planted(FilteredMembership, "passing", let_everything_pass, "does not pass", 1),
    Planted(Channel, "fed_from_history", feed_everybody_from_what_waits, "though history reaches", 0),
    Planted(Wildcards, "returned", give_it_up, "nobody said so", 21),
    Planted(Wildcards, "taken", take_it_from_the_pattern, "nobody said so", 32),
    Planted(Wildcards, "opened", forget_where_it_stood, "nobody said so", 5),
    Planted(Patterns, "inherit", drop_what_was_not_read, "nobody said so", 3),
    Planted(Patterns, "_reached", bring_it_again, "came after", 1),
    Planted(Assigned, "lost", forget_where_it_was_lost, "was lost at", 9),
    Planted(Channel, "missed", believe_the_report, "has not had the end", 11),
    Planted(Feeder, "feed", write_it_with_the_next, "has not written", 8),
    Planted(Feed, "volatile", take_what_is_volatile, "nobody said so", 25),
    Planted(SqliteBroker, "_write", answer_it_unwritten, "two publications at", 62),
    Planted(Keys, "__init__", forget_keys, "was read as", 34),
    Planted(Book, "__init__", begin_anew, "another epoch", 2),
    Planted(StoreFile, "_load", forget_which_is_the_latest, "'board:1' has 7 publications of 1", 2),
    Planted(StoreFile, "_load", forget_how_much_there_was, "are kept, and should be", 6),
    Planted(StoreFile, "commit", write_it_with_the_next_one, "two publications at", 2),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_of_channels_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world)
