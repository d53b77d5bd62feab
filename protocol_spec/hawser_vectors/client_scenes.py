"""The scenarios of a client: one function for each file, each scenario a few steps long."""

from collections.abc import Iterator

from .encoding import Raw, encode
from .scenes import (
    INCARNATION,
    SESSION,
    TOKEN,
    ZERO,
    ClientScene,
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
    resumed,
    secret,
    volatile,
)

OTHER = bytes.fromhex("07e4")
"""Id of a second session."""


def attach() -> Iterator[ClientScene]:
    """ATT, SEC: the exchange before messages flow."""
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

    c = ClientScene("every RESUME has the next attempt and the newest secret that arrived", "ATT-4", "SEC-2")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.drop("b")
    c.resumes("c", 2)
    c.gone("c")
    c.asks("d", 3, key=2)
    yield c

    c = ClientScene("a RESUMED for an earlier attempt is ignored", "ATT-8", "ATT-19")
    c.starts()
    c.says("a", "one")
    c.gone()
    c.asks("b", 1, (0, 0, 1))
    c.drop("b")
    c.asks("c", 2, (0, 0, 1))
    c.receive("c", resumed(1, (1, 1, 5), secret(1)))
    c.receive("c", resumed(2, ZERO, secret(2)))
    c.send("c", ack(0, 0, 0), message("one"))
    c.event("resumed")
    c.gone("c")
    c.asks("d", 3, (0, 0, 1), key=2)
    yield c

    c = ClientScene("another holder of the session: taken over", "ATT-9", "RST-7")
    c.starts()
    c.says("a", "one", "two")
    c.receive("a", ack(1, 1, 0), close("SUPERSEDED", "", attempt=4))
    c.closed("a")
    c.event("closed", "a", code="SUPERSEDED")
    c.ended("TAKEN_OVER", (1, 1, 0))
    c.opens("b")
    c.answers("b", session=OTHER)
    yield c

    c = ClientScene("another holder of the session, told in answer to a RESUME", "ATT-9")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.receive("b", close("SUPERSEDED", "", attempt=2))
    c.closed("b")
    c.event("closed", "b", code="SUPERSEDED")
    c.ended("TAKEN_OVER")
    c.opens("c")
    yield c

    for name, told in {"the same number": 2, "a lower one": 1}.items():
        c = ClientScene(f"SUPERSEDED with {name}: again with the next attempt", "ATT-10", "ATT-4")
        c.starts()
        c.gone()
        c.asks("b", 1)
        c.drop("b")
        c.asks("c", 2)
        c.receive("c", close("SUPERSEDED", "", attempt=told))
        c.closed("c")
        c.event("closed", "c", code="SUPERSEDED")
        c.resumes("d", 3)
        yield c

    for name, counts in {
        "received above all that was numbered": (3, 1, 1),
        "received below what was trimmed": (0, 0, 1),
        "delivered above received": (1, 2, 1),
        "delivered below what was told": (2, 0, 1),
        "sent below what has arrived": (2, 1, 0),
    }.items():
        c = ClientScene(f"counts of a RESUMED that cannot be: {name}", "ATT-11", "RST-5", "RST-7")
        c.starts()
        c.says("a", "one", "two")
        c.receive("a", ack(1, 1, 0), message("hi"))
        c.told("hi")
        c.gone()
        c.asks("b", 1, (1, 1, 2))
        c.receive("b", resumed(1, counts, secret(1)))
        c.send("b", reset("DRIFT", (1, 1, 2)), c.wants())
        c.ended("DRIFT", (1, 1, 0))
        c.answers("b", session=OTHER)
        yield c

    c = ClientScene(
        "a RESUMED trims what its counts call delivered, and the rest is replayed", "ATT-12", "NUM-5", "CNT-1"
    )
    c.starts()
    c.says("a", "one", "two", "three")
    c.gone()
    c.sends("a", "four")
    c.resumes("b", 1, (0, 0, 3), own=(2, 1, 0), replay=(message("three"), message("four")))
    c.receive("b", ack(4, 4, 0))
    yield c

    c = ClientScene("nothing leaves on the older connection once the RESUME has left", "ATT-15")
    c.starts()
    c.asks("b", 1)
    c.sends("b", "one")
    c.receive("a", message("late"), ping(1, ZERO))
    c.receive("b", resumed(1, ZERO, secret(1)))
    c.send("b", ack(0, 0, 0), message("one"))
    c.event("resumed")
    c.receive("b", message("hi"))
    c.told("hi")
    yield c

    c = ClientScene("the older connection tells of another holder", "ATT-15", "ATT-9")
    c.starts()
    c.asks("b", 1)
    c.receive("a", close("SUPERSEDED", "", attempt=2))
    c.closed("a")
    c.ended("TAKEN_OVER")
    c.closes("b", "GOING_AWAY")
    yield c

    c = ClientScene("a second answer is a protocol error", "ATT-19", "CLS-5")
    c.starts()
    c.receive("a", c.opened())
    c.closes("a", "PROTOCOL_ERROR")
    c.event("detached")
    c.resumes("b", 1)
    c.receive("b", resumed(1, ZERO, secret(1)))
    c.closes("b", "PROTOCOL_ERROR")
    c.event("detached")
    yield c

    c = ClientScene("OPENED in answer to RESUME is a protocol error", "ATT-19", "PKT-10")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.receive("b", c.opened(session=OTHER))
    c.closes("b", "PROTOCOL_ERROR")
    c.asks("c", 2)
    yield c

    c = ClientScene("an answer that does not come", "ATT-20", level="SHOULD")
    c.opens()
    c.advance(10)
    c.closes("a", "TIMEOUT")
    c.opens("b")
    yield c

    for name, packet in {
        "OPEN": open_(),
        "RESUME": resume(SESSION, secret(0), INCARNATION, 1),
        "AUTH": auth(TOKEN),
    }.items():
        c = ClientScene(f"{name} from a server is a protocol error", "PKT-15", "CLS-5")
        c.starts()
        c.receive("a", packet)
        c.closes("a", "PROTOCOL_ERROR")
        c.event("detached")
        yield c


def session() -> Iterator[ClientScene]:
    """CNT, ACK, NUM, WIN, PRT: messages flow."""
    c = ClientScene("`sent` of a server's ACK that differs from what arrived is drift", "CNT-5", "RST-5")
    c.starts()
    c.receive("a", ack(0, 0, 1))
    c.send("a", reset("DRIFT", ZERO), c.wants())
    c.ended("DRIFT")
    yield c

    c = ClientScene("an ACK of what was never sent is drift", "ACK-4", "RST-5")
    c.starts()
    c.receive("a", ack(1, 0, 0))
    c.send("a", reset("DRIFT", ZERO), c.wants())
    c.ended("DRIFT")
    yield c

    c = ClientScene("`delivered` above `received` is drift", "CNT-8")
    c.starts()
    c.says("a", "one")
    c.receive("a", ping(3, (0, 1, 0)))
    c.send("a", reset("DRIFT", (0, 0, 1)), c.wants())
    c.ended("DRIFT", (0, 1, 0))
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
    c.closes("a", "PROTOCOL_ERROR")
    c.event("detached")
    yield c

    c = ClientScene("PING is answered with its token and the counts", "LIV-3", "ACK-3")
    c.starts()
    c.receive("a", message("one"))
    c.told("one")
    c.receive("a", ping(7, (0, 0, 1)))
    c.send("a", pong(7, (1, 1, 0)))
    c.advance(2)
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
    c.receive("a", message("one"))
    c.told("one")
    c.advance(1)
    c.send("a", ack(1, 1, 0))
    c.receive("a", ack(0, 0, 1))
    c.advance(2)
    yield c

    c = ClientScene("32 deliveries are stated at once", "ACK-1", deliver=False)
    c.starts()
    c.receive("a", *(message(f"{number}") for number in range(40)))
    c.told(*(f"{number}" for number in range(40)))
    c.command("delivered", "a", number=31)
    c.command("delivered", "a", number=32)
    c.send("a", ack(40, 32, 0))
    yield c

    c = ClientScene("a window in bytes, and one part beyond it", "WIN-1", "WIN-2", "CNT-3", "NUM-3")
    c.starts(window_bytes=10)
    c.says("a", "a body of more than ten")
    c.sends("a", "x", "y")
    c.receive("a", ack(1, 0, 0))
    c.receive("a", ack(1, 1, 0))
    c.send("a", message("x"), message("y"))
    yield c

    c = ClientScene("what waits for the window has no number at a RESUME", "NUM-1", "NUM-2", "NUM-5")
    c.starts(window_messages=1)
    c.says("a", "one")
    c.sends("a", "two")
    c.gone()
    c.sends("a", "three")
    c.resumes("b", 1, (0, 0, 1), replay=(message("one"),))
    c.receive("b", ack(1, 1, 0))
    c.send("b", message("two"))
    c.receive("b", ack(2, 2, 0))
    c.send("b", message("three"))
    yield c

    c = ClientScene(
        "a part beyond the window is not taken", "WIN-3", "CNT-2", "CNT-4", window_messages=2, deliver=False
    )
    c.starts()
    c.receive("a", message("one"), message("two"), message("three"))
    c.told("one", "two")
    c.closes("a", "FLOW")
    c.event("detached")
    c.resumes("b", 1, (2, 0, 0), own=(0, 0, 3))
    yield c

    c = ClientScene(
        "the third connection in a row that breaks the window", "WIN-3", "RST-5", window_messages=1, deliver=False
    )
    c.starts()
    c.receive("a", message("one"), message("two"))
    c.told("one")
    c.closes("a", "FLOW")
    c.event("detached")
    c.resumes("b", 1, (1, 0, 0), own=(0, 0, 2))
    c.receive("b", message("two"))
    c.closes("b", "FLOW")
    c.event("detached")
    c.resumes("c", 2, (1, 0, 0), own=(0, 0, 2), key=1)
    c.receive("c", message("two"))
    c.send("c", reset("FLOW", (1, 0, 0)), c.wants())
    c.ended("FLOW")
    yield c

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
    c.send("a", reset("OVERFLOW", (1, 1, 0)), c.wants())
    c.ended("OVERFLOW")
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


def life() -> Iterator[ClientScene]:
    """LIV, AUT, VER, PKT: heartbeat, credentials, negotiation, bytes."""
    c = ClientScene("a server that is silent for the ping interval and the pong wait is dead", "LIV-4")
    c.starts()
    c.advance(34)
    c.receive("a", [200])
    c.advance(34.9)
    c.advance(0.1)
    c.closes("a", "TIMEOUT")
    c.event("detached")
    c.resumes("b", 1)
    yield c

    c = ClientScene("the counts of a PONG nobody asked for act", "LIV-8")
    c.starts(window_messages=1)
    c.says("a", "one")
    c.sends("a", "two")
    c.receive("a", pong(77, (1, 1, 0)))
    c.send("a", message("two"))
    yield c

    other = {"token": "n3w"}
    c = ClientScene("new credentials are asked for, sent and accepted", "AUT-1", "AUT-2", "AUT-5")
    c.starts()
    c.receive("a", reauth(30_000))
    c.event("credentials_wanted", within_ms=30_000)
    c.command("credentials", credentials=other)
    c.send("a", auth(other))
    c.receive("a", reauth(None))
    c.event("credentials_accepted")
    c.gone()
    c.asks("b", 1, credentials=other)
    yield c

    c = ClientScene("an AUTH that crosses a REAUTH meets it", "AUT-5", "AUT-2")
    c.starts()
    c.command("credentials", credentials=other)
    c.send("a", auth(other))
    c.receive("a", reauth(30_000))
    c.receive("a", reauth(None))
    c.event("credentials_accepted")
    yield c

    c = ClientScene("UNAUTHORIZED keeps the session for other credentials", "AUT-3", "CLS-2", "EXP-2")
    c.starts()
    c.says("a", "one")
    c.receive("a", close("UNAUTHORIZED", "expired"))
    c.closed("a")
    c.event("closed", "a", code="UNAUTHORIZED", reconnect=False, resume=True)
    c.event("detached")
    c.command("credentials", credentials=other)
    c.asks("b", 1, (0, 0, 1), credentials=other)
    yield c

    c = ClientScene("a version that was not offered is a protocol error", "VER-4")
    c.opens()
    c.receive("a", c.opened(version=2))
    c.closes("a", "PROTOCOL_ERROR")
    c.opens("b")
    yield c

    c = ClientScene("a feature that was not offered is a protocol error", "VER-4", "VER-2", features=["x"])
    c.opens()
    c.receive("a", c.opened(features=("x", "y")))
    c.closes("a", "PROTOCOL_ERROR")
    yield c

    c = ClientScene(
        "features that were offered are in force", "VER-2", "EXP-1", features=["x", "y"], resume_period_ms=60_000
    )
    c.starts("a", features=("y",))
    yield c

    c = ClientScene("an unknown ignorable packet is skipped, an unknown critical one is not", "PKT-3", "PKT-2", "CLS-5")
    c.opens()
    c.receive("a", [128, "x"])
    c.answers()
    c.receive("a", message("one"), [255], [127], message("two"))
    c.told("one")
    c.closes("a", "PROTOCOL_ERROR")
    c.event("detached")
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
    c.receive("b", message("two"))
    c.told("two", first=2)
    yield c

    c = ClientScene("any split of a byte stream means the same", "CAR-30", carriage="stream")
    c.opens()
    data = encode(c.opened())
    for place in range(0, 120, 40):
        c.receive("a", Raw(data[place : place + 40]))
    c.receive("a", Raw(data[120:] + encode(message("one"))[:3]))
    c.send("a", ack(0, 0, 0))
    c.event("opened")
    c.receive("a", Raw(encode(message("one"))[3:]))
    c.told("one")
    yield c


def endings() -> Iterator[ClientScene]:
    """RST, EXP, CLS: the end of sessions and of connections."""
    c = ClientScene(
        "a lost session: OPEN on the same connection, and nothing is sent again", "RST-5", "RST-7", "ATT-14"
    )
    c.starts()
    c.says("a", "one", "two")
    c.gone()
    c.sends("a", "three")
    c.asks("b", 1, (0, 0, 2))
    c.receive("b", reset("EXPIRED", (1, 1, 0)))
    c.send("b", c.wants())
    c.ended("EXPIRED", (1, 1, 1))
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
    c.receive("a", message("new"))
    c.told("new")
    yield c

    c = ClientScene("after a RESET what arrives is still well formed", "RST-4", "PKT-8")
    c.starts()
    c.receive("a", reset("REVOKED", ZERO))
    c.send("a", c.wants())
    c.ended("REVOKED")
    c.receive("a", [8, [0, 0]])
    c.closes("a", "PROTOCOL_ERROR")
    yield c

    c = ClientScene("the client ends its session with RESET", "RST-1", "RST-5", "RST-4")
    c.starts()
    c.says("a", "one")
    c.receive("a", message("hi"))
    c.told("hi")
    c.command("reset", "a", reason="INTERNAL")
    c.send("a", reset("INTERNAL", (1, 1, 1)), c.wants())
    c.ended("INTERNAL", (0, 1, 0))
    yield c

    c = ClientScene("both sides send RESET", "RST-4", "RST-5")
    c.starts()
    c.command("reset", "a", reason="INTERNAL")
    c.send("a", reset("INTERNAL", ZERO), c.wants())
    c.ended("INTERNAL")
    c.receive("a", reset("REVOKED", ZERO))
    c.answers("a", session=OTHER)
    yield c

    c = ClientScene("a RESET for a reason that is not known", "RST-11", "RST-5")
    c.starts()
    c.receive("a", reset(99, None))
    c.send("a", c.wants())
    c.event("reset", known_delivered=0, unknown=0, not_sent=0)
    yield c

    c = ClientScene("a server's CLOSE with resume false ends the session", "CLS-6", "RST-7", "RST-8", "CLS-3")
    c.starts()
    c.says("a", "one")
    c.receive("a", message("last"), close("SESSION_ENDED", "done"), message("too late"))
    c.told("last")
    c.closed("a")
    c.event("closed", "a", code="SESSION_ENDED", reconnect=True, resume=False)
    c.ended("CLOSED", (0, 1, 0))
    c.opens("b")
    yield c

    c = ClientScene("a server that drains keeps the session", "CLS-1", "EXP-2", "CLS-3")
    c.starts()
    c.receive("a", close("GOING_AWAY", "drain", after=(500, 20_000)))
    c.closed("a")
    c.event("closed", "a", code="GOING_AWAY", reconnect=True, resume=True)
    c.event("detached")
    c.resumes("b", 1)
    yield c

    for name, packet, ends in (
        ("an unknown code, resume false", [13, 150, "", True, False, 0, 0, None, None], True),
        ("an unknown code, resume true", [13, 350, "", True, True, 0, 0, None, None], False),
    ):
        c = ClientScene(f"the answers in a CLOSE hold, whatever its code: {name}", "CLS-2", "CLS-6")
        c.starts()
        c.receive("a", packet)
        c.closed("a")
        c.event("closed", "a", reconnect=True, resume=packet[4])
        if ends:
            c.ended("CLOSED")
            c.opens("b")
        else:
            c.event("detached")
            c.resumes("b", 1)
        yield c

    c = ClientScene("SUPERSEDED without a number is a protocol error", "CLS-7")
    c.starts()
    c.receive("a", close("SUPERSEDED"))
    c.closes("a", "PROTOCOL_ERROR")
    c.event("detached")
    yield c

    c = ClientScene("the client's goodbye ends the session, and it ends the carriage in time", "EXP-2", "CLS-3")
    c.starts()
    c.says("a", "one")
    c.command("close", "a", code="NORMAL", reason="bye")
    c.send("a", close("NORMAL", "bye"))
    c.event("closed", "a", code="NORMAL")
    c.ended("CLOSED", (0, 1, 0))
    c.receive("a", message("too late"))
    c.advance(9.9)
    c.advance(0.1)
    c.closed("a")
    yield c


FILES = {"client-attach": attach, "client-session": session, "client-life": life, "client-endings": endings}
"""The functions by the names of their files."""
