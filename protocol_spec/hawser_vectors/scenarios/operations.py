"""The message layer as such: ids, answers, limits, and what is malformed (MSG, OPS)."""

from collections.abc import Iterator
from typing import Any, Final

from ..encoding import encode
from .messages import (
    call,
    cancel,
    error,
    in_parts,
    live,
    publish,
    published,
    raw,
    reply,
    subscribe,
    subscribed,
    unsubscribe,
    unsubscribed,
)
from .packets import ack
from .service import ServiceScene

MALFORMED: Final[dict[str, tuple[bytes, str]]] = {
    "no byte": (b"", "MSG-1"),
    "CBOR that ends too early": (encode(cancel(1))[:-1], "MSG-1"),
    "an item of a wrong type": (encode([15, "1"]), "MSG-1"),
    "two messages in one": (encode(cancel(1)) * 2, "MSG-1"),
    "an unknown critical kind": (encode([127, 1]), "MSG-3"),
    "PUBLISHED, which is a server's to send": (encode([6, 1, [bytes(8), 1], False]), "MSG-4"),
}


def server() -> Iterator[ServiceScene]:
    """MSG, OPS: operations and their answers."""
    s = ServiceScene("each operation is answered once, under its id", "MSG-2", "MSG-5", "SUB-6", "PUB-1", "CAL-1")
    s.starts()
    requests: list[tuple[list[Any], list[Any]]] = [
        (subscribe(1, "room"), subscribed(1, live("room"))),
        (unsubscribe(2, "room"), unsubscribed(2, "room")),
        (publish(7, "room", "x"), published(7, 1)),
        (call(40, "echo", [1, "two"]), reply(40, [1, "two"])),
        (call(2**53, "nobody offers this"), error(2**53, "NOT_FOUND")),
    ]
    for request, answer in requests:
        s.hears("a", request)
        s.tells("a", answer)
    yield s

    for name, (body, clause) in MALFORMED.items():
        s = ServiceScene(f"{name}: delivered, and the connection ends", *dict.fromkeys((clause, "MSG-4", "CLS-5")))
        s.starts()
        s.receive("a", *raw(body))
        s.closes("a", "PROTOCOL_ERROR")
        s.resumes("b", 1, (0, 0, 1), own=(1, 1, 0))
        s.receive("b", ack(0, 0, 1))
        s.hears("b", call(2, "echo"))
        s.tells("b", reply(2))
        yield s

    for name, id in {"the same id again": 5, "a lower id": 4}.items():
        s = ServiceScene(f"{name} is malformed", "MSG-5", "MSG-4")
        s.starts()
        s.hears("a", call(5, "echo"))
        s.tells("a", reply(5))
        s.hears("a", publish(id, "room", "x"))
        s.closes("a", "PROTOCOL_ERROR")
        s.resumes("b", 1, (1, 1, 2), own=(2, 2, 1))
        s.receive("b", ack(1, 1, 2))
        s.hears("b", publish(6, "room", "y"))
        s.tells("b", published(6, 1))
        yield s

    s = ServiceScene("an answer to nothing is ignored, and so is a CANCEL of nothing", "MSG-6")
    s.starts()
    s.hears("a", reply(3), [14, 4, 7, "text", False, None], cancel(99))
    s.hears("a", call(1, "echo"))
    s.tells("a", reply(1))
    s.hears("a", cancel(1))
    yield s

    s = ServiceScene("an unknown kind that may be ignored is skipped", "MSG-3")
    s.starts()
    s.hears("a", [200, "later", {"k": None}], call(1, "echo"))
    s.tells("a", reply(1))
    yield s

    full = [bytes(65_536 - 4)]  # the heads of the array and of the byte string take four
    s = ServiceScene("a server decodes 65,536 bytes of arguments, and not one more", "MSG-8", "PRT-1")
    s.starts()
    s.receive("a", *in_parts(call(1, "echo", full)))
    s.send("a", *in_parts(reply(1, full)))
    s.receive("a", *in_parts(call(2, "echo", [bytes(65_536 - 3)])))
    s.tells("a", error(2, "TOO_LARGE"))
    yield s

    s = ServiceScene(
        "one operation beyond the limit is BUSY, and nothing of it is done", "OPS-1", "MSG-2", operations=2
    )
    s.starts()
    s.hears("a", *(publish(id, "slow:x", "x") for id in (1, 2, 3)))
    s.tells("a", error(3, "BUSY", temporary=True))
    for id in (1, 2):
        s.advance(1)
        s.tells("a", published(id, id))
    s.hears("a", publish(4, "slow:x", "y"))
    s.advance(1)
    s.tells("a", published(4, 3))
    yield s

    s = ServiceScene("operations count by their bytes too, and one is always admitted", "OPS-1", operation_bytes=20)
    s.starts()
    s.hears("a", publish(1, "slow:x", "x" * 100), publish(2, "slow:x", "y"))
    s.tells("a", error(2, "BUSY", temporary=True))
    s.advance(1)
    s.tells("a", published(1, 1))
    yield s

    s = ServiceScene("what the application has not finished holds up no other answer", "OPS-3", "CAL-4")
    s.starts()
    s.hears("a", publish(1, "slow:x", "x"), call(2, "never"), call(3, "echo"))
    s.tells("a", reply(3))
    s.hears("a", cancel(2))
    s.tells("a", error(2, "CANCELLED"))
    s.advance(1)
    s.tells("a", published(1, 1))
    yield s
