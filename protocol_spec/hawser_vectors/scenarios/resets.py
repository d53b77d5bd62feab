"""RESET, and what comes after it (RST)."""

from collections.abc import Iterator

from .notation import QUIET, ClientScene, ServerScene
from .packets import (
    OTHER,
    SESSION,
    TOKEN,
    ZERO,
    ack,
    auth,
    message,
    open_,
    ping,
    pong,
    reauth,
    reset,
    resume,
    secret,
    volatile,
)


def server() -> Iterator[ServerScene]:
    """RST: RESET both ways, and tombstones."""
    s = ServerScene("a client's RESET ends the session, and OPEN goes on", "RST-1", "RST-4", "RST-5", "RST-8")
    s.starts()
    s.says("a", "one", "two", "three")
    s.receives_reset("a", "INTERNAL", (2, 1, 0), (1, 2, 0))
    s.receive("a", message("late"), ack(9, 9, 9), ping(1, None), reset("DRIFT", None), auth(TOKEN))
    s.opens("a", connect=False, session="other", key="other0")
    s.proves("a", message("new"))
    s.told("new")
    s.asks("b", 99)
    s.send("b", reset("INTERNAL", (0, 0, 3)))
    yield s

    s = ServerScene("counts of a RESET that contradict what is known are not used", "RST-1")
    s.starts()
    s.says("a", "one", "two")
    s.receive("a", ack(1, 1, 0), reset("INTERNAL", (9, 9, 0)))
    s.ended("INTERNAL", (1, 1, 0))
    yield s

    s = ServerScene("a RESET for a reason that is not known", "RST-11")
    s.starts()
    s.receive("a", reset(99, None))
    s.event("reset", known_delivered=0, unknown=0, not_sent=0)
    s.asks("b", 1)
    s.send("b", reset(99, ZERO))
    yield s

    s = ServerScene(
        "after a RESET what still arrives is discarded, and nothing is answered", "RST-4", "ATT-17", "PKT-15"
    )
    s.starts()
    s.resets("a", "REVOKED")
    s.receive("a", message("late"), ack(9, 1, 9), ping(1, ZERO), pong(1, None), volatile("x"), reauth(None))
    s.receive("a", resume(SESSION, secret(0), b"i", 1))
    s.opens("a", connect=False, session="other", key="other0")
    yield s

    s = ServerScene("after a RESET what arrives is still well formed", "RST-4", "PKT-8")
    s.starts()
    s.resets("a", "REVOKED")
    s.receive("a", [8, [0, 0]])
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = ServerScene("a tombstone is kept for the resume period", "RST-2", "RST-3", **QUIET)
    s.starts("a", open_(period=60_000))
    s.receives_close("a", "NORMAL")
    s.ended("CLOSED")
    s.advance(59.9)
    s.asks("b", 1)
    s.send("b", reset("CLOSED", ZERO))
    s.advance(0.1)
    s.unknown("c", 1)
    yield s

    s = ServerScene("the oldest tombstone is dropped first", "RST-2", "RST-3", tombstones=1)
    for link, number in (("a", 1), ("b", 2)):
        s.starts(link, session=f"session{number}", key=f"secret{number}")
        s.receives_close(link, "NORMAL")
        s.ended("CLOSED")
    s.unknown("c", 1, session="session1", key="secret1")
    s.asks("d", 1, session="session2", key="secret2")
    s.send("d", reset("CLOSED", ZERO))
    yield s


def client() -> Iterator[ClientScene]:
    """RST: RESET both ways, and the OPEN that follows."""
    c = ClientScene(
        "a lost session: OPEN on the same connection, and nothing is sent again", "RST-5", "RST-7", "ATT-14"
    )
    c.starts()
    c.says("a", "one", "two")
    c.gone()
    c.sends("a", "three")
    c.asks("b", 1, (0, 0, 2))
    c.receives_reset("b", "EXPIRED", (1, 1, 0), (1, 1, 1))
    c.sends("b", "four")
    c.answers("b", message("four"), session=OTHER, key=secret(5))
    yield c

    for name in ("UNKNOWN_SESSION", "RESTARTED"):
        c = ClientScene(f"{name} in answer to RESUME", "RST-5", "ATT-14", "RST-7")
        c.starts()
        c.says("a", "one")
        c.gone()
        c.asks("b", 1, (0, 0, 1))
        c.receive("b", reset(name, None))
        c.send("b", c.wants())
        c.ended(name, (0, 1, 0))
        c.answers("b", session=OTHER)
        yield c

    c = ClientScene("until OPENED what still arrives is discarded, and nothing is answered", "RST-4", "RST-5")
    c.starts()
    c.receive("a", reset("REVOKED", ZERO), message("late"))
    c.send("a", c.wants())
    c.ended("REVOKED")
    c.receive("a", message("late"), ack(9, 1, 9), ping(1, ZERO), reauth(5), reset("DRIFT", None), pong(1, None))
    c.answers("a", session=OTHER)
    c.takes("a", "new")
    yield c

    c = ClientScene("after a RESET what arrives is still well formed", "RST-4", "PKT-8")
    c.starts()
    c.receives_reset("a", "REVOKED", ZERO)
    c.receive("a", [8, [0, 0]])
    c.closes("a", "PROTOCOL_ERROR")
    yield c

    c = ClientScene("the client ends its session with RESET", "RST-1", "RST-5", "RST-4")
    c.starts()
    c.says("a", "one")
    c.takes("a", "hi")
    c.command("reset", "a", reason="INTERNAL")
    c.gives_up("a", "INTERNAL", (1, 1, 1), (0, 1, 0))
    yield c

    c = ClientScene("both sides send RESET", "RST-4", "RST-5")
    c.starts()
    c.resets("a", "INTERNAL")
    c.receive("a", reset("REVOKED", ZERO))
    c.answers("a", session=OTHER)
    yield c

    c = ClientScene("a RESET for a reason that is not known", "RST-11", "RST-5")
    c.starts()
    c.receive("a", reset(99, None))
    c.send("a", c.wants())
    c.event("reset", known_delivered=0, unknown=0, not_sent=0)
    yield c
