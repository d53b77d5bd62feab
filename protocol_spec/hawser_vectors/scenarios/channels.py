"""What subscribers get: one order, no silent hole, and nobody waits for the slow (CHN)."""

from collections.abc import Iterator

from .messages import (
    call,
    carried,
    gap,
    go_on,
    in_parts,
    live,
    pause,
    position,
    publication,
    publication_in_parts,
    publish,
    published,
    reply,
    subscribe,
    subscribed,
)
from .packets import ack, open_
from .patterns import some_bytes
from .service import ServiceScene

LARGE = "x" * 30_000
"""Two fit into the 65,536 bytes that a channel without history keeps for a subscriber, three do not."""


OTHER_EPOCH = some_bytes("epoch_other")


def server() -> Iterator[ServiceScene]:
    """CHN: publications on their way to subscribers."""
    s = ServiceScene("every subscriber gets the same bytes, in one order", "CHN-1", "CHN-2", "PUB-4")
    for link in "abcd":
        s.second(link)
    for link in "cd":
        s.joins(link, "room")
    for offset, (link, data) in enumerate((("a", "1"), ("b", "2"), ("b", "3"), ("a", "4")), 1):
        s.hears(link, publish(offset, "room", data))
        s.tells(link, published(offset, offset))
        for subscriber in "cd":
            s.tells(subscriber, publication("room", offset, data))
    yield s

    s = ServiceScene("a publication waits for no subscriber, and is fed to it when its window opens", "CHN-6", "WIN-1")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.joins("b", "room")
    s.publishes("a", "room", "1", "2", "3")
    for number in (1, 2, 3):
        s.receive("b", ack(number, number, 1))
        s.tells("b", publication("room", number, f"{number}"))
    s.receive("b", ack(4, 4, 1))
    s.publishes("a", "room", "4", first=4)
    s.tells("b", publication("room", 4, "4"))
    yield s

    s = ServiceScene("a detached subscriber is fed when it comes back", "CHN-6", "CHN-1", "ATT-12")
    s.starts()
    s.second("b")
    s.joins("a", "room")
    s.gone()
    s.publishes("b", "room", "1", "2")
    missed = carried(publication("room", 1, "1"), publication("room", 2, "2"))
    s.resumes("c", 1, (1, 1, 1), own=(1, 1, 1), replay=tuple(missed))
    s.receive("c", ack(1, 1, 1))
    s.publishes("b", "room", "3", first=3)
    s.tells("c", publication("room", 3, "3"))
    yield s

    s = ServiceScene("a slow subscriber of a channel without history loses the oldest, and is told", "CHN-7", "CHN-3")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.joins("b", "live:x")
    s.publishes("a", "live:x", LARGE, LARGE, LARGE)
    s.receive("b", ack(1, 1, 1))
    s.tells("b", gap("live:x", 0, 1, "OVERFLOW"))
    for number in (2, 3):
        s.receive("b", ack(number, number, 1))
        s.tells("b", publication("live:x", number, LARGE))
    yield s

    s = ServiceScene("history that no longer reaches is a GAP", "CHN-3", "CHN-5", "CHN-7")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.joins("b", "short:x")
    s.publishes("a", "short:x", "1", "2", "3", "4")
    s.receive("b", ack(1, 1, 1))
    s.tells("b", gap("short:x", 0, 2, "HISTORY_TOO_SHORT"))
    for number in (2, 3):
        s.receive("b", ack(number, number, 1))
        s.tells("b", publication("short:x", number + 1, f"{number + 1}"))
    yield s

    s = ServiceScene("a publication too long for one subscriber is left out for it, with a GAP", "CHN-12", "CHN-3")
    s.starts()
    s.second("b", open_(message_bytes=1_000))
    s.joins("b", "room")
    s.publishes("a", "room", "x" * 2_000)
    s.tells("b", gap("room", 0, 1, "OVERFLOW"))
    s.publishes("a", "room", "short", first=2)
    s.tells("b", publication("room", 2, "short"))
    yield s

    fits, over = "x" * 980, "x" * 981  # beside them a publication has twenty bytes
    s = ServiceScene(
        "what history feeds is as long as the subscriber takes, and not longer", "CHN-12", "CHN-6", "CHN-3"
    )
    s.starts("a", open_(message_bytes=1_000))
    s.second("b")
    s.joins("a", "room")
    s.gone()
    s.publishes("b", "room", "1", fits, over, "4")
    fed = publication("room", 1, "1"), publication("room", 2, fits), gap("room", 2, 3, "OVERFLOW")
    missed = carried(*fed, publication("room", 4, "4"))
    s.resumes("c", 1, (1, 1, 1), own=(1, 1, 1), replay=tuple(missed))
    yield s

    long = bytes(70_000)
    s = ServiceScene("a publication that has begun is finished, whatever history lets go", "PRT-6", "PRT-7", "CHN-6")
    s.starts()
    s.second("b", open_(window_bytes=65_536))
    s.joins("b", "short:x")
    s.receive("b", ack(1, 1, 1))
    s.receive("a", *in_parts(publish(1, "short:x", long)))
    s.tells("a", published(1, 1))
    first, last = publication_in_parts("short:x", 1, long)
    s.send("b", first)
    s.publishes("a", "short:x", "2", "3", "4", first=2)
    s.receive("b", ack(2, 2, 1))
    rest = gap("short:x", 1, 2, "HISTORY_TOO_SHORT"), publication("short:x", 3, "3"), publication("short:x", 4, "4")
    s.send("b", last, *carried(*rest))
    yield s

    anew = some_bytes("anew")
    s = ServiceScene("a new epoch is told before its first publication", "CHN-11", "CHN-3", "SUB-4")
    s.starts()
    s.second("b")
    s.joins("b", "room")
    s.publishes("a", "room", "old")
    s.tells("b", publication("room", 1, "old"))
    s.hears("a", call(2, "renew", ["room"]))
    s.tells("a", reply(2, None))
    s.hears("a", publish(3, "room", "new"))
    s.tells("a", published(3, 1, epoch=anew))
    s.tells("b", gap("room", 1, 0, "EPOCH_CHANGED", epoch=anew), publication("room", 1, "new", epoch=anew))
    s.hears("a", subscribe(4, "room", since=position(1)))
    told = subscribed(4, ["room", 2, position(0, anew), "EPOCH_CHANGED"])
    s.tells("a", told, publication("room", 1, "new", epoch=anew))
    yield s

    s = ServiceScene("a paused channel is fed on from where the client stands", "CHN-8", "CHN-9")
    s.starts()
    s.second("b")
    s.joins("b", "room")
    s.publishes("a", "room", "1")
    s.tells("b", publication("room", 1, "1"))
    s.hears("b", pause("room", 1))
    s.publishes("a", "room", "2", "3", first=2)
    s.hears("b", go_on("room", 1))
    s.tells("b", publication("room", 2, "2"), publication("room", 3, "3"))
    yield s

    s = ServiceScene("a pause holds up no other channel, and longer than history is a GAP", "CHN-8", "CHN-9", "CHN-3")
    s.starts()
    s.second("b")
    s.hears("b", subscribe(1, "short:x"))
    s.tells("b", subscribed(1, live("short:x")))
    s.hears("b", subscribe(2, "short:y"))
    s.tells("b", subscribed(2, live("short:y", epoch=OTHER_EPOCH)))
    s.hears("b", pause("short:x", 0))
    s.publishes("a", "short:x", "1", "2", "3")
    s.hears("a", publish(4, "short:y", "meanwhile"))
    s.tells("a", published(4, 1, epoch=OTHER_EPOCH))
    s.tells("b", publication("short:y", 1, "meanwhile", epoch=OTHER_EPOCH))
    s.hears("b", go_on("short:x", 0))
    s.tells("b", gap("short:x", 0, 1, "HISTORY_TOO_SHORT"))
    s.tells("b", publication("short:x", 2, "2"), publication("short:x", 3, "3"))
    yield s
