"""Which requests met which state of a server's long-poll connection, and which replies what a client had asked.

A cell is (who and in what state, what came, what was going on around it); ``coverage`` shows them behind those of the
packets, and ``unreachable.toml`` says which cannot be filled.
"""

from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.http import Reply
from hawser_engine.bindings.longpoll import CONTENT_TYPE

if TYPE_CHECKING:
    from hawser_engine.bindings.longpoll import ServerPoll

    from .chains import Chain
    from .coverage import Cells
    from .travels import Travel

__all__ = ["AROUND", "COLUMNS", "NAMES", "heard", "meets"]

AROUND: Final = ("none", "retried", "doubled", "overtaken", "moved", "restart")
"""What can be going on around a request or a reply: nothing; it is not the first try; it came twice; one that left
later has come before; its client has a newer link; the server has just restarted."""

_NONE, _RETRIED, _DOUBLED, _OVERTAKEN, _MOVED, _RESTART = range(len(AROUND))
COLUMNS: Final = len(AROUND)
_SERVED: Final = ("nobody", "free", "parked", "lingering", "ended")
"""The connection that a request names: none; one with no GET parked, or with one; one that is over and has still
something to be fetched, or has not."""
_REQUESTS: Final = ("ATTACH", "GET", "GET again", "POST", "POST again")
_ASKED: Final = ("ATTACH", "GET", "POST")
_REPLIES: Final = ("nothing", "200", "204", "401", "409", "410", "429", "CLOSE", "other")
"""What came to it; CLOSE is one with any other status, other what no server of the protocol says."""
_ROWS: Final = (
    *((f"server, {state}", request) for state in _SERVED for request in _REQUESTS),
    *((f"client, {asked}", reply) for asked in _ASKED for reply in _REPLIES),
)
_ROW: Final = {row: place for place, row in enumerate(_ROWS)}
NAMES: Final = tuple((*row, around) for row in _ROWS for around in AROUND)
"""All cells in order."""


def meets(cells: "Cells", first: int, travel: "Travel", poll: "ServerPoll | None") -> None:
    """Count a request that has arrived; ``first`` is the index of the first cell of this table."""
    request, chain = travel.request, travel.chain
    number = next((int(value) for name, value in request.headers if name == "hawser-number"), 0)
    state = "nobody"
    again = False
    if poll is not None:
        state = "lingering" if poll.lingering else "ended" if poll.over else chain.answering.stands(poll)
        again = chain.answering.is_again(travel, number)
    what = "ATTACH" if not number else request.method + (" again" if again else "")
    overtaken = chain.came_last > travel.left
    chain.came_last = max(chain.came_last, travel.left)
    _count(cells, first + COLUMNS * _ROW[f"server, {state}", what], travel, overtaken=overtaken)


def heard(cells: "Cells", first: int, travel: "Travel", reply: Reply | None) -> None:
    """Count a reply that a client has waited for, or the news that none comes."""
    chain = travel.chain
    asked = "ATTACH" if travel.attaches else travel.request.method
    if reply is None:
        what = "nothing"
    elif reply.status in (200, 204, 401, 409, 410) and not _is_foreign(reply):
        what = str(reply.status) if reply.status != 401 or not reply.body else "CLOSE"
    elif reply.status == 429 and not reply.body:
        what = "429"
    else:
        what = "other" if _is_foreign(reply) else "CLOSE"
    overtaken = chain.heard_last > travel.left
    chain.heard_last = max(chain.heard_last, travel.left)
    _count(cells, first + COLUMNS * _ROW[f"client, {asked}", what], travel, overtaken=overtaken)


def _is_foreign(reply: Reply) -> bool:
    """Say whether something else than the server has said it: it would state counts, or give a body of its type."""
    ours = reply.status == 401 or any(name == "hawser-counts" for name, _ in reply.headers)
    return not ours and ("content-type", CONTENT_TYPE) not in reply.headers


def _count(cells: "Cells", row: int, travel: "Travel", *, overtaken: bool) -> None:
    chain: Chain = travel.chain
    end = chain.ends[0]
    around = [
        fault
        for fault, holds in (
            (_RETRIED, travel.tries > 0),
            (_DOUBLED, travel.doubled),
            (_OVERTAKEN, overtaken),
            (_MOVED, chain.retired or end is None or end.actor.is_late(end)),
            (_RESTART, chain.world.server.fresh_until > chain.world.time),
        )
        if holds
    ]
    for fault in around or (_NONE,):
        cells[row + fault] = cells.get(row + fault, 0) + 1
