"""Plays the scenarios without a service against the engine, as README.md beside the vectors says."""

from collections.abc import Callable
from typing import Any

from hawser_engine import (
    AuthenticationRequested,
    Client,
    ClientConnection,
    CloseCode,
    Connection,
    ConnectionTerminated,
    CredentialsAccepted,
    CredentialsRequested,
    EngineConfig,
    MessageReceived,
    ResetReason,
    Server,
    ServerConnection,
    Session,
    SessionDetached,
    SessionOpened,
    SessionReset,
    SessionResumed,
    State,
    VolatileReceived,
)
from tests.spec.scenario_patterns import OUTPUTS, Names, expected_bytes, settings, turns
from tests.spec.vector_files import data_of


def named(number: int, names: type[CloseCode] | type[ResetReason]) -> str:
    return next((each.name for each in names if each == number), str(number))


def described(event: Any, link: str | None) -> dict[str, Any] | None:
    """Return an event with the members that scenarios may name; None if they do not speak of it."""
    on = {} if link is None else {"on": link}
    match event:
        case AuthenticationRequested():
            return on | {"name": "authenticate", "credentials": event.credentials}
        case CredentialsRequested():
            return {"name": "credentials_wanted", "within_ms": round(event.within_seconds * 1000)}
        case CredentialsAccepted():
            return {"name": "credentials_accepted"}
        case SessionOpened():
            return {"name": "opened"}
        case SessionResumed():
            return {"name": "resumed", "replayed": event.replayed}
        case SessionDetached():
            return {"name": "detached"}
        case MessageReceived():
            return {"name": "message", "hex": event.body.hex(), "number": event.number}
        case VolatileReceived():
            return {"name": "volatile", "hex": event.body.hex()}
        case SessionReset():
            counts = {"known_delivered": event.known_delivered, "unknown": event.unknown, "not_sent": event.not_sent}
            return counts | {"name": "reset", "reason": named(event.reason, ResetReason)}
        case ConnectionTerminated() if event.initiator != "link":
            answers: dict[str, Any] = {"reconnect": event.reconnect, "resume": event.resume}
            low, high = event.after_seconds
            answers |= {"after_min_ms": round(low * 1000), "after_max_ms": round(high * 1000)}
            return on | answers | {"name": "closed", "code": named(event.code, CloseCode)}
        case _:
            return None


def by_link(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort events so that those of links come first, then `detached`, then the rest; the order of each is kept."""
    return sorted(told, key=lambda event: 0 if "on" in event else 1 if event["name"] == "detached" else 2)


class Player:
    """One scenario on its way."""

    OUTPUTS: tuple[str, ...] = OUTPUTS

    def __init__(self, scenario: dict[str, Any], random_bytes: Callable[[int], bytes]) -> None:
        self.config: dict[str, Any] = scenario["config"]
        self.now = 0.0
        self.random = random_bytes
        self.links: dict[str, Connection] = {}
        self.sessions: dict[str, Session] = {}
        self.over: set[str] = set()
        self.names = Names()
        self.sent: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.tried: ClientConnection | None = None
        self.server: Server | None = None
        self.client: Client | None = None
        if scenario["role"] == "server":
            self.server = self.new_server(bytes.fromhex(self.config["incarnation"]))
        else:
            self.client = self.new_client()

    # The two sides

    def engine_config(self) -> EngineConfig:
        return EngineConfig(**settings(self.config, server="incarnation" in self.config))

    def new_server(self, incarnation: bytes) -> Server:
        features = self.config.get("features", ())
        return Server(self.engine_config(), random_bytes=self.random, incarnation=incarnation, features=features)

    def new_client(self) -> Client:
        period = self.config.get("resume_period_ms")
        return Client(
            self.engine_config(),
            self.now,
            credentials=self.config["credentials"],
            features=tuple(self.config.get("features", ())),
            resume_period_seconds=None if period is None else period / 1000,
        )

    # Inputs

    def play(self, steps: list[dict[str, Any]]) -> None:
        """Give each input and compare what comes out of it with the outputs up to the next."""
        for number, (kind, value, expected) in enumerate(turns(steps, self.OUTPUTS)):
            getattr(self, f"do_{kind}")(value)
            self.drain()
            self.compare(expected, f"after input {number}, {kind} {str(value)[:200]}")
        self.names.check_different()

    def do_connect(self, link: str) -> None:
        side = self.server or self.client
        assert side is not None
        self.links[link] = side.connect(self.now)

    def do_receive(self, traffic: dict[str, Any]) -> None:
        link, data = self.links[traffic["on"]], self.names.written_out(traffic["hex"])
        if self.config.get("carriage") == "stream":
            link.receive_data(data, self.now)
        else:
            link.receive_batch(data, self.now)

    def do_drop(self, link: str) -> None:
        self.over.add(link)
        self.links[link].receive_eof(self.now)

    def do_advance(self, seconds: float) -> None:
        self.advance(seconds)

    def do_command(self, command: dict[str, Any]) -> None:
        getattr(self, f"command_{command['name']}")(command)

    def advance(self, seconds: float) -> None:
        until = round(self.now + seconds, 9)
        while (due := self.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.tick()
        self.now = until
        self.tick()

    def tick(self) -> None:
        for end in list(self.links.values()):
            end.handle_timeout(self.now)
        if self.server is not None:
            self.server.handle_timeout(self.now)
        self.drain()

    def next_timeout(self) -> float | None:
        ends: list[Connection | Server] = [*self.links.values(), *([self.server] if self.server else [])]
        return min((due for end in ends if (due := end.next_timeout()) is not None), default=None)

    # Commands

    def end_of(self, command: dict[str, Any]) -> ServerConnection:
        end = self.links[command["on"]]
        assert isinstance(end, ServerConnection)
        return end

    def session_of(self, command: dict[str, Any]) -> Session:
        return self.client.session if self.client is not None else self.sessions[command["on"]]

    def command_accept(self, command: dict[str, Any]) -> None:
        expires = command.get("expires_in_ms")
        self.end_of(command).accept(command["principal"], self.now, None if expires is None else expires / 1000)

    def command_refuse(self, command: dict[str, Any]) -> None:
        self.end_of(command).refuse(self.now)

    def command_unavailable(self, command: dict[str, Any]) -> None:
        self.end_of(command).unavailable(self.now)

    def command_send(self, command: dict[str, Any]) -> None:
        self.session_of(command).send(data_of(command["hex"]), self.now)

    def command_volatile(self, command: dict[str, Any]) -> None:
        self.session_of(command).send_volatile(data_of(command["hex"]), self.now)

    def command_delivered(self, command: dict[str, Any]) -> None:
        self.session_of(command).delivered(command["number"], self.now)

    def command_close(self, command: dict[str, Any]) -> None:
        low, high = command.get("after_min_ms", 0) / 1000, command.get("after_max_ms", 0) / 1000
        code, reason, url = CloseCode[command["code"]], command.get("reason", ""), command.get("url")
        self.links[command["on"]].close(code, reason, self.now, after_seconds=(low, high), url=url)

    def command_reset(self, command: dict[str, Any]) -> None:
        self.session_of(command).end(ResetReason[command["reason"]], self.now)

    def command_reauthenticate(self, command: dict[str, Any]) -> None:
        self.end_of(command).request_credentials(command["within_ms"] / 1000, self.now)

    def command_credentials(self, command: dict[str, Any]) -> None:
        assert self.client is not None
        self.client.authenticate(command["credentials"], self.now)

    def command_probe(self, command: dict[str, Any]) -> None:
        assert self.client is not None
        self.links[command["on"]] = self.tried = self.client.connect(self.now, attach=False)
        self.tried.ping(self.now)

    def command_restart(self, command: dict[str, Any]) -> None:
        self.links.clear()
        if self.client is not None:
            record = self.client.export(self.now)
            self.client = self.new_client()
            self.client.restore(record, self.now)
            return
        assert self.server is not None
        records = [session.export(self.now) for session in self.server.sessions.values()]
        self.server = self.new_server(bytes.fromhex(command["incarnation"]))
        for record in records if command["export"] else []:
            self.server.restore(record, self.now)

    # Outputs

    def drain(self) -> None:
        """Take everything out of every part, until nothing comes any more."""
        busy = True
        while busy:
            before = (len(self.events), sum(map(len, self.sent.values())), len(self.ended))
            for link, end in self.links.items():
                self.sessions |= {} if end.session is None else {link: end.session}
                self.tell(end, link)
                self.sent[link] = self.sent.get(link, b"") + b"".join(end.data_to_send())
                end.written(self.now)
                if end.state is State.CLOSED and link not in self.over:
                    self.over.add(link)
                    self.ended.append(link)
            for session in {id(session): session for session in self.sessions.values()}.values():
                self.tell(session, None)
            for side in (self.client, self.server):
                if side is not None:
                    self.tell(side, None)
            busy = before != (len(self.events), sum(map(len, self.sent.values())), len(self.ended))
            busy = busy or self.wins()

    def wins(self) -> bool:
        """Attach on the link that is tried, if it has answered and no OPEN waits for its answer (SPEC ATT-18)."""
        tried, client = self.tried, self.client
        if tried is None or client is None or not tried.answered or tried.state is not State.IDLE:
            return False
        if client.connection is not None and not client.session.opened:
            return False
        tried.attach(self.now)
        return True

    def tell(self, source: Connection | Session | Client | Server, link: str | None) -> None:
        while (event := source.next_event()) is not None:
            if isinstance(event, SessionReset):
                self.tell(event.session, None)  # what had arrived goes first
            told = described(event, link)
            self.events += [] if told is None else [told]
            if isinstance(event, MessageReceived) and self.config.get("deliver", True):
                self.session_delivers(source, event.number)

    def session_delivers(self, source: Any, number: int) -> None:
        at_client = self.client is not None and isinstance(source, (Client, ClientConnection))
        session: Any = self.client.session if at_client and self.client is not None else source
        if isinstance(source, ServerConnection):
            session = source.session
        session.delivered(number, self.now)

    def compare(self, expected: list[dict[str, Any]], where: str) -> None:
        patterns = expected_bytes(expected)
        for link in dict.fromkeys([*patterns, *self.sent]):
            self.names.match(patterns.get(link, []), self.sent.pop(link, b""), f"{where}, on {link}")
        wanted = [step["event"] for step in expected if "event" in step]
        told, self.events = self.events, []
        assert len(told) == len(wanted), f"{where}: told {told}, wanted {wanted}"
        # What links and what sessions tell come in their own orders.
        for event, want in zip(by_link(told), by_link(wanted), strict=True):
            assert {key: event.get(key) for key in want} == want, where
        closed, self.ended = self.ended, []
        assert closed == [step["closed"] for step in expected if "closed" in step], where
