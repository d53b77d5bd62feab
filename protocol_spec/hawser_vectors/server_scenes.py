"""The scenarios of a server: one function for each file, each scenario a few steps long."""

from collections.abc import Iterator
from typing import Any, Final

from .encoding import Raw, encode
from .scenes import (
    INCARNATION,
    QUIET,
    SESSION,
    TOKEN,
    ZERO,
    ServerScene,
    ack,
    auth,
    close,
    message,
    open_,
    ping,
    pong,
    reauth,
    reset,
    resume,
    secret,
    some_bytes,
    some_uint,
    volatile,
)

FAULTS_BEFORE: Final[dict[str, tuple[list[Any], str]]] = {
    "MESSAGE": (message("x"), "ATT-1"),
    "VOLATILE": (volatile("x"), "ATT-1"),
    "ACK": (ack(0, 0, 0), "ATT-1"),
    "RESET": (reset("CLOSED", None), "ATT-1"),
    "PONG": (pong(1, None), "ATT-1"),
    "AUTH": (auth(TOKEN), "ATT-1"),
    "OPENED": ([2, 1, [], b"s", bytes(32), b"i", 1, 1, 1, {}], "PKT-8"),
    "REAUTH": (reauth(None), "PKT-15"),
    "an unknown critical kind": ([127], "PKT-2"),
}


def attach() -> Iterator[ServerScene]:
    """ATT: the exchange before messages flow."""
    s = ServerScene("the first exchange of appendix A", "ATT-3", "ATT-12", "CNT-1", "ACK-3", "LIV-7", **QUIET)
    s.connect("a")
    s.receive("a", ping(1, None))
    s.send("a", pong(1, None))
    s.opens("a", connect=False)
    s.proves("a", message("hello"))
    s.told("hello")
    s.advance(1)
    s.send("a", ack(1, 1, 0))
    s.says("a", "hi")
    s.gone()
    s.resumes("b", 1, (0, 0, 1), own=(1, 1, 1), replay=(message("hi"),))
    s.receive("b", ack(0, 0, 1), ack(1, 1, 1))
    s.receive("b", close("NORMAL", "bye"))
    s.closed("b")
    s.event("closed", "b", code="NORMAL", resume=False)
    s.ended("CLOSED", (1, 0, 0))
    yield s

    for name, (packet, clause) in FAULTS_BEFORE.items():
        s = ServerScene(f"{name} before an attach is a protocol error", *dict.fromkeys((clause, "PKT-10", "CLS-5")))
        s.connect("a")
        s.receive("a", packet)
        s.closes("a", "PROTOCOL_ERROR")
        yield s

    s = ServerScene("CLOSE before an attach ends the link", "ATT-1", "CLS-3")
    s.connect("a")
    s.receive("a", close("GOING_AWAY"))
    s.closed("a")
    s.event("closed", "a", code="GOING_AWAY")
    yield s

    for name, packet in {
        "a second OPEN": open_(),
        "PING": ping(1, None),
        "MESSAGE": message("x"),
        "ACK": ack(0, 0, 0),
    }.items():
        s = ServerScene(f"{name} while OPEN is judged is a protocol error", "ATT-2", "PKT-10")
        s.connect("a")
        s.receive("a", open_())
        s.judges("a", principal=None)
        s.receive("a", packet)
        s.closes("a", "PROTOCOL_ERROR")
        yield s

    s = ServerScene("CLOSE while OPEN is judged ends the link, and the verdict means nothing", "ATT-2", "CLS-3")
    s.connect("a")
    s.receive("a", open_())
    s.judges("a", principal=None)
    s.receive("a", close("GOING_AWAY"))
    s.closed("a")
    s.event("closed", "a", code="GOING_AWAY")
    s.accepts("a")
    yield s

    for name, packet in {
        "MESSAGE": message("x"),
        "PING": ping(1, ZERO),
        "AUTH": auth(TOKEN),
        "VOLATILE": volatile("x"),
    }.items():
        s = ServerScene(f"{name} instead of the first ACK is a protocol error", "ATT-3", "PKT-10", "CLS-5")
        s.opens()
        s.receive("a", packet)
        s.closes("a", "PROTOCOL_ERROR")
        s.event("detached")
        s.resumes("b", 1, opened=True)
        yield s

    s = ServerScene("RESET instead of the first ACK ends the session", "ATT-3", "RST-1", "RST-4")
    s.opens()
    s.resumes("b", 1, opened=True, fences="a")
    s.receive("b", reset("DRIFT", ZERO))
    s.ended("DRIFT")
    s.opens("b", connect=False, session="other", key="other0")
    yield s

    s = ServerScene("OPEN on an attached connection is a protocol error", "ATT-17", "PKT-10")
    s.starts()
    s.receive("a", open_())
    s.closes("a", "PROTOCOL_ERROR")
    s.event("detached")
    yield s

    s = ServerScene("RESUME on an attached connection is a protocol error", "ATT-17", "PKT-10")
    s.starts()
    s.receive("a", resume(some_bytes("session"), some_bytes("secret0"), INCARNATION, 1))
    s.closes("a", "PROTOCOL_ERROR")
    s.event("detached")
    yield s

    s = ServerScene("a connection that is not attached in time is ended", "ATT-13", "CLS-3")
    s.connect("a")
    s.advance(9.9)
    s.advance(0.1)
    s.closes("a", "TIMEOUT")
    s.receive("a", open_())
    s.advance(10)
    s.closed("a")
    yield s

    s = ServerScene("no packet extends the handshake deadline", "ATT-13", "LIV-7")
    s.connect("a")
    s.advance(9.9)
    s.receive("a", ping(1, None))
    s.send("a", pong(1, None))
    s.advance(0.1)
    s.closes("a", "TIMEOUT")
    yield s

    s = ServerScene("authentication is part of the handshake deadline", "ATT-13", "ATT-16")
    s.connect("a")
    s.receive("a", open_())
    s.judges("a", principal=None)
    s.advance(10)
    s.closes("a", "TIMEOUT")
    s.accepts("a")
    yield s

    s = ServerScene("after a RESET the handshake deadline begins anew", "ATT-13", "ATT-14", "RST-5")
    s.connect("b")
    s.advance(8)
    s.asks("b", 1, session=SESSION, key=secret(7), connect=False)
    s.send("b", reset("UNKNOWN_SESSION", None))
    s.advance(9.9)
    s.advance(0.1)
    s.closes("b", "TIMEOUT")
    yield s

    s = ServerScene("a session that is not there: UNKNOWN_SESSION in the server's own incarnation", "ATT-14", "RST-3")
    s.starts()
    s.asks("b", 1, session=SESSION)
    s.send("b", reset("UNKNOWN_SESSION", None))
    yield s

    s = ServerScene("a session that is not there: RESTARTED in another incarnation", "ATT-14")
    s.asks("a", 1, session=SESSION, key=secret(0), incarnation=bytes.fromhex("01f3"))
    s.send("a", reset("RESTARTED", None))
    s.opens("a", connect=False)
    s.proves()
    yield s

    s = ServerScene("a session under another incarnation than its own: RESTARTED, and it is not touched", "ATT-14")
    s.starts()
    s.asks("b", 1, incarnation=bytes.fromhex("01f3"))
    s.send("b", reset("RESTARTED", None))
    s.receive("a", message("still here"))
    s.told("still here")
    yield s

    s = ServerScene("after a restart without its sessions a server says RESTARTED", "ATT-14")
    s.starts()
    s.command("restart", export=False, incarnation="01f5")
    s.asks("b", 1)
    s.send("b", reset("RESTARTED", None))
    yield s

    s = ServerScene("a RESUME is taken after a restart with a complete export", "ATT-12", "NUM-2", "RST-8")
    s.starts()
    s.says("a", "one", "two")
    s.receive("a", ack(1, 1, 0), message("mine"))
    s.told("mine")
    s.command("restart", export=True, incarnation="01f5")
    s.resumes("b", 1, (1, 1, 1), own=(1, 1, 2), replay=(message("two"),))
    yield s

    s = ServerScene("refused credentials at OPEN", "ATT-16")
    s.connect("a")
    s.receive("a", open_())
    s.judges("a", principal=None)
    s.command("refuse", "a")
    s.closes("a", "UNAUTHORIZED")
    yield s

    for verdict, code in (("refuse", "UNAUTHORIZED"), ("unavailable", "UNAVAILABLE")):
        s = ServerScene(f"{code} at RESUME changes nothing of the session", "ATT-16", "ATT-5", "SEC-4")
        s.starts()
        s.asks("b", 7, principal=None)
        s.command(verdict, "b")
        if code == "UNAVAILABLE":
            s.closes("b", code, after=(some_uint("from"), some_uint("to")))
        else:
            s.closes("b", code)
        s.receive("a", message("still here"))
        s.told("still here")
        s.resumes("c", 1, (0, 0, 1), own=(1, 1, 0), fences="a")
        yield s

    s = ServerScene("an attempt that is not higher is answered SUPERSEDED and changes nothing", "ATT-6", "ATT-5")
    s.starts()
    s.resumes("b", 5, fences="a", new="fifth")
    s.receive("b", ack(0, 0, 0))
    for link, attempt in (("c", 5), ("d", 4)):
        s.asks(link, attempt, key="fifth")
        s.closes(link, "SUPERSEDED", attempt=5)
    s.receive("b", message("still here"))
    s.told("still here")
    yield s

    s = ServerScene("of two attempts that are judged at once the later verdict decides nothing", "ATT-5", "ATT-6")
    s.starts()
    s.asks("b", 1, principal=None)
    s.resumes("c", 2, fences="a")
    s.accepts("b")
    s.closes("b", "SUPERSEDED", attempt=2)
    yield s

    s = ServerScene("a session that ends while its RESUME is judged", "ATT-5", "ATT-14", "RST-8")
    s.starts()
    s.asks("b", 1, principal=None)
    s.command("reset", "a", reason="REVOKED")
    s.send("a", reset("REVOKED", ZERO))
    s.ended("REVOKED")
    s.accepts("b")
    s.send("b", reset("REVOKED", ZERO))
    yield s

    s = ServerScene("a secret that dies while its RESUME is judged", "ATT-5", "SEC-3")
    s.starts()
    s.resumes("b", 1, fences="a")
    s.asks("c", 2, principal=None)
    s.receive("b", ack(0, 0, 0))
    s.accepts("c")
    s.send("c", reset("UNKNOWN_SESSION", None))
    s.receive("b", message("still here"))
    s.told("still here")
    yield s

    s = ServerScene("nothing on a fenced connection has an effect", "ATT-7", "CLS-3")
    s.starts()
    s.resumes("b", 1, fences="a")
    s.receive("a", message("late"), ack(5, 5, 5), ping(3, ZERO))
    s.receive("b", ack(0, 0, 0), message("mine"))
    s.told("mine")
    s.sends("b", "yours")
    s.send("b", message("yours"), ack(1, 1, 1))
    yield s

    s = ServerScene("a connection that ends after its fence does not touch the session", "ATT-7", "EXP-2")
    s.starts()
    s.resumes("b", 1, fences="a")
    s.drop("a")
    s.receive("b", ack(0, 0, 0))
    s.says("b", "yours")
    yield s

    for name, counts in {
        "received above all that was numbered": (3, 0, 1),
        "received below what was trimmed": (0, 0, 1),
        "delivered above received": (1, 2, 1),
        "delivered below what was told": (2, 0, 1),
        "sent below what has arrived": (2, 1, 0),
    }.items():
        s = ServerScene(f"counts of a RESUME that cannot be: {name}", "ATT-11", "CNT-8", "RST-1")
        s.starts()
        s.says("a", "one", "two")
        s.receive("a", ack(1, 1, 0), message("mine"))
        s.told("mine")
        s.gone()
        s.asks("b", 1, counts)
        s.send("b", reset("DRIFT", (1, 1, 2)))
        s.ended("DRIFT", (1, 1, 0))
        s.opens("b", connect=False, session="other", key="other0")
        yield s

    s = ServerScene("a RESUME trims what its counts call delivered, and replays the rest", "ATT-12", "CNT-1", "NUM-5")
    s.starts()
    s.says("a", "one", "two", "three")
    s.gone()
    s.sends("a", "four")
    s.resumes("b", 1, (2, 1, 0), own=(0, 0, 3), replay=(message("three"), message("four")))
    s.receive("b", ack(2, 1, 0))
    s.receive("b", ack(4, 4, 0))
    yield s


def secrets() -> Iterator[ServerScene]:
    """SEC, UNC: who may come back."""
    s = ServerScene("a RESUMED that is lost costs nothing", "SEC-2", "ATT-5")
    s.starts()
    s.gone()
    s.resumes("b", 1)
    s.gone("b")
    s.resumes("c", 2)
    s.gone("c")
    s.asks("d", 3, key="secret1")
    s.send("d", reset("UNKNOWN_SESSION", None))
    s.resumes("e", 3, key="secret2")
    yield s

    s = ServerScene("the first ACK proves the pending secret, and the one before it is dead", "SEC-3", "SEC-2")
    s.starts()
    s.gone()
    s.resumes("b", 1)
    s.receive("b", ack(0, 0, 0))
    s.gone("b")
    s.asks("c", 2)
    s.send("c", reset("UNKNOWN_SESSION", None))
    s.resumes("d", 2, key="secret1")
    yield s

    s = ServerScene("a RESUME proves the pending secret, and the one before it is dead", "SEC-3", "SEC-2")
    s.starts()
    s.gone()
    s.resumes("b", 1)
    s.gone("b")
    s.resumes("c", 2, key="secret1")
    s.gone("c")
    s.asks("d", 3)
    s.send("d", reset("UNKNOWN_SESSION", None))
    s.resumes("e", 3, key="secret1", new="secret4")
    yield s

    s = ServerScene("a wrong secret is answered like an unknown session, and touches nothing", "SEC-6", "ATT-14")
    s.starts()
    s.asks("b", 9, key=secret(7))
    s.send("b", reset("UNKNOWN_SESSION", None))
    s.asks("c", 9, key=secret(7), incarnation=bytes.fromhex("ff"))
    s.send("c", reset("RESTARTED", None))
    s.receive("a", message("still here"))
    s.told("still here")
    s.resumes("d", 1, (0, 0, 1), own=(1, 1, 0), fences="a")
    yield s

    s = ServerScene("another principal is answered like an unknown session, and touches nothing", "SEC-4", "SEC-6")
    s.starts()
    s.asks("b", 9, principal="bob")
    s.send("b", reset("UNKNOWN_SESSION", None))
    s.receive("a", message("still here"))
    s.told("still here")
    s.resumes("c", 1, (0, 0, 1), own=(1, 1, 0), fences="a")
    yield s

    s = ServerScene("an ended session is shown to nobody without its secret and principal", "SEC-6", "RST-2")
    s.starts()
    s.command("reset", "a", reason="REVOKED")
    s.send("a", reset("REVOKED", ZERO))
    s.ended("REVOKED")
    s.asks("b", 1, key=secret(7))
    s.send("b", reset("UNKNOWN_SESSION", None))
    s.asks("c", 1, principal="bob")
    s.send("c", reset("UNKNOWN_SESSION", None))
    s.asks("d", 1)
    s.send("d", reset("REVOKED", ZERO))
    yield s

    s = ServerScene("a RESUME confirms a session whose first ACK was lost", "UNC-3", "SEC-3")
    s.opens()
    s.says("a", "hello")
    s.gone()
    s.advance(119)
    s.resumes("b", 1, own=(0, 0, 1), replay=(message("hello"),), opened=True)
    yield s

    s = ServerScene("an unconfirmed session lives its resume period", "UNC-2", "EXP-1")
    s.opens()
    s.gone()
    s.advance(120)
    s.ended("EXPIRED")
    s.asks("b", 1)
    s.send("b", reset("EXPIRED", ZERO))
    yield s

    s = ServerScene("the oldest unconfirmed session goes first, without a tombstone", "UNC-2", unconfirmed_sessions=2)
    s.opens("a", session="session0", key="secret0")
    s.gone()
    s.starts("b", session="session1", key="secret1")
    s.opens("c", session="session2", key="secret2")
    s.opens("d", session="session3", key="secret3")
    s.ended("EVICTED")
    s.asks("e", 1, session="session0", key="secret0")
    s.send("e", reset("UNKNOWN_SESSION", None))
    s.resumes("f", 1, session="session1", key="secret1", new="next1", fences="b")
    yield s


def counts() -> Iterator[ServerScene]:
    """CNT, ACK, NUM, WIN: two counts and what they move."""
    for name, packet in {"ACK": ack(0, 0, 2), "PING": ping(4, (0, 0, 2)), "PONG": pong(4, (0, 0, 2))}.items():
        s = ServerScene(f"`sent` of {name} above what arrived is drift", "CNT-5", "RST-1")
        s.starts()
        s.receive("a", message("one"))
        s.told("one")
        s.receive("a", packet)
        s.send("a", reset("DRIFT", (1, 1, 0)))
        s.ended("DRIFT")
        yield s

    s = ServerScene("`sent` of ACK below what arrived is drift", "CNT-5")
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.receive("a", ack(0, 0, 0))
    s.send("a", reset("DRIFT", (1, 1, 0)))
    s.ended("DRIFT")
    yield s

    s = ServerScene("before the first MESSAGE `sent` is what the receiver stated at the attach", "CNT-5", "CNT-1")
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.gone()
    s.resumes("b", 1, (0, 0, 3), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 1), message("two"), message("three"), ack(0, 0, 3))
    s.told("two", "three", first=2)
    yield s

    s = ServerScene("a first ACK that states another `sent` is drift", "CNT-5", "ATT-3")
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.gone()
    s.resumes("b", 1, (0, 0, 3), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 3))
    s.send("b", reset("DRIFT", (1, 1, 0)))
    s.ended("DRIFT")
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
        s.send("a", reset("DRIFT", (0, 0, 1)))
        s.ended("DRIFT", (0, 1, 0))
        yield s

    for name, packet in {"ACK": ack(1, 0, 0), "PING": ping(4, (1, 0, 0)), "PONG": pong(4, (1, 0, 0))}.items():
        s = ServerScene(f"`received` of {name} above all that was ever given is drift", "ACK-4", "RST-1")
        s.starts()
        s.receive("a", packet)
        s.send("a", reset("DRIFT", ZERO))
        s.ended("DRIFT")
        yield s

    for name, packet in {"PING": ping(4, None), "PONG": pong(4, None)}.items():
        s = ServerScene(f"{name} without counts on an attached connection is a protocol error", "CNT-9", "CLS-5")
        s.starts()
        s.receive("a", packet)
        s.closes("a", "PROTOCOL_ERROR")
        s.event("detached")
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
    s.receive("a", message("one"), message("two"))
    s.told("one", "two")
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

    s = ServerScene("32 deliveries are stated at once", "ACK-1")
    s.starts()
    s.receive("a", *(message(f"{number}") for number in range(31)))
    s.told(*(f"{number}" for number in range(31)))
    s.receive("a", message("last"))
    s.told("last", first=32)
    s.send("a", ack(32, 32, 0))
    yield s

    s = ServerScene("a quarter of the window in parts is stated at once", "ACK-1", window_messages=8)
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.receive("a", message("two"))
    s.told("two", first=2)
    s.send("a", ack(2, 2, 0))
    yield s

    s = ServerScene("a quarter of the window in bytes is stated at once", "ACK-1", window_bytes=100)
    s.starts()
    s.receive("a", message("x" * 24))
    s.told("x" * 24)
    s.receive("a", message("y"))
    s.told("y", first=2)
    s.send("a", ack(2, 2, 0))
    yield s

    s = ServerScene("an eighth of the window is stated within 250 ms", "ACK-2", window_messages=16, **QUIET)
    s.starts()
    s.receive("a", message("one"), message("two"))
    s.told("one", "two")
    s.advance(0.25)
    s.send("a", ack(2, 2, 0))
    s.advance(2)
    yield s

    s = ServerScene("less than an eighth of the window is stated within 1 s", "ACK-2", "CNT-3", **QUIET)
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.advance(1)
    s.send("a", ack(1, 1, 0))
    s.advance(2)
    yield s

    s = ServerScene("what leaves carries deliveries not yet stated", "ACK-3", level="SHOULD")
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.sends("a", "yours")
    s.send("a", message("yours"), ack(1, 1, 1))
    yield s

    s = ServerScene("a window in parts: only `delivered` gives it back", "WIN-1", "CNT-3", "NUM-1")
    s.starts("a", open_(window_messages=2))
    s.says("a", "one", "two")
    s.sends("a", "three")
    s.receive("a", ack(2, 0, 0))
    s.receive("a", ack(2, 1, 0))
    s.send("a", message("three"))
    yield s

    s = ServerScene("a window in bytes", "WIN-1", "NUM-3")
    s.starts("a", open_(window_bytes=10))
    s.says("a", "123456", "1234")
    s.sends("a", "x")
    s.receive("a", ack(1, 1, 0))
    s.send("a", message("x"))
    yield s

    s = ServerScene("one part is always admitted when nothing is undelivered", "WIN-2", "WIN-1")
    s.starts("a", open_(window_bytes=10))
    s.says("a", "a body of more than ten")
    s.sends("a", "next")
    s.receive("a", ack(1, 0, 0))
    s.receive("a", ack(1, 1, 0))
    s.send("a", message("next"))
    yield s

    s = ServerScene("what waits for the window has no number at a RESUME", "NUM-1", "WIN-1", "ATT-12")
    s.starts("a", open_(window_messages=1))
    s.says("a", "one")
    s.sends("a", "two")
    s.gone()
    s.sends("a", "three")
    s.resumes("b", 1, (1, 0, 0), own=(0, 0, 1))
    s.receive("b", ack(1, 0, 0))
    s.receive("b", ack(1, 1, 0))
    s.send("b", message("two"))
    s.receive("b", ack(2, 2, 0))
    s.send("b", message("three"))
    yield s

    s = ServerScene(
        "a part beyond the window is not taken", "WIN-3", "CNT-2", "CNT-4", window_messages=2, deliver=False
    )
    s.starts()
    s.receive("a", message("one"), message("two"), message("three"))
    s.told("one", "two")
    s.closes("a", "FLOW")
    s.event("detached")
    s.resumes("b", 1, (0, 0, 3), own=(2, 0, 0))
    s.command("delivered", "b", number=1)
    s.send("b", ack(2, 1, 0))
    s.receive("b", ack(0, 0, 2), message("three"))
    s.told("three", first=3)
    yield s

    s = ServerScene(
        "the third connection in a row that breaks the window", "WIN-3", "RST-1", window_bytes=10, deliver=False
    )
    s.starts()
    s.receive("a", message("12345678"), message("123"))
    s.told("12345678")
    s.closes("a", "FLOW")
    s.event("detached")
    s.resumes("b", 1, (0, 0, 2), own=(1, 0, 0))
    s.receive("b", ack(0, 0, 1), message("123"))
    s.closes("b", "FLOW")
    s.event("detached")
    s.resumes("c", 2, (0, 0, 2), own=(1, 0, 0), key="secret1")
    s.receive("c", ack(0, 0, 1), message("123"))
    s.send("c", reset("FLOW", (1, 0, 0)))
    s.ended("FLOW")
    yield s

    s = ServerScene("a connection that ends otherwise begins the row anew", "WIN-3", window_bytes=10, deliver=False)
    s.starts()
    s.receive("a", message("12345678"), message("123"))
    s.told("12345678")
    s.closes("a", "FLOW")
    s.event("detached")
    for attempt, link in ((1, "b"), (3, "d")):
        s.resumes(link, attempt, (0, 0, 2), own=(1, 0, 0), key=f"secret{attempt - 1}")
        s.receive(link, ack(0, 0, 1), message("123"))
        s.closes(link, "FLOW")
        s.event("detached")
        if attempt == 1:
            s.resumes("c", 2, (0, 0, 2), own=(1, 0, 0), key="secret1")
            s.receive("c", ack(0, 0, 1))
            s.gone("c")
    yield s


LONG = bytes(range(256)) * 256
"""One part, as long as a part may be."""


def parts() -> Iterator[ServerScene]:
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
        s.send("a", reset("OVERFLOW", (number, number, 0)))
        s.ended("OVERFLOW")
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


PINGS = {"ping_interval_ms": 10_000, "pong_wait_ms": 30_000}


def heartbeat() -> Iterator[ServerScene]:
    """LIV: who is still there."""
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
    s.closes("a", "TIMEOUT")
    s.event("detached")
    s.resumes("b", 1)
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
    s.closes("a", "TIMEOUT")
    s.event("detached")
    yield s

    s = ServerScene("PING is answered with its token and the counts", "LIV-3", "CNT-9")
    s.starts()
    s.says("a", "one")
    s.receive("a", message("mine"))
    s.told("mine")
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

    s = ServerScene("the counts of a PONG nobody asked for act", "LIV-8", "WIN-1")
    s.starts("a", open_(window_messages=1))
    s.says("a", "one")
    s.sends("a", "two")
    s.receive("a", pong(77, (1, 1, 0)))
    s.send("a", message("two"))
    yield s


def endings() -> Iterator[ServerScene]:
    """RST, EXP, CLS: the end of sessions and of connections."""
    s = ServerScene("a detached session ends after its resume period", "EXP-1", "ATT-14", "RST-8")
    s.starts()
    s.receive("a", message("one"))
    s.told("one")
    s.sends("a", "yours")
    s.send("a", message("yours"), ack(1, 1, 1))
    s.says("a", "other")
    s.receive("a", ack(1, 1, 1))
    s.gone()
    s.advance(119.9)
    s.advance(0.1)
    s.ended("EXPIRED", (1, 1, 0))
    s.asks("b", 1, (2, 2, 1))
    s.send("b", reset("EXPIRED", (1, 1, 2)))
    s.opens("b", connect=False, session="other", key="other0")
    s.proves("b")
    yield s

    s = ServerScene("the resume period is the smaller of two", "EXP-1")
    s.starts("a", open_(period=60_000))
    s.gone()
    s.advance(59.9)
    s.resumes("b", 1)
    s.gone("b")
    s.advance(60)
    s.ended("EXPIRED")
    yield s

    s = ServerScene("a longer resume period than the server's is not given", "EXP-1")
    s.starts("a", open_(period=86_400_000))
    yield s

    s = ServerScene("a client's goodbye ends the session", "EXP-2", "ATT-14", "RST-2", "RST-8", "CLS-3")
    s.starts()
    s.says("a", "one", "two")
    s.receive("a", message("last words"))
    s.told("last words")
    s.receive("a", ack(2, 1, 1), close("NORMAL", "bye"), message("too late"))
    s.closed("a")
    s.event("closed", "a", code="NORMAL", reconnect=False, resume=False)
    s.ended("CLOSED", (1, 1, 0))
    s.asks("b", 9, (0, 0, 1))
    s.send("b", reset("CLOSED", (1, 1, 2)))
    yield s

    s = ServerScene("a client's CLOSE that wants to resume detaches", "EXP-2", "CLS-2")
    s.starts()
    s.receive("a", close("GOING_AWAY", "pausing"))
    s.closed("a")
    s.event("closed", "a", code="GOING_AWAY", resume=True)
    s.event("detached")
    s.resumes("b", 1)
    yield s

    for name, packet, ends in (
        ("an unknown code, resume false", [13, 999, "", True, False, 0, 0, None, None], True),
        ("an unknown code, resume true", [13, 399, "", False, True, 0, 0, None, None], False),
        ("NORMAL with resume true", [13, 300, "", False, True, 0, 0, None, None], False),
    ):
        s = ServerScene(f"the answers in a CLOSE hold, whatever its code: {name}", "CLS-2", "EXP-2", "CLS-1")
        s.starts()
        s.receive("a", packet)
        s.closed("a")
        s.event("closed", "a", resume=packet[4])
        if ends:
            s.ended("CLOSED")
        else:
            s.event("detached")
            s.resumes("b", 1)
        yield s

    s = ServerScene("a goodbye on an unattached connection ends no session", "EXP-2")
    s.starts()
    s.connect("b")
    s.receive("b", close("NORMAL"))
    s.closed("b")
    s.event("closed", "b", code="NORMAL")
    s.receive("a", message("still here"))
    s.told("still here")
    yield s

    s = ServerScene("what was taken before a protocol error is kept", "CLS-5", "PKT-2", "CNT-2")
    s.starts()
    s.receive("a", message("good"), [100], message("not looked at"))
    s.told("good")
    s.closes("a", "PROTOCOL_ERROR")
    s.event("detached")
    s.receive("a", message("nor this"))
    s.resumes("b", 1, (0, 0, 2), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 1), message("again"))
    s.told("again", first=2)
    yield s

    s = ServerScene("a server's CLOSE with resume false ends the session", "CLS-6", "ATT-14")
    s.starts()
    s.says("a", "one")
    s.command("close", "a", code="SESSION_ENDED", reason="done")
    s.send("a", close("SESSION_ENDED", "done"))
    s.event("closed", "a", code="SESSION_ENDED")
    s.ended("CLOSED", (0, 1, 0))
    s.asks("b", 1, (1, 1, 0))
    s.send("b", reset("CLOSED", (0, 0, 1)))
    yield s

    s = ServerScene("a drain names a spread and a place, and keeps the session", "CLS-1", "EXP-2", "CLS-3")
    s.starts()
    s.command("close", "a", code="GOING_AWAY", reason="drain", after_min_ms=500, after_max_ms=20_000, url="hawser://b")
    s.send("a", close("GOING_AWAY", "drain", after=(500, 20_000), url="hawser://b"))
    s.event("closed", "a", code="GOING_AWAY")
    s.event("detached")
    s.receive("a", message("too late"))
    s.drop("a")
    s.resumes("b", 1)
    yield s

    s = ServerScene("the side that sent CLOSE ends the carriage after the write deadline", "CLS-3")
    s.starts()
    s.command("close", "a", code="GOING_AWAY")
    s.send("a", close("GOING_AWAY"))
    s.event("closed", "a", code="GOING_AWAY")
    s.event("detached")
    s.advance(9.9)
    s.advance(0.1)
    s.closed("a")
    yield s

    s = ServerScene("a client's RESET ends the session, and OPEN goes on", "RST-1", "RST-4", "RST-5", "RST-8")
    s.starts()
    s.says("a", "one", "two", "three")
    s.receive("a", reset("INTERNAL", (2, 1, 0)))
    s.ended("INTERNAL", (1, 2, 0))
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
    s.command("reset", "a", reason="REVOKED")
    s.send("a", reset("REVOKED", ZERO))
    s.ended("REVOKED")
    s.receive("a", message("late"), ack(9, 1, 9), ping(1, ZERO), pong(1, None), volatile("x"), reauth(None))
    s.receive("a", resume(SESSION, secret(0), b"i", 1))
    s.opens("a", connect=False, session="other", key="other0")
    yield s

    s = ServerScene("after a RESET what arrives is still well formed", "RST-4", "PKT-8")
    s.starts()
    s.command("reset", "a", reason="REVOKED")
    s.send("a", reset("REVOKED", ZERO))
    s.ended("REVOKED")
    s.receive("a", [8, [0, 0]])
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = ServerScene("a tombstone is kept for the resume period", "RST-2", "RST-3", **QUIET)
    s.starts("a", open_(period=60_000))
    s.receive("a", close("NORMAL"))
    s.closed("a")
    s.event("closed", "a", code="NORMAL")
    s.ended("CLOSED")
    s.advance(59.9)
    s.asks("b", 1)
    s.send("b", reset("CLOSED", ZERO))
    s.advance(0.1)
    s.asks("c", 1)
    s.send("c", reset("UNKNOWN_SESSION", None))
    yield s

    s = ServerScene("the oldest tombstone is dropped first", "RST-2", "RST-3", tombstones=1)
    for link, number in (("a", 1), ("b", 2)):
        s.starts(link, session=f"session{number}", key=f"secret{number}")
        s.receive(link, close("NORMAL"))
        s.closed(link)
        s.event("closed", link, code="NORMAL")
        s.ended("CLOSED")
    s.asks("c", 1, session="session1", key="secret1")
    s.send("c", reset("UNKNOWN_SESSION", None))
    s.asks("d", 1, session="session2", key="secret2")
    s.send("d", reset("CLOSED", ZERO))
    yield s


def credentials() -> Iterator[ServerScene]:
    """AUT: credentials in time."""
    other = {"token": "n3w"}

    s = ServerScene("credentials that expire are asked for before, and end the connection", "AUT-1", "AUT-3", **QUIET)
    s.starts(expires_in_ms=60_000)
    s.advance(59.9)
    s.send("a", reauth(some_uint("within", 1, 60_000)))
    s.advance(0.1)
    s.closes("a", "UNAUTHORIZED")
    s.event("detached")
    s.resumes("b", 1)
    yield s

    s = ServerScene("new credentials in time are accepted", "AUT-2", "AUT-3", **QUIET)
    s.starts()
    s.command("reauthenticate", "a", within_ms=5_000)
    s.send("a", reauth(5_000))
    s.advance(4.9)
    s.receive("a", auth(other))
    s.judges("a", credentials=other)
    s.send("a", reauth(None))
    s.advance(10)
    s.receive("a", message("still here"))
    s.told("still here")
    yield s

    s = ServerScene("a server that asks and gets nothing", "AUT-3", "AUT-1", **QUIET)
    s.starts()
    s.command("reauthenticate", "a", within_ms=5_000)
    s.send("a", reauth(5_000))
    s.receive("a", message("other things"))
    s.told("other things")
    s.advance(4.9)
    s.send("a", ack(1, 1, 0))
    s.advance(0.1)
    s.closes("a", "UNAUTHORIZED")
    s.event("detached")
    yield s

    s = ServerScene("AUTH that nobody asked for; the session goes on while it is judged", "AUT-2")
    s.starts()
    s.receive("a", auth(other), message("meanwhile"))
    s.judges("a", principal=None, credentials=other)
    s.told("meanwhile")
    s.sends("a", "yours")
    s.send("a", message("yours"), ack(1, 1, 1))
    s.accepts("a")
    s.send("a", reauth(None))
    yield s

    for verdict, code in (("refuse", "UNAUTHORIZED"), ("unavailable", "UNAVAILABLE")):
        s = ServerScene(f"AUTH that is answered {code}", "AUT-2", "EXP-2")
        s.starts()
        s.receive("a", auth(other))
        s.judges("a", principal=None, credentials=other)
        s.command(verdict, "a")
        after = (some_uint("from"), some_uint("to")) if code == "UNAVAILABLE" else (0, 0)
        s.closes("a", code, after=after)
        s.event("detached")
        s.resumes("b", 1)
        yield s

    s = ServerScene("credentials of another principal are refused", "AUT-4", "SEC-4")
    s.starts()
    s.receive("a", auth(other))
    s.judges("a", credentials=other, principal="bob")
    s.closes("a", "UNAUTHORIZED")
    s.event("detached")
    s.resumes("b", 1)
    yield s

    s = ServerScene("a second AUTH before the first is answered is a protocol error", "AUT-5")
    s.starts()
    s.receive("a", auth(other))
    s.judges("a", principal=None, credentials=other)
    s.receive("a", auth(other))
    s.closes("a", "PROTOCOL_ERROR")
    s.event("detached")
    yield s


def negotiation() -> Iterator[ServerScene]:
    """VER: versions and features."""
    s = ServerScene("the highest version that both speak", "VER-1")
    s.connect("a")
    s.receive("a", open_(versions=(7, 0, 1, 2)))
    s.judges("a")
    s.welcomes("a")
    yield s

    s = ServerScene("the features that both have", "VER-2", features=["y", "z"])
    s.connect("a")
    s.receive("a", open_(features=("x", "y")))
    s.judges("a")
    s.welcomes("a", features=("y",))
    yield s

    s = ServerScene("no common version, and the authenticator is not asked", "VER-3")
    s.connect("a")
    s.receive("a", open_(versions=(2, 3)))
    s.closes("a", "VERSION")
    yield s


def packets() -> Iterator[ServerScene]:
    """PKT, CAR: bytes on a connection."""
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
        s.closes("a", "PROTOCOL_ERROR")
        s.event("detached")
        yield s

    s = ServerScene("a batch that ends inside a packet: whole packets before it count", "PKT-5", "CLS-5")
    s.starts()
    s.receive("a", message("one"), Raw(encode(message("two"))[:-1]))
    s.told("one")
    s.closes("a", "PROTOCOL_ERROR")
    s.event("detached")
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


FILES = {
    "server-attach": attach,
    "server-secrets": secrets,
    "server-counts": counts,
    "server-parts": parts,
    "server-heartbeat": heartbeat,
    "server-endings": endings,
    "server-credentials": credentials,
    "server-negotiation": negotiation,
    "server-packets": packets,
}
"""The functions by the names of their files."""
