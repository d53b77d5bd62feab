"""Attaching to a session again: attempts, the fence, counts, replay (ATT)."""

from collections.abc import Iterator

from .notation import ClientScene, ServerScene
from .packets import (
    INCARNATION,
    OLD_INCARNATION,
    OTHER,
    SESSION,
    TOKEN,
    ZERO,
    ack,
    close,
    message,
    opened,
    ping,
    pong,
    reset,
    resume,
    resumed,
    secret,
)
from .patterns import some_uint


def server() -> Iterator[ServerScene]:
    """ATT: RESUME, its checks and its answers."""
    s = ServerScene("a session that is not there: UNKNOWN_SESSION in the server's own incarnation", "ATT-14", "RST-3")
    s.starts()
    s.unknown("b", 1, session=SESSION)
    yield s

    s = ServerScene("a session that is not there: RESTARTED in another incarnation", "ATT-14")
    s.asks("a", 1, session=SESSION, key=secret(0), incarnation=OLD_INCARNATION)
    s.send("a", reset("RESTARTED", None))
    s.opens("a", connect=False)
    s.proves()
    yield s

    s = ServerScene("a session under another incarnation than its own: RESTARTED, and it is not touched", "ATT-14")
    s.starts()
    s.asks("b", 1, incarnation=OLD_INCARNATION)
    s.send("b", reset("RESTARTED", None))
    s.takes("a", "still here")
    yield s

    s = ServerScene("after a restart without its sessions a server says RESTARTED", "ATT-14")
    s.starts()
    s.command("restart", export=False, incarnation="01f5")
    s.asks("b", 1)
    s.send("b", reset("RESTARTED", None))
    yield s

    s = ServerScene("a RESUME is taken after a restart with a complete export", "EXP-3", "ATT-12", "NUM-2")
    s.starts()
    s.says("a", "one", "two")
    s.receive("a", ack(1, 1, 0), message("mine"))
    s.told("mine")
    s.command("restart", export=True, incarnation="01f5")
    s.resumes("b", 1, (1, 1, 1), own=(1, 1, 2), replay=(message("two"),))
    yield s

    for code in ("UNAUTHORIZED", "UNAVAILABLE"):
        s = ServerScene(f"{code} at RESUME changes nothing of the session", "ATT-16", "ATT-5", "SEC-4")
        s.starts()
        s.asks("b", 7, principal=None)
        s.refuses("b", code)
        s.takes("a", "still here")
        s.resumes("c", 1, (0, 0, 1), own=(1, 1, 0), fences="a")
        yield s

    s = ServerScene("an attempt that is not higher is answered SUPERSEDED and changes nothing", "ATT-6", "ATT-5")
    s.starts()
    s.resumes("b", 5, fences="a", new="fifth")
    s.receive("b", ack(0, 0, 0))
    for link, attempt in (("c", 5), ("d", 4)):
        s.asks(link, attempt, key="fifth")
        s.closes(link, "SUPERSEDED", attempt=5)
    s.takes("b", "still here")
    yield s

    s = ServerScene("of two attempts that are judged at once the later verdict decides nothing", "ATT-5", "ATT-6")
    s.starts()
    s.asks("b", 1, principal=None)
    s.resumes("c", 2, fences="a")
    s.accepts("b")
    s.closes("b", "SUPERSEDED", attempt=2)
    yield s

    s = ServerScene("a session that ends while its RESUME is judged", "ATT-5", "ATT-14", "RST-8")
    s.starts()
    s.asks("b", 1, principal=None)
    s.resets("a", "REVOKED")
    s.accepts("b")
    s.send("b", reset("REVOKED", ZERO))
    yield s

    s = ServerScene("a secret that dies while its RESUME is judged", "ATT-5", "SEC-3")
    s.starts()
    s.resumes("b", 1, fences="a")
    s.asks("c", 2, principal=None)
    s.receive("b", ack(0, 0, 0))
    s.accepts("c")
    s.send("c", reset("UNKNOWN_SESSION", None))
    s.takes("b", "still here")
    yield s

    s = ServerScene("nothing on a fenced connection has an effect", "ATT-7", "CLS-3")
    s.starts()
    s.resumes("b", 1, fences="a")
    s.receive("a", message("late"), ack(5, 5, 5), ping(3, ZERO))
    s.receive("b", ack(0, 0, 0), message("mine"))
    s.told("mine")
    s.sends("b", "yours")
    s.send("b", message("yours"), ack(1, 1, 1))
    yield s

    s = ServerScene("a connection that ends after its fence does not touch the session", "ATT-7", "EXP-2")
    s.starts()
    s.resumes("b", 1, fences="a")
    s.drop("a")
    s.receive("b", ack(0, 0, 0))
    s.says("b", "yours")
    yield s

    for name, counts in {
        "received above all that was numbered": (3, 0, 1),
        "received below what was trimmed": (0, 0, 1),
        "delivered above received": (1, 2, 1),
        "delivered below what was told": (2, 0, 1),
        "sent below what has arrived": (2, 1, 0),
    }.items():
        s = ServerScene(f"counts of a RESUME that cannot be: {name}", "ATT-11", "CNT-8", "RST-1")
        s.starts()
        s.says("a", "one", "two")
        s.receive("a", ack(1, 1, 0), message("mine"))
        s.told("mine")
        s.gone()
        s.asks("b", 1, counts)
        s.gives_up("b", "DRIFT", (1, 1, 2), (1, 1, 0))
        s.opens("b", connect=False, session="other", key="other0")
        yield s

    s = ServerScene("a RESUME trims what its counts call delivered, and replays the rest", "ATT-12", "CNT-1", "NUM-5")
    s.starts()
    s.says("a", "one", "two", "three")
    s.gone()
    s.sends("a", "four")
    s.resumes("b", 1, (2, 1, 0), own=(0, 0, 3), replay=(message("three"), message("four")))
    s.receive("b", ack(2, 1, 0))
    s.receive("b", ack(4, 4, 0))
    yield s


def client() -> Iterator[ClientScene]:
    """ATT: attempts, and what the server says to them."""
    c = ClientScene("every RESUME has the next attempt and the newest secret that arrived", "ATT-4", "SEC-2")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.drop("b")
    c.resumes("c", 2)
    c.gone("c")
    c.asks("d", 3, key=2)
    yield c

    c = ClientScene("a RESUMED for an earlier attempt is ignored", "ATT-8", "ATT-19")
    c.starts()
    c.says("a", "one")
    c.gone()
    c.asks("b", 1, (0, 0, 1))
    c.drop("b")
    c.asks("c", 2, (0, 0, 1))
    c.receive("c", resumed(1, (1, 1, 5), secret(1)))
    c.is_resumed("c", 2, replay=(message("one"),))
    c.gone("c")
    c.asks("d", 3, (0, 0, 1), key=2)
    yield c

    c = ClientScene("another holder of the session: taken over", "ATT-9", "RST-6", "RST-7")
    c.starts()
    c.says("a", "one", "two")
    c.receive("a", ack(1, 1, 0), close("SUPERSEDED", "", attempt=4))
    c.closed("a")
    c.event("closed", "a", code="SUPERSEDED")
    c.ended("TAKEN_OVER", (1, 1, 0))
    c.opens("b")
    c.answers("b", session=OTHER)
    yield c

    c = ClientScene("another holder of the session, told in answer to a RESUME", "ATT-9")
    c.starts()
    c.gone()
    c.asks("b", 1)
    c.receives_close("b", "SUPERSEDED", "", attempt=2)
    c.ended("TAKEN_OVER")
    c.opens("c")
    yield c

    for name, told in {"the same number": 2, "a lower one": 1}.items():
        c = ClientScene(f"SUPERSEDED with {name}: again with the next attempt", "ATT-10", "ATT-4")
        c.starts()
        c.gone()
        c.asks("b", 1)
        c.drop("b")
        c.asks("c", 2)
        c.receives_close("c", "SUPERSEDED", "", attempt=told)
        c.resumes("d", 3)
        yield c

    for name, counts in {
        "received above all that was numbered": (3, 1, 1),
        "received below what was trimmed": (0, 0, 1),
        "delivered above received": (1, 2, 1),
        "delivered below what was told": (2, 0, 1),
        "sent below what has arrived": (2, 1, 0),
    }.items():
        c = ClientScene(f"counts of a RESUMED that cannot be: {name}", "ATT-11", "RST-5", "RST-7")
        c.starts()
        c.says("a", "one", "two")
        c.receive("a", ack(1, 1, 0), message("hi"))
        c.told("hi")
        c.gone()
        c.asks("b", 1, (1, 1, 2))
        c.receive("b", resumed(1, counts, secret(1)))
        c.gives_up("b", "DRIFT", (1, 1, 2), (1, 1, 0))
        c.answers("b", session=OTHER)
        yield c

    c = ClientScene(
        "a RESUMED trims what its counts call delivered, and the rest is replayed", "ATT-12", "NUM-5", "CNT-1"
    )
    c.starts()
    c.says("a", "one", "two", "three")
    c.gone()
    c.sends("a", "four")
    c.resumes("b", 1, (0, 0, 3), own=(2, 1, 0), replay=(message("three"), message("four")))
    c.receive("b", ack(4, 4, 0))
    yield c

    c = ClientScene("nothing leaves on the older connection once the RESUME has left", "ATT-15")
    c.starts()
    c.asks("b", 1)
    c.sends("b", "one")
    c.receive("a", message("late"), ping(1, ZERO))
    c.is_resumed("b", 1, replay=(message("one"),))
    c.takes("b", "hi")
    yield c

    c = ClientScene("the older connection tells of another holder", "ATT-15", "ATT-9")
    c.starts()
    c.asks("b", 1)
    c.receive("a", close("SUPERSEDED", "", attempt=2))
    c.closed("a")
    c.ended("TAKEN_OVER")
    c.closes("b", "GOING_AWAY")
    yield c

    c = ClientScene(
        "a link that is tried beside another is attached on once it has answered", "ATT-18", "ATT-15", "LIV-7"
    )
    c.starts()
    c.probes("b")
    c.says("a", "one")
    c.takes("a", "hi")
    c.receive("b", pong(some_uint("probe"), None))
    c.send("b", resume(SESSION, secret(0), INCARNATION, 1, (1, 1, 1), TOKEN))
    c.sends("b", "two")
    c.receive("a", message("late"), ping(1, ZERO))
    c.is_resumed("b", 1, (1, 1, 1), own=(1, 1, 1), replay=(message("two"),))
    c.takes("b", "late", first=2)
    yield c

    c = ClientScene("a link that answers another probe than its own is not attached on", "ATT-18", "LIV-8")
    c.starts()
    c.probes("b")
    c.receive("b", pong(2**53, None))
    c.says("a", "one")
    c.takes("a", "hi")
    c.receive("b", pong(some_uint("probe"), None))
    c.send("b", resume(SESSION, secret(0), INCARNATION, 1, (1, 1, 1), TOKEN))
    yield c

    c = ClientScene("a link that is tried and dies has touched nothing", "ATT-18")
    c.starts()
    c.probes("b")
    c.says("a", "one")
    c.drop("b")
    c.takes("a", "hi")
    c.sends("a", "two")
    c.send("a", message("two"), ack(1, 1, 2))
    yield c

    c = ClientScene("while OPEN has no answer no other leaves", "ATT-18")
    c.opens()
    c.probes("b")
    c.receive("b", pong(some_uint("probe"), None))
    c.receive("a", opened())
    c.send("a", ack(0, 0, 0))
    c.send("b", resume(SESSION, secret(0), INCARNATION, 1, ZERO, TOKEN))
    c.event("opened")
    yield c

    c = ClientScene("a client goes on from a complete export after its own restart", "EXP-4", "EXP-3", "NUM-5")
    c.starts()
    c.says("a", "one")
    c.command("restart", export=True)
    c.resumes("b", 1, (0, 0, 1), replay=(message("one"),))
    yield c
