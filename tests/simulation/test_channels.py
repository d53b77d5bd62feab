"""Would the worlds of channels notice if the runtime were wrong? Planted bugs say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from hawser import Subscription, SubscriptionLost
from hawser.client.assigned import Assigned
from hawser.client.feed import Feed
from hawser.client.wildcards import PatternFeed, Patterns
from hawser.server.flushing import Flusher
from hawser.server.wildcards import Wildcards
from hawser_engine.channels.channel import Channel
from hawser_engine.channels.feeding import Feeder
from hawser_engine.channels.filtered import FilteredMembership
from hawser_engine.channels.latest import Latest
from hawser_engine.channels.memberships import Membership, Mode
from hawser_engine.messages import Position
from tests.runtime.channels_world import run_world
from tests.runtime.planting import Planted, each_planted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser.brokers import Entry
    from hawser_engine.batch import Batch


def go_on_without_a_word(member: Membership, claim: Position, now: float) -> None:
    """No POSITION answers a CONTINUE, and a client with a filter waits for it (CHN-9)."""
    if member.mode is Mode.PAUSED:
        member.mode = Mode.BEHIND
        member.rewind(claim)
        member.outlet.feed()


def spare_without_a_word(member: Membership, offset: int, send: Callable[[Batch], bool]) -> bool:
    """No POSITION says that a session was left out of what it has published (ADR-8)."""
    member.offset = offset
    return True


def spare_nobody(flusher: Flusher, channel: Channel, chunk: Any, now: float) -> None:
    """Whoever publishes without itself gets it all the same."""


def leave_out_replaced_ones_without_a_word(feeder: Feeder, member: Membership, offset: int, now: float) -> bool:
    """No POSITION says that nothing but replaced publications was left out (LAT-3)."""
    return True


after: Final = Latest.after


def begin_behind_the_first(latest: Latest, offset: int) -> list[int]:
    """The first publication of what is kept is not read (LAT-2)."""
    return after(latest, offset)[1:]


def let_everything_pass(member: FilteredMembership, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Who is fed from history gets what its filter does not let through (SUB-12)."""
    return entries


def feed_everybody_from_what_waits(channel: Channel, member: Membership) -> bool:
    """Who begins in the past gets only what a slow one would (OVF-1)."""
    return False


def give_it_up(wildcards: Wildcards, session: Any, former: Membership) -> None:
    """A pattern does not go on where a subscription to one of its channels has ended (WLD-4)."""


def take_it_from_the_pattern(wildcards: Wildcards, session: Any, channel: Channel, start: Position) -> None:
    """What waits for a pattern is forgotten when its session subscribes to the channel (WLD-4)."""
    stray = wildcards._strays.get(channel, {}).get(session)  # pyright: ignore[reportPrivateUsage]
    if stray is not None:
        wildcards._drop(stray)  # pyright: ignore[reportPrivateUsage]


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


def believe_the_report(channel: Channel, position: Position) -> None:
    """A channel that was found behind is not caught up (CHN-15)."""


def take_what_is_volatile(feed: Feed, epoch: bytes, offset: int, data: bytes, about: Any = None) -> None:
    """Something volatile moves the position of a subscription (VOL-2)."""
    feed.position = Position(epoch, offset)


PLANTED: Final = (
    Planted(Membership, "go_on", go_on_without_a_word, "has not had the end", 0),
    Planted(Membership, "spare", spare_without_a_word, "though history reaches", 0),
    Planted(Flusher, "_spare", spare_nobody, "wanted to be left out", 1),
    Planted(Feeder, "_bridge", leave_out_replaced_ones_without_a_word, "though history reaches", 9),
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
    Planted(Feed, "volatile", take_what_is_volatile, "nobody said so", 25),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_of_channels_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world)
