"""What slow subscribers get, and what is given at once or not at all (OVF, LAT, VOL)."""

from collections.abc import Iterator
from typing import Any

from .messages import (
    broken,
    error,
    gap,
    go_on,
    in_parts,
    live,
    pause,
    position,
    publication,
    publish,
    published,
    recovered,
    subscribe,
    subscribed,
)
from .packets import ack, open_
from .patterns import Inside, some_bytes
from .service import ServiceScene

BOARD = "board:x"
PAD, OTHER = "pad:x", "pad:y"
VOLATILE = {"volatile": True}
LARGE = "x" * 30_000


def _key(key: str | None, tags: dict[str, str] | None = None) -> dict[str, Any]:
    """What is said, and carried, of a publication with a key."""
    return ({"tags": tags} if tags else {}) | ({"latest_key": key} if key else {})


def _post(scene: ServiceScene, channel: str, keys: str, first: int = 1) -> None:
    """Publish once for each key, answered; a dot has none."""
    for offset, key in enumerate(keys, first):
        said = _key(None if key == "." else key)
        scene.hears("a", publish(offset, channel, f"{offset}", about=said or None))
        scene.tells("a", published(offset, offset))


def _posted(channel: str, keys: str, *offsets: int) -> list[Any]:
    """The publications with these offsets, where the first of all has the first key."""
    said = {offset: _key(None if key == "." else key) for offset, key in enumerate(keys, 1)}
    return [publication(channel, offset, f"{offset}", about=said[offset] or None) for offset in offsets]


def _fleeting(*publications: Any) -> list[Any]:
    """VOLATILE packets, one for each."""
    return [[7, Inside(each)] for each in publications]


def server() -> Iterator[ServiceScene]:
    """OVF, LAT and VOL."""
    yield from _latest()
    yield from _oldest()
    yield from _volatile()


def _latest() -> Iterator[ServiceScene]:
    s = ServiceScene("one that was behind gets the newest of each key", "LAT-1", "LAT-2", "LAT-3", "OVF-1")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.joins("b", BOARD)
    _post(s, BOARD, "aba")
    s.receive("b", ack(1, 1, 1))  # POSITION 1 takes the place: offset 1 was replaced
    s.receive("b", ack(2, 2, 1))
    s.tells("b", *_posted(BOARD, "aba", 2))
    s.receive("b", ack(3, 3, 1))
    s.tells("b", *_posted(BOARD, "aba", 3))
    yield s

    s = ServiceScene("one that keeps up gets everything", "LAT-2")
    s.starts()
    s.second("b")
    s.joins("b", BOARD)
    for offset in (1, 2, 3):
        s.hears("a", publish(offset, BOARD, f"{offset}", about=_key("a")))
        s.tells("a", published(offset, offset))
        s.tells("b", *_posted(BOARD, "aaa", offset))
    yield s

    s = ServiceScene("what was replaced is not lost to who comes back", "LAT-4", "LAT-1", "LAT-2", "SUB-4")
    s.starts()
    _post(s, BOARD, "ab.ab.a")
    kept = _posted(BOARD, "ab.ab.a", 3, 5, 6, 7)
    for link, since in (("b", 0), ("c", 3), ("d", 4), ("e", 7)):
        s.second(link)
        s.hears(link, subscribe(1, BOARD, since=position(since)))
        s.tells(link, subscribed(1, recovered(BOARD, since)), *kept[{0: 0, 3: 1, 4: 1, 7: 4}[since] :])
    yield s

    s = ServiceScene("what leaves by the bounds is lost, and everything up to it", "LAT-4", "CHN-14", "SUB-4")
    s.starts()
    _post(s, "brief:x", "abbac")
    for link, since in (("b", 2), ("c", 3)):
        s.second(link)
        s.hears(link, subscribe(1, "brief:x", since=position(since)))
        outcome = broken("brief:x", 3, "HISTORY_TOO_SHORT") if since == 2 else recovered("brief:x", 3)
        s.tells(link, subscribed(1, outcome), *_posted("brief:x", "abbac", 4, 5))
    yield s

    s = ServiceScene("replaced again and again, nothing is lost", "LAT-4", "LAT-1")
    s.starts()
    _post(s, "brief:x", "abababa")
    s.second("b")
    s.hears("b", subscribe(1, "brief:x", since=position(0)))
    s.tells("b", subscribed(1, recovered("brief:x", 0)), *_posted("brief:x", "abababa", 6, 7))
    yield s

    s = ServiceScene("a newer one replaces, whether it passes the filter or not", "LAT-5", "SUB-12")
    s.starts()
    said = (_key("a", {"kind": "x"}), _key("b", {"kind": "x"}), _key("a"))
    for offset, about in enumerate(said, 1):
        s.hears("a", publish(offset, BOARD, f"{offset}", about=about))
        s.tells("a", published(offset, offset))
    s.second("b")
    s.hears("b", subscribe(1, BOARD, since=position(0), options={"filter": "kind"}))
    s.tells("b", subscribed(1, recovered(BOARD, 0)), publication(BOARD, 2, "2", about=said[1]))
    yield s

    s = ServiceScene("a rewind counts what was replaced, too", "LAT-6", "SUB-10")
    s.starts()
    _post(s, BOARD, "cabab")
    s.second("b")
    s.hears("b", subscribe(1, BOARD, options={"rewind": 4}))
    s.tells("b", subscribed(1, live(BOARD, 1)), *_posted(BOARD, "cabab", 4, 5))
    s.second("c")
    s.hears("c", subscribe(1, BOARD, options={"rewind": 100}))
    s.tells("c", subscribed(1, live(BOARD, 0)), *_posted(BOARD, "cabab", 1, 4, 5))
    yield s

    s = ServiceScene("the last value is the latest of every key", "LAT-6", "SUB-11")
    s.starts()
    _post(s, "states:x", "abcab")
    s.second("b")
    s.hears("b", subscribe(1, "states:x"))
    s.tells("b", subscribed(1, live("states:x", 2)), *_posted("states:x", "abcab", 3, 4, 5))
    s.hears("a", subscribe(6, "states:x", options={"rewind": 0}))
    s.tells("a", subscribed(6, live("states:x", 5)))
    yield s

    s = ServiceScene("after a pause comes what is kept, from where the client stands", "CHN-9", "LAT-2", "LAT-3")
    s.starts()
    s.second("b")
    s.joins("b", BOARD)
    s.hears("b", pause(BOARD, 0))
    _post(s, BOARD, "abab")
    s.hears("b", go_on(BOARD, 0))
    s.tells("b", *_posted(BOARD, "abab", 3, 4))
    yield s


def _oldest() -> Iterator[ServiceScene]:
    s = ServiceScene("where the oldest are dropped history is for those who begin in it", "OVF-1", "CHN-7")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.joins("b", "newest:x")
    s.publishes("a", "newest:x", LARGE, LARGE, LARGE)
    s.receive("b", ack(1, 1, 1))
    s.tells("b", gap("newest:x", 0, 1, "OVERFLOW"))
    for number in (2, 3):
        s.receive("b", ack(number, number, 1))
        s.tells("b", publication("newest:x", number, LARGE))
    s.second("c")
    s.hears("c", subscribe(1, "newest:x", since=position(0)))
    everything = [publication("newest:x", number, LARGE) for number in (1, 2, 3)]
    s.tells("c", subscribed(1, recovered("newest:x", 0)), *everything)
    yield s


def _volatile() -> Iterator[ServiceScene]:
    s = ServiceScene("who keeps up gets what is volatile, in its place", "VOL-2", "VOL-3", "VOL-5")
    s.starts()
    s.second("b")
    s.joins("b", PAD)
    for id, offset, about in ((1, 0, VOLATILE), (2, 1, None), (3, 1, VOLATILE), (4, 1, VOLATILE), (5, 2, None)):
        s.hears("a", publish(id, PAD, f"{id}", about=about))
        s.tells("a", published(id, offset))
        if about is None:
            s.tells("b", publication(PAD, offset, f"{id}"))
        else:
            s.send("b", *_fleeting(publication(PAD, offset, f"{id}")))
    s.second("c")
    s.hears("c", subscribe(1, PAD, since=position(0)))
    s.tells("c", subscribed(1, recovered(PAD, 0)), publication(PAD, 1, "2"), publication(PAD, 2, "5"))
    yield s

    s = ServiceScene("who is behind does not get what is volatile, and loses nothing else", "VOL-4", "CHN-6")
    s.starts()
    s.second("b", open_(window_messages=1))
    s.joins("b", PAD)
    s.publishes("a", PAD, "1")
    s.hears("a", publish(2, PAD, "2", about=VOLATILE))
    s.tells("a", published(2, 1))
    s.receive("b", ack(1, 1, 1))
    s.tells("b", publication(PAD, 1, "1"))
    s.hears("a", publish(3, PAD, "3", about=VOLATILE))
    s.tells("a", published(3, 1))
    s.send("b", *_fleeting(publication(PAD, 1, "3")))
    yield s

    s = ServiceScene("nor does who has paused, and nobody gets it later", "VOL-4", "CHN-8")
    s.starts()
    s.second("b")
    s.joins("b", PAD)
    s.hears("b", pause(PAD, 0))
    s.hears("a", publish(1, PAD, "1", about=VOLATILE))
    s.tells("a", published(1, 0))
    s.hears("b", go_on(PAD, 0))
    s.hears("a", publish(2, PAD, "2", about=VOLATILE))
    s.tells("a", published(2, 0))
    s.send("b", *_fleeting(publication(PAD, 0, "2")))
    yield s

    s = ServiceScene("nor is anything overtaken that waits for window", "VOL-4", "SUB-3")
    s.starts()
    other = some_bytes("epoch_other")
    s.second("b", open_(window_messages=1))
    s.joins("b", PAD)
    s.hears("b", subscribe(2, OTHER))
    s.hears("a", publish(1, OTHER, "1", about=VOLATILE))
    s.tells("a", published(1, 0, epoch=other))
    s.receive("b", ack(1, 1, 2))
    s.tells("b", subscribed(2, live(OTHER, epoch=other)))
    s.hears("a", publish(2, OTHER, "2", about=VOLATILE))
    s.tells("a", published(2, 0, epoch=other))
    s.send("b", *_fleeting(publication(OTHER, 0, "2", epoch=other)))
    yield s

    s = ServiceScene("nothing is volatile where that is not declared, or with a key", "VOL-1")
    s.starts()
    s.hears("a", publish(1, "room", "1", about=VOLATILE))
    s.tells("a", error(1, "BAD_REQUEST"))
    s.hears("a", publish(2, PAD, "2", b"key", about=VOLATILE))
    s.tells("a", error(2, "BAD_REQUEST"))
    s.hears("a", publish(3, PAD, "3", b"key", about={"volatile": False}))
    s.tells("a", published(3, 1))
    s.hears("a", publish(4, PAD, "4", about={"volatile": None}))
    s.tells("a", published(4, 2))
    yield s

    s = ServiceScene("what is volatile fits into a packet", "VOL-3")
    s.starts()
    s.receive("a", *in_parts(publish(1, PAD, "x" * 65_500, about=VOLATILE)))
    s.tells("a", published(1, 0))
    s.receive("a", *in_parts(publish(2, PAD, "x" * 65_520, about=VOLATILE)))
    s.tells("a", error(2, "TOO_LARGE"))
    yield s

    s = ServiceScene("what a client sends in VOLATILE is dropped", "MSG-7")
    s.starts()
    s.second("b")
    s.joins("b", PAD)
    s.receive("a", *_fleeting(publish(1, PAD, "1"), publication(PAD, 0, "1"), subscribe(2, PAD)))
    s.hears("a", publish(1, PAD, "1"))
    s.tells("a", published(1, 1))
    s.tells("b", publication(PAD, 1, "1"))
    yield s
