"""Would the worlds of agents notice if the runtime were wrong? Planted bugs say so."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from hawser.client.answering import Answering
from hawser.client.directory import _Feed as WatcherFeed  # pyright: ignore[reportPrivateUsage]
from hawser.client.feed import Feed
from hawser.client.offering import Offers
from hawser.errors import NotSent
from hawser.flow import Credit, Inflow
from hawser.server import routing
from hawser.server.bulletin import Bulletin
from hawser.server.calling import ClientCalls, Waiting
from hawser.server.routing import Router
from hawser_engine.codes import ResetReason
from tests.runtime.agents_world import run_world
from tests.runtime.planting import Planted, each_planted

if TYPE_CHECKING:
    from hawser.streams import CallerFlow


def call_it_not_sent(calls: ClientCalls) -> None:
    """What a worker may have been at when its session ended is given to another one (AGT-5)."""
    waiting, calls._open = calls._open or {}, None  # pyright: ignore[reportPrivateUsage]
    for one in waiting.values():
        one.end(NotSent("call to a client", None, ResetReason.CLOSED))


async def spend_nothing(credit: Credit, length: int) -> None:
    """Items leave while there is any credit at all (STR-2)."""
    await credit.some()


give_back: Final = Inflow._give_back  # pyright: ignore[reportPrivateUsage]


def give_twice_as_much(inflow: Inflow) -> None:
    """Credit goes out twice for what was taken, so a procedure runs away from whoever reads."""
    before = inflow._credit  # pyright: ignore[reportPrivateUsage]
    give_back(inflow)
    if inflow._credit != before:  # pyright: ignore[reportPrivateUsage]
        inflow._credit = inflow._credit[0] + 8, inflow._credit[1] + 8  # pyright: ignore[reportPrivateUsage]
        inflow._grant(8, 8)  # pyright: ignore[reportPrivateUsage]


def drop_what_waits(inflow: Inflow) -> None:
    """The answer overtakes the items before it (STR-1)."""
    inflow._queue.clear()  # pyright: ignore[reportPrivateUsage]
    inflow._over = True  # pyright: ignore[reportPrivateUsage]
    inflow._wake()  # pyright: ignore[reportPrivateUsage]


def leave_it_running(waiting: Waiting) -> None:
    """Whoever gives up does not tell the worker (CAL-4)."""
    waiting._calls.count -= 1  # pyright: ignore[reportPrivateUsage]


def forget_nobody(router: Router, session: Any) -> None:
    """The end of a session does not end its offers, which the directory goes on to tell of (AGT-2)."""


def look_away(router: Router, session: Any) -> None:
    """The directory does not tell that a link has come or gone (AGT-12)."""


def offer_once(offers: Offers) -> None:
    """A client that was reset does not offer again."""


def go_on_for_nobody(answering: Answering) -> None:
    """What a client runs for a session goes on when the session is over."""


def go_on_with_the_list(feed: Feed, position: Any, gap_reason: int | None) -> Any:
    """A watcher goes on with the list of the server before (AGT-14): it once was so."""
    return Feed.joined(feed, position, gap_reason)


def forget_what_was_shown(bulletin: Bulletin[Any], offering: Any) -> None:
    """Whoever has a list from between two steps is not told what of it was never told to others (AGT-13)."""


async def take_inputs_early(waiting: Waiting, flow: CallerFlow, inflow: Inflow) -> None:
    """An input is taken before the worker lets it come: lost, if another worker gets the call (AGT-5)."""
    with suppress(trio.BrokenResourceError):
        while True:
            try:
                data = await inflow.take()
            except trio.EndOfChannel:
                await waiting.send(flow.input(None))
                return
            await flow.credit.take(len(data))
            await waiting.send(flow.input(data))


PLANTED: Final = (
    Planted(ClientCalls, "lose", call_it_not_sent, "times", 10),
    Planted(Credit, "take", spend_nothing, "in place of", 1),
    Planted(Inflow, "_give_back", give_twice_as_much, "and its caller at", 2),
    Planted(Inflow, "end", drop_what_waits, "ends after", 1),
    Planted(Waiting, "leave", leave_it_running, "nobody waits for it", 3),
    Planted(Router, "leave", forget_nobody, "the directory still tells", 0),
    Planted(Router, "seen", look_away, "the directory says", 1),
    Planted(Offers, "opened", offer_once, "there are", 1),
    Planted(Answering, "end", go_on_for_nobody, "nobody waits for it", 22),
    Planted(WatcherFeed, "joined", go_on_with_the_list, "the directory says", 1),
    Planted(Bulletin, "listed", forget_what_was_shown, "the directory says", 14),
    Planted(routing, "_pass_inputs", take_inputs_early, "in place of", 48),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_of_agents_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world)
