"""How a client brings packets to the server: CAR-21, CAR-23, CAR-26, CAR-28."""

from collections.abc import Iterator

from ..scenarios.packets import message, volatile
from .notation import PollingScene


def scenes() -> Iterator[PollingScene]:
    """Yield them all."""
    c = PollingScene("one POST is outstanding, and the next one carries all that has waited", "CAR-21")
    c.begins()
    c.posts("one", number=1)
    c.sends("a", "two", "three")
    c.replies("post1", 204, counts=(1, 1, 0))
    c.polls("post2", "POST", 2, (0, 0, 3), message("two"), message("three"), first=2)
    c.replies("post2", 204, counts=(3, 3, 0))
    yield c

    c = PollingScene("a POST is made again as it was, whatever has come since", "CAR-21", "CAR-26")
    c.begins()
    c.posts("one", number=1)
    c.brings("get1", "yours")
    c.polls("get2", "GET", 2, (1, 1, 1))
    c.sends("a", "two")
    for again in ("again1", "again2"):
        c.fails("post1" if again == "again1" else "again1")
        c.polls(again, "POST", 1, (0, 0, 1), message("one"), first=1)
    c.replies("again2", 204, counts=(1, 1, 1))
    c.polls("post2", "POST", 2, (1, 1, 2), message("two"), first=2)
    yield c

    c = PollingScene("a POST that is told to wait is made again as it was, and no earlier", "CAR-28")
    c.begins()
    c.posts("one", number=1)
    c.replies("post1", 429, headers={"retry-after": "7"})
    c.advance(6.9)
    c.advance(0.1)
    c.polls("again", "POST", 1, (0, 0, 1), message("one"), first=1)
    c.replies("again", 204, counts=(1, 1, 0))
    yield c

    c = PollingScene("so is a GET", "CAR-28")
    c.begins()
    c.replies("get1", 429, headers={"retry-after": "7"})
    c.advance(6.9)
    c.advance(0.1)
    c.polls("again", "GET", 1)
    yield c

    c = PollingScene("an uncounted message has no number and leaves once", "CAR-21", "CNT-7")
    c.begins()
    c.command("volatile", "a", hex=b"now".hex())
    c.polls("post1", "POST", 1, (0, 0, 0), volatile("now"))
    c.replies("post1", 204, counts=(0, 0, 0))
    c.posts("one", number=1, request=2)
    yield c

    c = PollingScene(
        "what the application takes later is stated in a POST without a body, or in the next GET",
        "CAR-23",
        "ACK-2",
        deliver=False,
    )
    c.begins()
    c.brings("get1", "one")
    c.polls("get2", "GET", 2, (1, 0, 0))
    c.command("delivered", "a", number=1)
    c.advance(1)
    c.polls("post1", "POST", 1, (1, 1, 0))
    c.replies("post1", 204, counts=(0, 0, 1))
    yield c
