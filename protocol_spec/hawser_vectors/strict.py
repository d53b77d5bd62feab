"""Cases of strict CBOR: what every receiver refuses wherever it stands, and what it takes though it is unusual.

They stand in credentials, in unknown items behind a PING, or in unknown items behind a CANCEL, because nothing else
judges what is there.
"""

from collections.abc import Iterator
from typing import Any, Final

from .cases import Case, invalid, raw, valid
from .encoding import Counts, Half, Raw, Single, Wide, encode, head
from .kinds import TOP
from .layouts import MESSAGES, PACKETS

_BY_NAME: Final = {layout.name: layout for layout in (*PACKETS, *MESSAGES)}
AUTH: Final = _BY_NAME["AUTH"]
PING: Final = _BY_NAME["PING"]
CANCEL: Final = _BY_NAME["CANCEL"]

_SAMPLES: Final = (
    # RFC 8949 appendix F.1, "End of input in a head".
    "18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900 fa0000 fb000000 "
    # Definite-length strings with short data.
    "41 61 5affffffff00 5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203 "
    # Maps and arrays not closed with enough items.
    "81 818181818181818181 8200 a1 a20102 a100 a2000000 "
    # Tag without content; indefinite lengths not closed.
    "c0 5f4100 7f6100 9f 9f0102 bf bf01020102 819f 9f8000 9f9f9f9f9fffffffff 9f819f819f9fffffff "
    # Reserved additional information.
    "1c 1d 1e 3c 3d 3e 5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe "
    # Reserved two-byte simple values.
    "f800 f801 f818 f81f "
    # Chunks of a wrong type, or of indefinite length.
    "5f00ff 5f21ff 5f6100ff 5f80ff 5fa0ff 5fc000ff 5fe0ff 7f4100ff 5f5f4100ffff 7f7f6100ffff "
    # Break on its own, or where a definite length or a value is due.
    "ff 81ff 8200ff a1ff a1ff00 a100ff a20000ff 9f81ff 9f829f819f9fffffffff bf00ff bf000000ff "
    # Major types without an indefinite length.
    "1f 3f df"
)
MALFORMED: Final = tuple(_SAMPLES.split())
"""The samples of RFC 8949 appendix F, none of which is well-formed CBOR."""


def malformed() -> Iterator[Case]:
    """Make the samples of the RFC into unknown items at the end of a message; a missing end is an error there."""
    for sample in MALFORMED:
        yield invalid(
            f"RFC 8949 appendix F: {sample}",
            "PKT-6",
            raw("830f01" + sample),
            layer="message",
            spec=("MSG-1",),
        )


def tags() -> Iterator[Case]:
    """Make tags of every kind and size."""
    text, octets, number, pair = "2013-03-21", b"\x01", 1, [1, 1]
    known: dict[int, tuple[str, Any]] = {
        0: ("date and time as text", text),
        1: ("date and time as a number", number),
        2: ("positive bignum", octets),
        3: ("negative bignum", octets),
        4: ("decimal fraction", pair),
        5: ("bigfloat", pair),
        6: ("unassigned", number),
        21: ("expected base64url", octets),
        23: ("expected base16", octets),
        24: ("encoded CBOR", octets),
        25: ("string reference", number),
        28: ("shareable", []),
        29: ("shared reference", 0),
        30: ("rational", pair),
        32: ("URI", "a:b"),
        35: ("regular expression", "a*"),
        36: ("MIME message", ""),
        37: ("UUID", bytes(16)),
        52: ("IPv4 address", bytes(4)),
        54: ("IPv6 address", bytes(16)),
        64: ("typed array", octets),
        100: ("days", number),
        255: ("the last in one byte", number),
        256: ("string reference namespace", [text]),
        258: ("set", pair),
        260: ("IP address", bytes(4)),
        261: ("IP network", {}),
        1004: ("date", text),
        43000: ("embedded CBOR", octets),
        55799: ("self-described CBOR", number),
        65535: ("the last in two bytes", number),
        2**32 - 1: ("the last in four bytes", number),
        2**64 - 1: ("the last of all", number),
    }
    for tag, (name, value) in known.items():
        tagged = Raw(head(6, tag) + encode(value), f"{tag}(...)")
        yield invalid(f"tag {tag}, {name}, in credentials", "PKT-6", [11, {"key": tagged}])
    yield invalid("a tag around a key", "PKT-6", raw("820ba1c0616b01"))
    yield invalid("a tag in an unknown item", "PKT-6", [9, 5, None, Raw(b"\xc1\x00", "1(0)")])
    yield invalid("a tag around a whole packet", "PKT-6", raw("d9d9f7830905f6", "55799([9, 5, null])"), by=1)
    yield invalid("a tag around a kind", "PKT-6", raw("83c10905f6", "[1(9), 5, null]"), by=2)
    yield invalid("a tag around a whole message", "PKT-6", raw("d9d9f7820f01", "55799([15, 1])"), layer="message")


def indefinite() -> Iterator[Case]:
    """Make indefinite lengths of every type, in every place."""
    yield invalid("a packet of indefinite length", "PKT-6", raw("9f0905f6ff", "[_ 9, 5, null]"), by=1)
    yield invalid("a message of indefinite length", "PKT-6", raw("9f0f01ff", "[_ 15, 1]"), layer="message")
    yield invalid("counts of indefinite length", "PKT-6", raw("82089f000000ff", "[8, [_ 0, 0, 0]]"), by=3)
    yield invalid("credentials of indefinite length", "PKT-6", raw("820bbf616b01ff", '[11, {_ "k": 1}]'), by=3)
    yield invalid("a body in chunks", "PKT-6", raw("8306f45f41614162ff", "[6, false, (_ h'61', h'62')]"), by=4)
    yield invalid("a body of no chunks", "PKT-6", raw("82075fff", "[7, (_ )]"), by=3)
    yield invalid("text in chunks", "PKT-6", raw("820ba1616b7f61616162ff", '[11, {"k": (_ "a", "b")}]'))
    yield invalid("a key in chunks", "PKT-6", raw("820ba17f616bff01", '[11, {(_ "k"): 1}]'))
    yield invalid(
        "an array of indefinite length in an unknown item", "PKT-6", raw("840905f69fff", "[9, 5, null, [_ ]]")
    )
    yield invalid("a break where a packet begins", "PKT-6", raw("ff"), by=1)


def simple() -> Iterator[Case]:
    """Make simple values; only false, true and null are any of ours."""
    for value in (0, 1, 19, 24, 31, 32, 255):
        data = bytes((0xE0 | value,)) if value < 24 else bytes((0xF8, value))
        notation = None if 24 <= value < 32 else f"simple({value})"
        yield invalid(f"simple value {value} in credentials", "PKT-6", [11, {"key": Raw(data, notation)}])
    for name, byte in (("false", 20), ("true", 21), ("null", 22), ("undefined", 23)):
        yield invalid(f"{name} in two bytes", "PKT-6", [11, {"key": Raw(bytes((0xF8, byte)))}])
    undefined = raw("f7", "undefined")
    yield invalid("undefined in credentials", "PKT-6", [11, {"key": undefined}])
    yield invalid("undefined for null", "PKT-6", [9, 5, undefined])
    yield invalid("undefined as an unknown item", "PKT-6", [9, 5, None, undefined])
    yield invalid("undefined in a message", "PKT-6", [15, 1, undefined], layer="message")


def maps() -> Iterator[Case]:
    """Make keys that are twice there or no text."""
    yield invalid("a key twice, with the same value", "PKT-6", raw("820ba2616b01616b01", '[11, {"k": 1, "k": 1}]'))
    yield invalid("a key twice, its head once longer", "PKT-6", raw("820ba2616b0178016b02", '[11, {"k": 1, "k"_0: 2}]'))
    nested = raw("820ba1616ba26161016161f6", '[11, {"k": {"a": 1, "a": null}}]')
    yield invalid("a key twice in a nested map", "PKT-6", nested)
    tail = raw("840905f6a2616b01616b02", '[9, 5, null, {"k": 1, "k": 2}]')
    yield invalid("a key twice in an unknown item", "PKT-6", tail)
    ignored = raw("8218c8a2616b01616b02", '[200, {"k": 1, "k": 2}]')
    yield invalid("a key twice in a packet that would be skipped", "PKT-6", ignored, spec=("PKT-3",))
    yield invalid("a key twice in limits", "PKT-6", _limits_twice())
    keys: dict[str, tuple[Any, str]] = {
        "an integer": (1, "{1: 0}"),
        "a negative integer": (-1, "{-1: 0}"),
        "a byte string": (b"k", "{h'6b': 0}"),
        "null": (None, "{null: 0}"),
        "a boolean": (True, "{true: 0}"),
        "a float": (1.5, "{1.5: 0}"),
        "not a number": (float("nan"), "{NaN: 0}"),
        "an array": ([], "{[]: 0}"),
        "a map": ({}, "{{}: 0}"),
    }
    for name, (key, notation) in keys.items():
        data = b"\xa1" + encode(key) + b"\x00"
        yield invalid(f"{name} as a key", "PKT-6", [11, Raw(data, notation)])
    twice = Raw(b"\xa2" + 2 * (encode(float("nan")) + b"\x00"), "{NaN: 0, NaN: 0}")
    yield invalid("not a number as a key twice", "PKT-6", [11, twice])
    yield invalid("an integer as a key in limits", "PKT-6", [1, [1], [], {}, None, Raw(b"\xa1\x00\x00", "{0: 0}")])
    yield invalid("an integer as a key in a message", "PKT-6", [15, 1, Raw(b"\xa1\x00\x00", "{0: 0}")], layer="message")


def _limits_twice() -> list[Any]:
    names = ("window_messages", "window_bytes", "message_bytes", "message_bytes")
    data = head(5, 4) + b"".join(encode(name) + b"\x01" for name in names)
    return [1, [1], [], {}, None, Raw(data)]


def texts() -> Iterator[Case]:
    """Make text that is not UTF-8."""
    samples = {
        "a lone continuation byte": "6180",
        "a lone first byte": "61c3",
        "a byte that never occurs": "61ff",
        "a slash in two bytes": "62c0af",
        "a slash in three bytes": "63e080af",
        "a surrogate": "63eda080",
        "a pair of surrogates": "66eda081edb080",
        "above U+10FFFF": "64f4908080",
        "a character cut short": "62e282",
    }
    for name, sample in samples.items():
        yield invalid(f"text with {name}", "PKT-6", [11, {"key": raw(sample)}])
    yield invalid("a key that is not UTF-8", "PKT-6", raw("820ba161ff01"))
    yield invalid("a close reason that is not UTF-8", "PKT-6", [13, 100, raw("61ff"), True, True, 0, 0, None, None])
    yield invalid("text that is not UTF-8 in an unknown item", "PKT-6", [9, 5, None, raw("61ff")])
    yield invalid(
        "text that is not UTF-8 in a packet that would be skipped", "PKT-6", [200, raw("61ff")], spec=("PKT-3",)
    )
    yield invalid("a channel that is not UTF-8", "PKT-6", [3, 1, [raw("61ff")]], layer="message", spec=("MSG-1",))


def numbers() -> Iterator[Case]:
    """Make integers around 2^53."""
    for value in (TOP + 1, 2**63, 2**64 - 1, -TOP - 1, -(2**63), -(2**64)):
        yield invalid(f"the integer {value} in credentials", "PKT-6", [11, {"key": value}])
        yield invalid(f"the integer {value} as an unknown item", "PKT-6", [9, 5, None, value])
    yield invalid("a count of 2^64 - 1", "PKT-6", [8, Counts(0, 0, 2**64 - 1)])
    yield invalid("an id of 2^53 + 1", "PKT-6", [15, TOP + 1], layer="message", spec=("MSG-1",))


def depth() -> Iterator[Case]:
    """Make arrays and maps one level too deep."""
    yield invalid("arrays 17 deep, in credentials", "PKT-6", [11, {"key": _arrays(15)}])
    yield invalid("maps 17 deep, in credentials", "PKT-6", [11, _maps(16)])
    yield invalid("arrays 17 deep, as an unknown item", "PKT-6", [9, 5, None, _arrays(16)])
    yield invalid("arrays 17 deep, in a packet that would be skipped", "PKT-6", [200, _arrays(16)], spec=("PKT-3",))
    yield invalid("arrays 17 deep, in a message", "PKT-6", [15, 1, _arrays(16)], layer="message", spec=("MSG-1",))
    yield invalid("1,000 arrays that never end", "PKT-6", Raw(b"\x83\x09\x05" + b"\x81" * 1000), by=19)
    yield invalid("1,000 maps that never end", "PKT-6", Raw(b"\x82\x0b" + b"\xa1\x60" * 1000), by=33)
    deep = Raw(b"\x83\x0f\x01" + b"\x81" * 65_000)
    yield invalid("65,000 arrays that never end, in a message", "PKT-6", deep, layer="message", spec=("MSG-1",))


def _arrays(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def _maps(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"k": value}
    return value


def unusual() -> Iterator[Case]:
    """Make what is rare and has to be taken all the same."""
    for width in (1, 2, 4, 8):
        wide = [Wide(9, width), Wide(5, width), None]
        text = f"heads with {width} bytes more than necessary"
        spec = ("PKT-6", "PKT-9")
        yield valid(PING, text, {"counts": None}, spec=spec, wire=Wide(wide, width), canonical=False)
        close = [13, 100, Wide("a", width), True, True, 0, 0, None, None]
        yield valid(_BY_NAME["CLOSE"], text, _close("a"), spec=spec, wire=close, canonical=False)
        auth = [11, Wide({"k": Wide(b"", width)}, width)]
        yield valid(AUTH, text, {"credentials": {"k": b""}}, spec=spec, wire=auth, canonical=False)
    for name, value in {
        "arrays 16 deep": {"k": _arrays(14)},
        "maps 16 deep": _maps(15),
        "2^53": {"k": TOP},
        "-2^53": {"k": -TOP},
        "2^53 - 1": {"k": TOP - 1},
        "floats of three widths": {"half": Half(1.5), "single": Single(1.5), "double": 1.1},
        "floats that are no numbers": {"a": Half(float("nan")), "b": Single(float("-inf")), "c": float("inf")},
        "a float that is whole": {"k": 2.0**53},
        "a key that is empty": {"": ""},
        "keys that differ in their case or their composition": {"k": 1, "K": 2, "é": 3, "e\u0301": 4},
        "keys with names that some languages treat specially": {"__proto__": 1, "constructor": {"prototype": None}},
        "text beyond the basic plane": {"k": "\U0001f6a2"},
        "text with a zero": {"k": "\0"},
    }.items():
        plain = "float" not in name  # which width an encoder takes is its own affair
        yield valid(AUTH, f"credentials with {name}", {"credentials": value}, spec=("PKT-6",), canonical=plain)
    tail = (_arrays(15),)
    yield valid(PING, "unknown items 16 deep", spec=("PKT-4", "PKT-6"), tail=tail)
    yield valid(CANCEL, "unknown items 16 deep", spec=("PKT-4", "PKT-6", "MSG-1"), tail=tail)


def _close(reason: str) -> dict[str, Any]:
    usual = {"code": 100, "reason": reason, "reconnect": True, "resume": True, "after_min_ms": 0, "after_max_ms": 0}
    return usual | {"url": None, "attempt": None}
