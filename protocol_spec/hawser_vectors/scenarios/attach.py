"""The attach of a new session: what stands before it, its answer, versions and features (ATT, VER)."""

from collections.abc import Iterator
from typing import Any, Final

from .notation import QUIET, ClientScene, ServerScene
from .packets import (
    INCARNATION,
    OTHER,
    SESSION,
    TOKEN,
    ZERO,
    ack,
    auth,
    close,
    message,
    open_,
    opened,
    ping,
    pong,
    reauth,
    reset,
    resume,
    resumed,
    secret,
    volatile,
)
from .patterns import some_bytes

FAULTS_BEFORE: Final[dict[str, tuple[list[Any], str]]] = {
    "MESSAGE": (message("x"), "ATT-1"),
    "VOLATILE": (volatile("x"), "ATT-1"),
    "ACK": (ack(0, 0, 0), "ATT-1"),
    "RESET": (reset("CLOSED", None), "ATT-1"),
    "PONG": (pong(1, None), "ATT-1"),
    "AUTH": (auth(TOKEN), "ATT-1"),
    "OPENED": ([2, 1, [], b"s", bytes(32), b"i", 1, 1, 1, {}], "PKT-8"),
    "RESUMED": (resumed(1, ZERO, bytes(32)), "PKT-15"),
    "REAUTH": (reauth(None), "PKT-15"),
    "an unknown critical kind": ([127], "PKT-2"),
}
"""What a client must not begin with, and the clause that says so."""


def server() -> Iterator[ServerScene]:
    """ATT, VER: OPEN, what may surround it, and its answers."""
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
    s.receives_close("b", "NORMAL", "bye", resume=False)
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
    s.receives_close("a", "GOING_AWAY")
    yield s

    for name, packet in {
        "a second OPEN": open_(),
        "PING": ping(1, None),
        "MESSAGE": message("x"),
        "ACK": ack(0, 0, 0),
        "RESET": reset("DRIFT", None),
        "RESUME": resume(SESSION, secret(0), INCARNATION, 1),
    }.items():
        s = ServerScene(f"{name} while OPEN is judged is a protocol error", "ATT-2", "PKT-10", "ATT-17")
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
    s.receives_close("a", "GOING_AWAY")
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
        s.loses("a", "PROTOCOL_ERROR")
        s.resumes("b", 1, opened=True)
        yield s

    s = ServerScene("RESET instead of the first ACK ends the session", "ATT-3", "RST-1", "RST-4")
    s.opens()
    s.resumes("b", 1, opened=True, fences="a")
    s.receives_reset("b", "DRIFT", ZERO)
    s.opens("b", connect=False, session="other", key="other0")
    yield s

    s = ServerScene("OPEN on an attached connection is a protocol error", "ATT-17", "PKT-10")
    s.starts()
    s.receive("a", open_())
    s.loses("a", "PROTOCOL_ERROR")
    yield s

    s = ServerScene("after a RESET on an attached connection the handshake deadline begins too", "ATT-13", "RST-5")
    s.starts()
    s.advance(1)
    s.receive("a", ack(7, 7, 7))
    s.gives_up("a", "DRIFT")
    s.advance(9.9)
    s.advance(0.1)
    s.closes("a", "TIMEOUT")
    yield s

    s = ServerScene("RESUME on an attached connection is a protocol error", "ATT-17", "PKT-10")
    s.starts()
    s.receive("a", resume(some_bytes("session"), some_bytes("secret0"), INCARNATION, 1))
    s.loses("a", "PROTOCOL_ERROR")
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
    s.unknown("b", 1, session=SESSION, key=secret(7), connect=False)
    s.advance(9.9)
    s.advance(0.1)
    s.closes("b", "TIMEOUT")
    yield s

    for code in ("UNAUTHORIZED", "UNAVAILABLE"):
        s = ServerScene(f"{code} at OPEN", "ATT-16")
        s.connect("a")
        s.receive("a", open_())
        s.judges("a", principal=None)
        s.refuses("a", code)
        yield s

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


def client() -> Iterator[ClientScene]:
    """ATT, VER: OPEN and what the server makes of it."""
    c = ClientScene("the first exchange of appendix A", "ATT-3", "ATT-12", "ATT-4", "CNT-1", "ACK-5")
    c.opens()
    c.answers()
    c.says("a", "hello")
    c.receive("a", ack(1, 1, 0), message("hi"))
    c.told("hi")
    c.gone()
    c.resumes("b", 1, (1, 1, 1), own=(1, 1, 1))
    c.command("close", "b", code="NORMAL", reason="bye")
    c.send("b", close("NORMAL", "bye"))
    c.event("closed", "b", code="NORMAL")
    c.ended("CLOSED", (1, 0, 0))
    yield c

    c = ClientScene("what the application sends before OPENED waits for it", "ATT-2", "NUM-1", "NUM-3")
    c.opens()
    c.sends("a", "one", "two")
    c.answers("a", message("one"), message("two"))
    yield c

    for name, packet, clause in (
        ("MESSAGE", message("x"), "ATT-1"),
        ("ACK", ack(0, 0, 0), "ATT-1"),
        ("REAUTH", reauth(None), "ATT-1"),
        ("PING", ping(1, None), "LIV-7"),
        ("RESET", reset("CLOSED", None), "ATT-1"),
    ):
        c = ClientScene(f"{name} before the answer to OPEN is a protocol error", clause, "PKT-10", "CLS-5")
        c.opens()
        c.receive("a", packet)
        c.closes("a", "PROTOCOL_ERROR")
        c.connect("b")
        c.send("b", c.wants())
        yield c

    c = ClientScene("a second answer is a protocol error", "ATT-19", "CLS-5")
    c.starts()
    c.receive("a", opened())
    c.loses("a", "PROTOCOL_ERROR")
    c.resumes("b", 1)
    c.receive("b", resumed(1, ZERO, secret(1)))
    c.loses("b", "PROTOCOL_ERROR")
    yield c

    c = ClientScene("OPENED in answer to RESUME is a protocol error", "ATT-19", "PKT-10")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.receive("b", opened(session=OTHER))
    c.closes("b", "PROTOCOL_ERROR")
    c.asks("c", 2)
    yield c

    c = ClientScene("an answer that does not come", "ATT-20", level="SHOULD")
    c.opens()
    c.advance(10)
    c.closes("a", "TIMEOUT")
    c.opens("b")
    yield c

    c = ClientScene("a version that was not offered is a protocol error", "VER-4")
    c.opens()
    c.receive("a", opened(version=2))
    c.closes("a", "PROTOCOL_ERROR")
    c.opens("b")
    yield c

    c = ClientScene("a feature that was not offered is a protocol error", "VER-4", "VER-2", features=["x"])
    c.opens()
    c.receive("a", opened(features=("x", "y")))
    c.closes("a", "PROTOCOL_ERROR")
    yield c

    c = ClientScene(
        "features that were offered are in force", "VER-2", "EXP-1", features=["x", "y"], resume_period_ms=60_000
    )
    c.starts("a", features=("y",))
    yield c
