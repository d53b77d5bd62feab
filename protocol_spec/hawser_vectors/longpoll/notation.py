"""The notation of long-poll scenes: those of ``scenarios``, with requests for links.

    s = PollScene("a body begins where the client says", "CAR-19")
    s.begins()                           # a client attaches with OPEN, and its first GET is parked
    s.polls("get2", "GET", 2, (0, 0, 0))  # another GET arrives ...
    s.answers("get1", 204)               # ... and the first one is answered

A request has a name, and its response names it. The name of an attach is the name of its connection, too.

For a client input and output change places: ``polls`` is a request that it makes, ``replies`` and ``fails`` are what
becomes of one.

    c = PollingScene("a GET that is lost is made again", "CAR-16")
    c.begins()                           # it attaches with OPEN, and makes its first GET
    c.fails("get1")                      # no response comes ...
    c.polls("get2", "GET", 2)            # ... so it asks again, under the next number
"""

from base64 import urlsafe_b64encode
from typing import Any, Final

from ..encoding import Json
from ..scenarios.notation import ClientScene, ServerScene
from ..scenarios.packets import INCARNATION, SESSION, ZERO, Triple, message, open_, opened, resume, resumed, secret
from ..scenarios.patterns import hex_of, notation_of, some_bytes

TYPE: Final = "application/cbor-seq"
HEADERS: Final = (
    "hawser-session",
    "hawser-secret",
    "hawser-generation",
    "hawser-number",
    "hawser-counts",
    "hawser-first",
)
"""What a client's request may have."""

START: Final = {"resume_period_ms": 120_000, "ping_interval_ms": 25_000, "pong_wait_ms": 10_000}


def _body(packets: tuple[Any, ...]) -> dict[str, Json]:
    """A body as a step has it; nothing if there is none."""
    return {"hex": hex_of(packets), "diagnostic": notation_of(packets)} if packets else {}


def _reply_headers(packets: tuple[Any, ...], counts: Triple | None, first: int | None) -> dict[str, str]:
    """The headers of a response that has these packets and says this."""
    headers = {"content-type": TYPE} if packets else {}
    if counts is not None:
        headers["hawser-counts"] = ",".join(map(str, counts))
    if first is not None:
        headers["hawser-first"] = str(first)
    return headers


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
        step |= _body(packets)
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
        wanted = _reply_headers(packets, counts, first)
        absent = [each for each in ("content-type", "hawser-first") if each not in wanted]
        step: dict[str, Json] = {"to": to, "status": status, "headers": wanted | (headers or {}), "absent": absent}
        if has:
            step["has"] = list(has)
        step |= _body(packets)
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


class PollingScene(ClientScene):
    """The client is under test; the runner is the server, and answers requests."""

    def __init__(self, description: str, *spec: str, **config: Any) -> None:
        super().__init__(description, *spec, **config)
        self.config["carriage"] = "longpoll"

    # Steps

    def requests(
        self, name: str, method: str, *packets: Any, link: str = "a", headers: dict[str, Json] | None = None
    ) -> None:
        """A request is made, with these headers and no others of the protocol, and the packets of its body."""
        given = ({"content-type": TYPE} if packets else {}) | (headers or {})
        absent: list[Json] = [each for each in ("content-type", *HEADERS) if each not in given]
        step: dict[str, Json] = {"on": link, "name": name, "method": method, "headers": given, "absent": absent}
        step |= _body(packets)
        self._step("request", step)

    def replies(
        self,
        to: str,
        status: int,
        *packets: Any,
        counts: Triple | None = None,
        first: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """A response arrives; what is there already of another type is written in ``headers``."""
        given = _reply_headers(packets, counts, first)
        step: dict[str, Json] = {"to": to, "status": status, "headers": given | (headers or {})}
        step |= _body(packets)
        self._step("response", step)

    def fails(self, to: str) -> None:
        """A request has no response, and never will: its connection broke, or the client has waited long enough."""
        self._step("fail", to)

    # What is made of them

    def polls(
        self,
        name: str,
        method: str,
        number: int,
        counts: Triple = ZERO,
        *packets: Any,
        first: int | None = None,
        generation: int = 0,
        link: str = "a",
    ) -> None:
        """A request of an attached connection is made, with the secret that its attach has issued."""
        given: dict[str, Json] = {
            "hawser-session": _text(SESSION),
            "hawser-secret": _text(secret(generation)),
            "hawser-generation": str(generation),
            "hawser-number": str(number),
            "hawser-counts": ",".join(map(str, counts)),
        }
        if first is not None:
            given["hawser-first"] = str(first)
        self.requests(name, method, *packets, link=link, headers=given)

    def attaches(self, link: str = "a") -> None:
        """OPEN leaves in a POST of a new connection."""
        self.connect(link)
        self.requests(link, "POST", self.wants(), link=link)

    def begins(self, link: str = "a") -> None:
        """A session is opened, and the first GET is made."""
        self.attaches(link)
        self.replies(link, 200, opened())
        self.polls("get1", "GET", 1, link=link)
        self.event("opened")

    def reattaches(self, link: str, attempt: int, counts: Triple = ZERO, *, key: int = 0) -> None:
        """RESUME leaves in a POST of a new connection, with the secret of the attempt ``key``."""
        self.connect(link)
        self.attempts(link, attempt, counts, key=key)

    def goes_on(self, link: str, attempt: int, counts: Triple = ZERO, *, own: Triple = ZERO) -> None:
        """RESUMED arrives, and the first GET of the new connection is made."""
        self.replies(link, 200, resumed(attempt, own, secret(attempt)))
        self.polls(f"{link}get1", "GET", 1, counts, generation=attempt, link=link)
        self.event("resumed")

    def attempts(self, link: str, attempt: int, counts: Triple = ZERO, *, key: int = 0) -> None:
        """RESUME leaves in a POST, with the secret of the attempt ``key``."""
        packet = resume(SESSION, secret(key), INCARNATION, attempt, counts, self.config["credentials"])
        self.requests(link, "POST", packet, link=link)

    def brings(self, to: str, *bodies: str, heard: bool = True) -> None:
        """A GET is answered with the first messages there are, and the application gets them."""
        self.replies(to, 200, *(message(body) for body in bodies), counts=(0, 0, len(bodies)), first=1)
        if heard:
            self.told(*bodies)

    def posts(self, body: str, *, number: int, request: int | None = None) -> None:
        """The application sends a message, and it leaves at once; its request has the same number, or another."""
        self.sends("a", body)
        post = number if request is None else request
        self.polls(f"post{post}", "POST", post, (0, 0, number), message(body), first=number)

    def ends(self, link: str = "a", code: str | None = None, **told: Json) -> None:
        """The connection is over: nothing more is asked on it, and its session waits for another one."""
        self.closed(link)
        if code is not None:
            self.event("closed", link, code=code, **told)
        self.event("detached")


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
