"""What GETs bring: CAR-15 to CAR-20, CAR-26."""

from collections.abc import Iterator

from ..scenarios.packets import auth, close, message, reauth
from ..scenarios.patterns import REASON, some_uint
from .notation import PollScene


def scenes() -> Iterator[PollScene]:
    """Yield them all."""
    s = PollScene("a parked GET is answered as soon as there is something", "CAR-17", "CAR-18")
    s.begins()
    s.sends("a", "one")
    s.answers("get1", 200, message("one"), counts=(0, 0, 1), first=1)
    yield s

    s = PollScene("a body begins where the client says, whatever was sent before", "CAR-19", "CAR-12")
    s.begins()
    s.sends("a", "one")
    s.answers("get1", 200, message("one"), counts=(0, 0, 1), first=1)
    s.sends("a", "two", "three")
    s.polls("get2", "GET", 2, (0, 0, 0))
    s.answers("get2", 200, message("one"), message("two"), message("three"), counts=(0, 0, 3), first=1)
    s.polls("get3", "GET", 3, (2, 1, 0))
    s.answers("get3", 200, message("three"), counts=(0, 0, 3), first=3)
    s.polls("get4", "GET", 4, (1, 1, 0))
    s.answers("get4", 200, message("three"), counts=(0, 0, 3), first=3)
    s.polls("get5", "GET", 5, (3, 3, 0))
    s.sends("a", "four")
    s.answers("get5", 200, message("four"), counts=(0, 0, 4), first=4)
    yield s

    s = PollScene("of two GETs the one with the higher number is parked", "CAR-16")
    s.begins()
    s.polls("get5", "GET", 5)
    s.answers("get1", 204, counts=(0, 0, 0))
    s.polls("late", "GET", 4)
    s.answers("late", 204, counts=(0, 0, 0))
    s.polls("same", "GET", 5)
    s.answers("same", 204, counts=(0, 0, 0))
    s.sends("a", "one")
    s.answers("get5", 200, message("one"), counts=(0, 0, 1), first=1)
    yield s

    s = PollScene("counts act by maximum, for requests overtake each other", "CAR-15")
    s.begins()
    s.sends("a", "one")
    s.answers("get1", 200, message("one"), counts=(0, 0, 1), first=1)
    s.polls("post1", "POST", 1, (1, 1, 0))
    s.answers("post1", 204, counts=(0, 0, 1))
    s.polls("get2", "GET", 2, (0, 0, 0))
    s.sends("a", "two")
    s.answers("get2", 200, message("two"), counts=(0, 0, 2), first=2)
    yield s

    s = PollScene("a GET is answered 204 when the hold is over, with what there is to count", "CAR-17")
    s.begins()
    s.advance(25)
    s.answers("get1", 204, counts=(0, 0, 0))
    s.polls("get2", "GET", 2)
    s.advance(15)
    yield s

    s = PollScene("who asks nothing for 30 s after the end of a hold is gone", "CAR-26")
    s.begins()
    s.advance(25)
    s.answers("get1", 204, counts=(0, 0, 0))
    s.advance(30)
    s.event("closed", "a", code="TIMEOUT")
    s.event("detached")
    s.polls("late", "GET", 2)
    s.answers("late", 503, close("TIMEOUT", REASON), has=("retry-after",))
    yield s

    s = PollScene("a wish for credentials stands in every body, and its answer in the response to AUTH", "CAR-20")
    s.begins()
    s.command("reauthenticate", "a", within_ms=30_000)
    s.answers("get1", 200, reauth(some_uint("within", 1, 30_000)), counts=(0, 0, 0))
    s.polls("get2", "GET", 2)
    s.sends("a", "one")
    s.answers("get2", 200, reauth(some_uint("within", 1, 30_000)), message("one"), counts=(0, 0, 1), first=1)
    s.polls("post1", "POST", 1, (1, 1, 0), auth({"token": "new"}))
    s.judges("a", credentials={"token": "new"})
    s.answers("post1", 200, reauth(None), counts=(0, 0, 1))
    s.polls("again", "POST", 1, (1, 1, 0), auth({"token": "new"}))
    s.answers("again", 200, reauth(None), counts=(0, 0, 1))
    s.polls("get3", "GET", 3, (1, 1, 0))
    s.sends("a", "two")
    s.answers("get3", 200, message("two"), counts=(0, 0, 2), first=2)
    yield s
