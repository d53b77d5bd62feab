"""Messages of several parts (PRT)."""

from collections.abc import Iterator

from .notation import QUIET, ClientScene, ServerScene
from .packets import LONG, ack, message, open_, ping, pong, volatile


def server() -> Iterator[ServerScene]:
    """PRT: long messages."""
    s = ServerScene("a run of parts is one message", "PRT-3", "CNT-1", "PRT-2")
    s.starts()
    s.receive("a", message("a", True), message("b", True), volatile("v"), message("c"), ack(0, 0, 3))
    s.event("volatile", hex=b"v".hex())
    s.event("message", hex=b"abc".hex(), number=3)
    yield s

    s = ServerScene("a run that is cut goes on at the next part", "PRT-3", "PRT-4", "ATT-12")
    s.starts()
    s.receive("a", message("a", True), message("b", True))
    s.gone()
    s.resumes("b", 1, (0, 0, 3), own=(2, 2, 0))
    s.receive("b", ack(0, 0, 2), message("c"))
    s.event("message", hex=b"abc".hex(), number=3)
    yield s

    s = ServerScene(
        "a part with more to come is delivered, the last one when the application took it",
        "PRT-4",
        deliver=False,
        **QUIET,
    )
    s.starts()
    s.receive("a", message("a", True), ping(1, (0, 0, 1)))
    s.send("a", pong(1, (1, 1, 0)))
    s.receive("a", message("b"), ping(2, (0, 0, 2)))
    s.event("message", hex=b"ab".hex(), number=2)
    s.send("a", pong(2, (2, 1, 0)))
    s.command("delivered", "a", number=2)
    s.advance(1)
    s.send("a", ack(2, 2, 0))
    yield s

    s = ServerScene("a message longer than the window passes it", "PRT-4", "ACK-1", window_bytes=100)
    s.starts()
    for number in (1, 2, 3):
        s.receive("a", message("x" * 60, True))
        s.send("a", ack(number, number, 0))
    s.receive("a", message(""))
    s.event("message", hex=(b"x" * 180).hex(), number=4)
    yield s

    for name, packets in {
        "one part": [message("x" * 11)],
        "two parts": [message("x" * 6, True), message("x" * 5)],
    }.items():
        s = ServerScene(f"a message above message_bytes in {name}", "PRT-5", "RST-1", message_bytes=10)
        s.starts()
        s.receive("a", *packets)
        number = len(packets) - 1
        s.gives_up("a", "OVERFLOW", (number, number, 0))
        yield s

    s = ServerScene("a message of message_bytes in two parts is taken", "PRT-5", message_bytes=10)
    s.starts()
    s.receive("a", message("x" * 6, True), message("y" * 4))
    s.event("message", hex=b"xxxxxxyyyy".hex(), number=2)
    yield s

    s = ServerScene("inside a run no other message starts", "PRT-2", "PRT-1", "PRT-3", "WIN-1")
    s.starts("a", open_(window_bytes=65_536))
    s.sends("a", LONG + b"end")
    s.send("a", message(LONG, True))
    s.sends("a", "other")
    s.receive("a", ack(1, 1, 0))
    s.send("a", message("end"), message("other"))
    yield s

    s = ServerScene("a replayed part has the same body and the same `more`", "NUM-5", "NUM-2", "PRT-3", "PRT-1")
    s.starts()
    s.sends("a", LONG + b"end")
    s.send("a", message(LONG, True), message("end"))
    s.gone()
    s.resumes("b", 1, own=(0, 0, 2), replay=(message(LONG, True), message("end")))
    s.receive("b", ack(0, 0, 0), ack(1, 1, 0))
    s.gone("b")
    s.resumes("c", 2, (1, 1, 0), own=(0, 0, 2), key="secret1", replay=(message("end"),))
    yield s


def client() -> Iterator[ClientScene]:
    """PRT: the same from the other side."""
    c = ClientScene("a run of parts that is cut goes on at the next part", "PRT-3", "PRT-4")
    c.starts()
    c.receive("a", message("a", True), message("b", True))
    c.gone()
    c.resumes("b", 1, (2, 2, 0), own=(0, 0, 3))
    c.receive("b", message("c"))
    c.event("message", hex=b"abc".hex(), number=3)
    yield c

    long = bytes(range(256)) * 256
    c = ClientScene("a message of more than one part", "PRT-1", "PRT-2", "PRT-3", "NUM-5")
    c.starts()
    c.sends("a", long + b"end")
    c.send("a", message(long, True), message("end"))
    c.says("a", "other")
    c.gone()
    c.resumes("b", 1, (0, 0, 3), own=(1, 1, 0), replay=(message("end"), message("other")))
    yield c

    c = ClientScene("a message above message_bytes", "PRT-5", "RST-5", message_bytes=10)
    c.starts()
    c.receive("a", message("123456", True), message("12345"))
    c.gives_up("a", "OVERFLOW", (1, 1, 0))
    yield c
