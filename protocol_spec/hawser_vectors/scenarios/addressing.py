"""Addressing: what is sent to sessions, users, agents, everybody and channels (ADR)."""

from collections.abc import Iterator
from typing import Any, Final

from .mailboxes import held, hold, letter, post, settle
from .messages import (
    EPOCH,
    Message,
    carried,
    live,
    offer,
    offered,
    publication,
    publish,
    published,
    remarks_on,
    subscribe,
    subscribed,
    unsubscribe,
    unsubscribed,
)
from .packets import TOKEN, open_
from .patterns import some_bytes, some_word
from .service import ServiceScene

FEATURES: Final = ("addressing", "agents", "mailboxes")
BOX: Final = "user:bob"
EPOCH_OF_CLERK: Final = some_bytes("epoch_clerk")
ADA: Final = {"token": "ada"}
BOB: Final = {"token": "bob"}
SESSION, USER, AGENT, EVERYBODY, CHANNEL = range(5)
DELIVERED, QUEUED, NOBODY, FULL, PUBLISHED, DUPLICATE, REFUSED = range(7)
SHUT: Final = {"token": "shut"}
TO_BOB: Final = (USER, "bob")
TO_SHUT: Final = (USER, "shut")
ALL: Final = (EVERYBODY, None)


def send(
    id: int, *targets: tuple[int, Any], data: bytes = b"x", key: bytes | None = None, about: Any = None
) -> Message:
    """Write SEND, with options where they say something."""
    behind = [] if about is None else [about]
    return [16, id, [list(target) for target in targets], data, key, *behind]


def sent(id: int, *outcomes: list[Any]) -> Message:
    """Write SENT."""
    return [17, id, list(outcomes), *remarks_on(status == REFUSED for status, *_ in outcomes)]


def taken(reached: int = 1, away: int = 0, full: int = 0) -> list[Any]:
    """Write the outcome of a target that sessions stand for."""
    return [DELIVERED if reached else FULL if full else NOBODY, reached, away, full, None, ""]


def kept(offset: int, full: int = 0, *, duplicate: bool = False, epoch: Any = EPOCH) -> list[Any]:
    """Write the outcome of a target whose mailbox has it."""
    return [DUPLICATE if duplicate else QUEUED, 0, 0, full, [epoch, offset], ""]


def put(offset: int, *, duplicate: bool = False, epoch: Any = EPOCH) -> list[Any]:
    """Write the outcome of a channel."""
    return [DUPLICATE if duplicate else PUBLISHED, 0, 0, 0, [epoch, offset], ""]


def refused(code: str) -> list[Any]:
    """Write the outcome of a target to which nothing was sent."""
    return [REFUSED, 0, 0, 0, None, code]


def direct(to: tuple[int, Any], sender: str = "a", user: str = "ada", data: bytes = b"x") -> Message:
    """Write DIRECT."""
    return [18, list(to), user, name_of(sender), data]


def listen(id: int, items: int = 100, bytes: int = 10_000) -> Message:
    """Write LISTEN."""
    return [35, id, items, bytes]


def listening(id: int, link: str) -> Message:
    """Write LISTENING."""
    return [36, id, name_of(link)]


def name_of(link: str) -> Any:
    """The name that the server gives the session of a link."""
    return some_word(f"name_{link}")


class AddressedScene(ServiceScene):
    """Sessions that speak the feature, each under the name of its link."""

    def enters(self, link: str, credentials: Any = BOB, *, message_bytes: int = 1_048_576) -> None:
        """A session with the feature is opened and confirmed."""
        packet = open_(credentials, features=FEATURES, message_bytes=message_bytes)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def hearkens(self, link: str, credentials: Any = BOB, items: int = 100, bytes: int = 10_000) -> None:
        """Such a session listens."""
        self.enters(link, credentials)
        self.hears(link, listen(1, items, bytes))
        self.tells(link, listening(1, link))

    def holds(self, link: str, *letters: Message) -> None:
        """A session of bob holds his mailbox, and is given what is in it."""
        self.enters(link)
        self.hears(link, hold(1, box=BOX))
        self.tells(link, held(1, box=BOX), *letters)


def server() -> Iterator[ServiceScene]:
    """ADR: what a server does with what is sent."""
    yield from _reaching()
    yield from _telling()
    yield from _refusing()
    yield from _queueing()
    yield from _channels()


def _reaching() -> Iterator[ServiceScene]:
    s = AddressedScene("a user is every session that listens, in order", "ADR-1", "ADR-2", "ADR-3", "ADR-4", "VER-6")
    s.hearkens("b")
    s.hearkens("c")
    s.enters("d")
    s.hearkens("e", {"token": "eve"})
    s.enters("a", ADA)
    for id, data in enumerate((b"1", b"2"), 1):
        s.hears("a", send(id, TO_BOB, data=data))
        for link in ("b", "c"):
            s.tells(link, direct(TO_BOB, data=data))
        s.tells("a", sent(id, taken(2)))
    yield s

    s = AddressedScene("a session answers to the name under which something came", "ADR-2", "ADR-4", "ADR-5")
    s.hearkens("a", ADA)
    s.hearkens("b")
    s.hears("a", send(2, TO_BOB))
    s.tells("b", direct(TO_BOB))
    s.tells("a", sent(2, taken()))
    s.hears("b", send(2, (SESSION, name_of("a")), data=b"y"))
    s.tells("a", direct((SESSION, name_of("a")), "b", "bob", b"y"))
    s.tells("b", sent(2, taken()))
    yield s

    s = AddressedScene("everybody, but for the one who sends where it says so", "ADR-2", "ADR-8")
    s.hearkens("a", ADA)
    s.hearkens("b")
    s.hears("a", send(2, ALL, (USER, "ada"), about={"except_me": True}))
    s.tells("b", direct(ALL))
    s.tells("a", sent(2, taken(), taken(0)))
    yield s

    s = AddressedScene("an agent is one worker, in turn", "ADR-2", "AGT-4")
    for link in ("v", "w"):
        s.hearkens(link)
        s.hears(link, offer(2, "clerk", "work"))
        s.tells(link, offered(2, "clerk"))
    s.enters("a", ADA)
    for id, link in enumerate(("v", "w", "v"), 1):
        s.hears("a", send(id, (AGENT, "clerk")))
        s.tells(link, direct((AGENT, "clerk")))
        s.tells("a", sent(id, taken()))
    yield s

    s = AddressedScene("a session for which several targets stand gets it once", "ADR-1", "ADR-4")
    s.hearkens("b")
    s.enters("a", ADA)
    s.hears("a", send(1, (USER, "eve"), (SESSION, name_of("b")), TO_BOB, ALL))
    s.tells("b", direct((SESSION, name_of("b"))))
    s.tells("a", sent(1, kept(1), taken(), taken(), taken()))
    yield s


def _telling() -> Iterator[ServiceScene]:
    s = AddressedScene("who does not listen, or does so no more, is not there", "ADR-3", "ADR-5")
    s.enters("b", SHUT)
    s.enters("a", ADA)
    s.hears("a", send(1, TO_SHUT, (SESSION, "00"), ALL))
    s.tells("a", sent(1, taken(0), taken(0), taken(0)))
    s.hears("b", listen(1))
    s.tells("b", listening(1, "b"))
    s.hears("b", listen(2, 0, 0))
    s.tells("b", listening(2, "b"))
    s.hears("a", send(2, TO_SHUT))
    s.tells("a", sent(2, taken(0)))
    s.hears("b", listen(3, 1, 1))
    s.tells("b", listening(3, "b"))
    s.hears("a", send(3, TO_SHUT))
    s.tells("b", direct(TO_SHUT))
    s.tells("a", sent(3, taken()))
    yield s

    s = AddressedScene("without credit a session is full, and with more it takes more", "ADR-3", "ADR-5")
    s.hearkens("b", SHUT, items=1, bytes=100)
    s.hearkens("c", SHUT, items=100, bytes=1)
    s.hearkens("d", SHUT)
    s.enters("a", ADA)
    s.hears("a", send(1, TO_SHUT, data=b"12"))
    for link in ("b", "c", "d"):
        s.tells(link, direct(TO_SHUT, data=b"12"))
    s.tells("a", sent(1, taken(3)))
    s.hears("a", send(2, TO_SHUT))
    s.tells("d", direct(TO_SHUT))
    s.tells("a", sent(2, taken(1, 0, 2)))
    s.hears("d", listen(2, 0, 0))
    s.tells("d", listening(2, "d"))
    s.hears("a", send(3, TO_SHUT))
    s.tells("a", sent(3, taken(0, 0, 2)))
    s.hears("c", listen(2, 0, 2))
    s.tells("c", listening(2, "c"))
    s.hears("a", send(4, TO_SHUT))
    s.tells("c", direct(TO_SHUT))
    s.tells("a", sent(4, taken(1, 0, 1)))
    yield s

    s = AddressedScene("a session without a link has accepted it, and gets it when it is back", "ADR-3")
    s.hearkens("b", TOKEN)
    s.gone("b")
    s.enters("a", ADA)
    s.hears("a", send(1, (USER, "t0p")))
    s.tells("a", sent(1, taken(1, 1)))
    missed = tuple(carried(direct((USER, "t0p"))))
    s.resumes("x", 1, (1, 1, 1), own=(1, 1, 1), session="session_b", key="secret_b", new="secret_x", replay=missed)
    yield s

    s = AddressedScene("a session that takes no message of the length is full", "ADR-9")
    s.enters("b", SHUT, message_bytes=200)
    s.hears("b", listen(1))
    s.tells("b", listening(1, "b"))
    s.enters("a", ADA)
    s.hears("a", send(1, TO_SHUT, data=bytes(200)))
    s.tells("a", sent(1, taken(0, 0, 1)))
    yield s


def _refusing() -> Iterator[ServiceScene]:
    s = AddressedScene("a target that is none is refused, and so is what only channels carry", "ADR-2", "ADR-7")
    s.hearkens("b")
    s.enters("a", ADA)
    s.hears("a", send(1, (USER, None), (EVERYBODY, "x"), (CHANNEL, None), (9, "x"), TO_BOB))
    s.tells("b", direct(TO_BOB))
    s.tells("a", sent(1, *[refused("BAD_REQUEST")] * 4, taken()))
    s.hears("a", send(2, TO_BOB, about={"tags": {"a": "b"}}), send(3, ALL, about={"latest_key": "k"}))
    s.tells("a", sent(2, refused("BAD_REQUEST")), sent(3, refused("BAD_REQUEST")))
    yield s

    each = "who may not send to a user may not to its sessions, and each target is for itself"
    s = AddressedScene(each, "ADR-6", "MSG-10")
    s.hearkens("m", {"token": "members"})
    s.hearkens("b")
    s.enters("a", ADA)
    s.hears("a", send(1, (USER, "members"), (SESSION, name_of("m")), (AGENT, "members"), TO_BOB))
    s.tells("b", direct(TO_BOB))
    s.tells("a", sent(1, refused("DENIED"), refused("DENIED"), refused("DENIED"), taken()))
    yield s

    long = "t" * 200
    s = AddressedScene("what would be longer than the server's limit is not sent", "ADR-9", message_bytes=300)
    s.hearkens("b")
    s.enters("a", {"token": long})
    s.hears("a", send(1, TO_BOB, data=bytes(150)))
    s.tells("a", sent(1, refused("TOO_LARGE")))
    yield s

    s = AddressedScene("without the feature SEND is an unknown kind", "VER-6", "MSG-3", "MSG-4")
    s.starts()
    s.hears("a", send(1, TO_BOB))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = AddressedScene("DIRECT is not a client's to send", "MSG-4")
    s.hearkens("a")
    s.hears("a", direct(TO_BOB))
    s.closes("a", "PROTOCOL_ERROR")
    yield s


def _queueing() -> Iterator[ServiceScene]:
    clerk = (AGENT, "clerk")
    s = AddressedScene(
        "what nobody takes is a letter, and the holder of the mailbox gets it", "ADR-10", "ADR-14", "MBX-6"
    )
    s.enters("a", ADA)
    s.hears("a", send(1, TO_BOB, clerk, TO_BOB, data=b"1"))
    s.tells("a", sent(1, kept(1), kept(1, epoch=EPOCH_OF_CLERK), kept(1)))
    s.hears("a", post(2, "2", BOX), send(3, TO_BOB, data=b"3"))
    s.tells("a", published(2, 2), sent(3, kept(3)))
    s.holds("b", *(letter(offset, f"{offset}", box=BOX, sender="ada") for offset in (1, 2, 3)))
    s.hears("b", settle(1, 2, 3, box=BOX), listen(2))
    s.tells("b", listening(2, "b"))
    s.hears("a", send(4, TO_BOB), send(5, clerk))
    s.tells("b", direct(TO_BOB))
    s.tells("a", sent(4, taken()), sent(5, kept(2, epoch=EPOCH_OF_CLERK)))
    yield s

    s = AddressedScene("what those who listen have no room for is a letter", "ADR-10", "ADR-3")
    s.hearkens("b", items=1)
    s.hearkens("c", items=1)
    s.enters("a", ADA)
    s.hears("a", send(1, TO_BOB))
    for link in ("b", "c"):
        s.tells(link, direct(TO_BOB))
    s.tells("a", sent(1, taken(2)))
    s.hears("a", send(2, TO_BOB))
    s.tells("a", sent(2, kept(1, 2)))
    s.hears("c", listen(2))
    s.tells("c", listening(2, "c"))
    s.hears("a", send(3, TO_BOB))
    s.tells("c", direct(TO_BOB))
    s.tells("a", sent(3, taken(1, 0, 1)))
    yield s

    s = AddressedScene("a mailbox without room refuses, and other targets have it all the same", "ADR-10", "MBX-11")
    s.hearkens("c", {"token": "eve"})
    s.enters("a", ADA)
    for id in (1, 2, 3):
        s.hears("a", send(id, TO_BOB))
        s.tells("a", sent(id, kept(id)))
    s.hears("a", send(4, TO_BOB, (USER, "eve"), clerk))
    s.tells("c", direct((USER, "eve")))
    s.tells("a", sent(4, refused("BUSY"), taken(), kept(1, epoch=EPOCH_OF_CLERK)))
    yield s

    s = AddressedScene("who may not post has nothing queued, nor has what is volatile, or is spared", "ADR-10", "ADR-8")
    s.enters("a", ADA)
    s.hears("a", send(1, TO_SHUT, (SESSION, "00"), ALL))
    s.tells("a", sent(1, taken(0), taken(0), taken(0)))
    s.hears("a", send(2, TO_BOB, about={"volatile": True}))
    s.tells("a", sent(2, taken(0)))
    s.hears("a", offer(3, "clerk", "work"))
    s.tells("a", offered(3, "clerk"))
    s.hears("a", send(4, (USER, "ada"), clerk, TO_BOB, about={"except_me": True}))
    s.tells("a", sent(4, taken(0), taken(0), kept(1)))
    s.hears("a", send(5, (USER, "ada"), clerk))
    s.tells("a", sent(5, kept(1, epoch=some_bytes("epoch_ada")), kept(1, epoch=EPOCH_OF_CLERK)))
    yield s

    s = AddressedScene("a key makes one letter, and is not sent to sessions any more", "ADR-13", "MBX-3")
    s.enters("a", ADA)
    s.hears("a", send(1, TO_BOB, data=b"1", key=b"k"), send(2, TO_BOB, data=b"2", key=b"k"))
    s.tells("a", sent(1, kept(1)), sent(2, kept(1, duplicate=True)))
    s.holds("b", letter(1, "1", box=BOX, sender="ada"))
    s.hears("b", settle(1, box=BOX), listen(2))
    s.tells("b", listening(2, "b"))
    s.hears("a", send(3, TO_BOB, clerk, key=b"k"))
    s.tells("a", sent(3, kept(1, duplicate=True), kept(1, epoch=EPOCH_OF_CLERK)))
    for id in (4, 5):
        s.hears("a", send(id, TO_BOB, key=b"l"))
        s.tells("b", direct(TO_BOB))
        s.tells("a", sent(id, taken()))
    s.enters("c", {"token": "eve"})
    s.hears("c", send(1, clerk, data=b"other", key=b"k"))
    s.tells("c", sent(1, kept(2, epoch=EPOCH_OF_CLERK)))
    yield s


def _channels() -> Iterator[ServiceScene]:
    s = AddressedScene("a channel among the targets is a publication", "ADR-7", "PUB-3")
    s.enters("b")
    s.hears("b", subscribe(1, "news"))
    s.tells("b", subscribed(1, live("news")))
    s.enters("a", ADA)
    s.hears("a", send(1, (CHANNEL, "news"), (CHANNEL, "members:x"), key=b"k"))
    s.tells("b", publication("news", 1, "x"))
    s.tells("a", sent(1, put(1), refused("DENIED")))
    s.hears("a", send(2, (CHANNEL, "news"), key=b"k", data=b"other"))
    s.tells("a", sent(2, put(1, duplicate=True)))
    s.hears(
        "a",
        send(3, (CHANNEL, "told:x"), about={"tags": {"a": "b"}}),
        send(4, (CHANNEL, "news"), about={"tags": {"a": "b"}}),
    )
    s.tells("a", sent(3, put(1, epoch=some_bytes("epoch_told"))), sent(4, refused("BAD_REQUEST")))
    yield s

    s = AddressedScene("a publication is not given to the one who spares itself, nor from history", "ADR-8", "CHN-4")
    s.enters("a", ADA)
    s.hears("a", subscribe(1, "news"))
    s.tells("a", subscribed(1, live("news")))
    s.enters("b")
    s.hears("b", subscribe(1, "news"))
    s.tells("b", subscribed(1, live("news")))
    s.hears("a", publish(2, "news", "mine", about={"except_me": True}))
    s.tells("b", publication("news", 1, "mine"))
    s.tells("a", published(2, 1))
    s.enters("c")
    s.hears("c", publish(1, "news", "theirs"))
    for link in ("a", "b"):
        s.tells(link, publication("news", 2, "theirs"))
    s.tells("c", published(1, 2))
    s.hears("a", unsubscribe(3, "news"), subscribe(4, "news", options={"rewind": 9}))
    s.tells("a", unsubscribed(3, "news"), subscribed(4, live("news")), publication("news", 2, "theirs"))
    yield s

    s = AddressedScene("without the feature nobody is spared", "VER-6", "MSG-9")
    s.starts()
    s.hears("a", publish(1, "news", "mine", about={"except_me": True}))
    s.tells("a", published(1, 1))
    s.hears("a", subscribe(2, "news", options={"rewind": 1}))
    s.tells("a", subscribed(2, live("news")), publication("news", 1, "mine"))
    yield s
