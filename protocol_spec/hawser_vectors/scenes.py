"""How scenarios are written: one side under test, steps in order, packets as arrays with items left to that side.

``Scene`` collects steps; ``ServerScene`` and ``ClientScene`` add what nearly every conversation begins with. README.md
beside the vectors says what the steps mean.
"""

from typing import Any, Final, NamedTuple, TypeAlias

from .encoding import Json, Raw, compact, diagnostic, encode, head

Triple: TypeAlias = tuple[int, int, int]


class Chosen(NamedTuple):
    """An item that the side under test chooses: its type (``bytes``, ``uint``, ``text``), a name and bounds."""

    type: str
    name: str
    bounds: tuple[tuple[str, int], ...] = ()


def some_bytes(name: str) -> Chosen:
    """Make a chosen byte string."""
    return Chosen("bytes", name)


def some_uint(name: str, minimum: int | None = None, maximum: int | None = None) -> Chosen:
    """Make a chosen integer."""
    bounds = {"minimum": minimum, "maximum": maximum}
    return Chosen("uint", name, tuple((key, value) for key, value in bounds.items() if value is not None))


REASON: Final = Chosen("text", "reason")
"""The reason in a CLOSE, any text."""

TOKEN: Final = {"token": "t0p"}
WINDOW: Final = {"window_messages": 1_000, "window_bytes": 262_144, "message_bytes": 1_048_576}
OPERATIONS: Final = {"operations": 256, "operation_bytes": 1_048_576}
SESSION: Final = bytes.fromhex("6e31c0ffee")
INCARNATION: Final = bytes.fromhex("01f4")
ZERO: Final[Triple] = (0, 0, 0)
QUIET: Final = {"ping_interval_ms": 3_600_000, "resume_period_ms": 7_200_000}
"""A server that hardly ever pings, for scenarios in which time passes."""


def secret(number: int) -> bytes:
    """Return the resume secret that the runner, as a server, issues with an attempt."""
    return bytes(32 * number + index for index in range(32))


# Packets


def open_(
    credentials: Any = None,
    *,
    versions: tuple[int, ...] = (1,),
    features: tuple[str, ...] = (),
    period: int | None = None,
    **limits: int,
) -> list[Any]:
    """Write OPEN."""
    return [1, versions, features, TOKEN if credentials is None else credentials, period, WINDOW | limits]


def resume(
    session: Any, key: Any, incarnation: Any, attempt: int, counts: Triple = ZERO, credentials: Any = None
) -> list[Any]:
    """Write RESUME."""
    return [3, session, key, incarnation, attempt, counts, TOKEN if credentials is None else credentials]


def resumed(attempt: int, counts: Triple, key: Any) -> list[Any]:
    """Write RESUMED."""
    return [4, attempt, counts, key]


def reset(reason: str | int, counts: Triple | None) -> list[Any]:
    """Write RESET."""
    return [5, RESETS.index(reason) if isinstance(reason, str) else reason, counts]


def message(body: bytes | str, more: bool = False) -> list[Any]:
    """Write MESSAGE."""
    return [6, more, body.encode() if isinstance(body, str) else body]


def volatile(body: str) -> list[Any]:
    """Write VOLATILE."""
    return [7, body.encode()]


def ack(*counts: int) -> list[Any]:
    """Write ACK."""
    return [8, counts]


def ping(token: Any, counts: Triple | None) -> list[Any]:
    """Write PING."""
    return [9, token, counts]


def pong(token: Any, counts: Triple | None) -> list[Any]:
    """Write PONG."""
    return [10, token, counts]


def auth(credentials: Any) -> list[Any]:
    """Write AUTH."""
    return [11, credentials]


def reauth(within: Any) -> list[Any]:
    """Write REAUTH."""
    return [12, within]


RESETS: Final = (
    "",
    "UNKNOWN_SESSION",
    "EXPIRED",
    "DRIFT",
    "OVERFLOW",
    "FLOW",
    "RESTARTED",
    "CLOSED",
    "REVOKED",
    "EVICTED",
    "TAKEN_OVER",
    "INTERNAL",
)
CLOSES: Final = {
    "GOING_AWAY": (100, True, True),
    "TIMEOUT": (101, True, True),
    "FLOW": (102, True, True),
    "RATE": (103, True, True),
    "SLOW": (104, True, True),
    "UNAVAILABLE": (105, True, True),
    "OVERLOADED": (106, True, True),
    "INTERNAL": (107, True, True),
    "PROTOCOL_ERROR": (108, True, True),
    "TOO_LARGE": (109, True, True),
    "SESSION_ENDED": (200, True, False),
    "NORMAL": (300, False, False),
    "SUPERSEDED": (301, False, False),
    "UNAUTHORIZED": (302, False, True),
    "VERSION": (303, False, False),
    "FORBIDDEN": (304, False, False),
}
"""The table of SPEC.md section 10.1: number and the first two answers."""


def close(
    code: str,
    why: Any = "",
    *,
    attempt: int | None = None,
    after: tuple[Any, Any] = (0, 0),
    url: str | None = None,
) -> list[Any]:
    """Write CLOSE with the answers of its row."""
    number, reconnect, again = CLOSES[code]
    return [13, number, why, reconnect, again, *after, url, attempt]


# Steps


class Scene:
    """One scenario in the making."""

    role: str = ""

    def __init__(self, description: str, *spec: str, level: str = "MUST", **config: Any) -> None:
        self.description = description
        self.spec = spec
        self.level = level
        self.config = config
        self.steps: list[dict[str, Json]] = []
        self._at: dict[str, Json] = {}

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

    def connect(self, link: str) -> None:
        """A link comes up."""
        self._step("connect", link)

    def receive(self, link: str, *packets: Any) -> None:
        """One batch arrives."""
        self._step("receive", self._traffic(link, packets))

    def send(self, link: str, *packets: Any) -> None:
        """These packets leave."""
        self._step("send", self._traffic(link, packets))

    def drop(self, link: str) -> None:
        """A link dies."""
        self._step("drop", link)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._step("advance", seconds)

    def at(self, seconds: float) -> None:
        """The next step is at this time."""
        self._at = {"at": seconds}

    def command(self, name: str, on: str | None = None, **arguments: Json) -> None:
        """The application asks for something."""
        self._step("command", {"name": name} | ({} if on is None else {"on": on}) | arguments)

    def event(self, name: str, on: str | None = None, **members: Json) -> None:
        """The application is told something."""
        self._step("event", {"name": name} | ({} if on is None else {"on": on}) | members)

    def closed(self, link: str) -> None:
        """The side under test ends the link."""
        self._step("closed", link)

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

    def told(self, *bodies: str, first: int = 1) -> None:
        """The application gets whole messages of one part each."""
        for number, body in enumerate(bodies, first):
            self.event("message", hex=body.encode().hex(), number=number)

    def closes(self, link: str, code: str, **rest: Any) -> None:
        """The side under test sends CLOSE, with any reason."""
        self.send(link, close(code, REASON, **rest))
        self.event("closed", link, code=code)

    def _step(self, name: str, value: Json) -> None:
        self.steps.append({**self._at, name: value})
        self._at = {}

    def _traffic(self, link: str, packets: tuple[Any, ...]) -> Json:
        notation = ", ".join(diagnostic(_shown(packet)) or "..." for packet in packets)
        return {"on": link, "hex": _hex(packets), "diagnostic": notation}


class ServerScene(Scene):
    """The server is under test; the runner is every client."""

    role = "server"

    def __init__(self, description: str, *spec: str, **config: Any) -> None:
        super().__init__(description, *spec, **config)
        self.config.setdefault("incarnation", INCARNATION.hex())
        self.period = 120_000

    def judges(self, link: str, *, principal: str | None = "ada", credentials: Any = None, **accept: Json) -> None:
        """Let the authenticator see credentials and take them for a principal; None: it says nothing yet."""
        self.event("authenticate", link, credentials=TOKEN if credentials is None else credentials)
        if principal is not None:
            self.accepts(link, principal, **accept)

    def accepts(self, link: str, principal: str = "ada", **accept: Json) -> None:
        """Let the authenticator accept what waits."""
        self.command("accept", link, principal=principal, **accept)

    def welcomes(
        self, link: str, *, key: str = "secret0", session: str = "session", features: tuple[str, ...] = ()
    ) -> None:
        """OPENED leaves."""
        config = self.config
        limits = {
            name: config.get(name, {**WINDOW, **OPERATIONS}[name])
            for name in ("window_messages", "window_bytes", "message_bytes", "operations", "operation_bytes")
        }
        self.send(
            link,
            [
                2,
                1,
                features,
                some_bytes(session),
                some_bytes(key),
                INCARNATION,
                self.period,
                config.get("ping_interval_ms", 25_000),
                config.get("pong_wait_ms", 10_000),
                limits,
            ],
        )

    def opens(
        self,
        link: str = "a",
        packet: list[Any] | None = None,
        *,
        key: str = "secret0",
        session: str = "session",
        connect: bool = True,
        **accept: Json,
    ) -> None:
        """A session is opened and not confirmed."""
        if connect:
            self.connect(link)
        packet = packet or open_()
        self.period = self.config.get("resume_period_ms", 120_000)
        if packet[4] is not None:
            self.period = min(self.period, packet[4])
        self.receive(link, packet)
        self.judges(link, credentials=packet[3], **accept)
        self.welcomes(link, key=key, session=session)

    def proves(self, link: str = "a", *more: Any) -> None:
        """The first ACK arrives, and more with it."""
        self.receive(link, ack(0, 0, 0), *more)
        self.event("opened")

    def starts(self, link: str = "a", packet: list[Any] | None = None, **rest: Any) -> None:
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
        connect: bool = True,
    ) -> None:
        """RESUME arrives and the authenticator accepts it."""
        if connect:
            self.connect(link)
        who = some_bytes(session) if isinstance(session, str) else session
        proof = some_bytes(key) if isinstance(key, str) else key
        store = INCARNATION if incarnation is None else incarnation
        self.receive(link, resume(who, proof, store, attempt, counts))
        self.judges(link, principal=principal)

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
        """RESUME is taken and answered; more leaves behind RESUMED."""
        self.asks(link, attempt, counts, **rest)
        if fences is not None:
            self.closes(fences, "SUPERSEDED", attempt=attempt)
        self.send(link, resumed(attempt, own, some_bytes(new or f"secret{attempt}")), *replay)
        if opened:
            self.event("opened")
        self.event("resumed")

    def gone(self, link: str = "a") -> None:
        """A link dies under a confirmed session."""
        self.drop(link)
        self.event("detached")

    def ended(self, reason: str, lost: Triple = ZERO) -> None:
        """The session is lost: (known delivered, unknown, not sent)."""
        self.event("reset", reason=reason, known_delivered=lost[0], unknown=lost[1], not_sent=lost[2])


class ClientScene(Scene):
    """The client is under test; the runner is the server."""

    role = "client"

    def __init__(self, description: str, *spec: str, **config: Any) -> None:
        super().__init__(description, *spec, **config)
        self.config.setdefault("credentials", TOKEN)

    def opened(
        self,
        *,
        version: int = 1,
        features: tuple[str, ...] = (),
        session: bytes = SESSION,
        key: bytes = secret(0),
        **limits: int,
    ) -> list[Any]:
        """Write OPENED."""
        limits = WINDOW | OPERATIONS | limits
        return [2, version, features, session, key, INCARNATION, 120_000, 25_000, 10_000, limits]

    def wants(self) -> list[Any]:
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

    def starts(self, link: str = "a", **limits: Any) -> None:
        """A session is opened."""
        self.opens(link)
        self.answers(link, **limits)

    def answers(self, link: str = "a", *more: Any, **rest: Any) -> None:
        """OPENED arrives, the first ACK leaves, and more with it."""
        self.receive(link, self.opened(**rest))
        self.send(link, ack(0, 0, 0), *more)
        self.event("opened")

    def asks(self, link: str, attempt: int, counts: Triple = ZERO, *, key: int = 0, credentials: Any = None) -> None:
        """RESUME leaves on a new link."""
        self.connect(link)
        wanted = self.config["credentials"] if credentials is None else credentials
        self.send(link, resume(SESSION, secret(key), INCARNATION, attempt, counts, wanted))

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
        """RESUME is answered, the first ACK leaves, and what the server lacks."""
        self.asks(link, attempt, counts, key=key)
        self.receive(link, resumed(attempt, own, secret(attempt)))
        self.send(link, ack(counts[0], counts[1], own[0]), *replay)
        self.event("resumed")

    def gone(self, link: str = "a") -> None:
        """A link dies under the session."""
        self.drop(link)
        self.event("detached")

    def ended(self, reason: str, lost: Triple = ZERO) -> None:
        """The session is lost: (known delivered, unknown, not sent)."""
        self.event("reset", reason=reason, known_delivered=lost[0], unknown=lost[1], not_sent=lost[2])


# Bytes


def _hex(packets: tuple[Any, ...]) -> Json:
    joined: list[bytes | Json] = []
    for piece in (piece for packet in packets for piece in _pieces(packet)):
        if isinstance(piece, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    parts: list[Json] = []
    for piece in joined:
        written = compact(piece) if isinstance(piece, bytes) else piece
        parts += written if isinstance(written, list) else [written]
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def _pieces(value: Any) -> list[bytes | Json]:
    plain: Any = value
    if isinstance(value, Chosen):
        return [{value.type: value.name, **dict(value.bounds)}]
    if isinstance(value, (list, tuple)) and not hasattr(plain, "_fields"):
        return [head(4, len(plain)), *(piece for each in plain for piece in _pieces(each))]
    return [encode(value)]


def _shown(value: Any) -> Any:
    plain: Any = value
    if isinstance(value, Chosen):
        return Raw(b"", f"<{value.name}>")
    if isinstance(value, (list, tuple)) and not hasattr(plain, "_fields"):
        return [_shown(each) for each in plain]
    return plain
