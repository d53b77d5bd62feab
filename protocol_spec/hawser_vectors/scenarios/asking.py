"""Questions to the members of a channel (ASK)."""

from collections.abc import Iterator
from typing import Any, Final

from ..encoding import encode
from .addressing import ADA, BOB, name_of
from .messages import Message, cancel, error, live, reply, stream, subscribe, subscribed, unsubscribe, unsubscribed
from .packets import close, open_
from .patterns import Inside
from .service import ServiceScene

FEATURES: Final = ("addressing", "streams")
ROOM: Final = "ask:room"
WHAT: Final = b"?"
ANSWERED, REFUSED, GONE, SILENT = range(4)


class AskingScene(ServiceScene):
    """Sessions that speak the features, each under the name of its link."""

    def enters(self, link: str, credentials: Any = BOB) -> None:
        """A session with the features is opened and confirmed."""
        packet = open_(credentials, features=FEATURES)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def answers(self, link: str, credentials: Any = BOB, *, willing: bool = True) -> None:
        """Such a session subscribes, and answers if it is willing."""
        self.enters(link, credentials)
        self.hears(link, subscribe(1, ROOM, options={"answers": willing}))
        self.tells(link, subscribed(1, live(ROOM)))


def collect(id: int, wait_ms: int = 2_000, channel: str = ROOM) -> Message:
    """Write STREAM of `$collect`."""
    return stream(id, "$collect", [channel, wait_ms, WHAT])


def asked(id: int, deadline_ms: int = 2_000) -> Message:
    """Write CALL of `$ask`."""
    return [12, id, "$ask", encode([ROOM, "ada", WHAT]), deadline_ms]


def told(
    id: int, status: int, link: str, user: str, data: bytes | None = None, code: int = 0, why: Any = ""
) -> Message:
    """Write ITEM of `$collect`."""
    return [28, id, False, Inside([status, user, name_of(link), data, code, why])]


def server() -> Iterator[ServiceScene]:
    """ASK: what a server does with questions."""
    s = AskingScene("who answers is asked once, and its answer handed on as it is", "ASK-1", "ASK-2", "ASK-3", "ASK-6")
    s.answers("b")
    s.answers("c", willing=False)
    s.answers("a", ADA)
    s.hears("a", collect(2))
    s.tells("b", asked(1))
    s.hears("b", [13, 1, b"anything"])
    s.tells("a", told(2, ANSWERED, "b", "bob", b"anything"), reply(2, [1]))
    s.hears("b", unsubscribe(2, ROOM))
    s.tells("b", unsubscribed(2, ROOM))
    s.hears("a", collect(3))
    s.tells("a", reply(3, [1]))
    yield s

    s = AskingScene("who subscribes and does not answer is counted, but for the one that asks", "ASK-6")
    s.answers("b", willing=False)
    s.answers("c", {"token": "cat"}, willing=False)
    s.answers("a", ADA, willing=False)
    s.hears("a", collect(2))
    s.tells("a", reply(2, [2]))
    s.hears("b", unsubscribe(2, ROOM))
    s.tells("b", unsubscribed(2, ROOM))
    s.hears("a", collect(3))
    s.tells("a", reply(3, [1]))
    yield s

    s = AskingScene("each of those who do not answer is said to be what it is", "ASK-3", "CAL-4")
    for link, user in (("b", "bob"), ("c", "cat"), ("d", "dan")):
        s.answers(link, {"token": user})
    s.enters("a", ADA)
    s.hears("a", collect(1))
    for link in ("b", "c", "d"):
        s.tells(link, asked(1))
    s.hears("b", error(1, "BUSY", temporary=True, message="later"))
    s.tells("a", told(1, REFUSED, "b", "bob", None, 4, "later"))
    s.receive("c", close("NORMAL"))
    s.closed("c")
    s.tells("a", told(1, GONE, "c", "cat"))
    s.advance(2)
    s.tells("d", cancel(1))
    s.tells("a", told(1, SILENT, "d", "dan"), reply(1, [0]))
    yield s

    s = AskingScene("whoever leaves early has all cancelled", "ASK-3", "CAL-4", "STR-1")
    s.answers("b")
    s.enters("a", ADA)
    s.hears("a", collect(1))
    s.tells("b", asked(1))
    s.hears("a", cancel(1))
    s.tells("b", cancel(1))
    s.tells("a", error(1, "CANCELLED"))
    yield s

    s = AskingScene("more than may be asked, for longer, or without the right is refused", "ASK-4", asked_at_once=1)
    s.answers("b")
    s.enters("a", ADA)
    s.hears("a", collect(1, 60_001))
    s.tells("a", error(1, "LIMIT"))
    s.hears("a", collect(2, channel="room"))
    s.tells("a", error(2, "DENIED"))
    s.answers("c")
    s.hears("a", collect(3))
    s.tells("a", error(3, "LIMIT"))
    yield s

    s = AskingScene("without the feature nobody is asked", "VER-6", "MSG-9", "ASK-6")
    s.second("b")
    s.hears("b", subscribe(1, ROOM, options={"answers": True}))
    s.tells("b", subscribed(1, live(ROOM)))
    s.enters("a", ADA)
    s.hears("a", collect(1))
    s.tells("a", reply(1, [1]))
    yield s
