"""Who is still there (LIV)."""

from collections.abc import Iterator
from typing import Final

from .notation import QUIET, ClientScene, ServerScene
from .packets import ZERO, ack, close, message, open_, ping, pong
from .patterns import REASON, some_uint

PINGS: Final = {"ping_interval_ms": 10_000, "pong_wait_ms": 30_000}


def server() -> Iterator[ServerScene]:
    """LIV: probes, PING and silence."""
    s = ServerScene("PING on an idle connection, and again after the next interval", "LIV-1", "LIV-3", "LIV-8", **PINGS)
    s.starts()
    s.advance(10)
    s.send("a", ping(some_uint("token1"), ZERO))
    s.receive("a", pong(some_uint("token1"), ZERO))
    s.advance(10)
    s.send("a", ping(some_uint("token2"), ZERO))
    yield s

    s = ServerScene("silence after PING ends the connection and keeps the session", "LIV-2", "CLS-3", **PINGS)
    s.starts()
    s.advance(10)
    s.send("a", ping(some_uint("token1"), ZERO))
    s.advance(30)
    s.loses("a", "TIMEOUT")
    s.resumes("b", 1)
    yield s

    s = ServerScene("PING, and then the end, as the defaults of section 18 have it", "LIV-1", "LIV-2")
    s.starts()
    s.advance(45)
    s.send("a", ping(some_uint("token"), ZERO), close("TIMEOUT", REASON))
    s.closed("a")
    s.event("closed", "a", code="TIMEOUT")
    s.event("detached")
    yield s

    s = ServerScene("any byte is life, not only PONG", "LIV-2", "PKT-3", **PINGS)
    s.starts()
    s.advance(10)
    s.send("a", ping(some_uint("token1"), ZERO))
    s.receive("a", [200])
    s.advance(10)
    s.send("a", ping(some_uint("token2"), ZERO))
    s.advance(20)
    s.advance(10)
    s.loses("a", "TIMEOUT")
    yield s

    s = ServerScene("PING is answered with its token and the counts", "LIV-3", "CNT-9")
    s.starts()
    s.says("a", "one")
    s.takes("a", "mine")
    s.receive("a", ping(2**53, (1, 1, 1)))
    s.send("a", pong(2**53, (1, 1, 1)))
    yield s

    s = ServerScene("four probes before the attach are answered, the fifth is an error", "LIV-7", "ATT-1")
    s.connect("a")
    for token in range(4):
        s.receive("a", ping(token, None))
        s.send("a", pong(token, None))
    s.receive("a", ping(4, None))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = ServerScene("a probe touches no session, and ends alone", "LIV-9", "ATT-13", "CNT-9", "ATT-18", **QUIET)
    s.starts()
    s.connect("b")
    s.receive("b", ping(7, None))
    s.send("b", pong(7, None))
    s.says("a", "one")
    s.takes("a", "mine")
    s.advance(10)
    s.send("a", ack(1, 1, 1))
    s.closes("b", "TIMEOUT")
    s.says("a", "two")
    yield s

    s = ServerScene("a RESUME behind a probe takes the session over in the middle of it", "LIV-9", "ATT-7", "ATT-12")
    s.starts()
    s.connect("b")
    s.receive("b", ping(1, None))
    s.send("b", pong(1, None))
    s.says("a", "one", "two")
    s.takes("a", "mine")
    s.resumes("b", 1, (1, 1, 2), own=(1, 1, 2), replay=(message("two"),), connect=False, fences="a")
    s.receive("a", message("late"))
    s.receive("b", ack(1, 1, 1), message("second"))
    s.told("second", first=2)
    yield s

    s = ServerScene("the counts of a PONG nobody asked for act", "LIV-8", "WIN-1")
    s.starts("a", open_(window_messages=1))
    s.says("a", "one")
    s.sends("a", "two")
    s.receive("a", pong(77, (1, 1, 0)))
    s.send("a", message("two"))
    yield s


def client() -> Iterator[ClientScene]:
    """LIV: PING and silence."""
    c = ClientScene("PING is answered with its token and the counts", "LIV-3", "ACK-3")
    c.starts()
    c.takes("a", "one")
    c.receive("a", ping(7, (0, 0, 1)))
    c.send("a", pong(7, (1, 1, 0)))
    c.advance(2)
    yield c

    c = ClientScene("a server that is silent for ping interval and pong wait is dead", "LIV-4", "LIV-2", "EXP-5")
    c.starts()
    c.advance(34)
    c.receive("a", [200])
    c.advance(34.9)
    c.advance(0.1)
    c.loses("a", "TIMEOUT")
    c.resumes("b", 1)
    yield c

    c = ClientScene("the counts of a PONG nobody asked for act", "LIV-8")
    c.starts(window_messages=1)
    c.says("a", "one")
    c.sends("a", "two")
    c.receive("a", pong(77, (1, 1, 0)))
    c.send("a", message("two"))
    yield c
