"""Subscriptions that the server decides (ASG)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import (
    call,
    carried,
    error,
    live,
    publication,
    publish,
    published,
    reply,
    subscribe,
    subscribed,
    unsubscribe,
    unsubscribed,
)
from .packets import ack, auth, open_
from .service import ServiceScene

FEATURES: Final = ("assigned",)
ADA: Final = {"token": "t0p"}


class AssigningScene(ServiceScene):
    """One session with the feature, on the link a, and one that publishes, on b."""

    def begins(self, credentials: Any = ADA) -> None:
        """Both sessions are opened."""
        self.starts("a", open_(credentials, features=FEATURES), features=FEATURES)
        self.second("b")

    def does(self, id: int, what: str, channel: str, *told: Any, rewind: int | None = None) -> None:
        """The session has the service assign it a channel, or dismiss it; that is told before the answer."""
        self.hears("a", call(id, what, [channel] if rewind is None else [channel, rewind]))
        self.tells("a", *told, reply(id, None))

    def assigned(self, id: int, outcome: list[Any], *kept: Any, rewind: int | None = None) -> None:
        """The session has the service assign it a channel; what it begins with is told beside the answer."""
        channel = outcome[0]
        self.hears("a", call(id, "assign", [channel] if rewind is None else [channel, rewind]))
        self.tells("a", subscribed(None, outcome), reply(id, None), *kept)

    def brings(self, channel: str, offset: int) -> None:
        """A publication arrives for the session."""
        self.hears("b", publish(offset, channel, f"{offset}"))
        self.tells("b", published(offset, offset))
        self.tells("a", publication(channel, offset, f"{offset}"))


def server() -> Iterator[ServiceScene]:
    """ASG: what a server does with sessions that it subscribes itself."""
    s = AssigningScene("a session is subscribed by the server, and taken out again", "ASG-1", "ASG-3", "SUB-3", "SUB-7")
    s.begins()
    s.does(1, "assign", "room", subscribed(None, live("room")))
    s.brings("room", 1)
    s.does(2, "dismiss", "room", unsubscribed(None, "room"))
    s.hears("b", publish(2, "room", "2"))
    s.tells("b", published(2, 2))
    s.does(3, "dismiss", "room")
    yield s

    s = AssigningScene("it is a subscription like others", "ASG-1", "CHN-8", "CHN-9", "SUB-6")
    s.begins()
    s.does(1, "assign", "room", subscribed(None, live("room")))
    s.brings("room", 1)
    s.hears("a", unsubscribe(2, "room"))
    s.tells("a", unsubscribed(2, "room"))
    s.hears("b", publish(2, "room", "2"))
    s.tells("b", published(2, 2))
    yield s

    s = AssigningScene("what the session has is not assigned, and what is assigned it may ask for", "ASG-2", "SUB-5")
    s.begins()
    s.hears("a", subscribe(1, "room"))
    s.tells("a", subscribed(1, live("room")))
    s.does(2, "assign", "room")
    s.hears("a", unsubscribe(3, "room"))
    s.tells("a", unsubscribed(3, "room"))
    s.does(4, "assign", "room", subscribed(None, live("room")))
    s.brings("room", 1)
    s.hears("a", subscribe(5, "room", options={"rewind": 1}))
    s.tells("a", subscribed(5, live("room")), publication("room", 1, "1"))
    yield s

    s = AssigningScene("it begins with the last value, as others do", "ASG-6", "SUB-11", "LAT-6")
    s.begins()
    for id, key in enumerate("aba", 1):
        s.hears("b", publish(id, "states:x", f"{id}", about={"latest_key": key}))
        s.tells("b", published(id, id))
    s.assigned(
        1,
        live("states:x", 1),
        publication("states:x", 2, "2", about={"latest_key": "b"}),
        publication("states:x", 3, "3", about={"latest_key": "a"}),
    )
    yield s

    s = AssigningScene("it begins where the server says, whoever may read history", "ASG-6", "SUB-10", "SUB-14")
    s.begins()
    for id in (1, 2, 3):
        s.hears("b", publish(id, "fresh:x", f"{id}"))
        s.tells("b", published(id, id))
    s.assigned(1, live("fresh:x", 1), publication("fresh:x", 2, "2"), publication("fresh:x", 3, "3"), rewind=2)
    yield s

    s = AssigningScene("rights to subscribe do not touch it", "ASG-1", "SUB-8")
    s.begins()
    s.does(1, "assign", "members:1", subscribed(None, live("members:1")))
    s.receive("a", auth({"token": "t0p", "again": True}))
    s.send("a", [12, None])
    s.does(2, "assign", "members:1")
    yield s

    s = AssigningScene("it lives through an attach", "ASG-4", "ATT-12")
    s.begins()
    s.does(1, "assign", "room", subscribed(None, live("room")))
    s.gone()
    s.publishes("b", "room", "1")
    s.resumes("c", 1, (2, 2, 1), own=(1, 1, 2), replay=tuple(carried(publication("room", 1, "1"))))
    s.receive("c", ack(3, 3, 1))
    s.publishes("b", "room", "2", first=2)
    s.tells("c", publication("room", 2, "2"))
    yield s

    plain = ServiceScene("without the feature nothing is assigned", "VER-6")
    plain.starts()
    plain.hears("a", call(1, "assign", ["room"]))
    plain.tells("a", error(1, "NOT_FOUND"))
    yield plain
