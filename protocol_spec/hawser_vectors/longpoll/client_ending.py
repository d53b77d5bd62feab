"""How a connection ends for a client, and what it does then: CAR-14, CAR-18, CAR-25, CAR-27, CAR-28, CAR-36."""

from collections.abc import Iterator

from ..scenarios.packets import close, message, opened, reset, resumed, secret
from .notation import PollingScene


def scenes() -> Iterator[PollingScene]:
    """Yield them all."""
    for method, name in (("GET", "get1"), ("POST", "post1")):
        for status, clause in ((401, "CAR-14"), (409, "CAR-36")):
            c = PollingScene(
                f"a {method} answered {status} without a body ends the connection, and the client attaches anew",
                clause,
            )
            c.begins()
            c.posts("one", number=1)
            c.replies(name, status)
            c.ends()
            c.reattaches("b", 1, (0, 0, 1))
            yield c

        c = PollingScene(
            f"a RESET that answers a {method} is followed by the attach of a new connection", "CAR-27", "RST-5"
        )
        c.begins()
        c.posts("one", number=1)
        c.replies(name, 410, reset("REVOKED", (1, 1, 0)))
        c.requests("anew", "POST", c.wants())
        c.ended("REVOKED", (1, 0, 0))
        c.replies("anew", 200, opened())
        c.polls("first", "GET", 1)
        c.event("opened")
        yield c

        c = PollingScene(
            f"a {method} answered 409 with an attempt that nobody here has made ends the session",
            "CAR-25",
            "ATT-9",
        )
        c.begins()
        c.posts("one", number=1)
        c.replies(name, 409, close("SUPERSEDED", "", attempt=7))
        c.closed("a")
        c.event("closed", "a", code="SUPERSEDED")
        c.ended("TAKEN_OVER", (0, 1, 0))
        c.attaches("b")
        yield c

    for where, received in (("behind", 1), ("before", 0)):
        c = PollingScene(
            f"the counts of the next attach say what a 409 was about: {where} what was stated", "CAR-36", "ATT-11"
        )
        c.begins()
        c.posts("one", number=1)
        c.replies("post1", 204, counts=(1, 1, 0))
        c.posts("two", number=2)
        c.replies("post2", 409, counts=(0, 0, 0))
        c.ends()
        c.reattaches("b", 1, (0, 0, 2))
        c.replies("b", 200, resumed(1, (received, received, 0), secret(1)))
        if received:
            c.polls("bget1", "GET", 1, (0, 0, 2), generation=1, link="b")
            c.polls("bpost1", "POST", 1, (0, 0, 2), message("two"), first=2, generation=1, link="b")
            c.event("resumed", replayed=1)
        else:
            c.polls("bpost1", "POST", 1, (0, 0, 0), reset("DRIFT", (0, 0, 2)), generation=1, link="b")
            c.ended("DRIFT", (1, 1, 0))
        yield c

    c = PollingScene("a CLOSE that comes with 503 keeps the session", "CAR-24", "CAR-28", "CLS-1")
    c.begins()
    c.replies("get1", 503, close("GOING_AWAY", "drain", after=(2_000, 9_000)), headers={"retry-after": "2"})
    c.ends(code="GOING_AWAY", reconnect=True, resume=True)
    c.reattaches("b", 1)
    c.goes_on("b", 1)
    yield c

    for status, code in ((400, "PROTOCOL_ERROR"), (413, "TOO_LARGE"), (429, "RATE")):
        c = PollingScene(f"so does one that comes with {status}", "CAR-24", "CLS-1")
        c.begins()
        c.posts("one", number=1)
        c.replies("post1", status, close(code), headers={"retry-after": "1"} if status == 429 else None)
        c.ends(code=code)
        c.reattaches("b", 1, (0, 0, 1))
        yield c

    c = PollingScene("what stands before a CLOSE is taken", "CAR-18", "CLS-6")
    c.begins()
    c.replies("get1", 410, message("last"), close("SESSION_ENDED", "done"), first=1)
    c.told("last")
    c.closed("a")
    c.event("closed", "a", code="SESSION_ENDED", reconnect=True, resume=False)
    c.ended("CLOSED")
    c.attaches("b")
    yield c

    c = PollingScene(
        "a goodbye is the last packet of a POST, and nothing is asked for or taken behind it",
        "CAR-27",
        "CLS-3",
        "CAR-15",
    )
    c.begins()
    c.sends("a", "one")
    c.polls("post1", "POST", 1, (0, 0, 1), message("one"), first=1)
    c.command("close", "a", code="NORMAL", reason="bye")
    c.event("closed", "a", code="NORMAL")
    c.ended("CLOSED", (0, 1, 0))
    c.replies("get1", 200, message("too late"), counts=(0, 0, 1), first=1)
    c.replies("post1", 204, counts=(1, 1, 1))
    c.polls("post2", "POST", 2, (0, 0, 1), close("NORMAL", "bye"))
    c.fails("post2")
    c.polls("again", "POST", 2, (0, 0, 1), close("NORMAL", "bye"))
    c.replies("again", 204, counts=(1, 1, 1))
    c.closed("a")
    yield c

    c = PollingScene(
        "a RESET of this side is the last packet of a POST, and the attach of a new connection follows its answer",
        "CAR-27",
        "RST-5",
    )
    c.begins()
    c.command("reset", "a", reason="INTERNAL")
    c.polls("post1", "POST", 1, (0, 0, 0), reset("INTERNAL", (0, 0, 0)))
    c.ended("INTERNAL")
    c.replies("post1", 204, counts=(0, 0, 0))
    c.requests("anew", "POST", c.wants())
    c.replies("get1", 401)
    c.replies("anew", 200, opened())
    c.polls("first", "GET", 1)
    c.event("opened")
    yield c
