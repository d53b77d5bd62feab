"""Peers that mean harm: a client that sends what it likes to our server, a server that answers our client so.

Neither has an engine. What they may cause is the end of their own connection and session, nothing else (I9, I13, I14).
Those in ``liars`` and ``crooks`` keep the rules up to a point, and so must be answered exactly as SPEC says (I17).
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from hawser_engine.client import Client
from hawser_engine.codec import decode_batch, encode, next_packet
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.events import ConnectionTerminated, Event, SessionReset
from hawser_engine.packets import (
    Ack,
    Auth,
    Close,
    Counts,
    Limits,
    Message,
    Open,
    Opened,
    Packet,
    Ping,
    Pong,
    Reauth,
    Reset,
    Resume,
    Resumed,
    ServerLimits,
    Volatile,
)

from .books import Violation
from .crooks import CrookedServer
from .ends import Actor, End, Host
from .liars import LyingClient
from .lines import Line
from .wires import Wire

if TYPE_CHECKING:
    from .clients import ClientActor
    from .world import World

__all__ = ["HostileActor"]

_NO_COUNTS: Final = Counts(0, 0, 0)
_BEFORE_ATTACH_BYTES: Final = 1_024
"""What a server may send to somebody whose credentials nobody has accepted: four PONGs, a RESET, a CLOSE."""
_LIAR_EVERY: Final = 10.0
"""Mean seconds between peers that lie."""
_MOST: Final = 3
"""Hostile connections at once."""


class HostileActor:
    """Everything hostile of one world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._serial = 0
        self._plots: dict[Wire, list[Callable[[], bytes]]] = {}  # what each hostile link still has to say
        self._liars = Random(f"liars of seed {world.seed}")  # what they draw shifts nobody else's draws
        self._liar: LyingClient | None = None
        self._crook: CrookedServer | None = None

    # Those who have a session by right

    def plan_liar(self) -> None:
        """Plan when the next one comes."""
        world = self.world
        world.at(world.time + 2.0 * _LIAR_EVERY * self._liars.random(), self._send_liar)

    def _send_liar(self) -> None:
        world = self.world
        if world.quiet:
            return
        self.plan_liar()
        self._serial += 1
        random = Random(self._liars.getrandbits(64))  # whatever one draws, the next begins the same
        if self._liars.random() < 0.5:
            if self._liar is None or not self._liar.busy:
                self._liar = LyingClient(world, random, self._serial)
        elif self._crook is None or not self._crook.busy:
            self._crook = CrookedServer(world, random)

    # Against the server

    def attack(self, victim: "ClientActor") -> bool:
        """Connect to the server and misbehave; False if that would be too much at once."""
        world = self.world
        if len(self._plots) >= _MOST or world.time < world.server.down_until:
            return False
        wire = self._wire()
        draw = world.draw
        plots: tuple[Callable[[Wire, ClientActor], list[Callable[[], bytes]]], ...] = (
            self._strange,
            self._strange,
            self._strange,
            self._thief,
            self._flood,
        )
        self._plots[wire] = plots[int(draw() * len(plots))](wire, victim)
        world.at(world.time + 0.01, world.server.accept, wire)
        world.at(world.time + 0.02, self._speak, wire)
        return True

    def arrives(self, wire: Wire) -> None:
        """Read what the server answers, and say the next thing."""
        if wire.puppet is not None:
            wire.puppet.hears(wire)
            return
        chunks, ended = wire.link.pipes[1].read(self.world.time)
        for chunk in chunks:
            wire.taps[1].arrived(len(chunk))
        if ended:
            self._leave(wire)
        elif chunks:
            self._speak(wire)
            wire.plan_read(1)

    def _wire(self) -> Wire:
        self._serial += 1
        return Wire(self.world, f"hostile{self._serial}", hostile=True)

    def _leave(self, wire: Wire) -> None:
        if self._plots.pop(wire, None) is not None:
            wire.link.close(0, self.world.time)
            wire.plan_read(0)

    def _speak(self, wire: Wire) -> None:
        plot = self._plots.get(wire)
        if plot is None:
            return
        if not plot:
            if self.world.draw() < 0.5:
                self._leave(wire)
            else:
                self.world.at(self.world.time + 10.0 * self.world.draw(), self._leave, wire)
            return
        data = plot.pop(0)()
        if self.world.transcript.wanted:
            wire.say(0, f"sends {len(data)} bytes {data[:24].hex()}")
        if data:
            kinds = _kinds(data)
            tap = wire.taps[0]
            for end, kind in kinds:
                tap.marks.append((tap.written + end, kind))
            tap.written += len(data)
            wire.write(0, data)
        if plot and self.world.draw() < 0.5:
            self.world.at(self.world.time + 0.3 * self.world.draw(), self._speak, wire)

    # Plots: each returns the things to say, one after another, usually after each answer

    def _strange(self, wire: Wire, victim: "ClientActor") -> list[Callable[[], bytes]]:
        """Reach some state in order, then send what does not belong there."""
        draw = self.world.draw
        opening = encode(
            Open((1,), (), {"who": "eve" if draw() < 0.9 else "nobody"}, None, Limits(1 + int(9 * draw()), 999, 999))
        )
        resuming = self._false_resume(wire, victim)
        ways: tuple[list[bytes], ...] = (
            [],
            [opening],
            [opening, encode(Ack(_NO_COUNTS))],
            [opening + encode(Ack(_NO_COUNTS))],
            [resuming],
            [resuming, opening],
        )
        way = ways[int(draw() * len(ways))]
        wanted: list[Callable[[], bytes]] = [partial(bytes, data) for data in way]
        wanted += [self._anything for _ in range(1 + int(3 * draw()))]
        return wanted

    def _thief(self, wire: Wire, victim: "ClientActor") -> list[Callable[[], bytes]]:
        return [lambda: self._false_resume(wire, victim), self._anything]

    def _flood(self, wire: Wire, victim: "ClientActor") -> list[Callable[[], bytes]]:
        draw = self.world.draw
        packets: tuple[Packet, ...] = (Ping(1, None), Ping(2, _NO_COUNTS), Volatile(b"x" * 20), Ack(_NO_COUNTS))
        packet = packets[int(draw() * len(packets))]
        flood = encode(packet) * (1 + int(80 * draw()))
        if draw() < 0.3:
            return [lambda: flood]
        opening = Open((1,), (), {"who": "eve"}, None, Limits(2, 999, 999))
        proof = encode(Ack(_NO_COUNTS)) if draw() < 0.7 else b""
        return [lambda: encode(opening), lambda: proof + flood, lambda: flood, lambda: flood]

    def _false_resume(self, wire: Wire, victim: "ClientActor") -> bytes:
        """Return a RESUME that must not be taken: a dead or made-up secret, another principal, an old attempt."""
        world = self.world
        draw = world.draw
        pairs = [pair for pair in (client.pair for client in world.clients) if pair is not None and pair.server]
        pair = pairs[int(draw() * len(pairs))] if pairs else None
        session_id = world.random_bytes(16) if pair is None or draw() < 0.1 else pair.session_id
        incarnation = (
            world.server.engine.incarnation if pair is None or pair.server is None else pair.server.incarnation
        )
        secret, who, attempt = world.random_bytes(32), victim.principal, 1_000_000
        wire.expect_refusal = True
        if pair is not None and pair.server is not None:
            dead = pair.dead_secrets()
            choice = draw()
            if choice < 0.4 and dead:
                secret, who = dead[-1 - int(draw() * draw() * len(dead))], pair.principal
            elif choice < 0.6:
                secret, who = pair.secrets[-1], "eve"
            elif choice < 0.9 and pair.attempt:
                secret, who = pair.secrets[-1], pair.principal
                attempt = 1 + int(draw() * pair.attempt)
                wire.expect_refusal = False  # it may be told that it is superseded, or how the session ended
                wire.expect_superseded = True
        wire.resume = Resume(session_id, secret, incarnation, attempt, _NO_COUNTS, {"who": who})
        return encode(wire.resume)

    def _anything(self) -> bytes:
        """Return packets of any kind, sometimes broken."""
        draw = self.world.draw
        choice = draw()
        if choice < 0.1:
            return self.world.random_bytes(1 + int(60 * draw()))
        data = b"".join(encode(self._packet()) for _ in range(1 + int(2.5 * draw())))
        if choice < 0.2:
            return data[: 1 + int(len(data) * draw())]
        if choice < 0.3:
            position = int(len(data) * draw())
            return data[:position] + bytes([int(256 * draw())]) + data[position + 1 :]
        return data

    def _packet(self) -> Packet:
        draw = self.world.draw
        counts = Counts(int(3 * draw()), int(3 * draw()), int(3 * draw()))
        some = counts if draw() < 0.7 else None
        secret = self.world.random_bytes(32)
        limits = Limits(int(5 * draw()), int(500 * draw()), int(500 * draw()))
        body = bytes(int(60 * draw()))
        after = int(800 * draw())
        code = int(90 + 240 * draw()) if draw() < 0.7 else CloseCode.SUPERSEDED
        packets: tuple[Packet, ...] = (
            Open((1,) if draw() < 0.9 else (7,), (), {"who": "eve"}, None, limits),
            Opened(1, (), secret[:16], secret, secret[:8], 60_000, 5_000, 2_000, ServerLimits(3, 900, 900, 9, 999)),
            Resume(secret[:16], secret, secret[:8], 1 + int(5 * draw()), counts, {"who": "eve"}),
            Resumed(1 + int(3 * draw()), counts, secret),
            Reset(int(15 * draw()), some),
            Message(draw() < 0.2, body),
            Volatile(body),
            Ack(counts),
            Ping(int(9 * draw()), some),
            Pong(int(9 * draw()), some),
            Auth({"who": "eve" if draw() < 0.8 else "mallory"}),
            Reauth(None if draw() < 0.5 else after),
            Close(code, "because", draw() < 0.5, draw() < 0.5, after, 2 * after, None, int(9 * draw())),
        )
        return packets[int(draw() * len(packets))]

    # Against a client

    def deceive(self) -> None:
        """Answer a client of ours like no server would, until it has had enough."""
        Victim(self.world, self)

    def misbehave(self) -> bytes:
        """Return what a hostile server says."""
        return self._anything()


class Victim(Actor):
    """A client that has the bad luck to talk to something hostile; nobody else knows it."""

    def __init__(self, world: "World", hostile: HostileActor) -> None:
        self.world = world
        self.host = Host(world, "victim")
        self.ends: list[End] = []
        self._hostile = hostile
        self._client = Client(world.plan.client, self.host.now, credentials={"who": "victim"})
        self._accepted = 0
        self._dropped = 0
        self._rounds = 2 + int(4 * world.draw())
        self._connect()

    def _connect(self) -> None:
        world = self.world
        for _ in range(3):
            if self._client.session.has_room(5):
                self._client.session.send(b"hello", self.host.now)
                self._accepted += 1
        wire = Wire(world, "victim", hostile=True)
        wire.ends[1] = None
        wire.victim = self
        end = End(self, wire, 0, self._client.connect(self.host.now))
        end.drain()

    def event(self, end: End, event: Event) -> None:
        if isinstance(event, SessionReset):
            told = event.known_delivered + event.unknown + event.not_sent
            if told > self._accepted:
                raise Violation("I8", f"a victim accepted {self._accepted} and is told of {told}")
            self._accepted = 0
        elif isinstance(event, ConnectionTerminated) and self._rounds > 0:
            self.world.at(self.world.time + 0.1, self._again)

    def _again(self) -> None:
        self._rounds -= 1
        if self._rounds > 0:
            self._connect()

    def answer(self, wire: Wire) -> None:
        """Be the hostile server: read what the victim sent, and answer."""
        chunks, ended = wire.link.pipes[0].read(self.world.time)
        data = b"".join(chunks)
        wire.taps[0].arrived(len(data))
        draw = self.world.draw
        if ended or not data:
            return
        try:
            packets = decode_batch(data) if wire.whole else []
        except RemoteProtocolError:
            packets = []
        answer = b""
        for packet in packets:
            answer += self._proper(packet) if draw() < 0.7 else b""
        if draw() < 0.7 or not answer:
            answer += self._hostile.misbehave()
        tap = wire.taps[1]
        for end, kind in _kinds(answer):
            tap.marks.append((tap.written + end, kind))
        tap.written += len(answer)
        wire.write(1, answer)
        if draw() < 0.1:
            wire.link.close(1, self.world.time)
        wire.plan_read(0)
        wire.plan_read(1)

    def _proper(self, packet: Packet) -> bytes:
        secret = self.world.random_bytes(32)
        if isinstance(packet, Open):
            limits = ServerLimits(3, 900, 900, 9, 999)
            return encode(Opened(1, (), secret[:16], secret, secret[:8], 60_000, 5_000, 2_000, limits))
        if isinstance(packet, Resume):
            if self.world.draw() < 0.5:
                return encode(Reset(1, None))
            counts = packet.counts
            return encode(Resumed(packet.attempt, Counts(counts.sent, counts.sent, counts.received), secret))
        return b""


def check_before_attach(wire: Line, end: End) -> None:
    """I14: somebody whose credentials nobody has accepted gets little, and little is kept for him."""
    sent = wire.taps[1].written
    if not end.connection.attached and sent > _BEFORE_ATTACH_BYTES:
        raise Violation("I14", f"{sent} bytes were sent to somebody unknown")


def _kinds(data: bytes) -> list[tuple[int, int]]:
    """Return where the packets of some bytes end, and their kinds, as far as they are packets."""
    found: list[tuple[int, int]] = []
    position = 0
    try:
        while (taken := next_packet(data, position)) is not None:
            packet, position = taken
            if packet is not None:
                found.append((position, packet.KIND))
    except RemoteProtocolError:
        pass
    return found
