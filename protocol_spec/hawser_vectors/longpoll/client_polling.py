"""What a client makes of the answers to its GETs: CAR-15 to CAR-19, CAR-24, CAR-26, CAR-28."""

from collections.abc import Iterator

from ..scenarios.packets import auth, close, message, reauth, reset, volatile
from ..scenarios.patterns import REASON
from .notation import PollingScene


def scenes() -> Iterator[PollingScene]:
    """Yield them all."""
    c = PollingScene(
        "each GET carries the next number and the counts behind what the one before has brought", "CAR-16", "CAR-15"
    )
    c.begins()
    c.brings("get1", "one", "two")
    c.polls("get2", "GET", 2, (2, 2, 0))
    c.replies("get2", 204, counts=(0, 0, 2))
    c.polls("get3", "GET", 3, (2, 2, 0))
    yield c

    c = PollingScene(
        "what the application has not taken is received and not delivered", "CAR-15", "CNT-3", deliver=False
    )
    c.begins()
    c.brings("get1", "one", "two")
    c.polls("get2", "GET", 2, (2, 0, 0))
    c.command("delivered", "a", number=1)
    c.replies("get2", 204, counts=(0, 0, 2))
    c.polls("get3", "GET", 3, (2, 1, 0))
    yield c

    c = PollingScene("of a body the client takes what it does not have", "CAR-19", "CNT-4")
    c.begins()
    c.brings("get1", "one", "two")
    c.polls("get2", "GET", 2, (2, 2, 0))
    c.replies("get2", 200, message("one"), message("two"), message("three"), counts=(0, 0, 3), first=1)
    c.told("three", first=3)
    c.polls("get3", "GET", 3, (3, 3, 0))
    c.replies("get3", 200, message("two"), message("three"), counts=(0, 0, 3), first=2)
    c.polls("get4", "GET", 4, (3, 3, 0))
    yield c

    c = PollingScene("a body that begins too far on is a drift", "CNT-4", "CAR-19", "CAR-27")
    c.begins()
    c.replies("get1", 200, message("three"), counts=(0, 0, 3), first=3)
    c.polls("post1", "POST", 1, (0, 0, 0), reset("DRIFT", (0, 0, 0)))
    c.ended("DRIFT")
    c.replies("post1", 204, counts=(0, 0, 3))
    c.requests("anew", "POST", c.wants())
    yield c

    c = PollingScene("an uncounted message comes with a body, and is in no count", "CAR-18", "CNT-7")
    c.begins()
    c.replies("get1", 200, volatile("now"), message("one"), counts=(0, 0, 1), first=1)
    c.event("volatile", hex=b"now".hex())
    c.told("one")
    c.polls("get2", "GET", 2, (1, 1, 0))
    yield c

    c = PollingScene(
        "new credentials that are wanted leave in a POST, and its response has the answer", "CAR-20", "AUT-2"
    )
    c.begins()
    c.replies("get1", 200, reauth(30_000), counts=(0, 0, 0))
    c.polls("get2", "GET", 2)
    c.event("credentials_wanted", within_ms=30_000)
    c.command("credentials", credentials={"token": "n3w"})
    c.polls("post1", "POST", 1, (0, 0, 0), auth({"token": "n3w"}))
    c.fails("post1")
    c.polls("again", "POST", 1, (0, 0, 0), auth({"token": "n3w"}))
    c.replies("again", 200, reauth(None), counts=(0, 0, 0))
    c.event("credentials_accepted")
    yield c

    for what, status, kind in (
        ("has no response", None, None),
        ("is answered by somebody else", 502, None),
        ("is answered in another type", 200, "text/html"),
        ("is answered without counts", 204, None),
    ):
        c = PollingScene(f"a GET that {what} is made again, and a POST states the counts", "CAR-28", "CAR-16", "CAR-24")
        c.begins()
        c.brings("get1", "one")
        c.polls("get2", "GET", 2, (1, 1, 0))
        if status is None:
            c.fails("get2")
        elif kind is None:
            c.replies("get2", status)
        else:
            c.replies("get2", status, message("two"), counts=(0, 0, 2), first=2, headers={"content-type": kind})
        c.polls("get3", "GET", 3, (1, 1, 0))
        c.polls("post1", "POST", 1, (1, 1, 0))
        c.replies("post1", 204, counts=(0, 0, 2))
        c.replies("get3", 200, message("two"), counts=(0, 0, 2), first=2)
        c.told("two", first=2)
        c.polls("get4", "GET", 4, (2, 2, 0))
        yield c

    c = PollingScene("counts that a response states act by maximum", "CAR-15")
    c.begins()
    c.posts("one", number=1)
    c.replies("post1", 204, counts=(1, 1, 0))
    c.replies("get1", 204, counts=(0, 0, 0))
    c.polls("get2", "GET", 2, (0, 0, 1))
    c.posts("two", number=2)
    yield c

    c = PollingScene("a server that answers nothing is given up after hold and pong wait", "CAR-26", "LIV-4")
    c.begins()
    c.advance(34.9)
    c.advance(0.1)
    c.polls("bye", "POST", 1, (0, 0, 0), close("TIMEOUT", REASON))
    c.event("closed", "a", code="TIMEOUT")
    c.event("detached")
    c.fails("get1")
    c.replies("bye", 204, counts=(0, 0, 0))
    c.closed("a")
    yield c
