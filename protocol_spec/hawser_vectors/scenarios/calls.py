"""Calls: answers, deadlines, cancelling, and a resume in between (CAL)."""

from collections.abc import Iterator

from .messages import call, cancel, carried, error, reply
from .packets import ack
from .service import ServiceScene


def server() -> Iterator[ServiceScene]:
    """CAL: CALL and its answers."""
    s = ServiceScene("answers come in any order", "CAL-1", "MSG-2")
    s.starts()
    s.hears("a", call(1, "slow", ["first"]), call(2, "echo", ["second"]))
    s.tells("a", reply(2, ["second"]))
    s.advance(1)
    s.tells("a", reply(1, ["first"]))
    yield s

    s = ServiceScene("a procedure that fails is an incident", "CAL-8", "CAL-1")
    s.starts()
    s.hears("a", call(1, "fails"))
    s.tells("a", error(1, "INTERNAL"))
    s.hears("a", call(2, "echo"))
    s.tells("a", reply(2))
    yield s

    s = ServiceScene("a call whose deadline has passed is not started", "CAL-2", "CAL-3")
    s.starts()
    s.advance(1)
    s.hears("a", call(1, "echo", deadline_ms=999))
    s.tells("a", error(1, "DEADLINE", temporary=True))
    s.hears("a", call(2, "echo", deadline_ms=1_001))
    s.tells("a", reply(2))
    yield s

    s = ServiceScene("session time goes on while a session is detached", "CAL-3", "CAL-2")
    s.starts()
    s.advance(1)
    s.gone()
    s.advance(3)
    s.resumes("b", 1)
    s.receive("b", ack(0, 0, 0))
    s.hears("b", call(1, "echo", deadline_ms=3_900))
    s.tells("b", error(1, "DEADLINE", temporary=True))
    s.hears("b", call(2, "echo", deadline_ms=4_100))
    s.tells("b", reply(2))
    yield s

    s = ServiceScene("a call that is cancelled is still answered, once", "CAL-4", "MSG-2", "MSG-6")
    s.starts()
    s.hears("a", call(1, "never"))
    s.hears("a", cancel(1))
    s.tells("a", error(1, "CANCELLED"))
    s.hears("a", cancel(1))
    s.hears("a", call(2, "echo"))
    s.tells("a", reply(2))
    s.hears("a", cancel(2))
    yield s

    s = ServiceScene("one call beyond sixty-four is BUSY, and is not started", "CAL-6", "MSG-2")
    s.starts()
    s.hears("a", *(call(id, "never") for id in range(1, 65)))
    s.hears("a", call(65, "echo"))
    s.tells("a", error(65, "BUSY", temporary=True))
    s.hears("a", cancel(1))
    s.tells("a", error(1, "CANCELLED"))
    s.hears("a", call(66, "echo"))
    s.tells("a", reply(66))
    yield s

    s = ServiceScene("an answer that was lost comes again, and only then", "CAL-7", "NUM-2", "ATT-12")
    s.starts()
    s.hears("a", call(1, "echo", ["kept"]))
    s.tells("a", reply(1, ["kept"]))
    s.gone()
    s.resumes("b", 1, (0, 0, 1), own=(1, 1, 1), replay=tuple(carried(reply(1, ["kept"]))))
    s.receive("b", ack(0, 0, 1))
    s.receive("b", ack(1, 1, 1))
    s.gone("b")
    s.resumes("c", 2, (1, 1, 1), own=(1, 1, 1), key="secret1")
    yield s

    s = ServiceScene("a call runs on while its session is detached", "CAL-7", "NUM-1")
    s.starts()
    s.hears("a", call(1, "slow", ["done"]))
    s.gone()
    s.advance(2)
    s.resumes("b", 1, (0, 0, 1), own=(1, 1, 0), replay=tuple(carried(reply(1, ["done"]))))
    s.receive("b", ack(0, 0, 1))
    yield s
