"""Subscriptions to patterns of channels: what they bring, what they miss, and who may have them (WLD)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import (
    GAPS,
    broken,
    error,
    live,
    position,
    publication,
    publish,
    published,
    refused,
    subscribe,
    subscribed,
    unsubscribe,
    unsubscribed,
)
from .packets import ack, auth, open_
from .patterns import some_bytes
from .presence import presence
from .service import ServiceScene

FEATURES: Final = ("wildcards",)
NOWHERE: Final = [bytes(8), 0]
ADA: Final = {"token": "t0p"}
BEHIND_MAX: Final = 128


def stands(pattern: str) -> list[Any]:
    """Write the outcome of a pattern."""
    return [pattern, 0, NOWHERE, ""]


def epoch(channel: str) -> Any:
    """The epoch of one of several channels."""
    return some_bytes("epoch_" + channel.replace(":", "_").replace("*", "any"))


class WildcardScene(ServiceScene):
    """One session with the feature, on the link a, and one that publishes, on b."""

    def begins(self, pattern: str | None = None, *, window: int = 1_000) -> None:
        """Both sessions are opened; the first subscribes to a pattern."""
        self.enters("a", window=window)
        self.second("b")
        self.ids = 0
        if pattern is not None:
            self.hears("a", subscribe(1, pattern))
            self.tells("a", subscribed(1, stands(pattern)))

    def enters(self, link: str, *, window: int = 1_000) -> None:
        """A session with the feature is opened and confirmed."""
        packet = open_(ADA, features=FEATURES, window_messages=window)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def arrives(self, channel: str, offset: int, *brought: str, **about: Any) -> None:
        """Something is published, and brought to these links."""
        self.ids += 1
        self.hears("b", publish(self.ids, channel, f"{offset}", about=about.get("about")))
        self.tells("b", published(self.ids, offset, epoch=epoch(channel)))
        for link in brought:
            self.tells(link, publication(channel, offset, f"{offset}", epoch=epoch(channel), **about))


def server() -> Iterator[ServiceScene]:
    """WLD: patterns."""
    s = WildcardScene("a pattern brings what is published in its channels from then on", "WLD-1", "WLD-2", "WLD-5")
    s.begins()
    s.arrives("wide:1", 1)
    s.hears("a", subscribe(1, "wide:*", "a:*:c"))
    s.tells("a", subscribed(1, stands("wide:*"), stands("a:*:c")))
    s.arrives("wide:1", 2, "a")
    s.arrives("wide:2", 1, "a")
    s.arrives("wide:", 1, "a")
    s.arrives("wide", 1)
    s.arrives("wide:1:2", 1)
    s.arrives("a:b:c", 1, "a")
    s.arrives("a:b:d", 1)
    s.hears("a", unsubscribe(2, "wide:*"))
    s.tells("a", unsubscribed(2, "wide:*"))
    s.arrives("wide:2", 2)
    s.arrives("a:x:c", 1, "a")
    yield s

    s = WildcardScene("those who have a pattern get the bytes that others get", "WLD-5", "CHN-2")
    s.begins("wide:*")
    s.second("c")
    s.hears("c", subscribe(1, "wide:1"))
    s.tells("c", subscribed(1, live("wide:1", epoch=epoch("wide:1"))))
    s.arrives("wide:1", 1, "a", "c")
    yield s

    s = WildcardScene("a pattern is no channel", "WLD-1", "VER-6")
    s.begins()
    s.hears("a", publish(1, "wide:*", "x"))
    s.tells("a", error(1, "BAD_REQUEST"))
    without = ("presence",)
    s.starts("c", open_(ADA, features=without), session="session_c", key="secret_c", features=without)
    s.hears("c", presence(1, 1, channel="presence:*"), subscribe(2, "wide:*", "wide:l*"))
    s.tells("c", error(1, "BAD_REQUEST"))
    s.tells("c", subscribed(2, refused("wide:*", "BAD_REQUEST"), live("wide:l*", epoch=epoch("wide:l*"))))
    yield s

    s = WildcardScene("a pattern has no past", "WLD-2")
    s.begins()
    s.hears("a", subscribe(1, "wide:*", since=[bytes(8), 0]))
    s.tells("a", subscribed(1, [*broken("wide:*", 0, "HISTORY_TOO_SHORT")[:2], NOWHERE, "HISTORY_TOO_SHORT"]))
    for id, options in enumerate(({"rewind": 1}, {"rewind_ms": 1}, {"answers": True}), 2):
        s.hears("a", subscribe(id, "b:*", options=options))
        s.tells("a", subscribed(id, refused("b:*", "BAD_REQUEST")))
    yield s

    s = WildcardScene("a filter holds in each of the channels", "WLD-2", "SUB-12")
    s.begins()
    s.hears("a", subscribe(1, "wide:*", options={"filter": 'kind == "yes"'}))
    s.tells("a", subscribed(1, stands("wide:*")))
    s.hears("a", subscribe(2, "b:*", options={"filter": "kind"}))
    s.tells("a", subscribed(2, refused("b:*", "BAD_REQUEST")))
    for channel in ("wide:1", "wide:2"):
        s.arrives(channel, 1, about={"tags": {"kind": "no"}})
        s.arrives(channel, 2, "a", about={"tags": {"kind": "yes"}})
    yield s

    s = WildcardScene("a pattern has rights of its own, and brings nothing that is declared apart", "WLD-3", "SUB-8")
    s.begins("wide:*")
    s.hears("a", subscribe(2, "members:*"))
    s.tells("a", subscribed(2, refused("members:*", "DENIED")))
    s.arrives("wide:apart", 1)
    s.arrives("wide:together", 1, "a")
    s.hears("a", subscribe(3, "guild:*"))
    s.tells("a", subscribed(3, refused("guild:*", "DENIED")))
    s.receive("a", auth({"token": "t0p", "member": True}))
    s.send("a", [12, None])
    s.hears("a", subscribe(4, "guild:*"))
    s.tells("a", subscribed(4, stands("guild:*")))
    s.receive("a", auth(ADA))
    s.send("a", [12, None])
    s.tells("a", unsubscribed(None, "guild:*", code="DENIED"))
    yield s

    s = WildcardScene("patterns of a session have no channel in common", "WLD-4", "SUB-5")
    s.begins("wide:*")
    for id, (name, free) in enumerate({"wide:*": False, "*:1": False, "*:*": False, "w:*": True, "*": True}.items(), 2):
        s.hears("a", subscribe(id, name))
        s.tells("a", subscribed(id, stands(name) if free else refused(name, "BAD_REQUEST")))
    yield s

    s = WildcardScene("a channel that a session has itself is not among those of its patterns", "WLD-4", "SUB-9")
    s.begins("wide:*")
    s.arrives("wide:1", 1, "a")
    s.hears("a", subscribe(2, "wide:1"))
    s.tells("a", subscribed(2, live("wide:1", 1, epoch=epoch("wide:1"))))
    s.arrives("wide:1", 2, "a")
    s.hears("a", [10, "wide:1", epoch("wide:1"), 2])
    s.arrives("wide:1", 3)
    s.arrives("wide:2", 1, "a")
    s.hears("a", unsubscribe(3, "wide:1"))
    s.tells("a", unsubscribed(3, "wide:1"), publication("wide:1", 3, "3", epoch=epoch("wide:1")))
    s.arrives("wide:1", 4, "a")
    yield s

    s = WildcardScene("one without window is fed each channel when it has some", "WLD-5", "CHN-6", "CHN-3")
    s.begins("wide:*", window=1)
    for channel, last in (("wide:1", 3), ("wide:2", 102)):
        for offset in range(1, last + 1):
            s.arrives(channel, offset)
    ones = [publication("wide:1", offset, f"{offset}", epoch=epoch("wide:1")) for offset in (1, 2, 3)]
    hole = [9, "wide:2", position(0, epoch("wide:2")), position(2, epoch("wide:2")), GAPS["HISTORY_TOO_SHORT"]]
    twos = [publication("wide:2", offset, f"{offset}", epoch=epoch("wide:2")) for offset in (3, 4)]
    for number, message in enumerate((*ones, hole, *twos), 1):
        s.receive("a", ack(number, number, 1))
        s.tells("a", message)
    yield s

    s = WildcardScene("one that is behind in too many channels is told so of the pattern", "WLD-6", "CHN-3")
    s.begins("wide:*", window=1)
    for number in range(BEHIND_MAX + 1):
        s.arrives(f"wide:{number}", 1)
    s.receive("a", ack(1, 1, 1))
    s.tells("a", [9, "wide:*", None, NOWHERE, GAPS["OVERFLOW"]])
    s.receive("a", ack(2, 2, 1))
    s.arrives("wide:0", 2, "a")
    yield s

    s = WildcardScene("patterns have limits", "WLD-7")
    s.begins()
    names = [f"p{number}:*" for number in range(17)]
    s.hears("a", subscribe(1, ":".join("*" * 17), *names))
    outcomes = [*map(stands, names[:16]), refused(names[16], "LIMIT")]
    s.tells("a", subscribed(1, refused(":".join("*" * 17), "LIMIT"), *outcomes))
    s.hears("a", unsubscribe(2, *names))
    s.tells("a", unsubscribed(2, *names))
    s.hears("a", subscribe(3, ":".join("*" * 16)))
    s.tells("a", subscribed(3, stands(":".join("*" * 16))))
    yield s
