"""What POSTs bring: CAR-21, CAR-23, CAR-36."""

from collections.abc import Iterator

from ..scenarios.packets import ack, close, message, ping, volatile
from ..scenarios.patterns import REASON
from .notation import PollScene


def scenes() -> Iterator[PollScene]:
    """Yield them all."""
    s = PollScene("a POST is taken whole and answered with the counts", "CAR-23", "CAR-18")
    s.begins()
    s.polls("post1", "POST", 1, (0, 0, 2), message("one"), message("two"), first=1)
    s.told("one", "two")
    s.answers("post1", 204, counts=(2, 2, 0))
    s.polls("post2", "POST", 2, (0, 0, 2))
    s.answers("post2", 204, counts=(2, 2, 0))
    yield s

    s = PollScene("a POST that is repeated changes nothing", "CAR-21")
    s.begins()
    s.polls("post1", "POST", 1, (0, 0, 1), message("one"), volatile("v"), first=1)
    s.told("one")
    s.event("volatile", hex=b"v".hex())
    s.answers("post1", 204, counts=(1, 1, 0))
    s.polls("again", "POST", 1, (0, 0, 1), message("one"), volatile("v"), first=1)
    s.answers("again", 204, counts=(1, 1, 0))
    s.polls("post2", "POST", 2, (0, 0, 2), message("one"), message("two"), first=1)
    s.told("two", first=2)
    s.answers("post2", 204, counts=(2, 2, 0))
    s.polls("older", "POST", 1, (0, 0, 1), message("one"), volatile("v"), first=1)
    s.answers("older", 204, counts=(2, 2, 0))
    yield s

    s = PollScene("a POST that begins too far on is 409, and its number is not seen", "CAR-36")
    s.begins()
    s.polls("ahead", "POST", 1, (0, 0, 2), message("two"), volatile("v"), first=2)
    s.answers("ahead", 409, counts=(0, 0, 0))
    s.polls("post1", "POST", 1, (0, 0, 2), message("one"), message("two"), first=1)
    s.told("one", "two")
    s.answers("post1", 204, counts=(2, 2, 0))
    yield s

    s = PollScene("it is answered without waiting for the application", "CAR-23", deliver=False)
    s.begins()
    s.polls("post1", "POST", 1, (0, 0, 1), message("one"), first=1)
    s.told("one")
    s.answers("post1", 204, counts=(1, 0, 0))
    s.command("delivered", "a", number=1)
    s.advance(1)
    s.answers("get1", 204, counts=(1, 1, 0))
    yield s

    s = PollScene("what stands before a faulty packet is taken", "CAR-23")
    s.begins()
    s.polls("post1", "POST", 1, (0, 0, 1), message("one"), [127], first=1)
    s.told("one")
    s.answers("get1", 400, close("PROTOCOL_ERROR", REASON))
    s.answers("post1", 400, close("PROTOCOL_ERROR", REASON))
    s.event("closed", "a", code="PROTOCOL_ERROR")
    s.event("detached")
    yield s

    for name, packet in (("PING", ping(1, (0, 0, 1))), ("ACK", ack(0, 0, 1))):
        s = PollScene(f"a body with {name} is 400 as a whole", "CAR-26", "CAR-24")
        s.begins()
        s.polls("post1", "POST", 1, (0, 0, 1), message("one"), packet, first=1)
        s.answers("get1", 400, close("PROTOCOL_ERROR", REASON))
        s.answers("post1", 400, close("PROTOCOL_ERROR", REASON))
        s.event("detached")
        yield s

    s = PollScene("a MESSAGE without the number of the first one is 400", "CAR-21", "CAR-24")
    s.begins()
    s.polls("post1", "POST", 1, (0, 0, 1), message("one"))
    s.answers("get1", 400, close("PROTOCOL_ERROR", REASON))
    s.answers("post1", 400, close("PROTOCOL_ERROR", REASON))
    s.event("detached")
    yield s
