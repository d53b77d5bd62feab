"""New credentials on a live session (AUT)."""

from collections.abc import Iterator

from .notation import QUIET, ClientScene, ServerScene
from .packets import ack, auth, message, reauth
from .patterns import some_uint


def server() -> Iterator[ServerScene]:
    """AUT: credentials in time."""
    other = {"token": "n3w"}

    s = ServerScene("credentials that expire are asked for before, and end the connection", "AUT-1", "AUT-3", **QUIET)
    s.starts(expires_in_ms=60_000)
    s.advance(59.9)
    s.send("a", reauth(some_uint("within", 1, 60_000)))
    s.advance(0.1)
    s.loses("a", "UNAUTHORIZED")
    s.resumes("b", 1)
    yield s

    s = ServerScene("new credentials in time are accepted", "AUT-2", "AUT-3", **QUIET)
    s.starts()
    s.command("reauthenticate", "a", within_ms=5_000)
    s.send("a", reauth(5_000))
    s.advance(4.9)
    s.receive("a", auth(other))
    s.judges("a", credentials=other)
    s.send("a", reauth(None))
    s.advance(10)
    s.takes("a", "still here")
    yield s

    s = ServerScene("a server that asks and gets nothing", "AUT-3", "AUT-1", **QUIET)
    s.starts()
    s.command("reauthenticate", "a", within_ms=5_000)
    s.send("a", reauth(5_000))
    s.takes("a", "other things")
    s.advance(4.9)
    s.send("a", ack(1, 1, 0))
    s.advance(0.1)
    s.loses("a", "UNAUTHORIZED")
    yield s

    s = ServerScene("AUTH that nobody asked for; the session goes on while it is judged", "AUT-2")
    s.starts()
    s.receive("a", auth(other), message("meanwhile"))
    s.judges("a", principal=None, credentials=other)
    s.told("meanwhile")
    s.sends("a", "yours")
    s.send("a", message("yours"), ack(1, 1, 1))
    s.accepts("a")
    s.send("a", reauth(None))
    yield s

    for code in ("UNAUTHORIZED", "UNAVAILABLE"):
        s = ServerScene(f"AUTH that is answered {code}", "AUT-2", "EXP-2")
        s.starts()
        s.receive("a", auth(other))
        s.judges("a", principal=None, credentials=other)
        s.refuses("a", code)
        s.event("detached")
        s.resumes("b", 1)
        yield s

    s = ServerScene("credentials of another principal are refused", "AUT-4", "SEC-4")
    s.starts()
    s.receive("a", auth(other))
    s.judges("a", credentials=other, principal="bob")
    s.loses("a", "UNAUTHORIZED")
    s.resumes("b", 1)
    yield s

    s = ServerScene("a second AUTH before the first is answered is a protocol error", "AUT-5")
    s.starts()
    s.receive("a", auth(other))
    s.judges("a", principal=None, credentials=other)
    s.receive("a", auth(other))
    s.loses("a", "PROTOCOL_ERROR")
    yield s


def client() -> Iterator[ClientScene]:
    """AUT: credentials in time."""
    other = {"token": "n3w"}
    c = ClientScene("new credentials are asked for, sent and accepted", "AUT-1", "AUT-2", "AUT-5")
    c.starts()
    c.receive("a", reauth(30_000))
    c.event("credentials_wanted", within_ms=30_000)
    c.command("credentials", credentials=other)
    c.send("a", auth(other))
    c.receive("a", reauth(None))
    c.event("credentials_accepted")
    c.gone()
    c.asks("b", 1, credentials=other)
    yield c

    c = ClientScene("an AUTH that crosses a REAUTH meets it", "AUT-5", "AUT-2")
    c.starts()
    c.command("credentials", credentials=other)
    c.send("a", auth(other))
    c.receive("a", reauth(30_000))
    c.receive("a", reauth(None))
    c.event("credentials_accepted")
    yield c

    c = ClientScene("UNAUTHORIZED keeps the session for other credentials", "AUT-3", "CLS-2", "EXP-2")
    c.starts()
    c.says("a", "one")
    c.receives_close("a", "UNAUTHORIZED", "expired", reconnect=False, resume=True)
    c.event("detached")
    c.command("credentials", credentials=other)
    c.asks("b", 1, (0, 0, 1), credentials=other)
    yield c
