"""What publications carry beside their payload: publisher, time, tags, a key (PUB-7, PUB-8, CHN-13)."""

from collections.abc import Iterator

from ..encoding import Raw, encode
from .messages import error, live, publication, publish, published, subscribe, subscribed
from .packets import open_
from .patterns import Joined, some_bytes, some_uint
from .service import ServiceScene

TAGS = {"tags": {"kind": "news", "from": "é"}}
KEY = {"latest_key": "ACME"}


def server() -> Iterator[ServiceScene]:
    """PUB-7, PUB-8, CHN-13: about."""
    s = ServiceScene("tags and a key come as they were given, with who gave them", "PUB-7", "CHN-13", "MSG-9")
    s.starts()
    s.second("b", open_({"token": "bob"}))
    s.joins("b", "told:x")
    s.hears("a", publish(1, "told:x", "1", about=TAGS | KEY))
    s.tells("a", published(1, 1))
    s.tells("b", publication("told:x", 1, "1", about={"publisher": "t0p"} | TAGS | KEY))
    s.hears("b", publish(2, "told:x", "2"))
    s.tells("b", published(2, 2))
    s.tells("b", publication("told:x", 2, "2", about={"publisher": "bob"}))
    yield s

    s = ServiceScene("nobody says who he is: what a publisher makes up is ignored", "CHN-13", "MSG-9")
    s.starts()
    s.second("b", open_({"token": "bob"}))
    s.joins("b", "told:x")
    s.hears("a", publish(1, "told:x", "1", about={"publisher": "eve", "time_ms": 1} | KEY))
    s.tells("a", published(1, 1))
    s.tells("b", publication("told:x", 1, "1", about={"publisher": "t0p"} | KEY))
    yield s

    s = ServiceScene("what is carried comes from history, too", "CHN-13", "PUB-7", "SUB-9")
    s.starts()
    s.hears("a", publish(1, "told:x", "1", about=TAGS))
    s.tells("a", published(1, 1))
    s.hears("a", publish(2, "told:x", "2", about=KEY))
    s.tells("a", published(2, 2))
    s.second("b", open_({"token": "bob"}))
    s.hears("b", subscribe(1, "told:x", since=[some_bytes("epoch"), 0]))
    s.tells("b", subscribed(1, ["told:x", 1, [some_bytes("epoch"), 0], ""]))
    s.tells("b", publication("told:x", 1, "1", about={"publisher": "t0p"} | TAGS))
    s.tells("b", publication("told:x", 2, "2", about={"publisher": "t0p"} | KEY))
    yield s

    s = ServiceScene("a channel tells when its publications got their offsets", "CHN-13")
    s.starts()
    s.joins("a", "timed:x")
    s.second("b", open_({"token": "bob"}))
    s.hears("b", publish(1, "timed:x", "1"))
    s.tells("b", published(1, 1))
    time = Joined((Raw(b"\xa1" + encode("time_ms"), '{"time_ms": ...}'), some_uint("time", 1_500_000_000_000)))
    s.tells("a", publication("timed:x", 1, "1", about=time))
    s.hears("b", subscribe(2, "timed:x", since=[some_bytes("epoch"), 0]))
    s.tells("b", subscribed(2, ["timed:x", 1, [some_bytes("epoch"), 0], ""]))
    s.tells("b", publication("timed:x", 1, "1", about=time))
    yield s

    s = ServiceScene("what a channel does not carry is refused, and nothing is published", "PUB-8")
    s.starts()
    s.hears("a", publish(1, "room", "1", about=TAGS))
    s.tells("a", error(1, "BAD_REQUEST"))
    s.hears("a", publish(2, "timed:x", "1", about=KEY))
    s.tells("a", error(2, "BAD_REQUEST"))
    s.hears("a", publish(3, "room", "3", about={}))
    s.tells("a", published(3, 1))
    s.hears("a", subscribe(4, "timed:x"))
    s.tells("a", subscribed(4, live("timed:x", epoch=some_bytes("epoch_timed"))))
    yield s
