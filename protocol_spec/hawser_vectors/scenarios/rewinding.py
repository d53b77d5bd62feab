"""Where a subscription begins that has had nothing: now, or so many publications or milliseconds ago."""

from collections.abc import Iterator

from .messages import (
    EPOCH,
    broken,
    call,
    gap,
    live,
    position,
    publication,
    publish,
    published,
    refused,
    reply,
    subscribe,
    subscribed,
)
from .patterns import some_bytes
from .service import ServiceScene


def server() -> Iterator[ServiceScene]:
    """SUB-10, SUB-11: rewinds."""
    s = ServiceScene("a rewind by number begins with the last ones", "SUB-10", "SUB-2")
    s.starts()
    s.publishes("a", "room", "1", "2", "3")
    for link, count, first in (("b", 0, 3), ("c", 2, 1), ("d", 3, 0), ("e", 9, 0)):
        s.second(link)
        s.hears(link, subscribe(1, "room", options={"rewind": count}))
        fed = [publication("room", each, f"{each}") for each in range(first + 1, 4)]
        s.tells(link, subscribed(1, live("room", first)), *fed)
    yield s

    s = ServiceScene("a rewind by time begins with what is no older", "SUB-10", "CHN-13")
    s.starts()
    s.publishes("a", "room", "1")
    s.advance(10)
    s.publishes("a", "room", "2", "3", first=2)
    s.advance(5)
    for link, age, first in (("b", 8_000, 1), ("c", 1_000, 3), ("d", 60_000, 0)):
        s.second(link)
        s.hears(link, subscribe(1, "room", options={"rewind_ms": age}))
        fed = [publication("room", each, f"{each}") for each in range(first + 1, 4)]
        s.tells(link, subscribed(1, live("room", first)), *fed)
    s.second("e")
    s.hears("e", subscribe(1, "room", options={"rewind": 1, "rewind_ms": 8_000}))
    s.tells("e", subscribed(1, live("room", 2)))
    s.tells("e", publication("room", 3, "3"))
    yield s

    s = ServiceScene("what is no longer kept is left out of a rewind, and no loss", "SUB-10")
    s.starts()
    s.publishes("a", "short:x", "1", "2", "3", "4")
    s.second("b")
    s.hears("b", subscribe(1, "short:x", options={"rewind": 4, "rewind_ms": 60_000}))
    s.tells("b", subscribed(1, live("short:x", 2)))
    s.tells("b", publication("short:x", 3, "3"), publication("short:x", 4, "4"))
    yield s

    s = ServiceScene("with a position a rewind means nothing", "SUB-10", "SUB-4")
    s.starts()
    s.publishes("a", "room", "1", "2", "3")
    s.second("b")
    s.hears("b", subscribe(1, "room", since=position(2), options={"rewind": 3, "rewind_ms": 60_000}))
    s.tells("b", subscribed(1, ["room", 1, [EPOCH, 2], ""]))
    s.tells("b", publication("room", 3, "3"))
    yield s

    s = ServiceScene("who may not read history begins at the end, and is told what that means", "SUB-14", "SUB-4")
    s.starts()
    s.publishes("a", "fresh:x", "1", "2")
    s.second("b")
    s.hears("b", subscribe(1, "fresh:x", options={"rewind": 1}))
    s.tells("b", subscribed(1, refused("fresh:x", "DENIED")))
    s.hears("b", subscribe(2, "fresh:x", options={"rewind_ms": 1}))
    s.tells("b", subscribed(2, refused("fresh:x", "DENIED")))
    for link, options in (("c", None), ("d", {"rewind": 0})):
        s.second(link)
        s.hears(link, subscribe(1, "fresh:x", options=options))
        s.tells(link, subscribed(1, live("fresh:x", 2)))
    s.second("e")
    s.hears("e", subscribe(1, "fresh:x", since=position(1)))
    s.tells("e", subscribed(1, broken("fresh:x", 2, "HISTORY_TOO_SHORT")))
    s.second("f")
    s.hears("f", subscribe(1, "fresh:x", since=position(2)))
    s.tells("f", subscribed(1, ["fresh:x", 1, position(2), ""]))
    s.hears("a", publish(3, "fresh:x", "3"))
    s.tells("a", published(3, 3))
    for link in "cdef":
        s.tells(link, publication("fresh:x", 3, "3"))
    yield s

    s = ServiceScene("no pause leads back to before the subscription", "SUB-14", "CHN-9")
    s.starts()
    s.second("b")
    s.publishes("b", "fresh:x", "1", "2")
    s.hears("a", subscribe(1, "fresh:x"))
    s.tells("a", subscribed(1, live("fresh:x", 2)))
    s.publishes("b", "fresh:x", "3", first=3)
    s.tells("a", publication("fresh:x", 3, "3"))
    for began in ([EPOCH, 0], [bytes(8), 7]):
        s.hears("a", [10, "fresh:x", *began], [11, "fresh:x", *began])
        s.tells("a", publication("fresh:x", 3, "3"))
    yield s

    anew = some_bytes("anew")
    s = ServiceScene("after a new epoch a position of any other one is a GAP", "CHN-9", "CHN-11", "SUB-14")
    s.starts()
    s.second("b")
    s.publishes("b", "fresh:x", "1")
    s.hears("a", subscribe(1, "fresh:x"))
    s.tells("a", subscribed(1, live("fresh:x", 1)))
    s.hears("b", call(2, "renew", ["fresh:x"]))
    s.tells("b", reply(2, None))
    s.hears("b", publish(3, "fresh:x", "new"))
    s.tells("b", published(3, 1, epoch=anew))
    newest = publication("fresh:x", 1, "new", epoch=anew)
    s.tells("a", gap("fresh:x", 1, 0, "EPOCH_CHANGED", epoch=anew), newest)
    for claim in (position(0), position(7), position(7, bytes(8))):
        s.hears("a", [10, "fresh:x", *claim], [11, "fresh:x", *claim])
        s.tells("a", [9, "fresh:x", claim, position(0, anew), 2], newest)
    yield s

    s = ServiceScene("a channel gives its last publication to whoever joins, where it is declared", "SUB-11", "SUB-10")
    s.starts()
    s.publishes("a", "last:x", "1", "2")
    s.second("b")
    s.hears("b", subscribe(1, "last:x"))
    s.tells("b", subscribed(1, live("last:x", 1)), publication("last:x", 2, "2"))
    s.second("c")
    s.hears("c", subscribe(1, "last:x", options={"rewind": 0}))
    s.tells("c", subscribed(1, live("last:x", 2)))
    s.second("d")
    s.hears("d", subscribe(1, "last:x", since=position(1)))
    s.tells("d", subscribed(1, ["last:x", 1, [EPOCH, 1], ""]), publication("last:x", 2, "2"))
    yield s
