"""The two counts, and when they are stated (CNT, ACK)."""

from collections.abc import Iterator

from .notation import QUIET, ClientScene, ServerScene
from .packets import ZERO, ack, message, open_, ping, pong, volatile


def server() -> Iterator[ServerScene]:
    """CNT, ACK: what the counts mean and when they leave."""
    for name, packet in {"ACK": ack(0, 0, 2), "PING": ping(4, (0, 0, 2)), "PONG": pong(4, (0, 0, 2))}.items():
        s = ServerScene(f"`sent` of {name} above what arrived is drift", "CNT-5", "RST-1")
        s.starts()
        s.takes("a", "one")
        s.receive("a", packet)
        s.gives_up("a", "DRIFT", (1, 1, 0))
        yield s

    s = ServerScene("`sent` of ACK below what arrived is drift", "CNT-5")
    s.starts()
    s.takes("a", "one")
    s.receive("a", ack(0, 0, 0))
    s.gives_up("a", "DRIFT", (1, 1, 0))
    yield s

    s = ServerScene("before the first MESSAGE `sent` is what the receiver stated at the attach", "CNT-5", "CNT-1")
    s.starts()
    s.takes("a", "one")
    s.gone()
    s.resumes("b", 1, (0, 0, 3), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 1), message("two"), message("three"), ack(0, 0, 3))
    s.told("two", "three", first=2)
    yield s

    s = ServerScene("a first ACK that states another `sent` is drift", "CNT-5", "ATT-3")
    s.starts()
    s.takes("a", "one")
    s.gone()
    s.resumes("b", 1, (0, 0, 3), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 3))
    s.gives_up("b", "DRIFT", (1, 1, 0))
    yield s

    s = ServerScene("lower counts are stale and change nothing", "CNT-6", "CNT-3", **QUIET)
    s.starts("a", open_(window_messages=2))
    s.says("a", "one", "two")
    s.sends("a", "three")
    s.receive("a", ack(2, 1, 0))
    s.send("a", message("three"))
    s.receive("a", ack(1, 0, 0))
    s.sends("a", "four")
    s.receive("a", ack(2, 2, 0))
    s.send("a", message("four"))
    yield s

    for name, packet in {"ACK": ack(0, 1, 0), "PING": ping(4, (0, 1, 0)), "PONG": pong(4, (0, 1, 0))}.items():
        s = ServerScene(f"`delivered` above `received` in {name} is drift", "CNT-8")
        s.starts()
        s.says("a", "one")
        s.receive("a", packet)
        s.gives_up("a", "DRIFT", (0, 0, 1), (0, 1, 0))
        yield s

    for name, packet in {"ACK": ack(1, 0, 0), "PING": ping(4, (1, 0, 0)), "PONG": pong(4, (1, 0, 0))}.items():
        s = ServerScene(f"`received` of {name} above all that was ever given is drift", "ACK-4", "RST-1")
        s.starts()
        s.receive("a", packet)
        s.gives_up("a", "DRIFT", ZERO)
        yield s

    for name, packet in {"PING": ping(4, None), "PONG": pong(4, None)}.items():
        s = ServerScene(f"{name} without counts on an attached connection is a protocol error", "CNT-9", "CLS-5")
        s.starts()
        s.receive("a", packet)
        s.loses("a", "PROTOCOL_ERROR")
        yield s

    s = ServerScene("PING with counts on an unattached connection is a protocol error", "CNT-9", "LIV-7")
    s.connect("a")
    s.receive("a", ping(4, ZERO))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = ServerScene("VOLATILE is not counted and never replayed", "CNT-7", "CNT-1")
    s.starts()
    s.receive("a", volatile("tick"), message("one"), volatile("tock"), ack(0, 0, 1))
    s.event("volatile", hex=b"tick".hex())
    s.told("one")
    s.event("volatile", hex=b"tock".hex())
    s.command("volatile", "a", hex=b"tack".hex())
    s.send("a", volatile("tack"), ack(1, 1, 0))
    s.gone()
    s.resumes("b", 1, (0, 0, 1), own=(1, 1, 0))
    yield s

    s = ServerScene("taken over is not yet delivered", "CNT-2", "CNT-3", "LIV-3", deliver=False, **QUIET)
    s.starts()
    s.takes("a", "one", "two")
    s.receive("a", ping(4, (0, 0, 2)))
    s.send("a", pong(4, (2, 0, 0)))
    s.command("delivered", "a", number=1)
    s.advance(1)
    s.send("a", ack(2, 1, 0))
    s.gone()
    s.resumes("b", 1, (0, 0, 2), own=(2, 1, 0))
    yield s

    s = ServerScene("an ACK never answers an ACK", "ACK-5", **QUIET)
    s.starts()
    s.says("a", "one")
    s.receive("a", ack(1, 0, 0))
    s.receive("a", ack(1, 1, 0), ack(1, 1, 0))
    s.advance(2)
    yield s

    s = ServerScene("64 deliveries are stated at once", "ACK-1")
    s.starts()
    s.receive("a", *(message(f"{number}") for number in range(63)))
    s.told(*(f"{number}" for number in range(63)))
    s.takes("a", "last", first=64)
    s.send("a", ack(64, 64, 0))
    yield s

    s = ServerScene("a quarter of the window in parts is stated at once", "ACK-1", window_messages=8)
    s.starts()
    s.takes("a", "one")
    s.takes("a", "two", first=2)
    s.send("a", ack(2, 2, 0))
    yield s

    s = ServerScene("a quarter of the window in bytes is stated at once", "ACK-1", window_bytes=100)
    s.starts()
    s.receive("a", message("x" * 24))
    s.told("x" * 24)
    s.takes("a", "y", first=2)
    s.send("a", ack(2, 2, 0))
    yield s

    s = ServerScene("an eighth of the window is stated within 250 ms", "ACK-2", window_messages=16, **QUIET)
    s.starts()
    s.takes("a", "one", "two")
    s.advance(0.25)
    s.send("a", ack(2, 2, 0))
    s.advance(2)
    yield s

    s = ServerScene("less than an eighth of the window is stated within 1 s", "ACK-2", "CNT-3", **QUIET)
    s.starts()
    s.takes("a", "one")
    s.advance(1)
    s.send("a", ack(1, 1, 0))
    s.advance(2)
    yield s

    s = ServerScene("what leaves carries deliveries not yet stated", "ACK-3", level="SHOULD")
    s.starts()
    s.takes("a", "one")
    s.sends("a", "yours")
    s.send("a", message("yours"), ack(1, 1, 1))
    yield s


def client() -> Iterator[ClientScene]:
    """CNT, ACK: the same from the other side."""
    c = ClientScene("`sent` of a server's ACK that differs from what arrived is drift", "CNT-5", "RST-5")
    c.starts()
    c.receive("a", ack(0, 0, 1))
    c.gives_up("a", "DRIFT", ZERO)
    yield c

    c = ClientScene("an ACK of what was never sent is drift", "ACK-4", "RST-5")
    c.starts()
    c.receive("a", ack(1, 0, 0))
    c.gives_up("a", "DRIFT", ZERO)
    yield c

    c = ClientScene("`delivered` above `received` is drift", "CNT-8")
    c.starts()
    c.says("a", "one")
    c.receive("a", ping(3, (0, 1, 0)))
    c.gives_up("a", "DRIFT", (0, 0, 1), (0, 1, 0))
    yield c

    c = ClientScene("lower counts are stale and change nothing", "CNT-6", "WIN-1")
    c.starts(window_messages=2)
    c.says("a", "one", "two")
    c.sends("a", "three")
    c.receive("a", ack(2, 1, 0), ack(1, 0, 0))
    c.send("a", message("three"))
    yield c

    c = ClientScene("PING without counts on an attached connection is a protocol error", "CNT-9")
    c.starts()
    c.receive("a", ping(1, None))
    c.loses("a", "PROTOCOL_ERROR")
    yield c

    c = ClientScene("an eighth of the window is stated within 250 ms", "ACK-2", window_messages=16)
    c.starts()
    c.receive("a", message("one"), message("two"), message("three"))
    c.told("one", "two", "three")
    c.advance(0.25)
    c.send("a", ack(3, 3, 0))
    yield c

    c = ClientScene("less than an eighth of the window is stated within 1 s", "ACK-2", "ACK-5")
    c.starts()
    c.takes("a", "one")
    c.advance(1)
    c.send("a", ack(1, 1, 0))
    c.receive("a", ack(0, 0, 1))
    c.advance(2)
    yield c

    c = ClientScene("64 deliveries are stated at once", "ACK-1", deliver=False)
    c.starts()
    c.receive("a", *(message(f"{number}") for number in range(70)))
    c.told(*(f"{number}" for number in range(70)))
    c.command("delivered", "a", number=63)
    c.command("delivered", "a", number=64)
    c.send("a", ack(70, 64, 0))
    yield c

    c = ClientScene("VOLATILE is not counted and never replayed", "CNT-7")
    c.starts()
    c.receive("a", volatile("tick"), message("one"))
    c.event("volatile", hex=b"tick".hex())
    c.told("one")
    c.command("volatile", "a", hex=b"tack".hex())
    c.send("a", volatile("tack"), ack(1, 1, 0))
    c.gone()
    c.resumes("b", 1, (1, 1, 0), own=(0, 0, 1))
    yield c
