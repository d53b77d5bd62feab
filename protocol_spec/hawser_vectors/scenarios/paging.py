"""Pages of history: what is read without a subscription (PGE)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import EPOCH, error, live, position, publication, publish, published, subscribe, subscribed
from .notation import Packet
from .packets import open_
from .patterns import Inside, some_bytes
from .service import ServiceScene

FEATURES: Final = ("history",)


def read(id: int, channel: str = "room", limit: int = 9, *, since: Any = None, before: Any = None) -> Packet:
    """Write READ."""
    return [37, id, channel, since, before, limit]


def page(id: int, end: int, *publications: Packet, first: int = 1, more: bool = False, epoch: Any = EPOCH) -> Packet:
    """Write PAGE."""
    return [38, id, position(end, epoch), first, more, [Inside(each) for each in publications]]


class PageScene(ServiceScene):
    """A session with the feature, on the link a."""

    def enters(self, link: str = "a", **limits: Any) -> None:
        """A session with the feature is opened and confirmed."""
        packet = open_(features=FEATURES, **limits)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def is_told(self, id: int, end: int, *offsets: int, channel: str = "room", **said: Any) -> None:
        """The answer to a READ, with publications that say their offset."""
        self.tells("a", page(id, end, *(publication(channel, each, f"{each}") for each in offsets), **said))


def server() -> Iterator[ServiceScene]:
    """What a page has, and what it says of the rest."""
    s = PageScene("a page has the newest, and the next one what is before it", "PGE-1", "PGE-2")
    s.enters()
    s.publishes("a", "room", "1", "2", "3", "4", "5")
    s.hears("a", read(6, limit=2))
    s.is_told(6, 5, 4, 5, more=True)
    s.hears("a", read(7, limit=2, before=position(4)))
    s.is_told(7, 5, 2, 3, more=True)
    s.hears("a", read(8, limit=2, before=position(2)))
    s.is_told(8, 5, 1)
    s.hears("a", read(9, before=position(1)))
    s.is_told(9, 5)
    s.hears("a", read(10, before=position(99)))
    s.is_told(10, 5, 1, 2, 3, 4, 5)
    yield s

    s = PageScene("from a position it has the oldest behind it, and of 0 none", "PGE-2", "PGE-3")
    s.enters()
    s.publishes("a", "room", "1", "2", "3", "4", "5")
    s.hears("a", read(6, limit=2, since=position(0)))
    s.is_told(6, 5, 1, 2, more=True)
    s.hears("a", read(7, limit=3, since=position(2)))
    s.is_told(7, 5, 3, 4, 5)
    s.hears("a", read(8, since=position(5)))
    s.is_told(8, 5)
    s.hears("a", read(9, since=position(1), before=position(4)))
    s.is_told(9, 5, 2, 3)
    s.hears("a", read(10, limit=0))
    s.tells("a", [38, 10, position(5), 1, True, []])
    yield s

    s = PageScene("a subscription goes on where the page ended", "PGE-3", "SUB-2")
    s.enters()
    s.publishes("a", "room", "1", "2")
    s.hears("a", read(3, limit=1))
    s.is_told(3, 2, 2, more=True)
    s.hears("a", publish(4, "room", "3"))
    s.tells("a", published(4, 3))
    s.hears("a", subscribe(5, "room", since=position(2)))
    s.tells("a", subscribed(5, ["room", 1, position(2), ""]), publication("room", 3, "3"))
    yield s

    s = PageScene("it says what is no longer kept, and what never was", "PGE-3", "CHN-14")
    s.enters()
    s.publishes("a", "short:x", "1", "2", "3", "4")
    s.hears("a", read(5, "short:x", since=position(1)))
    s.is_told(5, 4, 3, 4, channel="short:x", first=3)
    s.hears("a", read(6, "short:x", limit=1))
    s.is_told(6, 4, 4, channel="short:x", first=3, more=True)
    s.hears("a", read(7, "short:x", since=position(9)))
    s.is_told(7, 4, 3, 4, channel="short:x", first=3)
    s.hears("a", read(8, "short:x", since=[bytes(8), 4]))
    s.is_told(8, 4, 3, 4, channel="short:x", first=3)
    s.hears("a", read(9, "short:x", before=[bytes(8), 4]))
    s.is_told(9, 4, channel="short:x", first=3)
    s.hears("a", read(10, "short:y"))
    s.tells("a", page(10, 0, epoch=some_bytes("epoch_other")))
    yield s

    s = PageScene("what is too long for any page stands there as its place", "PGE-4")
    s.enters(message_bytes=400)
    s.publishes("a", "room", "1", "x" * 400, "3")
    s.hears("a", read(4))
    s.tells("a", page(4, 3, publication("room", 3, "3"), more=True))
    s.hears("a", read(5, before=position(3)))
    s.tells("a", page(5, 3, [8, "room", EPOCH, 2], more=True))
    s.hears("a", read(6, before=position(2)))
    s.is_told(6, 3, 1)
    yield s

    s = PageScene("a page belongs to no subscription", "PGE-5", "PGE-4")
    s.enters()
    s.hears("a", subscribe(1, "told:x", options={"filter": "mine"}))
    s.tells("a", subscribed(1, live("told:x")))
    s.hears("a", publish(2, "told:x", "1", about={"tags": {"yours": ""}}))
    s.tells("a", published(2, 1))
    said = {"publisher": "t0p", "tags": {"yours": ""}}
    s.hears("a", read(3, "told:x"))
    s.tells("a", page(3, 1, publication("told:x", 1, "1", about=said)))
    yield s

    s = PageScene("who may not read is refused, and a pattern is no channel", "PGE-1", "WLD-1")
    s.enters()
    s.hears("a", read(1, "fresh:x"))
    s.tells("a", error(1, "DENIED"))
    s.hears("a", read(2, "wide:*"))
    s.tells("a", error(2, "BAD_REQUEST"))
    s.hears("a", read(3, limit=0))
    s.is_told(3, 0)
    yield s

    s = PageScene("without the feature there is no READ", "VER-6", "MSG-3")
    s.starts()
    s.hears("a", read(1))
    s.closes("a", "PROTOCOL_ERROR")
    yield s
