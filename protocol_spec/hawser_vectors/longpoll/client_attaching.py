"""How a client attaches, and what it makes of the answer: CAR-10 to CAR-14, CAR-24, CAR-27, CAR-35."""

from collections.abc import Iterator

from ..scenarios.packets import close, message, open_, opened, reset, resumed, secret
from .notation import PollingScene


def scenes() -> Iterator[PollingScene]:
    """Yield them all."""
    c = PollingScene(
        "an OPEN is an attach, and the first GET proves its secret", "CAR-13", "CAR-10", "CAR-11", "CAR-12", "CAR-14"
    )
    c.begins()
    yield c

    c = PollingScene("so is a RESUME, and later requests name its attempt and its secret", "CAR-14", "CAR-13", "ATT-4")
    c.begins()
    c.brings("get1", "one", "two")
    c.polls("get2", "GET", 2, (2, 2, 0))
    c.gone()
    c.reattaches("b", 1, (2, 2, 0))
    c.goes_on("b", 1, (2, 2, 0), own=(0, 0, 2))
    c.gone("b")
    c.reattaches("c", 2, (2, 2, 0), key=1)
    yield c

    c = PollingScene(
        "what the server lacks follows the attach, behind the count that RESUMED states", "ATT-12", "CAR-21"
    )
    c.begins()
    c.posts("one", number=1)
    c.sends("a", "two", "three")
    c.gone()
    c.reattaches("b", 1, (0, 0, 3))
    c.replies("b", 200, resumed(1, (1, 1, 0), secret(1)))
    c.polls("bget1", "GET", 1, (0, 0, 3), generation=1, link="b")
    c.polls("bpost1", "POST", 1, (0, 0, 3), message("two"), message("three"), first=2, generation=1, link="b")
    c.event("resumed", replayed=2)
    yield c

    for status, code, told in (
        (401, "UNAUTHORIZED", {"reconnect": False, "resume": True}),
        (400, "VERSION", {"reconnect": False, "resume": False}),
        (403, "FORBIDDEN", {"reconnect": False, "resume": False}),
        (503, "OVERLOADED", {"reconnect": True, "resume": True}),
    ):
        c = PollingScene(f"an attach that is answered {status} is over", "CAR-13", "CLS-2")
        c.attaches()
        c.replies("a", status, close(code, "no"), headers={"retry-after": "1"} if status == 503 else None)
        c.closed("a")
        c.event("closed", "a", code=code, **told)
        yield c

    c = PollingScene("an attach that has no answer is not made again", "CAR-13", "ATT-4")
    c.begins()
    c.gone()
    c.reattaches("b", 1)
    c.fails("b")
    c.closed("b")
    c.reattaches("c", 2)
    yield c

    c = PollingScene("nor is one that is answered by somebody else", "CAR-24", "CAR-13")
    c.attaches()
    c.replies("a", 200, opened(), headers={"content-type": "text/html"})
    c.closed("a")
    c.attaches("b")
    c.replies("b", 502)
    c.closed("b")
    c.attaches("c")
    yield c

    for status, after, kind, spread in (
        (429, "7", None, (7_000, 8_000)),
        (429, "7", "text/html", (7_000, 8_000)),
        (429, "soon", None, (0, 0)),
        (429, None, None, (0, 0)),
        (503, "7", "text/plain", (7_000, 8_000)),
        (503, "0", None, (0, 0)),
        (503, "Sat, 21 Nov 2026 11:00:00 GMT", "text/html", (0, 0)),
    ):
        named = "no Retry-After" if after is None else f"Retry-After: {after}"
        c = PollingScene(f"an attach that is answered {status} {kind or 'without a body'}, {named}, is over", "CAR-35")
        c.begins()
        c.gone()
        c.reattaches("b", 1)
        headers = {} if after is None else {"retry-after": after}
        if kind is None:
            c.replies("b", status, headers=headers)
        else:
            c.replies("b", status, message("busy"), headers=headers | {"content-type": kind})
        c.closed("b")
        least, most = spread
        c.event("closed", "b", code="OVERLOADED", reconnect=True, resume=True, after_min_ms=least, after_max_ms=most)
        c.reattaches("c", 2)
        yield c

    c = PollingScene(
        "a 503 without Retry-After asks for nothing: it is an attach without an answer", "CAR-35", "CAR-24"
    )
    c.attaches()
    c.replies("a", 503)
    c.closed("a")
    c.attaches("b")
    yield c

    c = PollingScene(
        "a RESUME that is answered with RESET is followed by the attach of a new connection", "CAR-27", "RST-5"
    )
    c.begins()
    c.gone()
    c.reattaches("b", 1)
    c.replies("b", 410, reset("UNKNOWN_SESSION", None))
    c.requests("anew", "POST", open_(), link="b")
    c.ended("UNKNOWN_SESSION")
    c.replies("anew", 200, opened())
    c.polls("get2", "GET", 1, link="b")
    c.event("opened")
    yield c

    c = PollingScene("from a RESUME on, nothing more is asked on an older connection", "ATT-15", "CAR-25")
    c.begins()
    c.connect("b")
    c.attempts("b", 1)
    c.brings("get1", "late", heard=False)
    c.goes_on("b", 1)
    yield c
