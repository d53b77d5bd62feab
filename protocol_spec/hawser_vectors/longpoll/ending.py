"""How a connection ends, and that its end is told again: CAR-18, CAR-25, CAR-27, CAR-28."""

from collections.abc import Iterator

from ..scenarios.packets import close, message, reset
from ..scenarios.patterns import REASON
from .notation import PollScene


def scenes() -> Iterator[PollScene]:
    """Yield them all."""
    s = PollScene("a RESET is the body of a 410, however often somebody asks", "CAR-27")
    s.begins()
    s.command("reset", "a", reason="REVOKED")
    s.answers("get1", 410, reset("REVOKED", (0, 0, 0)))
    s.ended("REVOKED")
    for number, method in ((2, "GET"), (1, "POST")):
        s.polls(f"again{number}", method, number)
        s.answers(f"again{number}", 410, reset("REVOKED", (0, 0, 0)))
    yield s

    s = PollScene("a CLOSE comes with the status of its code and with Retry-After", "CAR-28", "CAR-24")
    s.begins()
    s.command("close", "a", code="GOING_AWAY", after_min_ms=2_000, after_max_ms=9_000)
    s.answers("get1", 503, close("GOING_AWAY", REASON, after=(2_000, 9_000)), headers={"retry-after": "2"})
    s.event("closed", "a", code="GOING_AWAY")
    s.event("detached")
    yield s

    s = PollScene("what was sent before a CLOSE stands in the body before it", "CAR-18")
    s.begins()
    s.sends("a", "one")
    s.answers("get1", 200, message("one"), counts=(0, 0, 1), first=1)
    s.sends("a", "two")
    s.command("close", "a", code="SESSION_ENDED")
    s.event("closed", "a", code="SESSION_ENDED")
    s.ended("CLOSED", (0, 2, 0))
    s.polls("get2", "GET", 2, (1, 1, 0))
    s.answers("get2", 410, message("two"), close("SESSION_ENDED", REASON), first=2)
    yield s

    s = PollScene("the goodbye of a client is answered 204, and nobody is there any more", "CAR-27")
    s.begins()
    s.polls("bye", "POST", 1, (0, 0, 1), message("one"), close("NORMAL"), first=1)
    s.told("one")
    s.answers("bye", 204, counts=(1, 0, 0))
    s.answers("get1", 401)
    s.event("closed", "a", code="NORMAL")
    s.ended("CLOSED")
    yield s

    s = PollScene("so is its RESET", "CAR-27")
    s.begins()
    s.polls("bye", "POST", 1, (0, 0, 0), reset("INTERNAL", None))
    s.answers("bye", 204, counts=(0, 0, 0))
    s.answers("get1", 401)
    s.ended("INTERNAL")
    yield s
