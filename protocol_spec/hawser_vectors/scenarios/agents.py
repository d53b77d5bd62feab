"""Agents: offers, calls from client to client, and workers that leave, restart and are lost (VER, AGT, CAL)."""

from collections.abc import Iterator
from typing import Any, Final

from .messages import call, cancel, carried, error, in_parts, offer, offered, reply, withdraw
from .packets import ack, auth, close, open_, reauth
from .service import ServiceScene

FEATURES: Final = ("agents",)
AGENT: Final = "researcher"
SEARCH: Final = "researcher.search"
UNREAD: Final = b"\xff\x00 no CBOR"


class AgentScene(ServiceScene):
    """Sessions that offer procedures, and one that calls them."""

    def opens_worker(self, link: str, credentials: Any = None, period: int | None = None) -> None:
        """A session with the feature is opened and confirmed."""
        packet = open_(credentials, features=FEATURES, period=period)
        self.starts(link, packet, session=f"session_{link}", key=f"secret_{link}", features=FEATURES)

    def works(self, link: str, *procedures: str, period: int | None = None, worker: str | None = None) -> None:
        """A session offers procedures of the agent."""
        self.opens_worker(link, period=period)
        self.hears(link, offer(1, AGENT, *procedures, worker=worker))
        self.tells(link, offered(1, AGENT))


def raw_call(id: int, deadline_ms: int | None = None) -> list[Any]:
    """Write a CALL with arguments that only the two clients understand."""
    return [12, id, SEARCH, UNREAD, deadline_ms]


def server() -> Iterator[ServiceScene]:
    """AGT: what a server does with offers and the calls of them."""
    yield from _routing()
    yield from _choosing()
    yield from _offering()
    yield from _losing()


def _routing() -> Iterator[ServiceScene]:
    s = AgentScene("a call goes to whoever offers it, and its answer back", "AGT-1", "AGT-2", "AGT-3", "VER-6", "MSG-2")
    s.works("w", "search")
    s.starts()
    s.hears("a", raw_call(7))
    s.tells("w", raw_call(1))
    s.hears("w", [13, 1, UNREAD])
    s.tells("a", [13, 7, UNREAD])
    s.hears("a", raw_call(8))
    s.tells("w", raw_call(2))
    s.hears("w", error(2, "LIMIT", temporary=True, message="later", data=UNREAD))
    s.tells("a", error(8, "LIMIT", temporary=True, message="later", data=UNREAD))
    yield s

    s = AgentScene("what nobody offers is NOT_FOUND", "AGT-3", "CAL-1")
    s.works("w", "search")
    s.starts()
    for id, name in enumerate(("researcher.find", "writer.search", "researcher", "researcher.", ".search"), 1):
        s.hears("a", call(id, name))
        s.tells("a", error(id, "NOT_FOUND"))
    yield s

    s = AgentScene("a procedure of the server's own goes before one that is offered", "AGT-3")
    s.opens_worker("w")
    s.hears("w", offer(1, "echo", "search"))
    s.tells("w", offered(1, "echo"))
    s.starts()
    s.hears("a", call(1, "echo", ["kept"]))
    s.tells("a", reply(1, ["kept"]))
    yield s

    s = AgentScene("a session may call what it offers itself", "AGT-3", "MSG-5")
    s.works("w", "search")
    s.hears("w", raw_call(2))
    s.tells("w", raw_call(1))
    s.hears("w", [13, 1, UNREAD])
    s.tells("w", [13, 2, UNREAD])
    yield s

    s = AgentScene("a deadline is converted to the time of the other session", "AGT-3", "CAL-3", "CAL-2")
    s.works("w", "search")
    s.advance(2)
    s.starts()
    s.advance(1)
    s.hears("a", raw_call(1, deadline_ms=1_500))
    s.tells("w", raw_call(1, deadline_ms=3_500))
    s.advance(0.5)
    s.tells("w", cancel(1))
    s.tells("a", error(1, "DEADLINE"))
    s.hears("a", raw_call(2, deadline_ms=1_500))
    s.tells("a", error(2, "DEADLINE", temporary=True))
    yield s

    s = AgentScene("CANCEL goes through, and the call is answered once", "AGT-3", "CAL-4")
    s.works("w", "search")
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("w", raw_call(1))
    s.hears("a", cancel(1))
    s.tells("w", cancel(1))
    s.tells("a", error(1, "CANCELLED"))
    s.hears("w", error(1, "CANCELLED", message=""))
    s.hears("a", raw_call(2))
    s.tells("w", raw_call(2))
    yield s

    s = AgentScene("neither side of a call notices that links break", "AGT-3", "CAL-7", "NUM-2")
    s.works("w", "search")
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("w", raw_call(1))
    s.gone("w")
    s.gone("a")
    s.resumes(
        "x",
        1,
        (1, 1, 1),
        own=(1, 1, 2),
        session="session_w",
        key="secret_w",
        new="secret_x",
        replay=tuple(carried(raw_call(1))),
    )
    s.receive("x", ack(1, 1, 1))
    s.hears("x", [13, 1, UNREAD])
    s.resumes("b", 1, (0, 0, 1), own=(1, 1, 0), replay=tuple(carried([13, 1, UNREAD])))
    s.receive("b", ack(0, 0, 1))
    yield s


def _choosing() -> Iterator[ServiceScene]:
    s = AgentScene("workers take calls in turn, each of what it offers", "AGT-4", "AGT-3")
    s.works("v", "search")
    s.works("w", "search", "find")
    s.starts()
    for id, (link, own) in enumerate((("v", 1), ("w", 1), ("v", 2)), 1):
        s.hears("a", raw_call(id))
        s.tells(link, raw_call(own))
    s.hears("a", call(4, "researcher.find"))
    s.tells("w", call(2, "researcher.find"))
    yield s

    s = AgentScene("a worker that is attached goes before one that is not", "AGT-4")
    s.works("v", "search")
    s.works("w", "search")
    s.starts()
    s.gone("v")
    for id in (1, 2):
        s.hears("a", raw_call(id))
        s.tells("w", raw_call(id))
    yield s

    s = AgentScene("one call beyond sixty-four to a worker is BUSY", "AGT-4", "CAL-6")
    s.works("w", "search")
    s.starts()
    for id in range(1, 65):
        s.hears("a", raw_call(id))
        s.tells("w", raw_call(id))
    s.starts("b", session="session_b", key="secret_b")
    s.hears("b", raw_call(1))
    s.tells("b", error(1, "BUSY", temporary=True))
    s.hears("w", [13, 3, UNREAD])
    s.tells("a", [13, 3, UNREAD])
    s.hears("b", raw_call(2))
    s.tells("w", raw_call(65))
    yield s


def _offering() -> Iterator[ServiceScene]:
    s = AgentScene("without the feature OFFER is an unknown kind", "VER-6", "MSG-3", "MSG-4")
    s.starts()
    s.hears("a", offer(1, AGENT, "search"))
    s.closes("a", "PROTOCOL_ERROR")
    s.resumes("b", 1, (0, 0, 1), own=(1, 1, 0))
    s.receive("b", ack(0, 0, 1))
    s.hears("b", call(2, "echo"))
    s.tells("b", reply(2))
    yield s

    s = AgentScene("OFFERED is not a client's to send", "MSG-4")
    s.opens_worker("w")
    s.hears("w", [25, 1, AGENT, 0, ""])
    s.closes("w", "PROTOCOL_ERROR")
    yield s

    s = AgentScene("a second offer replaces the first, and WITHDRAW ends it; what runs goes on", "AGT-2", "AGT-1")
    s.works("w", "search", "find")
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("w", raw_call(1))
    s.hears("w", offer(2, AGENT, "find"))
    s.tells("w", offered(2, AGENT))
    s.hears("a", raw_call(2))
    s.tells("a", error(2, "NOT_FOUND"))
    s.hears("w", withdraw(3, AGENT))
    s.tells("w", offered(3, AGENT))
    s.hears("w", withdraw(4, AGENT))
    s.tells("w", offered(4, AGENT))
    s.hears("a", call(3, "researcher.find"))
    s.tells("a", error(3, "NOT_FOUND"))
    s.hears("w", [13, 1, UNREAD])
    s.tells("a", [13, 1, UNREAD])
    yield s

    s = AgentScene("the name of an agent has no full stop", "AGT-3", "AGT-1")
    s.opens_worker("w")
    s.hears("w", offer(1, "a.b", "search"))
    s.tells("w", error(1, "BAD_REQUEST"))
    yield s

    s = AgentScene("a session offers sixteen agents, and not one more", "AGT-8")
    s.opens_worker("w")
    for id in range(1, 17):
        s.hears("w", offer(id, f"agent{id}", "search"))
        s.tells("w", offered(id, f"agent{id}"))
    s.hears("w", offer(17, "agent17", "search"))
    s.tells("w", error(17, "LIMIT"))
    s.hears("w", offer(18, "agent3", "find"), withdraw(19, "agent4"), offer(20, "agent17", "search"))
    s.tells("w", offered(18, "agent3"), offered(19, "agent4"), offered(20, "agent17"))
    yield s

    s = AgentScene("descriptions have 65,536 bytes in all, and not one more", "AGT-8")
    s.opens_worker("w")
    procedures = [[f"p{number}", bytes(4_096)] for number in range(15)]
    s.receive("w", *in_parts([24, 1, AGENT, None, bytes(4_096), procedures]))
    s.tells("w", offered(1, AGENT))
    s.receive("w", *in_parts([24, 2, AGENT, None, bytes(4_096), [*procedures, ["p15", b"\x00"]]]))
    s.tells("w", error(2, "TOO_LARGE"))
    yield s

    member = {"token": "t0p", "member": True}
    s = AgentScene(
        "rights to an agent are checked when it is offered, when it is called and after AUTH", "AGT-6", "AUT-6"
    )
    s.opens_worker("w")
    s.hears("w", offer(1, "members", "search"))
    s.tells("w", error(1, "DENIED"))
    s.receive("w", auth(member))
    s.send("w", reauth(None))
    s.hears("w", offer(2, "members", "search"))
    s.tells("w", offered(2, "members"))
    s.starts()
    s.hears("a", call(1, "members.search"))
    s.tells("a", error(1, "DENIED"))
    s.receive("w", auth({"token": "t0p"}))
    s.send("w", reauth(None))
    s.tells("w", offered(None, "members", code="DENIED"))
    yield s


def _losing() -> Iterator[ServiceScene]:
    s = AgentScene("a worker that closes is lost at once", "CAL-5", "AGT-2", "AGT-5")
    s.works("w", "search")
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("w", raw_call(1))
    s.receive("w", close("NORMAL"))
    s.closed("w")
    s.tells("a", error(1, "CALLEE_LOST"))
    s.hears("a", raw_call(2))
    s.tells("a", error(2, "NOT_FOUND"))
    yield s

    s = AgentScene("a worker that stays away is lost at the end of its resume period", "CAL-5", "AGT-5", "EXP-1")
    s.works("w", "search", period=10_000)
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("w", raw_call(1))
    s.gone("w")
    s.advance(9)
    s.starts("b", session="session_b", key="secret_b")
    s.hears("b", raw_call(1))
    s.advance(1)
    s.tells("a", error(1, "CALLEE_LOST"))
    s.tells("b", error(1, "CALLEE_LOST", temporary=True))
    yield s

    s = AgentScene("a call that was not sent goes to another worker, one that was does not", "AGT-5", "CAL-5")
    s.works("v", "search", period=10_000)
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("v", raw_call(1))
    s.gone("v")
    s.hears("a", raw_call(2))
    s.works("w", "search")
    s.advance(10)
    s.tells("w", raw_call(1))
    s.tells("a", error(1, "CALLEE_LOST"))
    s.hears("w", [13, 1, UNREAD])
    s.tells("a", [13, 2, UNREAD])
    yield s

    s = AgentScene("a worker that is started again takes its own place", "AGT-7", "CAL-5")
    s.works("v", "search", worker="one")
    s.works("u", "search", worker="two")
    s.starts()
    s.hears("a", raw_call(1))
    s.tells("v", raw_call(1))
    s.opens_worker("w")
    s.hears("w", offer(1, AGENT, "search", worker="one"))
    s.tells("v", offered(None, AGENT, code="TAKEN_OVER"), cancel(1))
    s.tells("w", offered(1, AGENT))
    s.tells("a", error(1, "CALLEE_LOST"))
    s.hears("a", raw_call(2), raw_call(3), raw_call(4))
    s.tells("u", raw_call(1), raw_call(2))
    s.tells("w", raw_call(1))
    yield s

    s = AgentScene("another principal's worker of the same name is another worker", "AGT-7")
    s.works("v", "search", worker="one")
    s.opens_worker("w", {"token": "bob"})
    s.hears("w", offer(1, AGENT, "search", worker="one"))
    s.tells("w", offered(1, AGENT))
    s.starts()
    s.hears("a", raw_call(1), raw_call(2))
    s.tells("v", raw_call(1))
    s.tells("w", raw_call(1))
    yield s
