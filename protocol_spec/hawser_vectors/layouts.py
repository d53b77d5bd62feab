"""The arrays of version 1 as tables: what stands in each packet and each message, in order."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from .encoding import Offering, Outcome, Position, Present, Request, SendOutcome, Target
from .kinds import (
    Kind,
    array,
    counts,
    entries,
    flag,
    keyed,
    nullable,
    octets,
    omissible,
    open_map,
    optional,
    record,
    text,
    uint,
)

Layer: TypeAlias = Literal["session", "message"]


@dataclass(frozen=True)
class Layout:
    """One packet or message."""

    name: str
    kind: int
    items: dict[str, Kind]
    layer: Layer = "session"
    clauses: tuple[str, ...] = ()
    """Clauses that any valid one shows, apart from those of all."""
    file: str = ""
    behind: dict[str, Kind] = field(default_factory=dict[str, Kind])
    """Optional items, behind those that must be there (MSG-9)."""


SECRET: Final = bytes(range(32))
EPOCH: Final = bytes.fromhex("0123456789abcdef")
PLACE: Final = Position(EPOCH, 7)

_features = array(text(0, 64, "x-feature"), 0, 32)
_session = octets(1, 64, bytes.fromhex("6e31c0ffee"))
_secret = octets(32, 32, SECRET)
_incarnation = octets(1, 16, bytes.fromhex("01f4"))
_limits = ("window_messages", "window_bytes", "message_bytes")

PACKETS: Final = (
    Layout(
        "OPEN",
        1,
        {
            "versions": array(uint(1), 1, 16, thorough=True),
            "features": _features,
            "credentials": open_map(),
            "resume_period_ms": nullable(uint(120_000)),
            "limits": keyed(_limits),
        },
        clauses=("PKT-13",),
    ),
    Layout(
        "OPENED",
        2,
        {
            "version": uint(1),
            "features": _features,
            "session": _session,
            "secret": _secret,
            "incarnation": _incarnation,
            "resume_period_ms": uint(120_000),
            "ping_interval_ms": uint(25_000),
            "pong_wait_ms": uint(10_000),
            "limits": keyed((*_limits, "operations", "operation_bytes")),
        },
        clauses=("PKT-13",),
    ),
    Layout(
        "RESUME",
        3,
        {
            "session": _session,
            "secret": _secret,
            "incarnation": _incarnation,
            "attempt": uint(1, 1),
            "counts": counts(),
            "credentials": open_map(),
        },
        clauses=("PKT-12",),
    ),
    Layout("RESUMED", 4, {"attempt": uint(1, 1), "counts": counts(), "secret": _secret}, clauses=("PKT-12",)),
    Layout("RESET", 5, {"reason": uint(2), "counts": nullable(counts())}, clauses=("PKT-12", "RST-1")),
    Layout("ACK", 8, {"counts": counts(thorough=True)}, clauses=("PKT-12",)),
    Layout("PING", 9, {"token": uint(), "counts": nullable(counts())}, clauses=("PKT-12",)),
    Layout("PONG", 10, {"token": uint(), "counts": nullable(counts())}, clauses=("PKT-12",)),
    Layout("AUTH", 11, {"credentials": open_map()}),
    Layout("REAUTH", 12, {"within_ms": nullable(uint(30_000))}),
    Layout(
        "CLOSE",
        13,
        {
            "code": uint(100),
            "reason": text(0, 123, "deploy"),
            "reconnect": flag(True),
            "resume": flag(True),
            "after_min_ms": uint(0),
            "after_max_ms": uint(30_000),
            "url": nullable(text(0, 2048, "https://example.org/")),
            "attempt": nullable(uint(3)),
        },
        clauses=("CLS-1", "CLS-4"),
    ),
)
"""The packets whose cases follow from their tables; MESSAGE and VOLATILE have cases of their own."""

_id = uint(1, 1)
_name = text(1, 255, "room:lobby")
_epoch = octets(8, 8, EPOCH)
_place_parts = {"epoch": _epoch, "offset": uint()}
_places = (PLACE, Position(b"\0" * 8, 0), Position(b"\xff" * 8, 2**53))
_place = record(*_places, _place_parts, thorough=False)
_request = record(
    Request("room:lobby", PLACE),
    Request("x", None),
    Request("é" * 127 + "x", Position(b"\xff" * 8, 2**53)),
    {"channel": _name, "since": nullable(_place)},
)
_outcome = record(
    Outcome("room:lobby", 0, PLACE, ""),
    Outcome("x", 3, None, "DENIED"),
    Outcome("é" * 127 + "x", 2**53, Position(b"\xff" * 8, 2**53), "HISTORY_TOO_SHORT"),
    {"channel": _name, "status": uint(0), "position": nullable(_place), "reason": text(0, None, "")},
)
_remark = text(0, None, "subscribe 'room:lobby'")
SUBSCRIBE_OPTIONS: Final = optional(
    {
        "rewind": nullable(uint(10)),
        "rewind_ms": nullable(uint(60_000)),
        "filter": nullable(text(1, 1_024, 'kind == "news"')),
        "answers": nullable(flag(True)),
    }
)
_said = {
    "tags": nullable(entries(text(1, 32, "kind"), text(0, 64, "news"), 8)),
    "latest_key": nullable(text(1, 64, "ACME")),
}
_member = octets(1, 16, bytes.fromhex("a1b2c3d4e5f60718"))
_info = octets(0, 1_024, b"\xa1\x64name\x63Ada")
_present = record(
    Present(bytes.fromhex("a1b2c3d4e5f60718"), "ada", b"\xa1\x64name\x63Ada"),
    Present(b"\x00", "x", b""),
    Present(b"\xff" * 16, "é" * 127 + "x", b"\xa5" * 1_024),
    {"member": _member, "user": text(1, 255, "ada"), "info": _info},
)
_options = optional({**_said, "except_me": nullable(flag(True)), "volatile": nullable(flag(True))})
_about = optional({"publisher": nullable(text(1, 255, "ada")), "time_ms": nullable(uint(1_700_000_000_000)), **_said})
_part = text(1, 127, "researcher")
_description = octets(0, 4_096, b"\xa0")
_offered = record(
    Offering("search", b"\xa0"),
    Offering("x", b""),
    Offering("é" * 63 + "x", b"\xa5" * 4_096),
    {"procedure": _part, "description": _description},
)
_box = text(1, 255, "user:ada")
_target = record(
    Target(1, "bob"), Target(3, None), Target(2**53, "é" * 127 + "x"), {"kind": uint(1), "name": nullable(_name)}
)
_sent = record(
    SendOutcome(0, 2, 1, 0, None, ""),
    SendOutcome(2, 0, 0, 0, None, ""),
    SendOutcome(2**53, 2**53, 2**53, 2**53, Position(b"\xff" * 8, 2**53), "DENIED"),
    {
        "status": uint(0),
        "reached": uint(2),
        "away": uint(1),
        "full": uint(0),
        "position": nullable(_place),
        "reason": text(0, None, ""),
    },
)
_session_name = text(1, 32, "a1b2c3d4e5f60718")
_in_channel = {"channel": _name, "epoch": _epoch, "offset": uint()}

MESSAGES: Final = (
    Layout("SUBSCRIBE", 1, {"id": _id, "channels": array(_request, 1, 128)}, "message", ("SUB-1",), "subscribe"),
    Layout(
        "SUBSCRIBED",
        2,
        {"id": nullable(_id), "channels": array(_outcome, 1, 128)},
        "message",
        ("SUB-2", "ASG-1"),
        "subscribe",
        {"remarks": omissible(array(_remark, 1, 128))},
    ),
    Layout("UNSUBSCRIBE", 3, {"id": _id, "channels": array(_name, 1, 128)}, "message", (), "subscribe"),
    Layout(
        "UNSUBSCRIBED",
        4,
        {"id": nullable(_id), "channels": array(_name, 1, 128), "code": uint(0), "reason": text(0, None, "")},
        "message",
        ("SUB-6", "SUB-7"),
        "subscribe",
    ),
    Layout(
        "PUBLISH",
        5,
        {"id": _id, "channel": _name, "data": octets(0, None), "key": nullable(octets(1, 64, b"\x01\x02"))},
        "message",
        (),
        "publish",
        {"options": _options},
    ),
    Layout(
        "PUBLISHED",
        6,
        {"id": _id, "position": record(*_places, _place_parts), "duplicate": flag()},
        "message",
        ("PUB-1",),
        "publish",
    ),
    Layout(
        "PUBLICATION",
        7,
        {**_in_channel, "data": octets(0, None)},
        "message",
        ("CHN-2",),
        "channel",
        {"about": _about},
    ),
    Layout("POSITION", 8, _in_channel, "message", ("CHN-4", "LAT-3"), "channel"),
    Layout(
        "GAP",
        9,
        {"channel": _name, "since": nullable(_place), "position": _place, "reason": uint(1)},
        "message",
        ("CHN-5",),
        "channel",
    ),
    Layout("PAUSE", 10, _in_channel, "message", (), "channel"),
    Layout("CONTINUE", 11, _in_channel, "message", (), "channel"),
    Layout(
        "CALL",
        12,
        {
            "id": _id,
            "procedure": text(1, 255, "math.add"),
            "arguments": octets(0, None),
            "deadline_ms": nullable(uint(5_000)),
        },
        "message",
        (),
        "call",
    ),
    Layout("REPLY", 13, {"id": _id, "data": octets(0, None)}, "message", ("CAL-1",), "call"),
    Layout(
        "ERROR",
        14,
        {
            "id": _id,
            "code": uint(4),
            "message": text(0, None, "too many"),
            "temporary": flag(True),
            "data": nullable(octets(0, None)),
        },
        "message",
        ("CAL-1",),
        "call",
    ),
    Layout("CANCEL", 15, {"id": _id}, "message", (), "call"),
    Layout(
        "SEND",
        16,
        {
            "id": _id,
            "targets": array(_target, 1, 64),
            "data": octets(0, None),
            "key": nullable(octets(1, 64, b"\x01\x02")),
        },
        "message",
        (),
        "addressing",
        {"options": _options},
    ),
    Layout(
        "SENT",
        17,
        {"id": _id, "outcomes": array(_sent, 1, 64)},
        "message",
        (),
        "addressing",
        {"remarks": omissible(array(_remark, 1, 64))},
    ),
    Layout(
        "DIRECT",
        18,
        {
            "to": _target,
            "user": nullable(text(1, 255, "ada")),
            "session": nullable(_session_name),
            "data": octets(0, None),
        },
        "message",
        (),
        "addressing",
    ),
    Layout(
        "PRESENCE",
        19,
        {"id": _id, "channel": _name, "watch": uint(1), "info": nullable(_info)},
        "message",
        (),
        "presence",
    ),
    Layout(
        "PRESENT",
        20,
        {
            "id": nullable(_id),
            "channel": _name,
            "member": nullable(_member),
            "code": uint(0),
            "reason": text(0, None, ""),
        },
        "message",
        (),
        "presence",
    ),
    Layout(
        "MEMBERS",
        21,
        {
            "channel": _name,
            "version": uint(17),
            "total": uint(3),
            "more": flag(),
            "members": nullable(array(_present, 0, 128)),
        },
        "message",
        (),
        "presence",
    ),
    Layout(
        "CHANGES",
        22,
        {
            "channel": _name,
            "version": uint(18),
            "total": uint(4),
            "here": array(_present, 0, 128),
            "gone": array(_member, 0, 128),
        },
        "message",
        (),
        "presence",
    ),
    Layout(
        "OFFER",
        24,
        {
            "id": _id,
            "agent": _part,
            "worker": nullable(text(1, 127, "worker-1")),
            "description": _description,
            "procedures": array(_offered, 1, 128),
        },
        "message",
        (),
        "agent",
    ),
    Layout(
        "OFFERED",
        25,
        {"id": nullable(_id), "agent": _part, "code": uint(0), "reason": text(0, None, "")},
        "message",
        ("AGT-1",),
        "agent",
    ),
    Layout("WITHDRAW", 26, {"id": _id, "agent": _part}, "message", (), "agent"),
    Layout(
        "STREAM",
        27,
        {
            "id": _id,
            "procedure": text(1, 255, "log.follow"),
            "arguments": octets(0, None),
            "deadline_ms": nullable(uint(5_000)),
            "inputs": flag(),
            "items": uint(32),
            "bytes": uint(65_536),
        },
        "message",
        (),
        "stream",
    ),
    Layout(
        "ITEM", 28, {"id": _id, "inward": flag(), "data": nullable(octets(0, None))}, "message", ("STR-1",), "stream"
    ),
    Layout(
        "CREDIT",
        29,
        {"id": _id, "inward": flag(), "items": uint(16), "bytes": uint(20_000)},
        "message",
        ("STR-2",),
        "stream",
    ),
    Layout(
        "POST",
        30,
        {
            "id": _id,
            "mailbox": _box,
            "data": octets(0, None),
            "key": nullable(octets(1, 64, b"\x01\x02")),
            "ttl_ms": nullable(uint(60_000)),
        },
        "message",
        (),
        "mailbox",
    ),
    Layout(
        "HOLD",
        31,
        {"id": _id, "mailbox": nullable(_box), "letters": uint(32), "bytes": uint(262_144)},
        "message",
        (),
        "mailbox",
    ),
    Layout(
        "HELD",
        32,
        {"id": nullable(_id), "mailbox": _box, "state": uint(2), "code": uint(0), "reason": text(0, None, "")},
        "message",
        ("MBX-1",),
        "mailbox",
    ),
    Layout(
        "LETTER",
        33,
        {
            "mailbox": _box,
            "epoch": _epoch,
            "offset": uint(),
            "sender": nullable(text(1, 255, "bob")),
            "time_ms": uint(1_700_000_000_000),
            "tries": uint(0),
            "data": octets(0, None),
        },
        "message",
        ("MBX-6",),
        "mailbox",
    ),
    Layout(
        "SETTLE",
        34,
        {"mailbox": _box, "epoch": _epoch, "letters": array(uint(), 1, 128), "failed": flag()},
        "message",
        ("MBX-7",),
        "mailbox",
    ),
    Layout("LISTEN", 35, {"id": _id, "items": uint(100), "bytes": uint(262_144)}, "message", (), "addressing"),
    Layout("LISTENING", 36, {"id": _id, "session": _session_name}, "message", (), "addressing"),
    Layout(
        "READ",
        37,
        {
            "id": _id,
            "channel": _name,
            "since": nullable(record(*_places, _place_parts)),
            "before": nullable(record(*_places, _place_parts)),
            "limit": uint(50),
        },
        "message",
        (),
        "history",
    ),
    Layout(
        "PAGE",
        38,
        {
            "id": _id,
            "position": record(*_places, _place_parts),
            "first": uint(1),
            "more": flag(),
            "publications": array(octets(0, None), 0, 128),
        },
        "message",
        (),
        "history",
    ),
)
