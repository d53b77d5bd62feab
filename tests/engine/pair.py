"""A client and a server by hand: virtual time, links that deliver when told to, an application that keeps a list.

After quinn's and h11's ConnectionPair. ``Pair`` is for conversations; ``say`` and ``hear`` are for one connection
whose peer is the test itself.
"""

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from hawser_engine import (
    AuthenticationRequested,
    Client,
    ClientConnection,
    Connection,
    ConnectionTerminated,
    EngineConfig,
    MessageReceived,
    Server,
    ServerConnection,
    ServerSession,
    Session,
    SessionReset,
    State,
    VolatileReceived,
    decode_batch,
)
from hawser_engine.codec import encode
from hawser_engine.packets import Close, Counts, Limits, Open, Opened, Packet, Reset, Resume

INCARNATION = bytes.fromhex("01f4")
LIMITS = Limits(1_000, 262_144, 1_048_576)


def counting_bytes() -> Callable[[int], bytes]:
    """Return ``random_bytes`` that gives the endless stream 00 01 02 … fe ff 00 01 and so on."""
    given = 0

    def draw(count: int) -> bytes:
        nonlocal given
        given += count
        return bytes((given - count + index) % 256 for index in range(count))

    return draw


def say(connection: Connection, now: float, *packets: Packet) -> None:
    """Give a connection packets as one batch."""
    connection.receive_batch(b"".join(encode(packet) for packet in packets), now)


def hear(connection: Connection, now: float) -> list[Packet]:
    """Take what a connection sends, and let the network take it at once."""
    packets = [packet for batch in connection.data_to_send() for packet in decode_batch(batch)]
    connection.written(now)
    return packets


def events(connection: Connection) -> list[Any]:
    """Take all events of a connection."""
    found: list[Any] = []
    while (event := connection.next_event()) is not None:
        found.append(event)
    return found


def state_of(connection: Connection) -> State:
    """Return where a connection stands; a call, so that no checker believes it stays there."""
    return connection.state


def kinds(found: Iterable[Any]) -> list[str]:
    """Return the names of packets or events, for tests of their order."""
    return [type(each).__name__ for each in found]


def close_of(packets: list[Packet]) -> Close:
    """Return the CLOSE that is the last of some packets."""
    last = packets[-1]
    assert isinstance(last, Close), packets
    return last


def reset_of(packets: list[Packet]) -> Reset:
    """Return the RESET that is the last of some packets."""
    last = packets[-1]
    assert isinstance(last, Reset), packets
    return last


def an_open(limits: Limits = LIMITS, **changes: Any) -> Open:
    """Return an OPEN as a usual client sends it."""
    return attrs.evolve(Open((1,), (), {"token": "t"}, None, limits), **changes)


def a_resume(opened: Opened, attempt: int, counts: tuple[int, int, int] = (0, 0, 0), **changes: Any) -> Resume:
    """Return a RESUME of the session that an OPENED made."""
    resume = Resume(opened.session, opened.secret, opened.incarnation, attempt, Counts(*counts), {"token": "t"})
    return attrs.evolve(resume, **changes)


@attrs.define(eq=False)
class Wire:
    """One link: what is under way in each direction."""

    client: ClientConnection
    server: ServerConnection
    to_server: list[bytes] = attrs.Factory(list[bytes])
    to_client: list[bytes] = attrs.Factory(list[bytes])
    by_client: list[Packet] = attrs.Factory(list[Packet])
    """Every packet the client ever sent here."""
    by_server: list[Packet] = attrs.Factory(list[Packet])
    cut: bool = False
    left: int = 0
    """How many bytes of the server's the network never takes."""


class Way:
    """The link and driver of one connection, for its passage."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.carried: list[bytes] = []
        """What has passed."""
        self.takes = True
        """Whether the link takes anything now."""
        self.passage = connection.lay_passage(self.carry, self)

    def carry(self, data: bytes) -> bool:
        self.carried += [data] if self.takes else []
        return self.takes

    def refused(self, data: bytes, now: float) -> None:
        self.connection.push(data, now)


class Pair:
    """A client, a server and the links between them."""

    def __init__(
        self,
        config: EngineConfig | None = None,
        *,
        client_config: EngineConfig | None = None,
        features: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
        resume_period_seconds: float | None = None,
    ) -> None:
        self.now = 0.0
        self.config = config or EngineConfig()
        self.server_random, self.client_random = counting_bytes(), counting_bytes()
        self.server = Server(
            self.config, random_bytes=self.server_random, incarnation=INCARNATION, features=features[1]
        )
        self.client = Client(
            client_config or self.config,
            self.now,
            credentials={"token": "t"},
            features=features[0],
            resume_period_seconds=resume_period_seconds,
        )
        self.wires: list[Wire] = []
        self.principal: str | None = "u"
        """Whom the authenticator takes everybody for; None: it waits."""
        self.expires_in: float | None = None
        self.delivering = True
        """Whether the applications take each message at once."""
        self.client_got: list[bytes] = []
        self.server_got: list[bytes] = []
        self.client_volatile: list[bytes] = []
        self.server_volatile: list[bytes] = []
        self.client_events: list[Any] = []
        self.server_events: list[Any] = []
        self.client_resets: list[SessionReset] = []
        self.server_resets: list[SessionReset] = []

    # Links

    def connect(self, *, settle: bool = True) -> Wire:
        """Bring a link up, on which the client attaches."""
        wire = Wire(self.client.connect(self.now), self.server.connect(self.now))
        self.wires.append(wire)
        self.drain()
        if settle:
            self.settle()
        return wire

    def drop(self, wire: Wire) -> None:
        """Cut a link: what is under way is lost, both sides notice."""
        wire.to_server.clear()
        wire.to_client.clear()
        wire.cut = True
        wire.client.receive_eof(self.now)
        wire.server.receive_eof(self.now)
        self.drain()
        self.wires.remove(wire)

    def deliver(self, wire: Wire, *, to_server: bool, size: int | None = None) -> bool:
        """Bring the next batch, or so many bytes of it, to one side; say whether there was one."""
        way = wire.to_server if to_server else wire.to_client
        if not way:
            return False
        data = way.pop(0)
        end: Connection = wire.server if to_server else wire.client
        if size is None:
            end.receive_batch(data, self.now)
        else:
            for start in range(0, len(data), size):
                end.receive_data(data[start : start + size], self.now)
        self.drain()
        return True

    def settle(self, size: int | None = None) -> None:
        """Deliver everything until nothing is under way; in pieces of ``size`` bytes, or in whole batches."""
        moved = True
        while moved:
            self.drain()
            moved = False
            for wire in self.wires:
                moved |= self.deliver(wire, to_server=True, size=size)
                moved |= self.deliver(wire, to_server=False, size=size)

    # Time

    def next_timeout(self) -> float | None:
        ends: list[Connection | Server | Session] = [self.server, self.client.session, *self.server.sessions.values()]
        for wire in self.wires:
            ends += [wire.client, wire.server]
        return min((due for end in ends if (due := end.next_timeout()) is not None), default=None)

    def tick(self) -> None:
        """Give every part the present time."""
        for wire in list(self.wires):
            wire.client.handle_timeout(self.now)
            wire.server.handle_timeout(self.now)
        self.client.session.handle_timeout(self.now)
        for session in list(self.server.sessions.values()):
            session.handle_timeout(self.now)
        self.server.handle_timeout(self.now)
        self.drain()

    def advance(self, seconds: float, *, settle: bool = True) -> None:
        """Let time pass; each timer fires at its own time, and what it sends arrives at once."""
        until = self.now + seconds
        while (due := self.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.tick()
            if settle:
                self.settle()
        self.now = until

    # The two applications

    def drain(self) -> None:
        """Keep the drain rule for every part."""
        busy = True
        while busy:
            busy = False
            for wire in self.wires:
                busy |= self._events_of(wire.server, wire.server)
                busy |= self._events_of(wire.client, wire.client)
                self._data_of(wire)
            for session in list(self.server.sessions.values()):
                busy |= self._events_of(session, None)
            busy |= self._events_of(self.client, None)
            while (report := self.server.next_event()) is not None:
                self.server_resets.append(report)
                busy = True
                self._events_of(report.session, None)
            self.server.dirty()

    def _data_of(self, wire: Wire) -> None:
        for batch in wire.client.data_to_send():
            wire.by_client += decode_batch(batch)
            wire.to_server += [] if wire.cut else [batch]
        wire.client.written(self.now)
        for batch in wire.server.data_to_send():
            wire.by_server += decode_batch(batch)
            wire.to_client += [] if wire.cut else [batch]
        wire.server.written(self.now, wire.left)

    def _events_of(self, source: Connection | Session | Client, end: Connection | None) -> bool:
        at_client = isinstance(source, (Client, ClientConnection))
        busy = False
        while (event := source.next_event()) is not None:
            busy = True
            match event:
                case AuthenticationRequested() if self.principal is not None:
                    assert isinstance(end, ServerConnection)
                    end.accept(self.principal, self.now, self.expires_in)
                case MessageReceived():
                    (self.client_got if at_client else self.server_got).append(event.body)
                    session = self._session_of(source)
                    if self.delivering and session is not None:
                        session.delivered(event.number, self.now)
                case VolatileReceived():
                    (self.client_volatile if at_client else self.server_volatile).append(event.body)
                case SessionReset():
                    self.client_resets.append(event)
                case _:
                    (self.client_events if at_client else self.server_events).append(event)
        return busy

    def _session_of(self, source: Connection | Session | Client) -> Session | None:
        if isinstance(source, (Client, ClientConnection)):
            return self.client.session
        return source if isinstance(source, Session) else source.session

    @property
    def session(self) -> ServerSession:
        """The only session of the server."""
        (session,) = self.server.sessions.values()
        return session

    def ends(self, *, at_client: bool) -> list[ConnectionTerminated]:
        """How connections ended, as one side was told."""
        told = self.client_events if at_client else self.server_events
        return [event for event in told if isinstance(event, ConnectionTerminated)]


class Hands:
    """A server connection whose client is the test."""

    def __init__(self, server: Server | None = None, config: EngineConfig | None = None, now: float = 0.0) -> None:
        self.server = server or Server(config or EngineConfig(), random_bytes=counting_bytes(), incarnation=INCARNATION)
        self.now = now
        self.connection = self.server.connect(now)

    def say(self, *packets: Packet) -> list[Packet]:
        """Send packets in one batch; return what comes back."""
        say(self.connection, self.now, *packets)
        return hear(self.connection, self.now)

    def hear(self) -> list[Packet]:
        return hear(self.connection, self.now)

    def events(self) -> list[Any]:
        return events(self.connection)

    def accept(self, principal: str = "u", expires_in: float | None = None) -> list[Packet]:
        self.connection.accept(principal, self.now, expires_in)
        return self.hear()

    def wait(self, seconds: float) -> list[Packet]:
        """Let time pass on this connection and its server."""
        self.now += seconds
        self.connection.handle_timeout(self.now)
        self.server.handle_timeout(self.now)
        return self.hear()

    def open(self, packet: Open | None = None, principal: str = "u") -> Opened:
        """Open a session, and leave it unproved."""
        self.say(packet or an_open())
        answer = self.accept(principal)
        assert isinstance(answer[0], Opened), answer
        return answer[0]

    def resume(self, packet: Resume, principal: str = "u") -> list[Packet]:
        """Send a RESUME that the authenticator accepts; return the answer."""
        self.say(packet)
        return self.accept(principal)

    def again(self) -> "Hands":
        """Return another connection to the same server."""
        return Hands(self.server, now=self.now)

    @property
    def session(self) -> ServerSession:
        session = self.connection.session
        assert isinstance(session, ServerSession)
        return session
