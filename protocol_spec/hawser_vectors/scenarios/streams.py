"""Streams: items, credit, inputs, and their way from client to client (STR)."""

from collections.abc import Iterator
from typing import Any, Final

from ..encoding import encode
from .agents import AGENT, SEARCH, UNREAD
from .messages import (
    Message,
    call,
    cancel,
    carried,
    credit,
    error,
    item,
    offer,
    offered,
    publication,
    publish,
    reply,
    stream,
    withdraw,
)
from .packets import ack, open_
from .patterns import Inside, some_bytes
from .service import ServiceScene

WINDOW: Final = (32, 65_536)
"""The credit that a side with the defaults gives."""
SERVER: Final = some_bytes("server")
"""By which the lists and changes of one server are known (AGT-11)."""


class StreamScene(ServiceScene):
    """Sessions with the feature."""

    def opens_with(self, link: str = "a", *features: str) -> None:
        """A session with features is opened and confirmed."""
        packet = open_(features=features)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=features)

    def counts(self, link: str, id: int, *numbers: int) -> None:
        """Items with numbers leave."""
        self.tells(link, *(item(id, number) for number in numbers))


def server() -> Iterator[ServiceScene]:
    """STR: what a server does with calls that have items."""
    yield from _items()
    yield from _inputs()
    yield from _routed()
    yield from _directory()


def _items() -> Iterator[ServiceScene]:
    s = StreamScene("items leave as there is credit, and the answer behind them", "STR-1", "STR-2", "VER-6", "MSG-2")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "count", [4], items=2, bytes=1_000))
    s.counts("a", 1, 1, 2)
    s.hears("a", credit(1, 1, 1_000))
    s.counts("a", 1, 3)
    s.hears("a", credit(1, 9, 0))
    s.counts("a", 1, 4)
    s.tells("a", reply(1, None))
    yield s

    s = StreamScene("credit counts bytes too, and one item may be beyond it", "STR-2")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "count", [3], items=9, bytes=1))
    s.counts("a", 1, 1)
    s.hears("a", credit(1, 0, 2))
    s.counts("a", 1, 2, 3)
    s.tells("a", reply(1, None))
    yield s

    s = StreamScene("a procedure without items answers alone, one with items is not for CALL", "STR-1", "STR-5")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "echo", ["kept"]))
    s.tells("a", reply(1, ["kept"]))
    s.hears("a", call(2, "count", [1]))
    s.tells("a", error(2, "BAD_REQUEST"))
    s.hears("a", call(3, "double"))
    s.tells("a", error(3, "BAD_REQUEST"))
    s.hears("a", stream(4, "nobody offers this"))
    s.tells("a", error(4, "NOT_FOUND"))
    yield s

    s = StreamScene("CANCEL ends the items, and so does a deadline", "STR-1", "CAL-4", "CAL-3")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "count", [3], items=1))
    s.counts("a", 1, 1)
    s.hears("a", cancel(1))
    s.tells("a", error(1, "CANCELLED"))
    s.hears("a", credit(1, 9, 9_000))
    s.hears("a", stream(2, "count", [3], items=1, deadline_ms=2_000))
    s.counts("a", 2, 1)
    s.advance(2)
    s.tells("a", error(2, "DEADLINE"))
    yield s

    s = StreamScene("an item or credit for nothing is ignored", "STR-4")
    s.opens_with("a", "streams")
    s.hears("a", item(7, 1), item(7, 1, inward=True), credit(7, 1, 1), credit(7, 1, 1, inward=True))
    s.hears("a", call(1, "never"))
    s.hears("a", item(1, 1, inward=True), credit(1, 1, 1))
    s.hears("a", call(2, "echo"))
    s.tells("a", reply(2))
    yield s

    s = StreamScene("without the feature STREAM is an unknown kind", "VER-6", "MSG-3", "MSG-4")
    s.starts()
    s.hears("a", stream(1, "count", [1]))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = StreamScene("items that were lost come again, each once", "STR-1", "CAL-7", "ATT-12", "NUM-2")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "count", [3], items=2))
    s.counts("a", 1, 1, 2)
    s.gone()
    s.resumes(
        "b",
        1,
        (1, 1, 1),
        own=(1, 1, 2),
        session="session_a",
        key="secret_a",
        replay=tuple(carried(item(1, 2))),
    )
    s.receive("b", ack(1, 1, 1))
    s.hears("b", credit(1, 1, 1))
    s.counts("b", 1, 3)
    s.tells("b", reply(1, None))
    yield s


def _inputs() -> Iterator[ServiceScene]:
    s = StreamScene("inputs come as the callee lets them", "STR-3", "STR-2")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "double", inputs=True))
    s.tells("a", credit(1, *WINDOW, inward=True))
    for number in (1, 2):
        s.hears("a", item(1, number, inward=True))
        s.counts("a", 1, 2 * number)
    s.hears("a", [28, 1, True, None])
    s.tells("a", reply(1, None))
    yield s

    s = StreamScene("credit for inputs is given again as they are taken", "STR-2", "STR-3")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "double", inputs=True, items=99))
    s.tells("a", credit(1, *WINDOW, inward=True))
    for number in range(1, 16):
        s.hears("a", item(1, number, inward=True))
        s.counts("a", 1, 2 * number)
    s.hears("a", item(1, 16, inward=True))
    s.tells("a", credit(1, 16, 16, inward=True), item(1, 32))
    yield s

    broken: dict[str, tuple[list[Any], str]] = {
        "an input before there is credit": (stream(1, "never", inputs=True), "STR-2"),
        "an input of a stream without any": (stream(1, "never"), "STR-3"),
    }
    for name, (request, clause) in broken.items():
        s = StreamScene(f"{name} is malformed", clause, "MSG-4")
        s.opens_with("a", "streams")
        s.hears("a", request, item(1, 1, inward=True))
        s.closes("a", "PROTOCOL_ERROR")
        yield s


def _routed() -> Iterator[ServiceScene]:
    request = [27, 1, SEARCH, UNREAD, None, False]
    s = StreamScene("items go from client to client, no more than there is credit for", "STR-6", "AGT-3", "STR-2")
    s.opens_with("w", "agents", "streams")
    s.hears("w", offer(1, AGENT, "search"))
    s.tells("w", offered(1, AGENT))
    s.opens_with("a", "streams")
    s.hears("a", [*request, 1, 1_000])
    s.tells("w", [*request, *WINDOW])
    s.hears("w", [28, 1, False, UNREAD], [28, 1, False, b"2"], [13, 1, b"3"])
    s.tells("a", [28, 1, False, UNREAD])
    s.hears("a", credit(1, 1, 1_000))
    s.tells("a", [28, 1, False, b"2"], [13, 1, b"3"])
    yield s

    s = StreamScene("a worker has only the credit that the server gives it", "STR-6", "STR-2", "MSG-4")
    s.opens_with("w", "agents", "streams")
    s.hears("w", offer(1, AGENT, "search"))
    s.tells("w", offered(1, AGENT))
    s.opens_with("a", "streams")
    s.hears("a", [*request, 0, 0])
    s.tells("w", [*request, *WINDOW])
    s.hears("w", *([28, 1, False, b""] for _ in range(WINDOW[0] + 1)))
    s.closes("w", "PROTOCOL_ERROR")
    yield s

    s = StreamScene("inputs go from client to client as the worker lets them", "STR-6", "STR-3")
    s.opens_with("w", "agents", "streams")
    s.hears("w", offer(1, AGENT, "search"))
    s.tells("w", offered(1, AGENT))
    s.opens_with("a", "streams")
    both = [27, 1, SEARCH, UNREAD, None, True, *WINDOW]
    s.hears("a", both)
    s.tells("w", both)
    s.hears("w", credit(1, 1, 10, inward=True))
    s.tells("a", credit(1, *WINDOW, inward=True))
    s.hears("a", [28, 1, True, UNREAD], [28, 1, True, b"2"], [28, 1, True, None])
    s.tells("w", [28, 1, True, UNREAD])
    s.hears("w", credit(1, 1, 10, inward=True))
    s.tells("w", [28, 1, True, b"2"])
    s.hears("w", credit(1, 1, 10, inward=True))
    s.tells("w", [28, 1, True, None])
    s.hears("w", [13, 1, UNREAD])
    s.tells("a", [13, 1, UNREAD])
    yield s

    s = StreamScene("a worker without the feature gets a CALL", "STR-6", "STR-1")
    s.opens_with("w", "agents")
    s.hears("w", offer(1, AGENT, "search"))
    s.tells("w", offered(1, AGENT))
    s.opens_with("a", "streams")
    s.hears("a", [*request, *WINDOW])
    s.tells("w", [12, 1, SEARCH, UNREAD, None])
    s.hears("w", [13, 1, UNREAD])
    s.tells("a", [13, 1, UNREAD])
    yield s

    s = StreamScene("whoever leaves a stream cancels it at the worker", "STR-6", "STR-1", "CAL-4")
    s.opens_with("w", "agents", "streams")
    s.hears("w", offer(1, AGENT, "search"))
    s.tells("w", offered(1, AGENT))
    s.opens_with("a", "streams")
    s.hears("a", [*request, *WINDOW])
    s.tells("w", [*request, *WINDOW])
    s.hears("a", cancel(1))
    s.tells("w", cancel(1))
    s.tells("a", error(1, "CANCELLED"))
    s.hears("w", [28, 1, False, encode(1)])
    yield s


def _directory() -> Iterator[ServiceScene]:
    name, entry = "$agents", [1, AGENT, 1, "one", b"", [["search", b""]], "t0p"]

    def change(offset: int, *changes: list[Any]) -> Message:
        return publication(name, offset, Inside([SERVER, offset, list(changes)]))

    def version(id: int, number: int) -> Message:
        return [28, id, False, Inside([SERVER, number])]

    s = StreamScene(
        "the directory tells who offers what, and its channel what changes", "AGT-11", "AGT-12", "AGT-13", "STR-1"
    )
    s.opens_with("a", "streams")
    s.joins("a", name)
    s.hears("a", stream(2, name))
    s.tells("a", version(2, 0), reply(2, None))
    s.opens_with("w", "agents")
    s.hears("w", offer(1, AGENT, "search", worker="one"))
    s.tells("w", offered(1, AGENT))
    s.tells("a", change(1, entry))
    s.drop("w")
    s.advance(9)
    s.hears("a", stream(3, name))
    s.tells("a", version(3, 1), item(3, [*entry[:2], 2, *entry[3:]]), reply(3, None))
    s.advance(1)
    s.tells("a", change(2, [1, AGENT, 2]))
    s.advance(1)
    s.resumes("x", 1, (1, 1, 1), own=(1, 1, 1), session="session_w", key="secret_w", new="secret_x")
    s.tells("a", change(3, [1, AGENT, 1]))
    s.receive("x", ack(1, 1, 1))
    s.hears("a", stream(4, name))
    s.tells("a", version(4, 3), item(4, entry), reply(4, None))
    s.advance(1)
    s.hears("x", withdraw(2, AGENT))
    s.tells("x", offered(2, AGENT))
    s.tells("a", change(4, [1, AGENT, 0]))
    s.hears("a", publish(5, name, b"\x01"))
    s.tells("a", error(5, "DENIED"))
    yield s

    s = StreamScene(
        "what changes among offers within a second is told together, and what changes back is not", "AGT-13"
    )
    s.opens_with("a", "streams")
    s.joins("a", name)
    s.opens_with("w", "agents")
    s.hears("w", offer(1, AGENT, "search", worker="one"))
    s.tells("w", offered(1, AGENT))
    s.tells("a", change(1, entry))
    s.drop("w")
    s.resumes("x", 1, (1, 1, 1), own=(1, 1, 1), session="session_w", key="secret_w", new="secret_x")
    s.receive("x", ack(1, 1, 1))
    s.hears("x", offer(2, "passer", "search"))
    s.tells("x", offered(2, "passer"))
    s.hears("x", withdraw(3, "passer"))
    s.tells("x", offered(3, "passer"))
    s.hears("x", offer(4, AGENT, "find", worker="one"))
    s.tells("x", offered(4, AGENT))
    s.advance(1)
    s.tells("a", change(2, [1, AGENT, 0], [3, AGENT, 1, "one", b"", [["find", b""]], "t0p"]))
    s.advance(1)
    s.hears("x", offer(5, "guest", "search"))
    s.tells("x", offered(5, "guest"))
    s.tells("a", change(3, [4, "guest", 1, None, b"", [["search", b""]], "t0p"]))
    s.hears("x", withdraw(6, "guest"))
    s.tells("x", offered(6, "guest"))
    s.hears("x", offer(7, "guest", "search"))
    s.tells("x", offered(7, "guest"))
    s.hears("a", stream(2, name))
    s.tells(
        "a",
        version(2, 3),
        item(2, [3, AGENT, 1, "one", b"", [["find", b""]], "t0p"]),
        item(2, [5, "guest", 1, None, b"", [["search", b""]], "t0p"]),
        reply(2, None),
    )
    s.hears("x", withdraw(8, "guest"))
    s.tells("x", offered(8, "guest"))
    s.advance(1)
    s.tells("a", change(4, [4, "guest", 0], [5, "guest", 0]))
    yield s
