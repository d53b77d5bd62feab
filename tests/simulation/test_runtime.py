"""Would the worlds of the runtime notice if it were wrong? Planted bugs say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from hawser.client.feed import Feed
from hawser.client.line import ClientDriver, Line
from hawser.client.pool import Member
from hawser.client.shares import Queue, Share, SharedSubscription
from hawser_engine.events import Event, SessionReset
from tests.runtime.planting import MORE_SEEDS, Planted, each_planted
from tests.runtime.world import run_world

if TYPE_CHECKING:
    from hawser import Message
    from hawser_engine.messages import Position


def keep_a_gap_to_itself(feed: Feed, since: Position | None, position: Position, reason: int) -> None:
    """What was lost is known, and the application is not told."""


def seat_where_it_stands(
    share: Share, reader: SharedSubscription, here: Position | None, begin: Position | None
) -> None:
    """A reader that asks for what has passed is given its place at once."""
    if reader.queue.heard is None:
        reader.queue.heard = begin
    reader.answered.set()


def queue_it_again(queue: Queue, message: Message) -> None:
    """What comes again, because the subscription has begun anew for somebody else, is not left out."""
    queue._items.append(message)  # pyright: ignore[reportPrivateUsage]
    queue.heard = message.position


def miss_it_in_silence(queue: Queue, since: Position | None, position: Position, reason: int) -> None:
    """A queue that is full leaves out what comes, and forgets that it did."""
    queue.heard = position


def let_it_idle(member: Member) -> None:
    """Who leaves a session leaves it for all who use it."""
    member.users = 0
    member._wake()  # pyright: ignore[reportPrivateUsage]


handle: Final = Line._handle  # pyright: ignore[reportPrivateUsage]


def wait_for_what_is_gone(line: Line, driver: ClientDriver, event: Event) -> None:
    """Whoever waits for a link to attach waits for ever if its session is reset meanwhile: it once was so."""
    if isinstance(event, SessionReset):
        driver.arrived = trio.Event()
    handle(line, driver, event)


PLANTED: Final = (
    Planted(Feed, "_miss", keep_a_gap_to_itself, "nobody said so", 1),
    Planted(Line, "_handle", wait_for_what_is_gone, "did not come to an end", 530),
    Planted(Share, "_seat", seat_where_it_stands, "nobody said so", 7),
    Planted(Queue, "message", queue_it_again, "nobody said so", 4),
    Planted(Queue, "_miss", miss_it_in_silence, "nobody said so", 1),
    Planted(Member, "give_back", let_it_idle, "EndOfChannel", 4),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world, range(planted.seed % 3, 3 * MORE_SEEDS.stop, 3))  # of the same kind
