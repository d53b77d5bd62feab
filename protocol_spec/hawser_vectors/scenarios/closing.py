"""CLOSE, and how sessions end in peace or by age (EXP, CLS)."""

from collections.abc import Iterator

from .notation import ClientScene, ServerScene
from .packets import ack, close, message, open_, reset


def server() -> Iterator[ServerScene]:
    """EXP, CLS: CLOSE both ways, and the resume period."""
    s = ServerScene("a detached session ends after its resume period", "EXP-1", "ATT-14", "RST-8")
    s.starts()
    s.takes("a", "one")
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
    s.takes("a", "last words")
    s.receive("a", ack(2, 1, 1), close("NORMAL", "bye"), message("too late"))
    s.closed("a")
    s.event("closed", "a", code="NORMAL", reconnect=False, resume=False)
    s.ended("CLOSED", (1, 1, 0))
    s.asks("b", 9, (0, 0, 1))
    s.send("b", reset("CLOSED", (1, 1, 2)))
    yield s

    s = ServerScene("a client's CLOSE that wants to resume detaches", "EXP-2", "CLS-2")
    s.starts()
    s.receives_close("a", "GOING_AWAY", "pausing", resume=True)
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
    s.receives_close("b", "NORMAL")
    s.takes("a", "still here")
    yield s

    s = ServerScene("what was taken before a protocol error is kept", "CLS-5", "PKT-2", "CNT-2")
    s.starts()
    s.receive("a", message("good"), [100], message("not looked at"))
    s.told("good")
    s.loses("a", "PROTOCOL_ERROR")
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


def client() -> Iterator[ClientScene]:
    """EXP, CLS: CLOSE both ways."""
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
    c.receives_close("a", "GOING_AWAY", "drain", after=(500, 20_000), reconnect=True, resume=True)
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

    c = ClientScene("a CLOSE on an unattached connection ends no session, whatever it says", "CLS-6")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.receive("b", [13, 105, "", True, False, 0, 0, None, None])
    c.closed("b")
    c.event("closed", "b", code="UNAVAILABLE", resume=False)
    c.asks("c", 2)
    yield c

    c = ClientScene("SUPERSEDED without a number is a protocol error", "CLS-7")
    c.starts()
    c.receive("a", close("SUPERSEDED"))
    c.loses("a", "PROTOCOL_ERROR")
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
