"""The notation of scenarios: a conversation, line by line, as a script for a play.

    s = ServerScene("a RESUMED that is lost costs nothing", "SEC-2", "ATT-5")
    s.starts()                      # a client opens a session on link "a" and proves it
    s.gone()                        # the link dies; the server says that the session is detached
    s.resumes("b", 1)               # RESUME attempt 1 on link "b": RESUMED comes back, with "secret1"
    s.gone("b")
    s.resumes("c", 2)               # still with "secret0", for "secret1" was never proved
    yield s

A scene names what it shows and the clauses it proves, the one most concerned first. One of the two sides is under test:
the server in a `ServerScene`, the client in a `ClientScene`. The runner plays the other one, so in a scene of a server
the runner is every client. Links are called "a", "b", "c" in the order in which they come up.

Verbs are written from where the side under test stands. The first block of `Scene` is the steps themselves, one each:
``receive`` is an input, ``send`` an output, and after each input exactly the outputs follow that stand behind it. All
else is made of them, so a reader who knows those has seen everything. Packets are made by ``packets`` and ``messages``;
what the implementation chooses itself has a name, such as "session" or "secret1" (``patterns``).
"""

from typing import Any, TypeAlias

from ..encoding import Json, compact
from .packets import (
    INCARNATION,
    OPERATIONS,
    SESSION,
    TOKEN,
    WINDOW,
    ZERO,
    Triple,
    ack,
    close,
    message,
    open_,
    opened,
    ping,
    reset,
    resume,
    resumed,
    secret,
)
from .patterns import REASON, hex_of, notation_of, some_bytes, some_uint

Packet: TypeAlias = list[Any]

QUIET: dict[str, int] = {"ping_interval_ms": 3_600_000, "resume_period_ms": 7_200_000}
"""A server that hardly ever pings, for scenes in which time passes."""


class Scene:
    """One scenario in the making."""

    role: str = ""

    def __init__(self, description: str, *spec: str, level: str = "MUST", **config: Any) -> None:
        self.description = description
        self.spec = spec
        self.level = level
        self.config = config
        self.steps: list[dict[str, Json]] = []

    def document(self) -> dict[str, Json]:
        """Return the scenario as JSON."""
        return {
            "description": self.description,
            "spec": list(self.spec),
            "level": self.level,
            "role": self.role,
            "config": self.config,
            "steps": self.steps,
        }

    # Steps: inputs

    def connect(self, link: str) -> None:
        """A link comes up."""
        self._step("connect", link)

    def receive(self, link: str, *packets: Any) -> None:
        """One batch arrives."""
        self._step("receive", _traffic(link, packets))

    def drop(self, link: str) -> None:
        """A link dies."""
        self._step("drop", link)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._step("advance", seconds)

    def command(self, name: str, on: str | None = None, **arguments: Json) -> None:
        """The application asks for something."""
        self._step("command", _named(name, on, arguments))

    # Steps: outputs

    def send(self, link: str, *packets: Any) -> None:
        """These packets leave."""
        self._step("send", _traffic(link, packets))

    def event(self, name: str, on: str | None = None, **members: Json) -> None:
        """The application is told something."""
        self._step("event", _named(name, on, members))

    def closed(self, link: str) -> None:
        """The side under test ends the link."""
        self._step("closed", link)

    # Messages

    def takes(self, link: str, *bodies: str, first: int = 1) -> None:
        """Messages of one part arrive, and the application gets them; the first has this number."""
        self.receive(link, *(message(body) for body in bodies))
        self.told(*bodies, first=first)

    def told(self, *bodies: str, first: int = 1) -> None:
        """The application gets whole messages of one part each."""
        for number, body in enumerate(bodies, first):
            self.event("message", hex=body.encode().hex(), number=number)

    def says(self, link: str, *bodies: str) -> None:
        """The application sends messages, each of which leaves at once."""
        for body in bodies:
            self.sends(link, body)
            self.send(link, message(body))

    def sends(self, link: str, *bodies: bytes | str) -> None:
        """The application sends messages; all but the last wait."""
        for body in bodies:
            data = body.encode() if isinstance(body, str) else body
            self.command("send", link, hex=compact(data))

    # Ends

    def gone(self, link: str = "a") -> None:
        """A link dies under a session."""
        self.drop(link)
        self.event("detached")

    def closes(self, link: str, code: str, **rest: Any) -> None:
        """CLOSE leaves, with any reason."""
        self.send(link, close(code, REASON, **rest))
        self.event("closed", link, code=code)

    def loses(self, link: str, code: str, **rest: Any) -> None:
        """CLOSE leaves on the link of a session, which is detached and kept."""
        self.closes(link, code, **rest)
        self.event("detached")

    def receives_close(
        self,
        link: str,
        code: str,
        why: str = "",
        *,
        attempt: int | None = None,
        after: tuple[int, int] = (0, 0),
        **told: Json,
    ) -> None:
        """CLOSE arrives: the link is ended, and the application told."""
        self.receive(link, close(code, why, attempt=attempt, after=after))
        self.closed(link)
        self.event("closed", link, code=code, **told)

    def ended(self, reason: str, lost: Triple = ZERO) -> None:
        """The session is lost: (known delivered, unknown, not sent)."""
        self.event("reset", reason=reason, known_delivered=lost[0], unknown=lost[1], not_sent=lost[2])

    def gives_up(self, link: str, reason: str, counts: Triple = ZERO, lost: Triple = ZERO) -> None:
        """RESET leaves with these counts, and the session is lost; a client opens another one at once."""
        self.send(link, reset(reason, counts), *self._anew())
        self.ended(reason, lost)

    def resets(self, link: str, reason: str) -> None:
        """The application ends the session with RESET; nothing had been sent in it."""
        self.command("reset", link, reason=reason)
        self.gives_up(link, reason)

    def _anew(self) -> list[Packet]:
        """Return what leaves right behind a RESET."""
        return []

    def _step(self, name: str, value: Json) -> None:
        self.steps.append({name: value})


class ServerScene(Scene):
    """The server is under test; the runner is every client."""

    role = "server"

    def __init__(self, description: str, *spec: str, **config: Any) -> None:
        super().__init__(description, *spec, **config)
        self.incarnation: Any = INCARNATION
        self.config.setdefault("incarnation", INCARNATION.hex())

    def judges(self, link: str, *, principal: str | None = "ada", credentials: Any = None, **accept: Json) -> None:
        """The authenticator is shown credentials and takes them for a principal; None: it says nothing yet."""
        self.event("authenticate", link, credentials=TOKEN if credentials is None else credentials)
        if principal is not None:
            self.accepts(link, principal, **accept)

    def accepts(self, link: str, principal: str = "ada", **accept: Json) -> None:
        """The authenticator accepts what waits."""
        self.command("accept", link, principal=principal, **accept)

    def refuses(self, link: str, code: str) -> None:
        """The authenticator refuses what waits (UNAUTHORIZED) or cannot judge it (UNAVAILABLE): CLOSE leaves."""
        if code == "UNAUTHORIZED":
            self.command("refuse", link)
            self.closes(link, code)
        else:
            self.command("unavailable", link)
            self.closes(link, code, after=(some_uint("from"), some_uint("to")))

    def opens(
        self,
        link: str = "a",
        packet: Packet | None = None,
        *,
        key: str = "secret0",
        session: str = "session",
        features: tuple[str, ...] = (),
        connect: bool = True,
        **accept: Json,
    ) -> None:
        """A session is opened and not confirmed."""
        if connect:
            self.connect(link)
        packet = packet or open_()
        self.receive(link, packet)
        self.judges(link, credentials=packet[3], **accept)
        self.welcomes(link, packet[4], key=key, session=session, features=features)

    def welcomes(
        self,
        link: str,
        wanted: int | None = None,
        *,
        key: str = "secret0",
        session: str = "session",
        features: tuple[str, ...] = (),
    ) -> None:
        """OPENED leaves; the client wanted this resume period."""
        settings = {"resume_period_ms": 120_000, "ping_interval_ms": 25_000, "pong_wait_ms": 10_000} | self.config
        limits = {name: self.config[name] for name in WINDOW | OPERATIONS if name in self.config}
        longest = settings["resume_period_ms"]
        period = longest if wanted is None else min(longest, wanted)
        times = (period, settings["ping_interval_ms"], settings["pong_wait_ms"])
        names: dict[str, Any] = {
            "session": some_bytes(session),
            "key": some_bytes(key),
            "incarnation": self.incarnation,
        }
        self.send(link, opened(features=features, times=times, **names, **limits))

    def proves(self, link: str = "a", *more: Any) -> None:
        """The first ACK arrives, and more with it."""
        self.receive(link, ack(0, 0, 0), *more)
        self.event("opened")

    def starts(self, link: str = "a", packet: Packet | None = None, **rest: Any) -> None:
        """A session is opened and confirmed."""
        self.opens(link, packet, **rest)
        self.proves(link)

    def asks(
        self,
        link: str,
        attempt: int,
        counts: Triple = ZERO,
        *,
        key: Any = "secret0",
        session: Any = "session",
        incarnation: Any = None,
        principal: str | None = "ada",
        credentials: Any = None,
        connect: bool = True,
    ) -> None:
        """RESUME arrives, with a named secret or with any bytes, and the authenticator accepts it."""
        if connect:
            self.connect(link)
        who = some_bytes(session) if isinstance(session, str) else session
        proof = some_bytes(key) if isinstance(key, str) else key
        store = self.incarnation if incarnation is None else incarnation
        self.receive(link, resume(who, proof, store, attempt, counts, credentials))
        self.judges(link, principal=principal, credentials=credentials)

    def unknown(self, link: str, attempt: int, **rest: Any) -> None:
        """RESUME arrives and is answered like one that names a session which never was."""
        self.asks(link, attempt, **rest)
        self.send(link, reset("UNKNOWN_SESSION", None))

    def resumes(
        self,
        link: str,
        attempt: int,
        counts: Triple = ZERO,
        *,
        own: Triple = ZERO,
        new: str | None = None,
        replay: tuple[Any, ...] = (),
        fences: str | None = None,
        opened: bool = False,
        **rest: Any,
    ) -> None:
        """RESUME is taken and answered; what the client lacks leaves behind RESUMED."""
        self.asks(link, attempt, counts, **rest)
        if fences is not None:
            self.closes(fences, "SUPERSEDED", attempt=attempt)
        self.send(link, resumed(attempt, own, some_bytes(new or f"secret{attempt}")), *replay)
        if opened:
            self.event("opened")
        self.event("resumed")

    def receives_reset(self, link: str, reason: str, counts: Triple | None, lost: Triple = ZERO) -> None:
        """RESET arrives, and the session is lost."""
        self.receive(link, reset(reason, counts))
        self.ended(reason, lost)


class ClientScene(Scene):
    """The client is under test; the runner is the server."""

    role = "client"

    def __init__(self, description: str, *spec: str, **config: Any) -> None:
        super().__init__(description, *spec, **config)
        self.config.setdefault("credentials", TOKEN)

    def wants(self) -> Packet:
        """Write the OPEN that the configuration asks for."""
        limits = {name: self.config[name] for name in WINDOW if name in self.config}
        features = tuple(self.config.get("features", ()))
        return open_(
            self.config["credentials"], features=features, period=self.config.get("resume_period_ms"), **limits
        )

    def opens(self, link: str = "a") -> None:
        """OPEN leaves on a new link."""
        self.connect(link)
        self.send(link, self.wants())

    def answers(self, link: str = "a", *more: Any, **rest: Any) -> None:
        """OPENED arrives, the first ACK leaves, and more with it."""
        self.receive(link, opened(**rest))
        self.send(link, ack(0, 0, 0), *more)
        self.event("opened")

    def starts(self, link: str = "a", **rest: Any) -> None:
        """A session is opened."""
        self.opens(link)
        self.answers(link, **rest)

    def asks(self, link: str, attempt: int, counts: Triple = ZERO, *, key: int = 0, credentials: Any = None) -> None:
        """RESUME leaves on a new link, with the secret of this attempt."""
        self.connect(link)
        wanted = self.config["credentials"] if credentials is None else credentials
        self.send(link, resume(SESSION, secret(key), INCARNATION, attempt, counts, wanted))

    def probes(self, link: str) -> None:
        """A link comes up beside the present one, and PING leaves on it; its token is "probe"."""
        self.command("probe", link)
        self.send(link, ping(some_uint("probe"), None))

    def resumes(
        self,
        link: str,
        attempt: int,
        counts: Triple = ZERO,
        *,
        key: int = 0,
        own: Triple = ZERO,
        replay: tuple[Any, ...] = (),
    ) -> None:
        """RESUME leaves and is answered; the first ACK leaves, and what the server lacks."""
        self.asks(link, attempt, counts, key=key)
        self.is_resumed(link, attempt, counts, own=own, replay=replay)

    def is_resumed(
        self, link: str, attempt: int, counts: Triple = ZERO, *, own: Triple = ZERO, replay: tuple[Any, ...] = ()
    ) -> None:
        """RESUMED arrives; the first ACK leaves, and what the server lacks."""
        self.receive(link, resumed(attempt, own, secret(attempt)))
        self.send(link, ack(counts[0], counts[1], own[0]), *replay)
        self.event("resumed")

    def receives_reset(self, link: str, reason: str, counts: Triple | None, lost: Triple = ZERO) -> None:
        """RESET arrives, and the session is lost; OPEN leaves on the same link."""
        self.receive(link, reset(reason, counts))
        self.send(link, *self._anew())
        self.ended(reason, lost)

    def _anew(self) -> list[Packet]:
        return [self.wants()]


def _named(name: str, on: str | None, members: dict[str, Json]) -> Json:
    return {"name": name} | ({} if on is None else {"on": on}) | members


def _traffic(link: str, packets: tuple[Any, ...]) -> Json:
    return {"on": link, "hex": hex_of(packets), "diagnostic": notation_of(packets)}
