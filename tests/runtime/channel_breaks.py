"""Breaks of what serves channels: the model of channels and their worlds notice each, if they are any good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hawser_engine.channels.latest import Latest
from hawser_engine.channels.memberships import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser import Position
    from hawser.brokers import Entry, History
    from hawser.server.wildcards import Wildcards
    from hawser_engine.channels.channel import Channel
    from hawser_engine.channels.feeding import Feeder
    from hawser_engine.channels.filtered import FilteredMembership
    from hawser_engine.channels.memberships import Membership


def go_on_without_a_word(member: Membership, claim: Position, now: float) -> None:
    """No POSITION answers a CONTINUE (CHN-9)."""
    if member.mode is Mode.PAUSED:
        member.mode = Mode.BEHIND
        member.rewind(claim)
        member.outlet.feed()


def spare_without_a_word(member: Membership, offset: int, send: Callable[..., bool]) -> bool:
    """No POSITION says that a session was left out (ADR-8)."""
    member.offset = offset
    return True


def bridge_without_a_word(feeder: Feeder, member: Membership, offset: int, now: float) -> bool:
    """No POSITION says that only replaced publications were left out (LAT-3)."""
    return True


after: Final = Latest.after


def begin_behind_the_first(latest: Latest, offset: int) -> list[int]:
    """The first publication of what is kept is not read (LAT-2)."""
    return after(latest, offset)[1:]


def let_everything_pass(member: FilteredMembership, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Who is fed from history gets what its filter does not let through (SUB-12)."""
    return entries


def give_it_up(wildcards: Wildcards, session: Any, former: Membership) -> None:
    """A pattern does not go on where a subscription to one of its channels has ended (WLD-4)."""


def take_it_from_the_pattern(wildcards: Wildcards, session: Any, channel: Channel, start: Position) -> None:
    """What waits for a pattern is forgotten when its session subscribes to the channel (WLD-4)."""
    stray = wildcards._strays.get(channel, {}).get(session)  # pyright: ignore[reportPrivateUsage]
    if stray is not None:
        wildcards._drop(stray)  # pyright: ignore[reportPrivateUsage]


def believe_the_report(channel: Channel, position: Position) -> None:
    """What was not reported is not missed (CHN-15)."""


def write_it_with_the_next(
    feeder: Feeder, member: Membership, history: History, now: float, *, from_history: bool
) -> bool:
    """What was taken before a GAP for which there was no window waits for something else to be written (CHN-9)."""
    before = member.position
    going = feeder._feed(member, history, now, from_history=from_history)  # pyright: ignore[reportPrivateUsage]
    if going or member.position != before:
        member.outlet.flush(now)
    return going
