"""The notation in which scenarios are written: packets as plain values, and names for what a side chooses itself.

``Play`` collects the steps of one scenario; README.md beside the vectors says what each means.
"""

from typing import Any, Final, NamedTuple

from .encoding import Json, diagnostic, encode, head

LIMITS: Final = {"window_messages": 1_000, "window_bytes": 262_144, "message_bytes": 1_048_576}
OPERATIONS: Final = {"operations": 256, "operation_bytes": 1_048_576}
TOKEN: Final = {"token": "t0p"}
INCARNATION: Final = bytes.fromhex("01f4")


class Chosen(NamedTuple):
    """An item that the implementation chooses: bytes, text or an unsigned integer, under a name."""

    type: str
    name: str


class Same(NamedTuple):
    """A byte string that is one byte so many times."""

    byte: bytes
    times: int


def name(what: str) -> Chosen:
    """Return a byte string of the implementation's own."""
    return Chosen("bytes", what)


def close(code: int, reconnect: bool, resume: bool, attempt: int | None = None, *, when: bool = False) -> list[Any]:
    """Return a CLOSE of the implementation: its reason is its own, and so is the time where one has to be stated."""
    times = [Chosen("uint", "after_min"), Chosen("uint", "after_max")] if when else [0, 0]
    return [13, code, Chosen("text", "reason"), reconnect, resume, *times, None, attempt]


def bye(code: int, reconnect: bool, resume: bool, attempt: int | None = None) -> list[Any]:
    """Return a CLOSE of the peer."""
    return [13, code, "", reconnect, resume, 0, 0, None, attempt]


def _parts(value: Any) -> list[Json]:
    items: Any = value  # for type checkers, as in ``encode``
    match value:
        case Chosen():
            return [{value.type: value.name}]
        case Same():
            return [head(2, value.times).hex(), {"repeat": value.byte.hex(), "times": value.times}]
        case list():
            return [head(4, len(items)).hex(), *(part for item in items for part in _parts(item))]
        case _:
            return [encode(value).hex()]


def _notation(value: Any) -> str:
    items: Any = value
    match value:
        case Chosen():
            return f"<{value.name}>"
        case Same():
            return f"h'{value.byte.hex() * 4}...'"
        case list():
            return f"[{', '.join(_notation(item) for item in items)}]"
        case _:
            return diagnostic(value) or ""


def _hex(packets: tuple[Any, ...]) -> Json:
    joined: list[Json] = []
    for part in (part for packet in packets for part in _parts(packet)):
        if joined and isinstance(joined[-1], str) and isinstance(part, str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined[0] if len(joined) == 1 and isinstance(joined[0], str) else joined


class Play:
    """One scenario."""

    def __init__(self, description: str, *spec: str, role: str = "server", level: str = "MUST", **config: Any) -> None:
        """Begin one.

        Args:
            description: What is particular to it.
            spec: The clauses that it proves.
            role: Which side the implementation plays.
            level: The strictest level of the clauses.
            config: What differs from the defaults.
        """
        self.description = description
        self.spec = spec
        self.role = role
        self.level = level
        self.config = config
        self.steps: list[Json] = []
        if role == "server":
            self.config.setdefault("incarnation", INCARNATION.hex())
        else:
            self.config.setdefault("credentials", TOKEN)

    def document(self) -> dict[str, Json]:
        """Return the scenario as it stands in its file."""
        return {
            "description": self.description,
            "spec": list(self.spec),
            "level": self.level,
            "role": self.role,
            "config": self.config,
            "steps": self.steps,
        }

    def connect(self, link: str) -> "Play":
        """Bring a link up."""
        self.steps.append({"connect": link})
        return self

    def drop(self, link: str) -> "Play":
        """End a link in both directions."""
        self.steps.append({"drop": link})
        return self

    def advance(self, seconds: float) -> "Play":
        """Let time pass."""
        self.steps.append({"advance": seconds})
        return self

    def receive(self, link: str, *packets: Any) -> "Play":
        """Give the implementation one batch."""
        return self._traffic("receive", link, packets)

    def raw(self, link: str, digits: str, notation: str) -> "Play":
        """Give it bytes that are no packets."""
        self.steps.append({"receive": {"on": link, "hex": digits, "diagnostic": notation}})
        return self

    def send(self, link: str, *packets: Any) -> "Play":
        """Expect packets."""
        return self._traffic("send", link, packets)

    def closed(self, link: str) -> "Play":
        """Expect that the implementation ends the link."""
        self.steps.append({"closed": link})
        return self

    def command(self, what: str, on: str | None = None, **members: Any) -> "Play":
        """Have the application ask for something."""
        self.steps.append({"command": {"name": what, **({} if on is None else {"on": on}), **members}})
        return self

    def event(self, what: str, on: str | None = None, **members: Any) -> "Play":
        """Expect that the application is told something."""
        self.steps.append({"event": {"name": what, **({} if on is None else {"on": on}), **members}})
        return self

    def _traffic(self, way: str, link: str, packets: tuple[Any, ...]) -> "Play":
        notation = ", ".join(_notation(packet) for packet in packets)
        self.steps.append({way: {"on": link, "hex": _hex(packets), "diagnostic": notation}})
        return self

    # Fragments of a conversation, the server being the implementation

    @property
    def _limits(self) -> dict[str, int]:
        return {key: self.config.get(key, value) for key, value in LIMITS.items()}

    def open(self, link: str = "a", limits: dict[str, int] | None = None, session: str = "", **items: Any) -> "Play":
        """A client opens a session on a new link, and is accepted; the session is not proved yet."""
        return self.connect(link).reopen(link, limits, session, **items)

    def reopen(self, link: str, limits: dict[str, int] | None = None, session: str = "", **items: Any) -> "Play":
        """A client opens a session on a link that is there."""
        wanted = items.get("wanted")
        period = self.config.get("resume_period_ms", 120_000)
        period = period if wanted is None else min(period, wanted)
        self.receive(link, [1, [1], items.get("offered", []), TOKEN, wanted, limits or LIMITS])
        self.event("authenticate", link, credentials=TOKEN)
        self.command("accept", link, principal=items.get("principal", "ann"))
        return self.send(
            link,
            [
                2,
                1,
                items.get("features", []),
                name(f"session{session}"),
                name(f"secret{session}0"),
                INCARNATION,
                period,
                self.config.get("ping_interval_ms", 25_000),
                self.config.get("pong_wait_ms", 10_000),
                self._limits | OPERATIONS,
            ],
        )

    def prove(self, link: str = "a", counts: tuple[int, int, int] = (0, 0, 0), *, first: bool = True) -> "Play":
        """The client sends the ACK that proves the secret."""
        self.receive(link, [8, list(counts)])
        return self.event("opened") if first else self

    def attach(self, link: str = "a", **items: Any) -> "Play":
        """A client opens a session and proves it."""
        return self.open(link, **items).prove(link)

    def resume(
        self,
        link: str,
        attempt: int,
        counts: tuple[int, int, int] = (0, 0, 0),
        secret: str = "secret0",
        session: Any = None,
        incarnation: bytes = INCARNATION,
        principal: str = "ann",
    ) -> "Play":
        """A client presents a secret on a new link, and the authenticator takes it for ``principal``."""
        self.connect(link).present(link, attempt, counts, secret, session, incarnation)
        return self.command("accept", link, principal=principal)

    def present(
        self,
        link: str,
        attempt: int,
        counts: tuple[int, int, int] = (0, 0, 0),
        secret: str = "secret0",
        session: Any = None,
        incarnation: bytes = INCARNATION,
    ) -> "Play":
        """A RESUME, and the question that it makes."""
        presented = name(secret) if secret else bytes(32)
        self.receive(link, [3, session or name("session"), presented, incarnation, attempt, list(counts), TOKEN])
        return self.event("authenticate", link, credentials=TOKEN)

    def resumed(
        self, link: str, attempt: int, counts: tuple[int, int, int], secret: str, *more: Any, replayed: int = 0
    ) -> "Play":
        """The answer to a RESUME that is taken, and what stands right behind it."""
        self.send(link, [4, attempt, list(counts), name(secret)], *more)
        return self.event("resumed", replayed=replayed)

    def superseded(self, link: str, attempt: int) -> "Play":
        """The implementation ends a link for a higher attempt."""
        return self.send(link, close(301, False, False, attempt)).event("closed", link, code="SUPERSEDED")

    def violated(self, link: str, *, attached: bool = True) -> "Play":
        """The implementation ends a link for a protocol error, and keeps the session."""
        self.send(link, close(108, True, True)).event("closed", link, code="PROTOCOL_ERROR")
        return self.event("detached") if attached else self

    # The same, the client being the implementation

    def start(self, link: str = "a", **changes: Any) -> "Play":
        """The implementation opens a session."""
        wanted = self.config.get("resume_period_ms")
        self.connect(link)
        return self.send(link, [1, [1], self.config.get("features", []), TOKEN, wanted, self._limits])

    def welcome(self, link: str = "a", *more: Any, session: bytes = b"s1", **changes: Any) -> "Play":
        """The peer answers OPEN, and the implementation proves its secret."""
        self.receive(
            link,
            [
                2,
                changes.get("version", 1),
                changes.get("features", []),
                session,
                bytes(32),
                INCARNATION,
                120_000,
                25_000,
                10_000,
                changes.get("limits", LIMITS) | OPERATIONS,
            ],
        )
        if "version" in changes or "features" in changes:
            return self
        return self.send(link, [8, [0, 0, 0]], *more).event("opened")

    def again(self, link: str, attempt: int, counts: tuple[int, int, int] = (0, 0, 0), secret: int = 0) -> "Play":
        """The implementation resumes on a new link."""
        self.connect(link)
        return self.send(link, [3, b"s1", bytes([secret]) * 32, INCARNATION, attempt, list(counts), TOKEN])
