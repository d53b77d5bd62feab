"""The attach, and who may ask: CAR-10 to CAR-15, CAR-29."""

from collections.abc import Iterator

from ..scenarios.packets import ack, close, open_, reset, resume, resumed
from ..scenarios.patterns import REASON, some_bytes, some_uint
from .notation import PollScene

ORIGIN = "https://app.example"


def scenes() -> Iterator[PollScene]:
    """Yield them all."""
    s = PollScene("a POST without a generation attaches, and the first valid request proves its secret", "CAR-13")
    s.spec = (*s.spec, "CAR-10", "CAR-14")
    s.begins()
    yield s

    s = PollScene("a RESUME makes a generation of its own and fences the one before", "CAR-13", "CAR-14", "CAR-25")
    s.begins()
    s.request("b", "POST", resume(some_bytes("session"), some_bytes("secret0"), s.incarnation, 4))
    s.judges("b")
    s.answers("b", 200, resumed(4, (0, 0, 0), some_bytes("secret1")))
    s.answers("get1", 409, close("SUPERSEDED", REASON, attempt=4), counts=(0, 0, 0))
    s.event("closed", "a", code="SUPERSEDED")
    s.event("resumed", replayed=0)
    s.polls("late", "POST", 1)
    s.answers("late", 409, close("SUPERSEDED", REASON, attempt=4))
    s.polls("new", "GET", 1, generation=4, key="secret1")
    s.polls("dead", "GET", 2)
    s.answers("dead", 401)
    yield s

    s = PollScene("credentials that are refused are 401 with CLOSE", "CAR-13", "CAR-24")
    s.attaches(principal=None)
    s.command("refuse", "a")
    s.answers("a", 401, close("UNAUTHORIZED", REASON))
    s.event("closed", "a", code="UNAUTHORIZED")
    yield s

    s = PollScene("credentials that nobody could judge are 503 with Retry-After", "CAR-28", "CAR-24")
    s.attaches(principal=None)
    s.command("unavailable", "a")
    late = close("UNAVAILABLE", REASON, after=(some_uint("from"), some_uint("to")))
    s.answers("a", 503, late, has=("retry-after",))
    s.event("closed", "a", code="UNAVAILABLE")
    yield s

    s = PollScene("a version that the server does not speak is 400 with CLOSE", "CAR-13", "CAR-24")
    s.request("a", "POST", open_(versions=(9,)))
    s.answers("a", 400, close("VERSION", REASON))
    s.event("closed", "a", code="VERSION")
    yield s

    s = PollScene("a RESUME to a session that is not there is 410 with RESET", "CAR-13", "CAR-27")
    s.request("a", "POST", resume(b"\x01", bytes(32), s.incarnation, 1))
    s.judges("a")
    s.answers("a", 410, reset("UNKNOWN_SESSION", None))
    yield s

    for what, packets in (
        ("two packets", (open_(), open_())),
        ("a packet that attaches nothing", (ack(0, 0, 0),)),
    ):
        s = PollScene(f"an attach with {what} is 400", "CAR-13")
        s.request("a", "POST", *packets)
        s.answers("a", 400, close("PROTOCOL_ERROR", REASON))
        yield s

    s = PollScene("an attach of more than 8,192 bytes is 413", "CAR-12", "PKT-14")
    s.request("a", "POST", open_({"token": "x" * 8_192}))
    s.answers("a", 413, close("TOO_LARGE", REASON))
    yield s

    s = PollScene("a body of another type is 400", "CAR-12")
    s.request("a", "POST", open_(), headers={"content-type": "application/octet-stream"})
    s.answers("a", 400, close("PROTOCOL_ERROR", REASON))
    yield s

    s = PollScene("a wrong secret, and a generation that is not there, are 401 and change nothing", "CAR-14")
    s.attaches()
    s.polls("wrong", "GET", 1, headers={"hawser-secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
    s.answers("wrong", 401)
    s.polls("other", "POST", 1, generation=1)
    s.answers("other", 401)
    s.polls("right", "GET", 1)
    s.event("opened")
    yield s

    s = PollScene("a secret with padding is no secret", "CAR-11")
    s.attaches()
    s.polls("padded", "GET", 1, headers={"hawser-secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})
    s.answers("padded", 400, close("PROTOCOL_ERROR", REASON))
    yield s

    for header in ("hawser-number", "hawser-counts"):
        s = PollScene(
            f"a request without {header.replace('_', '-')} is 400 and ends the connection", "CAR-11", "CAR-24"
        )
        s.begins()
        s.polls("short", "POST", 1, headers={header: None})
        s.answers("get1", 400, close("PROTOCOL_ERROR", REASON))
        s.answers("short", 400, close("PROTOCOL_ERROR", REASON))
        s.event("detached")
        yield s

    s = PollScene("a page of a listed origin may ask, and any other may not", "CAR-29", origins=(ORIGIN,))
    asked = {"access-control-request-method": "POST"}
    s.request("ours", "OPTIONS", headers={"origin": ORIGIN, **asked})
    s.answers(
        "ours",
        204,
        headers={"access-control-allow-origin": ORIGIN},
        has=("access-control-max-age", "access-control-allow-methods", "access-control-allow-headers"),
    )
    for number, origin in enumerate(("null", "https://app.example.evil", "https://APP.example"), 1):
        s.request(f"theirs{number}", "OPTIONS", headers={"origin": origin, **asked})
        s.answers(f"theirs{number}", 403)
    yield s
