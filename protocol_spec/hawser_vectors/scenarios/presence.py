"""Presence: members, watchers, and what they are told (VER, PRS)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import ERRORS, Message, carried, error
from .packets import ack, auth, open_
from .patterns import REASON, some_bytes
from .service import ServiceScene

FEATURES: Final = ("presence",)
ROOM: Final = "presence:room"
CLUB: Final = "members:club"
ADA: Final = {"token": "t0p"}
BOB: Final = {"token": "bob"}


def presence(id: int, watch: int, info: bytes | None = None, channel: str = ROOM) -> Message:
    """Write PRESENCE."""
    return [19, id, channel, watch, info]


def present(id: int | None, member: Any = None, channel: str = ROOM, code: str | None = None) -> Message:
    """Write PRESENT."""
    return [20, id, channel, member, 0 if code is None else ERRORS[code], REASON]


def listed(version: int, *members: list[Any], channel: str = ROOM) -> Message:
    """Write MEMBERS, whole."""
    return [21, channel, version, len(members), False, list(members)]


def counted(version: int, total: int) -> Message:
    """Write MEMBERS of too many."""
    return [21, ROOM, version, total, False, None]


def changes(version: int, total: int, *here: list[Any], gone: tuple[Any, ...] = (), channel: str = ROOM) -> Message:
    """Write CHANGES."""
    return [22, channel, version, total, list(here), list(gone)]


class PresenceScene(ServiceScene):
    """Sessions that speak the feature, each under the name of its link."""

    def enters(self, link: str, credentials: Any = ADA) -> None:
        """A session with the feature is opened and confirmed."""
        packet = open_(credentials, features=FEATURES)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def watches(self, link: str, version: int, *members: list[Any]) -> None:
        """A session watches, and gets the list."""
        self.hears(link, presence(1, 1))
        self.tells(link, present(1), listed(version, *members))


def member(link: str) -> Any:
    """The id that the server gives the session of a link."""
    return some_bytes(f"member_{link}")


def ada(link: str, info: bytes = b"A") -> list[Any]:
    """A member of the user whom most sessions belong to."""
    return [member(link), "t0p", info]


def server() -> Iterator[ServiceScene]:
    """PRS: what a server does for members and watchers."""
    s = PresenceScene(
        "who watches gets the list, then what changes", "PRS-1", "PRS-3", "PRS-4", "PRS-5", "VER-6", "MSG-2"
    )
    s.enters("w")
    s.watches("w", 0)
    s.enters("a")
    s.hears("a", presence(1, 0, b"A"))
    s.tells("a", present(1, member("a")))
    s.tells("w", changes(1, 1, ada("a")))
    s.advance(1)
    s.enters("b", BOB)
    s.hears("b", presence(1, 1, b"B"))
    s.tells("w", changes(2, 2, [member("b"), "bob", b"B"]))
    s.tells("b", present(1, member("b")), listed(2, ada("a"), [member("b"), "bob", b"B"]))
    s.advance(1)
    s.hears("a", presence(2, 0, b"A2"))
    s.tells("a", present(2, member("a")))
    for link in ("w", "b"):
        s.tells(link, changes(3, 2, ada("a", b"A2")))
    s.advance(1)
    s.hears("b", presence(2, 0))
    s.tells("b", present(2))
    s.tells("w", changes(4, 1, gone=(member("b"),)))
    yield s

    s = PresenceScene("without the feature PRESENCE is an unknown kind", "VER-6", "MSG-3", "MSG-4")
    s.starts()
    s.hears("a", presence(1, 1))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = PresenceScene("MEMBERS is not a client's to send", "MSG-4")
    s.enters("a")
    s.hears("a", listed(1))
    s.closes("a", "PROTOCOL_ERROR")
    yield s

    s = PresenceScene("what changes within a second is told together, and what changes back is not", "PRS-8")
    s.enters("w")
    s.watches("w", 0)
    s.enters("a")
    s.enters("b")
    s.hears("a", presence(1, 0, b"A"))
    s.tells("a", present(1, member("a")))
    s.tells("w", changes(1, 1, ada("a")))
    s.hears("b", presence(1, 0, b"A"))
    s.tells("b", present(1, member("b")))
    s.hears("b", presence(2, 0))
    s.tells("b", present(2))
    s.hears("a", presence(2, 0, b"A2"), presence(3, 0, b"A3"))
    s.tells("a", present(2, member("a")), present(3, member("a")))
    s.advance(1)
    s.tells("w", changes(2, 1, ada("a", b"A3")))
    s.advance(1)
    yield s

    s = PresenceScene(
        "a second PRESENCE brings no second list, unless a new one is asked for", "PRS-1", "PRS-4", "PRS-7"
    )
    s.enters("w")
    s.watches("w", 0)
    s.hears("w", presence(2, 1))
    s.tells("w", present(2))
    s.hears("w", presence(3, 2))
    s.tells("w", present(3), listed(0))
    yield s

    s = PresenceScene("the end of a session takes it out at once", "PRS-1")
    s.enters("w")
    s.watches("w", 0)
    s.enters("a")
    s.hears("a", presence(1, 0, b"A"))
    s.tells("a", present(1, member("a")))
    s.tells("w", changes(1, 1, ada("a")))
    s.advance(1)
    s.receive("a", [5, 1, None])
    s.tells("w", changes(2, 0, gone=(member("a"),)))
    yield s

    s = PresenceScene("who is back within the grace was never away, and who is not has left", "PRS-9")
    s.enters("w")
    s.watches("w", 0)
    s.enters("a")
    s.hears("a", presence(1, 0, b"A"))
    s.tells("a", present(1, member("a")))
    s.tells("w", changes(1, 1, ada("a")))
    s.gone("a")
    s.advance(9)
    s.resumes("b", 1, (1, 1, 1), own=(1, 1, 1), session="session_a", key="secret_a", new="secret_b")
    s.receive("b", ack(1, 1, 1))
    s.hears("w", presence(2, 1))
    s.tells("w", present(2))
    s.gone("b")
    s.advance(6)
    s.hears("w", presence(3, 1))
    s.tells("w", present(3))
    s.advance(4)
    s.tells("w", changes(2, 0, gone=(member("a"),)))
    s.advance(1)
    s.resumes("c", 2, (1, 1, 1), own=(1, 1, 1), session="session_a", key="secret_b", new="secret_c")
    s.tells("w", changes(3, 1, ada("a")))
    yield s

    s = PresenceScene("a watcher that was away gets what it missed", "PRS-6")
    s.enters("w")
    s.watches("w", 0)
    s.gone("w")
    s.enters("a")
    s.hears("a", presence(1, 0, b"A"))
    s.tells("a", present(1, member("a")))
    s.resumes("x", 1, (2, 2, 1), own=(1, 1, 2), session="session_w", key="secret_w", new="secret_x")
    s.send("x", *carried(changes(1, 1, ada("a"))))
    yield s

    s = PresenceScene("of too many members only the number is told", "PRS-10", presence_listed=5)
    s.enters("w")
    s.watches("w", 0)
    links = [f"m{number}" for number in range(6)]
    for version, link in enumerate(links[:5], 1):
        s.enters(link)
        s.hears(link, presence(1, 0, b"A"))
        s.tells(link, present(1, member(link)))
        s.tells("w", changes(version, version, ada(link)))
        s.advance(1)
    s.enters(links[5])
    s.hears(links[5], presence(1, 0, b"A"))
    s.tells(links[5], present(1, member(links[5])))
    s.tells("w", counted(6, 6))
    for version, link in enumerate(links[:2], 7):
        s.advance(1)
        s.hears(link, presence(2, 0))
        s.tells(link, present(2))
        if version == 7:
            s.tells("w", changes(7, 5))
        else:
            s.tells("w", listed(8, *map(ada, links[2:])))
    yield s

    s = PresenceScene("a channel without presence has none, and one that does not exist is not found", "PRS-2", "MSG-2")
    s.enters("a")
    s.hears("a", presence(1, 1, channel="room"))
    s.tells("a", error(1, "BAD_REQUEST"))
    yield s

    s = PresenceScene("a right that was withdrawn ends watching and being a member", "PRS-2")
    s.enters("a", {**ADA, "member": True})
    s.hears("a", presence(1, 1, b"A", channel=CLUB))
    s.tells("a", present(1, member("a"), CLUB), listed(1, ada("a"), channel=CLUB))
    s.receive("a", auth(ADA))
    s.send("a", [12, None])
    s.tells("a", present(None, None, CLUB, "DENIED"))
    s.hears("a", presence(2, 1, channel=CLUB))
    s.tells("a", error(2, "DENIED"))
    yield s

    s = PresenceScene(
        "presence in as many channels as a session may have, and not in one more", "PRS-2", channels_per_session=2
    )
    s.enters("a")
    for id, channel in enumerate((f"{ROOM}1", f"{ROOM}2"), 1):
        s.hears("a", presence(id, 0, b"A", channel))
        s.tells("a", present(id, member("a"), channel))
    s.hears("a", presence(3, 0, b"A", f"{ROOM}3"), presence(4, 0, None, f"{ROOM}2"), presence(5, 0, b"A", f"{ROOM}3"))
    s.tells("a", error(3, "LIMIT"), present(4, None, f"{ROOM}2"), present(5, member("a"), f"{ROOM}3"))
    yield s
