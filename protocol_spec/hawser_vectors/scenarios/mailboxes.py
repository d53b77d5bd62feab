"""Mailboxes: letters that wait, those who hold them, and letters that nobody can be given (VER, MBX)."""

from collections.abc import Iterator
from typing import Any, Final

from ..encoding import Raw, encode
from .messages import EPOCH, ERRORS, Message, error, live, published, subscribe, subscribed
from .packets import ack, auth, close, open_
from .patterns import REASON, Inside, Joined, some_bytes, some_uint
from .service import ServiceScene

FEATURES: Final = ("mailboxes",)
ADA: Final = {"token": "t0p"}
BOB: Final = {"token": "bob"}
BOX: Final = "user:t0p"
ENDED, WAITING, HOLDING = range(3)
EPOCH_OF_DEAD: Final = some_bytes("epoch_dead")


def post(id: int, data: str, box: str = BOX, key: bytes | None = None, ttl_ms: int | None = None) -> Message:
    """Write POST."""
    return [30, id, box, data.encode(), key, ttl_ms]


def hold(id: int, letters: int = 32, bytes: int = 1_000, box: str | None = BOX) -> Message:
    """Write HOLD."""
    return [31, id, box, letters, bytes]


def held(id: int | None, state: int = HOLDING, box: str = BOX, code: str | None = None) -> Message:
    """Write HELD."""
    return [32, id, box, state, 0 if code is None else ERRORS[code], REASON]


def letter(offset: int, data: str, tries: int = 0, box: str = BOX, sender: str = "bob") -> Message:
    """Write LETTER."""
    return [33, box, EPOCH, offset, sender, time_of(offset), tries, data.encode()]


def settle(*offsets: int, failed: bool = False, box: str = BOX, epoch: Any = EPOCH) -> Message:
    """Write SETTLE."""
    return [34, box, epoch, list(offsets), failed]


def time_of(offset: int) -> Any:
    """When a letter was stored."""
    return some_uint(f"time{offset}", 1_500_000_000_000)


def buried(offset: int, data: str, tries: int, why: str) -> Any:
    """Write the data of a dead letter (MBX-14)."""
    before = b"\xa8" + encode("mailbox") + encode(BOX) + encode("epoch")
    between = encode("offset") + encode(offset) + encode("sender") + encode("bob") + encode("time_ms")
    behind = encode("tries") + encode(tries) + encode("data") + encode(data.encode()) + encode("why") + encode(why)
    return Joined((Raw(before, "{..."), EPOCH, Raw(between, "..."), time_of(offset), Raw(behind, "...}")))


def dead(offset: int, data: Any) -> Message:
    """Write the PUBLICATION of a dead letter."""
    return [7, "dead", EPOCH_OF_DEAD, offset, Inside(data)]


class MailScene(ServiceScene):
    """Sessions that speak the feature, each under the name of its link."""

    def enters(self, link: str, credentials: Any = ADA, period: int | None = None) -> None:
        """A session with the feature is opened and confirmed."""
        packet = open_(credentials, features=FEATURES, period=period)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def posts(self, *data: str, link: str = "b") -> None:
        """Bob posts letters, the first ones."""
        self.enters(link, BOB)
        for number, each in enumerate(data, 1):
            self.hears(link, post(number, each))
            self.tells(link, published(number, number))

    def holds(self, link: str, *letters: Message, period: int | None = None) -> None:
        """A session of ada holds her mailbox, and is given what is in it."""
        self.enters(link, period=period)
        self.hears(link, hold(1))
        self.tells(link, held(1), *letters)


def server() -> Iterator[ServiceScene]:
    """MBX: what a server does with letters, and with those who hold mailboxes."""
    yield from _giving()
    yield from _holding()
    yield from _refusing()
    yield from _burying()


def _giving() -> Iterator[ServiceScene]:
    s = MailScene(
        "letters wait until the mailbox is held, and go when they are settled",
        "MBX-1", "MBX-4", "MBX-5", "MBX-6", "MBX-7", "VER-6", "MSG-2",
    )  # fmt: skip
    s.posts("one", "two")
    s.enters("a")
    s.hears("a", hold(1, box=None))
    s.tells("a", held(1), letter(1, "one"), letter(2, "two"))
    s.hears("a", settle(1))
    s.hears("a", hold(2, 0))
    s.tells("a", held(2, ENDED))
    s.hears("a", hold(3))
    s.tells("a", held(3), letter(2, "two"))
    s.hears("b", post(3, "three"))
    s.tells("b", published(3, 3))
    s.tells("a", letter(3, "three"))
    s.hears("a", settle(2, 3))
    s.hears("a", hold(4, 0), hold(5))
    s.tells("a", held(4, ENDED), held(5))
    yield s

    s = MailScene("no more than is asked for is not settled, and one always is given", "MBX-6", "MBX-5")
    s.posts("1", "22", "333")
    s.enters("a")
    s.hears("a", hold(1, 2, 10))
    s.tells("a", held(1), letter(1, "1"), letter(2, "22"))
    s.hears("a", hold(2, 32, 2))
    s.tells("a", held(2))
    s.hears("a", settle(1))
    s.hears("a", settle(2))
    s.tells("a", letter(3, "333"))
    yield s

    s = MailScene("what is not there to be settled is passed over", "MBX-7")
    s.posts("one")
    s.enters("a")
    s.hears("a", settle(1))
    s.hears("a", hold(1))
    s.tells("a", held(1), letter(1, "one"))
    s.hears("b", hold(2, box="user:bob"), settle(1))
    s.tells("b", held(2, box="user:bob"))
    s.hears("a", settle(7), settle(1, epoch=bytes(8)), settle(1, box="user:eve"), hold(2, 0), hold(3))
    s.tells("a", held(2, ENDED), held(3), letter(1, "one"))
    yield s

    s = MailScene("a key stores one letter, also when that is settled", "MBX-3")
    s.enters("b", BOB)
    for id in (1, 2):
        s.hears("b", post(id, f"{id}", key=b"k"))
        s.tells("b", published(id, 1, duplicate=id == 2))
    s.holds("a", letter(1, "1"))
    s.hears("a", settle(1))
    s.hears("b", post(3, "3", key=b"k"))
    s.tells("b", published(3, 1, duplicate=True))
    s.enters("c", {"token": "eve"})
    s.hears("c", post(1, "other", key=b"k"))
    s.tells("c", published(1, 2))
    s.tells("a", letter(2, "other", sender="eve"))
    yield s


def _holding() -> Iterator[ServiceScene]:
    s = MailScene("one session holds a mailbox, and others wait in line", "MBX-5", "MBX-8")
    s.posts("one", "two")
    s.holds("a", letter(1, "one"), letter(2, "two"))
    for link in ("c", "d", "e"):
        s.enters(link)
        s.hears(link, hold(1))
        s.tells(link, held(1, WAITING))
    s.hears("a", settle(1))
    s.hears("c", settle(2))
    s.hears("d", hold(2, 0))
    s.tells("d", held(2, ENDED))
    s.hears("a", hold(2, 0))
    s.tells("a", held(2, ENDED))
    s.tells("c", held(None), letter(2, "two"))
    s.receive("c", close("NORMAL", "bye"))
    s.closed("c")
    s.tells("e", held(None), letter(2, "two"))
    yield s

    s = MailScene("a session that is away keeps its place for its resume period, and then the next one has it",
        "MBX-5", "MBX-8", "MBX-9")  # fmt: skip
    s.posts("one", "two")
    s.holds("a", letter(1, "one"), letter(2, "two"), period=10_000)
    s.enters("c")
    s.hears("c", hold(1))
    s.tells("c", held(1, WAITING))
    s.gone("a")
    s.advance(9)
    s.resumes("d", 1, (3, 3, 1), own=(1, 1, 3), session="session_a", key="secret_a", new="secret_d")
    s.receive("d", ack(3, 3, 1))
    s.hears("d", settle(1))
    s.gone("d")
    s.advance(9)
    s.advance(2)
    s.tells("c", held(None), letter(2, "two", 1))
    yield s

    s = MailScene("a letter fails with its holder only where it was delivered", "MBX-9", "MBX-8", "CNT-3")
    s.posts("one", "two")
    s.holds("a", letter(1, "one"), letter(2, "two"), period=10_000)
    s.receive("a", ack(3, 1, 1))
    s.gone("a")
    s.advance(11)
    s.enters("c", period=10_000)
    s.hears("c", hold(1))
    s.tells("c", held(1), letter(1, "one"), letter(2, "two"))
    s.receive("c", ack(2, 2, 1))
    s.gone("c")
    s.advance(11)
    s.holds("d", letter(1, "one", 1), letter(2, "two"))
    yield s

    s = MailScene("a right that was withdrawn ends a hold", "MBX-12", "MBX-8")
    club = "agent:members"
    s.enters("a", {**ADA, "member": True})
    s.hears("a", post(1, "one", club), hold(2, box=club))
    s.tells("a", published(1, 1), held(2, box=club), letter(1, "one", box=club, sender="t0p"))
    s.receive("a", auth(ADA))
    s.send("a", [12, None])
    s.tells("a", held(None, ENDED, club, "DENIED"))
    s.hears("a", settle(1, box=club), hold(3, box=club), post(4, "two", club))
    s.tells("a", error(3, "DENIED"), error(4, "DENIED"))
    s.enters("b", {**BOB, "member": True})
    s.hears("b", hold(1, box=club))
    s.tells("b", held(1, box=club), letter(1, "one", box=club, sender="t0p"))
    yield s


def _refusing() -> Iterator[ServiceScene]:
    s = MailScene("without the feature POST is an unknown kind", "VER-6", "MSG-3", "MSG-4")
    s.starts()
    s.hears("a", post(1, "one"))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = MailScene("HELD is not a client's to send", "MSG-4")
    s.enters("a")
    s.hears("a", [*held(1)[:-1], ""])
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = MailScene("names of no user and no agent are of no mailbox", "MBX-4", "MBX-1")
    s.enters("a")
    for id, name in enumerate(("ada", "room:ada", "user:", "agent:"), 1):
        s.hears("a", post(2 * id, "one", name), hold(2 * id + 1, box=name))
        s.tells("a", error(2 * id, "NOT_FOUND"), error(2 * id + 1, "NOT_FOUND"))
    yield s

    s = MailScene("nobody holds the mailbox of another user", "MBX-12")
    s.enters("b", BOB)
    s.hears("b", hold(1), hold(2, box="user:bob"), hold(3, box="agent:any"))
    s.tells("b", error(1, "DENIED"), held(2, box="user:bob"), held(3, box="agent:any"))
    yield s

    s = MailScene("a full mailbox takes no more until something is settled", "MBX-11", "MBX-3")
    s.posts("1", "2", "3")
    s.hears("b", post(4, "4", key=b"k"))
    s.tells("b", error(4, "BUSY", temporary=True))
    s.holds("a", letter(1, "1"), letter(2, "2"), letter(3, "3"))
    s.hears("a", settle(2))
    s.hears("b", post(5, "4", key=b"k"))
    s.tells("b", published(5, 4))
    s.tells("a", letter(4, "4"))
    yield s

    s = MailScene("a letter that is too long for the server is refused", "MBX-11", message_bytes=10_000)
    s.enters("b", BOB)
    s.hears("b", post(1, "x" * 9_970))
    s.tells("b", error(1, "TOO_LARGE"))
    yield s

    s = MailScene("a letter that would be too long when it is dead is refused where dead letters are published",
        "MBX-11", "MBX-14", message_bytes=10_000)  # fmt: skip
    s.enters("b", {**BOB, "member": True})
    s.hears("b", post(1, "x" * 9_880), post(2, "x" * 9_880, "agent:members"))
    s.tells("b", error(1, "TOO_LARGE"), published(2, 1))
    yield s

    s = MailScene("a letter that is larger than its mailbox is refused for good", "MBX-11", "MBX-3")
    small = "agent:small"
    s.enters("b", BOB)
    s.hears("b", post(1, "x" * 11, small, key=b"k"), post(2, "x" * 10, small, key=b"k"))
    s.tells("b", error(1, "TOO_LARGE"), published(2, 1))
    s.hears("b", post(3, "x", small), post(4, "x" * 11, small))
    s.tells("b", error(3, "BUSY", temporary=True), error(4, "TOO_LARGE"))
    s.hears("b", post(5, "x" * 11, small, key=b"k"))
    s.tells("b", published(5, 1, duplicate=True))
    yield s

    s = MailScene("as many mailboxes as a session may have, and not one more", "MBX-13", mailboxes_per_session=2)
    s.enters("a")
    for id, name in enumerate(("agent:1", "agent:2"), 1):
        s.hears("a", hold(id, box=name))
        s.tells("a", held(id, box=name))
    s.hears("a", hold(3, box="agent:3"), hold(4, 0, box="agent:1"), hold(5, box="agent:3"))
    s.tells("a", error(3, "LIMIT"), held(4, ENDED, "agent:1"), held(5, box="agent:3"))
    yield s


def _burying() -> Iterator[ServiceScene]:
    s = MailScene("a letter that fails comes again, and is dead when it has failed twice", "MBX-9", "MBX-14")
    s.enters("w")
    s.hears("w", subscribe(1, "dead"))
    s.tells("w", subscribed(1, live("dead", epoch=EPOCH_OF_DEAD)))
    s.posts("one", "two")
    s.holds("a", letter(1, "one"), letter(2, "two"))
    s.hears("a", settle(1, failed=True))
    s.tells("a", letter(1, "one", 1))
    s.hears("a", settle(1, failed=True))
    s.tells("w", dead(1, buried(1, "one", 2, "FAILED")))
    s.hears("a", hold(2, 0), hold(3))
    s.tells("a", held(2, ENDED), held(3), letter(2, "two"))
    yield s

    s = MailScene("a letter whose time is over is not given any more, and is dead", "MBX-10", "MBX-9", "MBX-14")
    s.enters("w")
    s.hears("w", subscribe(1, "dead"))
    s.tells("w", subscribed(1, live("dead", epoch=EPOCH_OF_DEAD)))
    s.enters("b", BOB)
    s.hears("b", post(1, "one", ttl_ms=2_000), post(2, "two"))
    s.tells("b", published(1, 1), published(2, 2))
    s.advance(3)
    s.holds("a", letter(2, "two"))
    s.advance(5)
    s.tells("w", dead(1, buried(1, "one", 0, "EXPIRED")))
    yield s
