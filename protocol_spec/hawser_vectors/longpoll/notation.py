"""The notation of long-poll scenes: those of ``scenarios``, with requests for links.

    s = PollScene("a body begins where the client says", "CAR-19")
    s.begins()                           # a client attaches with OPEN, and its first GET is parked
    s.polls("get2", "GET", 2, (0, 0, 0))  # another GET arrives ...
    s.answers("get1", 204)               # ... and the first one is answered

A request has a name, and its response names it. The name of an attach is the name of its connection, too.
"""

from typing import Any, Final

from ..encoding import Json
from ..scenarios.notation import ServerScene
from ..scenarios.packets import Triple, open_, opened
from ..scenarios.patterns import hex_of, notation_of, some_bytes

TYPE: Final = "application/cbor-seq"
START: Final = {"resume_period_ms": 120_000, "ping_interval_ms": 25_000, "pong_wait_ms": 10_000}


class PollScene(ServerScene):
    """The server is under test; the runner is every client, and sends requests."""

    def __init__(self, description: str, *spec: str, origins: tuple[str, ...] = (), **config: Any) -> None:
        super().__init__(description, *spec, **config)
        self.config["carriage"] = "longpoll"
        if origins:
            self.config["origins"] = list(origins)

    # Steps

    def request(self, name: str, method: str, *packets: Any, headers: dict[str, Json] | None = None) -> None:
        """A request arrives, with its headers and the packets of its body."""
        given = {"content-type": TYPE} if packets else {}
        step: dict[str, Json] = {"name": name, "method": method, "headers": given | (headers or {})}
        if packets:
            step |= {"hex": hex_of(packets), "diagnostic": notation_of(packets)}
        self._step("request", step)

    def answers(
        self,
        to: str,
        status: int,
        *packets: Any,
        counts: Triple | None = None,
        first: int | None = None,
        headers: dict[str, str] | None = None,
        has: tuple[str, ...] = (),
    ) -> None:
        """A request is answered: with this status, these packets, these headers, and others of any value."""
        wanted = {"content-type": TYPE} if packets else {}
        absent = ["content-type"] if not packets else []
        if counts is not None:
            wanted["hawser-counts"] = ",".join(map(str, counts))
        if first is not None:
            wanted["hawser-first"] = str(first)
        else:
            absent.append("hawser-first")
        step: dict[str, Json] = {"to": to, "status": status, "headers": wanted | (headers or {}), "absent": absent}
        if has:
            step["has"] = list(has)
        if packets:
            step |= {"hex": hex_of(packets), "diagnostic": notation_of(packets)}
        self._step("response", step)

    # What is made of them

    def polls(
        self,
        name: str,
        method: str,
        number: int,
        counts: Triple = (0, 0, 0),
        *packets: Any,
        first: int | None = None,
        generation: int = 0,
        key: str = "secret0",
        headers: dict[str, str | None] | None = None,
    ) -> None:
        """A request of an attached connection arrives, with headers changed or left out (None)."""
        given: dict[str, Json] = {
            "hawser-session": {"bytes": "session"},
            "hawser-secret": {"bytes": key},
            "hawser-generation": str(generation),
            "hawser-number": str(number),
            "hawser-counts": ",".join(map(str, counts)),
        }
        if first is not None:
            given["hawser-first"] = str(first)
        given |= headers or {}
        self.request(name, method, *packets, headers={each: value for each, value in given.items() if value})

    def attaches(self, link: str = "a", *, principal: str | None = "ada") -> None:
        """A POST opens a session, which is not confirmed."""
        self.request(link, "POST", open_())
        self.judges(link, principal=principal)
        if principal is not None:
            settings = START | {name: self.config[name] for name in START if name in self.config}
            names: dict[str, Any] = {
                "session": some_bytes("session"),
                "key": some_bytes("secret0"),
                "incarnation": self.incarnation,
                "times": tuple(settings.values()),
            }
            self.answers(link, 200, opened(**names))

    def begins(self, link: str = "a") -> None:
        """A session is opened, proved by its first GET, and that GET is parked."""
        self.attaches(link)
        self.polls("get1", "GET", 1)
        self.event("opened")
