"""Would the worlds of presence notice if the runtime were wrong? Planted bugs say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from hawser.client.presence import Presence, Presences
from hawser.server.presence import PresenceDesk
from hawser.server.watching import Watched
from hawser_engine.channels.attendance import Attendance
from hawser_engine.channels.roll import Roll
from tests.runtime.planting import Planted, each_planted
from tests.runtime.presence_world import run_world

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hawser_engine.channels.attendance import Writing
    from hawser_engine.channels.roll import Watcher
    from hawser_engine.presence import Member, Members


def give_no_grace(attendance: Attendance, member: bytes, now: float) -> None:
    """Who has no link is taken out at once (PRS-9)."""
    attendance._detached.setdefault(member, now)  # pyright: ignore[reportPrivateUsage]


def give_grace_for_ever(attendance: Attendance, now: float) -> None:
    """Who has no link is never taken out."""
    attendance._detached.clear()  # pyright: ignore[reportPrivateUsage]


def let_nobody_back(attendance: Attendance, member: bytes) -> None:
    """Who comes back after the grace is not entered again."""
    attendance._detached.pop(member, None)  # pyright: ignore[reportPrivateUsage]


def enter_nobody_anew(attendance: Attendance) -> None:
    """A node whose lease has run out goes on without its members (PRS-11)."""


def believe_that_it_was_written(attendance: Attendance, writings: Iterable[Writing]) -> None:
    """What the store could not take is not written again."""


def forget_the_rest(desk: PresenceDesk, session: Any) -> None:
    """Who had no window is not told what it has missed (PRS-6)."""


def leave_them_there(desk: PresenceDesk, session: Any) -> None:
    """Who has closed its session stays."""


def list_what_is_not_told_yet(roll: Roll) -> tuple[bytes, ...]:
    """Whoever begins between two steps is ahead of them."""
    told, roll._told = roll._told, dict(roll.members)  # pyright: ignore[reportPrivateUsage]
    try:
        return listing(roll)
    finally:
        roll._told = told  # pyright: ignore[reportPrivateUsage]


listing: Final = Roll._listing  # pyright: ignore[reportPrivateUsage]


def skip_what_is_missing(roll: Roll, watcher: Watcher) -> bytes | None:
    """Who has missed several steps goes on with the last of them."""
    if not watcher.pieces and 0 <= watcher.version < roll.version and roll.load[0]:
        watcher.version = roll.version - 1
    return upcoming(roll, watcher)


upcoming: Final = Roll.upcoming


def believe_the_list(watched: Watched, members: Iterable[Member]) -> None:
    """What was reported before the list was there is not looked at: it once was so."""
    watched._early = None  # pyright: ignore[reportPrivateUsage]
    watched.roll.replace(members)
    watched._desk.arm(watched)  # pyright: ignore[reportPrivateUsage]


def say_it_once(presences: Presences) -> None:
    """A client that was reset does not say again what it wants."""


def add_to_what_was_known(presence: Presence, members: dict[bytes, Any], message: Members, *, listed: bool) -> None:
    """A list does not take the place of what was known."""
    replace(presence, presence.entries | members, message, listed=listed)


replace: Final = Presence._replace  # pyright: ignore[reportPrivateUsage]


PLANTED: Final = (
    Planted(Attendance, "detached", give_no_grace, "has never left", 0),
    Planted(Attendance, "handle_timeout", give_grace_for_ever, "the store has", 0),
    Planted(Attendance, "attached", let_nobody_back, "the store has", 0),
    Planted(Attendance, "expired", enter_nobody_anew, "the store has", 14),
    Planted(Attendance, "failed", believe_that_it_was_written, "the store has", 11),
    Planted(PresenceDesk, "feed", forget_the_rest, "is told that", 0),
    Planted(PresenceDesk, "ended", leave_them_there, "the store has", 0),
    Planted(Roll, "_listing", list_what_is_not_told_yet, "is told", 0),
    Planted(Roll, "upcoming", skip_what_is_missing, "is told step", 0),
    Planted(Watched, "begun", believe_the_list, "is told", 2),
    Planted(Presences, "opened", say_it_once, "the store has", 2),
    Planted(Presence, "_replace", add_to_what_was_known, "holds something else", 3),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_of_presence_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world)
