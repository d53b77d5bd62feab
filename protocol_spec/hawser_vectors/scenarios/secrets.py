"""Who may come back: resume secrets, principals, unconfirmed sessions (SEC, UNC)."""

from collections.abc import Iterator

from .notation import ServerScene
from .packets import ZERO, ack, message, reset, secret


def server() -> Iterator[ServerScene]:
    """SEC, UNC: who may come back."""
    s = ServerScene("a RESUMED that is lost costs nothing", "SEC-2", "ATT-5")
    s.starts()
    s.gone()
    s.resumes("b", 1)
    s.gone("b")
    s.resumes("c", 2)
    s.gone("c")
    s.unknown("d", 3, key="secret1")
    s.resumes("e", 3, key="secret2")
    yield s

    s = ServerScene("the first ACK proves the pending secret, and the one before it is dead", "SEC-3", "SEC-2")
    s.starts()
    s.gone()
    s.resumes("b", 1)
    s.receive("b", ack(0, 0, 0))
    s.gone("b")
    s.unknown("c", 2)
    s.resumes("d", 2, key="secret1")
    yield s

    s = ServerScene("a RESUME proves the pending secret, and the one before it is dead", "SEC-3", "SEC-2")
    s.starts()
    s.gone()
    s.resumes("b", 1)
    s.gone("b")
    s.resumes("c", 2, key="secret1")
    s.gone("c")
    s.unknown("d", 3)
    s.resumes("e", 3, key="secret1", new="secret4")
    yield s

    s = ServerScene("a wrong secret is answered like an unknown session, and touches nothing", "SEC-6", "ATT-14")
    s.starts()
    s.unknown("b", 9, key=secret(7))
    s.asks("c", 9, key=secret(7), incarnation=bytes.fromhex("ff"))
    s.send("c", reset("RESTARTED", None))
    s.takes("a", "still here")
    s.resumes("d", 1, (0, 0, 1), own=(1, 1, 0), fences="a")
    yield s

    s = ServerScene("another principal is answered like an unknown session, and touches nothing", "SEC-4", "SEC-6")
    s.starts()
    s.unknown("b", 9, principal="bob")
    s.takes("a", "still here")
    s.resumes("c", 1, (0, 0, 1), own=(1, 1, 0), fences="a")
    yield s

    s = ServerScene("an ended session is shown to nobody without its secret and principal", "SEC-6", "RST-2")
    s.starts()
    s.resets("a", "REVOKED")
    s.unknown("b", 1, key=secret(7))
    s.unknown("c", 1, principal="bob")
    s.asks("d", 1)
    s.send("d", reset("REVOKED", ZERO))
    yield s

    s = ServerScene("a RESUME confirms a session whose first ACK was lost", "UNC-3", "SEC-3", "UNC-1")
    s.opens()
    s.says("a", "hello")
    s.gone()
    s.advance(119)
    s.resumes("b", 1, own=(0, 0, 1), replay=(message("hello"),), opened=True)
    yield s

    s = ServerScene("an unconfirmed session lives its resume period", "UNC-2", "EXP-1")
    s.opens()
    s.gone()
    s.advance(120)
    s.ended("EXPIRED")
    s.asks("b", 1)
    s.send("b", reset("EXPIRED", ZERO))
    yield s

    s = ServerScene("the oldest unconfirmed session goes first, without a tombstone", "UNC-2", unconfirmed_sessions=2)
    s.opens("a", session="session0", key="secret0")
    s.gone()
    s.starts("b", session="session1", key="secret1")
    s.opens("c", session="session2", key="secret2")
    s.opens("d", session="session3", key="secret3")
    s.ended("EVICTED")
    s.unknown("e", 1, session="session0", key="secret0")
    s.resumes("f", 1, session="session1", key="secret1", new="next1", fences="b")
    yield s
