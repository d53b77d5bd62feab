"""What the bytes on a link mean before anything else does (PKT, CAR)."""

from collections.abc import Iterator
from typing import Any

from ..encoding import Raw, encode
from .notation import ClientScene, ServerScene
from .packets import INCARNATION, SESSION, TOKEN, ack, auth, message, open_, opened, reauth, resume, secret


def server() -> Iterator[ServerScene]:
    """PKT, CAR: bytes on a link."""
    s = ServerScene("an unknown ignorable packet is skipped in every state", "PKT-3")
    s.connect("a")
    s.receive("a", [255, {"x": [1]}])
    s.receive("a", open_(), [128])
    s.judges("a")
    s.welcomes("a")
    s.receive("a", [200, 1], ack(0, 0, 0), [201], message("one"), [202], ack(0, 0, 1))
    s.event("opened")
    s.told("one")
    yield s

    s = ServerScene("more items than this version knows are ignored", "PKT-4")
    s.opens()
    s.receive("a", [8, [0, 0, 0], "later"], [6, False, b"one", {"later": None}])
    s.event("opened")
    s.told("one")
    yield s

    foreign: dict[str, list[Any]] = {
        "OPENED": [
            2,
            1,
            [],
            b"s",
            bytes(32),
            b"i",
            1,
            1,
            1,
            {"window_messages": 1, "window_bytes": 1, "message_bytes": 1, "operations": 1, "operation_bytes": 1},
        ],
        "RESUMED": [4, 1, [0, 0, 0], bytes(32)],
        "REAUTH": reauth(None),
    }
    for name, packet in foreign.items():
        s = ServerScene(f"{name} from a client is a protocol error", "PKT-15", "CLS-5")
        s.starts()
        s.receive("a", packet)
        s.loses("a", "PROTOCOL_ERROR")
        yield s

    s = ServerScene("a batch that ends inside a packet: whole packets before it count", "PKT-5", "CLS-5")
    s.starts()
    s.receive("a", message("one"), Raw(encode(message("two"))[:-1]))
    s.told("one")
    s.loses("a", "PROTOCOL_ERROR")
    s.resumes("b", 1, (0, 0, 2), own=(1, 1, 0))
    yield s

    s = ServerScene(
        "an incomplete packet at the end of a carriage changes nothing", "PKT-11", "CAR-31", "PRT-3", carriage="stream"
    )
    s.starts()
    s.receive("a", message("one"), Raw(encode(message("two"))[:-1]))
    s.told("one")
    s.gone()
    s.resumes("b", 1, (0, 0, 2), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 1), message("two"))
    s.told("two", first=2)
    yield s

    s = ServerScene("any split of a byte stream means the same", "CAR-30", carriage="stream")
    s.connect("a")
    data = encode(open_())
    for place in range(0, len(data), 40):
        s.receive("a", Raw(data[place : place + 40]))
    s.judges("a")
    s.welcomes("a")
    data = encode(ack(0, 0, 0)) + encode(message("one")) + encode(message("two")) + encode(ack(0, 0, 2))
    s.receive("a", Raw(data[:6]))
    s.event("opened")
    s.receive("a", Raw(data[6:10]))
    s.receive("a", Raw(data[10:]))
    s.told("one", "two")
    yield s

    size = len(encode(open_({"token": "t" * 8_000})))
    s = ServerScene("8,192 bytes before the credentials are accepted", "PKT-14")
    s.opens("a", open_({"token": "t" * (8_192 + 8_000 - size)}))
    s.proves("a", message("x" * 9_000))
    s.event("message", number=1)
    yield s

    s = ServerScene("8,193 bytes before the credentials are accepted", "PKT-14")
    s.connect("a")
    s.receive("a", open_({"token": "t" * (8_193 + 8_000 - size)}))
    s.closes("a", "TOO_LARGE")
    yield s

    s = ServerScene(
        "bytes before the credentials count from the start of the connection", "PKT-14", preattach_bytes=950
    )
    s.connect("a")
    s.receive("a", [200, b"x" * 900])
    s.receive("a", open_())
    s.closes("a", "TOO_LARGE")
    yield s


def client() -> Iterator[ClientScene]:
    """PKT, CAR: bytes on a link."""
    for name, packet in {
        "OPEN": open_(),
        "RESUME": resume(SESSION, secret(0), INCARNATION, 1),
        "AUTH": auth(TOKEN),
    }.items():
        c = ClientScene(f"{name} from a server is a protocol error", "PKT-15", "CLS-5")
        c.starts()
        c.receive("a", packet)
        c.loses("a", "PROTOCOL_ERROR")
        yield c

    c = ClientScene("an unknown ignorable packet is skipped, an unknown critical one is not", "PKT-3", "PKT-2", "CLS-5")
    c.opens()
    c.receive("a", [128, "x"])
    c.answers()
    c.receive("a", message("one"), [255], [127], message("two"))
    c.told("one")
    c.loses("a", "PROTOCOL_ERROR")
    c.resumes("b", 1, (1, 1, 0), own=(0, 0, 2))
    yield c

    c = ClientScene(
        "an incomplete packet at the end of a carriage changes nothing", "PKT-11", "CAR-31", carriage="stream"
    )
    c.starts()
    c.receive("a", message("one"), Raw(encode(message("two"))[:-1]))
    c.told("one")
    c.gone()
    c.resumes("b", 1, (1, 1, 0), own=(0, 0, 2))
    c.takes("b", "two", first=2)
    yield c

    c = ClientScene("any split of a byte stream means the same", "CAR-30", carriage="stream")
    c.opens()
    data = encode(opened())
    for place in range(0, 120, 40):
        c.receive("a", Raw(data[place : place + 40]))
    c.receive("a", Raw(data[120:] + encode(message("one"))[:3]))
    c.send("a", ack(0, 0, 0))
    c.event("opened")
    c.receive("a", Raw(encode(message("one"))[3:]))
    c.told("one")
    yield c
