"""What a service declares of events, arguments and items, and what becomes of what differs (CTR)."""

from collections.abc import Iterator
from typing import Any, Final

from ..encoding import encode
from .messages import call, credit, error, in_parts, item, publication, publish, published, reply, stream
from .patterns import REASON, WHATEVER, Inside
from .service import ServiceScene
from .streams import WINDOW, StreamScene

CHANNEL: Final = "declared:rope"
LINE: Final = {"id": "rope", "count": 2}
PLACED: Final = {"tags": {"event": "placed"}}
GONE: Final = {"tags": {"event": "gone"}}
TOO_LONG: Final = b"\x5a\x00\x01\x00\x00" + bytes(65_536)
"""A byte string that is longer than what a server decodes (MSG-8)."""

WRONG: Final[dict[str, bytes]] = {
    "nothing of it": encode(None),
    "no CBOR value": b"\xff",
    "a list": encode([LINE]),
    "a member that is missing": encode({"id": "rope"}),
    "a member that is not declared": encode({**LINE, "colour": "red"}),
    "a member of another type": encode({"id": "rope", "count": "2"}),
    "a floating-point number for an integer": encode({"id": "rope", "count": 2.0}),
    "a value out of range": encode({"id": "rope", "count": -1}),
}
"""What no `placed` is."""


def told(path: str, code: str, **behind: Any) -> Inside:
    """Write the data of an ERROR with one problem (CTR-3)."""
    return Inside({"problems": [{"path": path, "code": code, "message": REASON}], "more": False, **behind})


def refused(id: int, code: str = "BAD_REQUEST") -> list[Any]:
    """Write an ERROR with any data."""
    return error(id, code, data=WHATEVER)


def server() -> Iterator[ServiceScene]:
    """CTR: what a server does with what is not as declared."""
    yield from _events()
    yield from _arguments()
    yield from _items()


def _events() -> Iterator[ServiceScene]:
    s = ServiceScene("what is published is an event as it is declared, and nothing else is", "CTR-1", "PUB-7")
    s.starts()
    s.second("b")
    s.joins("b", CHANNEL)
    s.hears("a", publish(1, CHANNEL, encode(LINE), about=PLACED))
    s.tells("a", published(1, 1))
    s.tells("b", publication(CHANNEL, 1, encode(LINE), about=PLACED))
    tags: list[Any] = [None, {"tags": {"other": "placed"}}, {"tags": {"event": "lost"}}, GONE]
    for id, about in enumerate(tags, 2):
        s.hears("a", publish(id, CHANNEL, encode(LINE), about=about))
        s.tells("a", refused(id))
    for id, data in enumerate(WRONG.values(), 10):
        s.hears("a", publish(id, CHANNEL, data, about=PLACED))
        s.tells("a", refused(id))
    s.hears("a", publish(99, CHANNEL, encode({"id": "rope"}), about={"tags": {"by": "ship", "event": "gone"}}))
    s.tells("a", published(99, 2))
    s.tells("b", publication(CHANNEL, 2, encode({"id": "rope"}), about={"tags": {"by": "ship", "event": "gone"}}))
    yield s

    s = ServiceScene("data that is longer than what a server decodes is no event", "CTR-1", "MSG-8")
    s.starts()
    s.receive("a", *in_parts(publish(1, CHANNEL, TOO_LONG, about=PLACED)))
    s.tells("a", refused(1, "TOO_LARGE"))
    s.hears("a", publish(2, CHANNEL, encode(LINE), about=PLACED))
    s.tells("a", published(2, 1))
    yield s

    s = ServiceScene("whoever publishes what is no event is told where it differs", "CTR-3", level="SHOULD")
    s.starts()
    cases: list[tuple[Any, Any, Inside]] = [
        (LINE, None, told("tags.event", "missing")),
        (LINE, {"tags": {"event": "lost"}}, told("tags.event", "unknown")),
        (5, PLACED, told("$", "type")),
        ({"id": "rope"}, PLACED, told("$.count", "missing")),
        ({**LINE, "colour": "red"}, PLACED, told("$.colour", "unknown")),
        ({**LINE, "a b": 1}, PLACED, told('$["a b"]', "unknown")),
        ({"id": 7, "count": 2}, PLACED, told("$.id", "type")),
        ({"id": "rope", "count": -1}, PLACED, told("$.count", "value")),
    ]
    for id, (data, about, problems) in enumerate(cases, 1):
        s.hears("a", publish(id, CHANNEL, encode(data), about=about))
        s.tells("a", error(id, "BAD_REQUEST", data=problems))
    yield s


def _arguments() -> Iterator[ServiceScene]:
    s = StreamScene("a call with other arguments than are declared is not started", "CTR-2", "STR-1")
    s.opens_with("a", "streams")
    s.second("b")
    s.joins("b", CHANNEL)
    given: list[Any] = [[LINE], {"line": LINE}]
    for id, arguments in enumerate(given, 1):
        s.hears("a", call(id, "order", arguments))
        s.tells("a", reply(id, 2))
        s.tells("b", publication(CHANNEL, id, encode(LINE), about=PLACED))
    wrong = {"id": "rope", "count": -1}
    given = [[wrong], {"line": wrong}, [LINE, LINE], {"line": LINE, "more": 1}, {"lines": LINE}, [], ["rope", 2]]
    for id, arguments in enumerate(given, 3):
        s.hears("a", call(id, "order", arguments))
        s.tells("a", refused(id))
    s.hears("a", stream(20, "order", [wrong]))
    s.tells("a", refused(20))
    s.hears("a", stream(21, "order", [LINE]))
    s.tells("a", reply(21, 2))
    s.tells("b", publication(CHANNEL, 3, encode(LINE), about=PLACED))
    yield s

    s = StreamScene("whoever calls with others is told where they differ", "CTR-3", level="SHOULD")
    s.starts()
    told_of: list[tuple[Any, Inside]] = [
        ([5], told("$[0]", "type")),
        ([{"id": "rope", "count": -1}], told("$[0].count", "value")),
        ({"line": {"id": "rope"}}, told("$.line.count", "missing")),
    ]
    for id, (arguments, problems) in enumerate(told_of, 1):
        s.hears("a", call(id, "order", arguments))
        s.tells("a", error(id, "BAD_REQUEST", data=problems))
    yield s


def _items() -> Iterator[ServiceScene]:
    for name, data in WRONG.items():
        s = StreamScene(f"an item that differs ends its stream and nothing else: {name}", "CTR-4", "STR-4")
        s.opens_with("a", "streams")
        for id in (1, 2):
            s.hears("a", stream(id, "tally", inputs=True))
            s.tells("a", credit(id, *WINDOW, inward=True))
            s.hears("a", item(id, LINE, inward=True))
            s.tells("a", item(id, 2))
        s.hears("a", [28, 1, True, data])
        s.tells("a", refused(1))
        s.hears("a", item(1, LINE, inward=True), item(2, LINE, inward=True), [28, 2, True, None])
        s.tells("a", item(2, 4), reply(2, None))
        yield s

    s = StreamScene("an item that is longer than what is decoded ends its stream and nothing else", "CTR-4", "MSG-8")
    s.opens_with("a", "streams")
    s.hears("a", stream(1, "tally", inputs=True))
    s.tells("a", credit(1, *WINDOW, inward=True))
    s.receive("a", *in_parts([28, 1, True, TOO_LONG]))
    s.tells("a", credit(1, 1, len(TOO_LONG), inward=True), refused(1, "TOO_LARGE"))
    s.hears("a", call(2, "order", [LINE]))
    s.tells("a", reply(2, 2))
    yield s

    s = StreamScene("whoever sends one is told which it is, and where it differs", "CTR-5", level="SHOULD")
    s.opens_with("a", "streams")
    cases: list[tuple[Any, Inside]] = [
        ({"id": "rope", "count": "2"}, told("$.count", "type", item=3)),
        ([], told("$", "type", item=3)),
    ]
    for id, (wrong, problems) in enumerate(cases, 1):
        s.hears("a", stream(id, "tally", inputs=True))
        s.tells("a", credit(id, *WINDOW, inward=True))
        s.hears("a", item(id, LINE, inward=True), item(id, LINE, inward=True))
        s.tells("a", item(id, 2), item(id, 4))
        s.hears("a", item(id, wrong, inward=True))
        s.tells("a", error(id, "BAD_REQUEST", data=problems))
    yield s
