"""Publications and their answers: order, keys, sizes (PUB)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import error, publication, publish, published
from .packets import open_
from .patterns import some_bytes
from .service import ServiceScene

PATIENT: Final[dict[str, Any]] = {
    "ping_interval_ms": 3_600_000,
    "pong_wait_ms": 3_600_000,
    "resume_period_ms": 14_400_000,
}
"""A server that waits an hour for a PONG, for the PING after an attach may come at any time."""


def server() -> Iterator[ServiceScene]:
    """PUB: PUBLISH and its answers."""
    s = ServiceScene("offsets rise in the order in which a session publishes", "PUB-4", "PUB-1", "MSG-2")
    s.starts()
    s.second("b")
    s.joins("b", "room")
    s.hears("a", *(publish(id, "room", f"{id}") for id in (1, 2, 3)))
    s.tells("a", *(published(id, id) for id in (1, 2, 3)))
    s.tells("b", *(publication("room", id, f"{id}") for id in (1, 2, 3)))
    yield s

    s = ServiceScene("a publication is answered when it has its place, and not before", "PUB-2", "PUB-1")
    s.starts()
    s.second("b")
    s.joins("b", "slow:x")
    s.hears("a", publish(1, "slow:x", "x"))
    s.advance(1)
    s.tells("a", published(1, 1))
    s.tells("b", publication("slow:x", 1, "x"))
    yield s

    s = ServiceScene("a key publishes once in five minutes, and is answered the same", "PUB-3", **PATIENT)
    s.starts()
    s.second("b")
    s.joins("b", "room")
    s.hears("a", publish(1, "room", "x", b"key"))
    s.tells("a", published(1, 1))
    s.tells("b", publication("room", 1, "x"))
    s.advance(299)
    s.hears("a", publish(2, "room", "y", b"key"))
    s.tells("a", published(2, 1, duplicate=True))
    s.advance(2)
    s.hears("a", publish(3, "room", "z", b"key"))
    s.tells("a", published(3, 2))
    s.tells("b", publication("room", 2, "z"))
    yield s

    s = ServiceScene("a key means nothing in another channel, nor for another principal", "PUB-3")
    s.starts()
    s.second("b", open_({"token": "another"}))
    s.hears("a", publish(1, "room", "x", b"key"))
    s.tells("a", published(1, 1))
    s.hears("b", publish(1, "room", "y", b"key"))
    s.tells("b", published(1, 2))
    s.hears("a", publish(2, "aisle", "x", b"key"))
    s.tells("a", published(2, 1, epoch=some_bytes("epoch_aisle")))
    yield s

    s = ServiceScene("a publication that would be longer than message_bytes", "PUB-5", message_bytes=1_000)
    s.starts()
    s.hears("a", publish(1, "room", "x" * 985))
    s.tells("a", error(1, "TOO_LARGE"))
    s.hears("a", publish(2, "room", "x" * 970))
    s.tells("a", published(2, 1))
    yield s

    s = ServiceScene("who may not publish is told so, and nothing is published", "PUB-1", "SUB-8")
    s.starts()
    s.hears("a", publish(1, "members:x", "x"))
    s.tells("a", error(1, "DENIED"))
    yield s
