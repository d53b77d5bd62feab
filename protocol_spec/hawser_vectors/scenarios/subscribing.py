"""Subscriptions: how they begin, what they miss, how they end (SUB)."""

from collections.abc import Iterator

from .messages import (
    broken,
    live,
    position,
    publication,
    publish,
    published,
    recovered,
    refused,
    subscribe,
    subscribed,
    unsubscribe,
    unsubscribed,
)
from .packets import ack, auth, open_, reauth
from .patterns import some_bytes
from .service import ServiceScene

MEMBER = {"token": "t0p", "member": True}
"""Credentials with the right to channels that begin with ``members:``."""


def server() -> Iterator[ServiceScene]:
    """SUB: SUBSCRIBE, its outcomes, and its end."""
    s = ServiceScene("channels are handled and answered in their order", "SUB-1", "SUB-2", "SUB-3")
    s.starts()
    s.second("b")
    s.hears("a", subscribe(1, "room", "aisle"))
    s.tells("a", subscribed(1, live("room"), live("aisle", epoch=some_bytes("epoch_aisle"))))
    s.publishes("b", "room", "x")
    s.tells("a", publication("room", 1, "x"))
    yield s

    s = ServiceScene("a subscription that asks for nothing begins at the present end", "SUB-2", "SUB-3")
    s.starts()
    s.second("b")
    s.publishes("b", "room", "x", "y")
    s.hears("a", subscribe(1, "room"))
    s.tells("a", subscribed(1, live("room", 2)))
    s.publishes("b", "room", "z", first=3)
    s.tells("a", publication("room", 3, "z"))
    yield s

    s = ServiceScene("all after `since` follows, once, and then what is published", "SUB-4", "SUB-9", "SUB-2", "SUB-3")
    s.starts()
    s.second("b")
    s.publishes("b", "room", "x", "y", "z")
    s.hears("a", subscribe(1, "room", since=position(1)))
    s.tells("a", subscribed(1, recovered("room", 1)), publication("room", 2, "y"), publication("room", 3, "z"))
    s.publishes("b", "room", "new", first=4)
    s.tells("a", publication("room", 4, "new"))
    yield s

    s = ServiceScene("nothing after `since` is nothing lost", "SUB-4", "SUB-2")
    s.starts()
    s.publishes("a", "room", "x")
    s.hears("a", subscribe(2, "room", since=position(1)))
    s.tells("a", subscribed(2, recovered("room", 1)))
    yield s

    s = ServiceScene("what history no longer has is told, and the rest follows", "SUB-4", "SUB-2", "CHN-3")
    s.starts()
    s.publishes("a", "short:x", "1", "2", "3", "4")
    s.hears("a", subscribe(5, "short:x", since=position(0)))
    told = subscribed(5, broken("short:x", 2, "HISTORY_TOO_SHORT"))
    s.tells("a", told, publication("short:x", 3, "3"), publication("short:x", 4, "4"))
    yield s

    for name, since in {
        "another epoch": position(1, b"another!"),
        "an offset above the channel's end": position(2),
    }.items():
        s = ServiceScene(f"`since` with {name}", "SUB-4", "SUB-2")
        s.starts()
        s.publishes("a", "live:x", "x")
        s.hears("a", subscribe(2, "live:x", since=since))
        s.tells("a", subscribed(2, broken("live:x", 1, "EPOCH_CHANGED")))
        yield s

    s = ServiceScene("a channel that is refused does not touch the others", "SUB-5", "SUB-2", "SUB-8", "MSG-10")
    s.starts()
    s.second("b")
    s.joins("a", "room")
    s.hears("a", subscribe(2, "members:x", "room", "aisle"))
    outcomes = refused("members:x", "DENIED"), refused("room", "BAD_REQUEST")
    s.tells("a", subscribed(2, *outcomes, live("aisle", epoch=some_bytes("epoch_aisle"))))
    s.publishes("b", "room", "x")
    s.tells("a", publication("room", 1, "x"))
    yield s

    names = [f"room{number}" for number in range(128)]
    s = ServiceScene("a channel above the limit is refused", "SUB-5", "SUB-1")
    s.starts()
    s.hears("a", subscribe(1, *names))
    s.tells("a", subscribed(1, *(live(name, epoch=some_bytes(f"epoch_{name}")) for name in names)))
    s.hears("a", subscribe(2, "one more"))
    s.tells("a", subscribed(2, refused("one more", "LIMIT")))
    s.hears("a", unsubscribe(3, names[0]))
    s.tells("a", unsubscribed(3, names[0]))
    s.hears("a", subscribe(4, "one more"))
    s.tells("a", subscribed(4, live("one more", epoch=some_bytes("epoch_more"))))
    yield s

    s = ServiceScene("nothing of a channel follows UNSUBSCRIBED", "SUB-3", "SUB-6")
    s.starts()
    s.second("b")
    s.joins("a", "room")
    s.hears("a", unsubscribe(2, "room", "never joined"))
    s.tells("a", unsubscribed(2, "room", "never joined"))
    s.publishes("b", "room", "x")
    yield s

    s = ServiceScene("credentials that lose a right end the subscription, and only that one", "SUB-8", "SUB-7", "AUT-6")
    s.starts("a", open_(MEMBER))
    s.second("b")
    s.hears("a", subscribe(1, "members:x", "room"))
    s.tells("a", subscribed(1, live("members:x", epoch=some_bytes("epoch_members")), live("room")))
    s.receive("a", auth({"token": "t0p"}))
    s.send("a", reauth(None))
    s.tells("a", unsubscribed(None, "members:x", code="DENIED"))
    s.publishes("b", "room", "x")
    s.tells("a", publication("room", 1, "x"))
    yield s

    s = ServiceScene("rights are checked again at every attach", "SUB-8", "SUB-7", "SEC-4")
    s.starts("a", open_(MEMBER))
    s.hears("a", subscribe(1, "members:x"))
    s.tells("a", subscribed(1, live("members:x")))
    s.gone()
    s.resumes("b", 1, (1, 1, 1), own=(1, 1, 1))
    s.tells("b", unsubscribed(None, "members:x", code="DENIED"))
    s.receive("b", ack(1, 1, 1))
    s.hears("b", publish(2, "room", "x"))
    s.tells("b", published(2, 1, epoch=some_bytes("epoch_room")))
    yield s
