"""Cases of MESSAGE and VOLATILE, of unknown kinds, of sizes, of batches, and of rules that join several items."""

from collections.abc import Iterator
from typing import Any, Final

from .cases import Case, invalid, raw, valid
from .encoding import (
    Counts,
    FullRequest,
    Json,
    Raw,
    Request,
    Wide,
    compact,
    decoded,
    diagnostic,
    encode,
    head,
    sequence,
)
from .kinds import WRONG, flag, octets
from .layouts import MESSAGES, PACKETS, PLACE, SUBSCRIBE_OPTIONS, Layout

BODY: Final = 65_536
PACKET: Final = 16_384
ITEMS: Final = 1_024
BATCH: Final = 131_072

MESSAGE: Final = Layout("MESSAGE", 6, {"more": flag(), "body": octets(0, BODY, b"hello")}, clauses=("PKT-9",))
VOLATILE: Final = Layout("VOLATILE", 7, {"body": octets(0, BODY, b"hello")}, clauses=("CNT-7",))

_BY_NAME: Final = {layout.name: layout for layout in (*PACKETS, *MESSAGES)}
_LENGTHS: Final = (0, 1, 23, 24, 255, 256, 65_535, 65_536)


def bodies() -> Iterator[Case]:
    """Make MESSAGE and VOLATILE with bodies of every length at which the head changes."""
    for length in _LENGTHS:
        body = b"\x61" * length
        yield valid(MESSAGE, f"the last part, {length} bytes", {"body": body}, spec=("PRT-1",))
        yield valid(MESSAGE, f"more follows, {length} bytes", {"more": True, "body": body}, spec=("PRT-1",))
        yield valid(VOLATILE, f"{length} bytes", {"body": body}, spec=("PKT-7",))
    for layout, first in ((MESSAGE, [6, False]), (VOLATILE, [7])):
        for width in (1, 2, 4, 8):
            text = f"a length in {width} bytes where less would do"
            yield valid(layout, text, spec=("PKT-6",), wire=[*first, Wide(b"hello", width)], canonical=False)
        yield valid(layout, "every head in nine bytes", spec=("PKT-6",), wire=_widest(first), canonical=False)
        yield valid(layout, "one unknown item behind", spec=("PKT-4",), tail=(None,))
        behind = (1, {"later": b"\x00"}, "x")
        yield valid(layout, "several unknown items behind", spec=("PKT-4",), tail=behind)
        part = b"\x61" * 60_000
        rest = b"\x62" * (BODY + 64 - len(encode([*first, part])) - 3)
        spec = ("PKT-4", "PKT-7")
        yield valid(layout, "65,600 bytes in all", {"body": part}, spec=spec, tail=(rest,))
        full = b"\x61" * BODY
        rest = b"\x62" * (BODY + 64 - len(encode([*first, full])) - 2)
        yield valid(layout, "the longest body and an unknown item", {"body": full}, spec=spec, tail=(rest,))


def _widest(first: list[Any]) -> Wide:
    constants = [each if isinstance(each, bool) else Wide(each, 8) for each in first]
    return Wide([*constants, Wide(b"hello", 8)], 8)


def broken_bodies() -> Iterator[Case]:
    """Make MESSAGE and VOLATILE with wrong items, and with bodies that are too long."""
    for layout in (MESSAGE, VOLATILE):
        usual = [kind.usual for kind in layout.items.values()]
        for place, (name, kind) in enumerate(layout.items.items()):
            yield invalid(f"{layout.name}: ends before {name}", "PKT-8", [layout.kind, *usual[:place]])
            for what, value in WRONG.items():
                if what not in kind.types:
                    array = [layout.kind, *usual[:place], value, *usual[place + 1 :]]
                    yield invalid(f"{layout.name}: {name} is {what}", "PKT-8", array)
        first = encode([layout.kind, *usual[:-1], b""])[:-1]
        for length, width in ((BODY + 1, 4), (2**32 - 1, 4), (2**32, 8), (2**64 - 1, 8)):
            start = first + head(2, length, width)
            text = f"{layout.name}: a head that announces a body of {length} bytes"
            yield invalid(text, "PKT-7", Raw(start), by=len(start))
        body = b"\x61" * (BODY + 1)
        by = len(first) + 5
        yield invalid(f"{layout.name}: a body of 65,537 bytes", "PKT-7", [layout.kind, *usual[:-1], body], by=by)
        start = encode([layout.kind, *usual[:-1], b"", b""])[:-1]
        long = start + head(2, BODY + 64 - len(start) - 4, 4)
        yield invalid(f"{layout.name}: 65,601 bytes in all", "PKT-7", Raw(long), spec=("PKT-4",), by=len(long))
    yield invalid("MESSAGE: more in two bytes", "PKT-6", raw("8306f81441 61"), by=3)


def kinds() -> Iterator[Case]:
    """Make packets of kinds that version 1 does not have, and things that have none."""
    for kind in (0, 14, 15, 23, 24, 127):
        yield invalid(f"the unknown critical kind {kind}", "PKT-2", [kind, 1], by=len(encode([kind])))
    starts: dict[str, tuple[Any, int | None]] = {
        "the kind 256": ([256, 1], 4),
        "the kind 2^53": ([2**53, 1], 10),
        "a negative kind": ([-1, 1], 2),
        "a text as kind": (["PING", 5, None], 2),
        "a byte string as kind": ([b"\x09", 5, None], 2),
        "null as kind": ([None, 5, None], 2),
        "a boolean as kind": ([True, 5, None], 2),
        "a float as kind": ([9.0, 5, None], 10),
        "an array as kind": ([[9], 5, None], 2),
        "a map as kind": ([{}, 5, None], 2),
        "an array without items": ([], 1),
        "an integer where a packet begins": (9, 1),
        "a text where a packet begins": ("PING", 1),
        "a byte string where a packet begins": (b"\x83\x09\x05\xf6", 1),
        "a map where a packet begins": ({"kind": 9}, 1),
        "null where a packet begins": (None, 1),
    }
    for name, (value, by) in starts.items():
        yield invalid(name, "PKT-1", value, by=by)


def broken_layers() -> Iterator[Case]:
    """Make bodies that are no message of the message layer."""
    for kind in (0, 23, 127):
        yield invalid(f"the unknown critical kind {kind}", "MSG-3", [kind, 1], layer="message")
    for name, value in {
        "the kind 256": [256, 1],
        "a text as kind": ["CALL", 1],
        "null as kind": [None, 1],
        "an array without items": [],
        "an integer": 5,
        "a text": "hello",
        "a map": {"kind": 15},
    }.items():
        yield invalid(name, "MSG-1", value, layer="message")
    ends = ("PKT-6", ("MSG-1",))
    yield invalid("no byte at all", ends[0], Raw(b""), layer="message", spec=ends[1])
    yield invalid("a byte behind", ends[0], raw("820f01f6"), layer="message", spec=ends[1])
    yield invalid("a second message behind", ends[0], raw("820f01820f02"), layer="message", spec=ends[1])
    yield invalid("the last byte missing", ends[0], raw("820f"), layer="message", spec=ends[1])
    yield invalid(
        "a text one byte longer than what is there", ends[0], raw("8303018162 61"), layer="message", spec=ends[1]
    )
    yield invalid("1,025 items", "PKT-7", [15, 1, [0] * (ITEMS - 3)], layer="message", spec=("MSG-1",))


def skipped() -> Iterator[Case]:
    """Make packets and messages that are unknown and may be ignored."""
    for layer, extra in (("session", ()), ("message", ("MSG-3",))):
        for kind in (128, 200, 255):
            yield _skip(f"{layer}: the unknown kind {kind}, no other item", layer, [kind], extra)
        array = [200, "later", {"k": [1, b"\x02"]}, 2.5, None]
        yield _skip(f"{layer}: an unknown kind with items of many types", layer, array, extra)
    yield _skip("session: an unknown kind in nine bytes", "session", [Wide(200, 8), 1], ())
    size = PACKET - len(encode([200, b"\x00" * 300])) + 300
    yield _skip("session: an unknown kind, 16,384 bytes", "session", [200, b"\x00" * size], ("PKT-7",))
    yield _skip("session: an unknown kind, 1,024 items", "session", [200, *[0] * (ITEMS - 2)], ("PKT-7",))


def _skip(description: str, layer: str, array: list[Any], extra: tuple[str, ...]) -> Case:
    spec = ("PKT-3", *extra)
    return Case(description, spec, layer, encode(array), diagnostic(array), {"packet": None})


def sizes() -> Iterator[Case]:
    """Make packets at the limits of bytes and of items."""
    auth = _BY_NAME["AUTH"]
    room = PACKET - len(encode([11, {"k": b"\x00" * 300}])) + 300
    yield valid(auth, "16,384 bytes", {"credentials": {"k": b"\x00" * room}}, spec=("PKT-7",))
    yield valid(auth, "1,024 items", {"credentials": {"k": [0] * (ITEMS - 5)}}, spec=("PKT-7",))
    yield valid(_BY_NAME["CANCEL"], "1,024 items", spec=("PKT-4", "MSG-1"), tail=([0] * (ITEMS - 4),))


def broken_sizes() -> Iterator[Case]:
    """Make packets beyond the limits, most of them only the heads that announce it."""
    room = PACKET - len(encode([11, {"k": b"\x00" * 300}])) + 300
    start = encode([11, {"k": b"\x00" * (room + 1)}])[: -(room + 1)]
    yield invalid("AUTH of 16,385 bytes", "PKT-7", [11, {"k": b"\x00" * (room + 1)}], by=len(start))
    yield invalid("AUTH of 1,025 items", "PKT-7", [11, {"k": [0] * (ITEMS - 4)}], by=8)
    tail = b"\x84\x09\x05\xf6" + head(2, PACKET)
    yield invalid("an unknown item of 16,384 bytes behind a PING", "PKT-7", Raw(tail), spec=("PKT-4",), by=len(tail))
    ignored = b"\x82\x18\xc8" + head(2, PACKET)
    yield invalid(
        "16,384 bytes in a packet that would be skipped", "PKT-7", Raw(ignored), spec=("PKT-3",), by=len(ignored)
    )
    small = [11, {"k": ["x" * 50] * 318}]
    yield invalid("many short texts, 16,385 bytes or more together", "PKT-7", small, by=8 + 314 * 52 + 2)
    for name, major in (("byte string", 2), ("text", 3), ("array", 4)):
        for length in (2**16, 2**32, 2**53, 2**63, 2**64 - 1):
            data = b"\x82\x0b\xa1\x61k" + head(major, length)
            yield invalid(f"a head that announces {length} in a {name}", "PKT-7", Raw(data), by=len(data))
    for length in (2**16, 2**32, 2**63, 2**64 - 1):
        data = b"\x82\x0b" + head(5, length)
        yield invalid(f"a head that announces {length} pairs in a map", "PKT-7", Raw(data), by=len(data))
        whole = head(4, length) + b"\x09"
        yield invalid(f"a head that announces a packet of {length} items", "PKT-7", Raw(whole), by=len(whole))


def subscriptions() -> Iterator[Case]:
    """Make SUBSCRIBE with options, which stand inside an array of its own."""
    layout, kind = _BY_NAME["SUBSCRIBE"], SUBSCRIBE_OPTIONS
    each: dict[str, dict[str, Any]] = {f"nothing but {key}": {key: value} for key, value in kind.usual.items()}
    for what, options in {"usual": kind.usual, "empty": kind.smallest, "large": kind.largest, **each}.items():
        for since in (None, PLACE):
            text = f"options, {what}, {'without' if since is None else 'with'} a position"
            yield valid(layout, text, {"channels": [FullRequest("x", since, options)]}, spec=("MSG-9", "SUB-10"))
    mixed = [Request("x", None), FullRequest("y", PLACE, kind.usual), Request("z", PLACE)]
    yield valid(layout, "options for one of several", {"channels": mixed}, spec=("MSG-9",))
    loose = {"later": {"k": [1.5, None]}, **dict.fromkeys(kind.usual)}
    for what, options, meant in (
        ("null", None, Request("x", None)),
        ("nulls and an unknown key", loose, FullRequest("x", None, {})),
    ):
        array = [1, 1, [["x", None, options]]]
        text = f"options, {what}"
        yield valid(layout, text, {"channels": [meant]}, spec=("MSG-9",), wire=array, canonical=False)


def broken_subscriptions() -> Iterator[Case]:
    """Make SUBSCRIBE with options that are none."""
    kind = SUBSCRIBE_OPTIONS
    wrong = [(what, value, "PKT-8") for what, value in WRONG.items() if what not in kind.types]
    for what, value, clause in (*wrong, *kind.outside):
        array = [1, 1, [["x", None, value]]]
        yield invalid(f"SUBSCRIBE: options is {what}", clause, array, layer="message", spec=("MSG-9",))
    longer: list[Any] = ["x", None, kind.smallest, None]
    text = "SUBSCRIBE: an item behind the options"
    yield invalid(text, "PKT-8", [1, 1, [longer]], layer="message", spec=("MSG-9", "PKT-4"))


def joined() -> Iterator[Case]:
    """Make packets whose items bear on each other, and numbers that are not in the registries."""
    close, reset = _BY_NAME["CLOSE"], _BY_NAME["RESET"]
    superseded = {"code": 301, "reconnect": False, "resume": False, "attempt": 4}
    yield valid(close, "superseded, with the highest attempt", superseded, spec=("CLS-7", "ATT-6"))
    yield valid(close, "a code that no registry has", {"code": 4711}, spec=("CLS-2",))
    times = {"after_min_ms": 5000, "after_max_ms": 1000}
    yield valid(close, "a minimum above the maximum", times)
    yield valid(reset, "a reason that no registry has", {"reason": 4711}, spec=("RST-11",))
    yield valid(_BY_NAME["ACK"], "delivered above received", {"counts": Counts(1, 2, 3)}, spec=("CNT-8",))
    opening = {"window_messages": 1, "window_bytes": 2, "message_bytes": 3}
    unknown = {"later": {"k": [1.5, None]}, **opening, "operations": "any"}
    values, shown = {"limits": unknown}, {"limits": opening}
    yield valid(_BY_NAME["OPEN"], "limits with unknown keys", values, spec=("PKT-13",), shown=shown, canonical=False)


def broken_joined() -> Iterator[Case]:
    """Make a packet whose items contradict each other."""
    close = [13, 301, "", False, False, 0, 0, None, None]
    yield invalid("CLOSE: superseded, without an attempt", "CLS-7", close, spec=("PKT-8",))


def batches() -> Iterator[Case]:
    """Make batches that have to be taken."""
    ping: Json = {"kind": "PING", "token": 5, "counts": None}
    message: Json = {"kind": "MESSAGE", "more": False, "body": {"hex": "68656c6c6f"}}
    ack: Json = {"kind": "ACK", "counts": decoded(Counts(1, 1, 0))}
    three = [[6, False, b"hello"], [8, Counts(1, 1, 0)], [9, 5, None]]
    yield _batch("no packets", [], [])
    yield _batch("one packet", three[:1], [message])
    yield _batch("several packets", three, [message, ack, ping])
    yield _batch("a packet that is skipped between others", [three[0], [200, 1], three[2]], [message, ping], ("PKT-3",))
    yield _batch("nothing but packets that are skipped", [[200, 1], [255]], [], ("PKT-3",))
    wide = [[6, False, Wide(b"hello", 4)], [8, Counts(1, 1, 0), "later"], Wide([9, 5, None], 8)]
    yield _batch("packets with unusual heads and tails", wide, [message, ack, ping], ("PKT-4", "PKT-6"))
    part = b"\x61" * (BODY - 9)
    rest = b"\x62" * (BODY - 7)
    full = [[6, True, part], [6, False, rest]]
    shown = [
        {"kind": "MESSAGE", "more": True, "body": {"hex": compact(part)}},
        {"kind": "MESSAGE", "more": False, "body": {"hex": compact(rest)}},
    ]
    assert len(sequence(full)) == BATCH - 4
    yield _batch("131,072 bytes", [*full, [200, 0]], shown, ("PKT-3",))


def _batch(description: str, values: list[Any], packets: list[Json], extra: tuple[str, ...] = ()) -> Case:
    notation = [diagnostic(value) for value in values]
    text = ", ".join(each for each in notation if each is not None)
    return Case(description, ("PKT-5", *extra), "batch", sequence(values), text, {"packets": packets})


def broken_batches() -> Iterator[Case]:
    """Make batches that have to be refused."""
    good = encode([6, False, b"hello"])
    ends = {
        "the last byte is missing": good[:-1],
        "a second packet has only begun": good + b"\x82",
        "a second packet lacks an item": good + b"\x83\x09\x05",
        "nothing but a first byte": b"\x83",
        "a head that is not complete": good + b"\x83\x06\xf4\x59\x01",
        "an ignorable packet that is not complete": good + b"\x82\x18\xc8",
    }
    for name, data in ends.items():
        yield invalid(name, "PKT-5", Raw(data), layer="batch")
    yield invalid(
        "a faulty packet behind a good one", "PKT-6", Raw(good + b"\x82\x0b\xc0"), layer="batch", spec=("PKT-5",)
    )
    yield invalid(
        "an unknown critical packet behind a good one",
        "PKT-2",
        Raw(good + b"\x82\x0e\x01"),
        layer="batch",
        spec=("PKT-5",),
    )
    yield invalid("a break behind a packet", "PKT-6", Raw(good + b"\xff"), layer="batch", spec=("PKT-5",))
    one = encode([6, False, b"\x61" * (BODY - 9)])
    other = encode([6, False, b"\x61" * (BODY - 7)])
    long = one + other + encode([200, 0, 0])
    assert len(long) == BATCH + 1
    yield invalid("131,073 bytes of good packets", "PKT-5", Raw(long), layer="batch")
