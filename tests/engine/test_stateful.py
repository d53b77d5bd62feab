"""A session pair against two lists: whatever happens to links, servers and time, the guarantee holds (SPEC 19)."""

from typing import Any

import cbor2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hawser_engine import (
    BacklogFull,
    Batch,
    ClientSession,
    Connection,
    EngineConfig,
    Server,
    ServerSession,
    Session,
    State,
)
from tests.engine.pair import INCARNATION, Pair, Way, Wire

CONFIG = EngineConfig(
    window_messages=4,
    window_bytes=150_000,
    queue_messages=6,
    queue_bytes=200_000,
    resumes_per_minute=10_000,
    controls_burst=10_000,
)


class SessionWay(Way):
    """A passage, and the session that it was laid for."""

    def __init__(self, connection: Connection, session: Session) -> None:
        super().__init__(connection)
        self.session = session


class Guarantee(RuleBasedStateMachine):
    """Bodies say who sent them in which session, and count from 1: the lists can be read from what arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(CONFIG)
        self.accepted: dict[bytes, list[tuple[int, bool]]] = {}
        """For each sender in each session: the messages accepted, and whether they may be dropped."""
        self.sent_volatile: list[bytes] = []
        self.clients: list[ClientSession] = []
        self.counter = 0
        self.ways: dict[Connection, SessionWay] = {}

    # Sending

    def tag(self, session: Session) -> bytes:
        if isinstance(session, ServerSession):
            return b"s" + session.session_id.hex().encode()
        assert isinstance(session, ClientSession)
        if session not in self.clients:
            self.clients.append(session)
        return b"c%d" % self.clients.index(session)

    def sender(self, at_client: bool) -> Session | None:
        sessions = list(self.pair.server.sessions.values())
        return self.pair.client.session if at_client else sessions[-1] if sessions else None

    def body(self, session: Session, padding: int = 0) -> bytes:
        self.counter += 1
        return self.tag(session) + b"|%d|" % self.counter + bytes(padding)

    def note(self, session: Session, droppable: bool) -> None:
        self.accepted.setdefault(self.tag(session), []).append((self.counter, droppable))

    @rule(at_client=st.booleans(), padding=st.sampled_from([0, 10, 65_536, 140_000]), policy=st.integers(0, 5))
    def send(self, at_client: bool, padding: int, policy: int) -> None:
        session = self.sender(at_client)
        if session is None:
            return
        policies: dict[int, dict[str, Any]] = {4: {"ttl_seconds": 0.5}, 5: {"key": "k"}}
        options = policies.get(policy, {})
        body = self.body(session, padding)
        try:
            session.send(body, self.pair.now, **options)
        except BacklogFull:
            return
        self.note(session, bool(options))
        self.pair.drain()

    @rule(at_client=st.booleans())
    def send_batch(self, at_client: bool) -> None:
        session = self.sender(at_client)
        if session is None:
            return
        first, second = self.body(session), self.body(session)
        if session.send_batch(Batch.of([first, second]), self.pair.now):
            self.counter -= 1
            self.note(session, droppable=False)
            self.counter += 1
            self.note(session, droppable=False)
        self.pair.drain()

    @rule(index=st.integers(0, 3), at_client=st.booleans(), takes=st.booleans())
    def pass_batch(self, index: int, at_client: bool, takes: bool) -> None:
        """Through the newest passage of a connection, whatever became of its session."""
        wires = self.pair.wires
        if not wires:
            return
        wire = wires[index % len(wires)]
        connection = wire.client if at_client else wire.server
        way = self.ways.get(connection)
        session = connection.session
        if session is not None and (way is None or way.session is not session):
            way = self.ways[connection] = SessionWay(connection, session)
        if way is None:
            return
        way.takes = takes
        batch = Batch.of([self.body(way.session)])
        if way.passage.send(batch, self.pair.now):
            self.note(way.session, droppable=False)
        (wire.to_server if at_client else wire.to_client).extend([] if wire.cut else way.carried)
        way.carried.clear()
        self.pair.drain()

    @precondition(lambda self: bool(self.pair.wires))
    @rule(index=st.integers(0, 3), left=st.sampled_from([0, 0, 1]))
    def take_slowly(self, index: int, left: int) -> None:
        self.wire(index).left = left
        self.pair.drain()

    @rule(at_client=st.booleans())
    def send_volatile(self, at_client: bool) -> None:
        session = self.sender(at_client)
        if session is None:
            return
        self.sent_volatile.append(self.body(session))
        session.send_volatile(self.sent_volatile[-1], self.pair.now)
        self.pair.drain()

    # Links

    @rule()
    def connect(self) -> None:
        if len(self.pair.wires) < 4:
            self.pair.connect(settle=False)

    def wire(self, index: int) -> Wire:
        return self.pair.wires[index % len(self.pair.wires)]

    @precondition(lambda self: bool(self.pair.wires))
    @rule(index=st.integers(0, 3), to_server=st.booleans(), count=st.integers(1, 4))
    def deliver(self, index: int, to_server: bool, count: int) -> None:
        for _ in range(count):
            self.pair.deliver(self.wire(index), to_server=to_server)

    @rule()
    def deliver_everything(self) -> None:
        self.pair.settle()

    @precondition(lambda self: bool(self.pair.wires))
    @rule(index=st.integers(0, 3), to_server=st.booleans(), size=st.integers(0, 200_000))
    def cut(self, index: int, to_server: bool, size: int) -> None:
        """So many bytes still arrive, then the link is gone."""
        wire = self.wire(index)
        data = b"".join(wire.to_server if to_server else wire.to_client)
        (wire.server if to_server else wire.client).receive_data(data[: size % (len(data) + 1)], self.pair.now)
        self.pair.drain()
        self.pair.drop(wire)

    @precondition(lambda self: bool(self.pair.wires))
    @rule(index=st.integers(0, 3))
    def half_open(self, index: int) -> None:
        """The client notices, the server does not."""
        wire = self.wire(index)
        wire.client.receive_eof(self.pair.now)
        wire.to_client.clear()
        wire.to_server.clear()

    # Time and applications

    @rule(seconds=st.sampled_from([0.1, 1.0, 12.0, 40.0]), settle=st.booleans())
    def time_passes(self, seconds: float, settle: bool) -> None:
        self.pair.advance(seconds, settle=settle)

    @rule(seconds=st.sampled_from([3.0, 60.0, 200.0]))
    def sleep(self, seconds: float) -> None:
        """A gap: nothing runs, then everything is late (SPEC LIV-5)."""
        self.pair.now += seconds
        for wire in self.pair.wires:
            wire.client.handle_gap(self.pair.now)
            wire.server.handle_gap(self.pair.now)
        self.pair.server.handle_gap(self.pair.now)
        self.pair.tick()

    @rule(at_client=st.booleans(), paused=st.booleans())
    def pause(self, at_client: bool, paused: bool) -> None:
        session = self.sender(at_client)
        if session is not None:
            session.paused = paused
            self.pair.drain()

    @rule(complete=st.booleans())
    def restart_the_server(self, complete: bool) -> None:
        pair = self.pair
        records = [cbor2.loads(cbor2.dumps(each.export(pair.now))) for each in pair.server.sessions.values()]
        while pair.wires:
            pair.drop(pair.wires[0])
        incarnation = INCARNATION if complete else b"%d" % self.counter
        pair.server = Server(CONFIG, random_bytes=pair.server_random, incarnation=incarnation)
        for record in records if complete else []:
            pair.server.restore(record, pair.now)

    @rule()
    def restart_the_client(self) -> None:
        """It goes on from a complete record (SPEC EXP-4)."""
        pair = self.pair
        while pair.wires:
            pair.drop(pair.wires[0])
        pair.drain()
        record = cbor2.loads(cbor2.dumps(pair.client.export(pair.now)))
        index = self.clients.index(pair.client.session) if pair.client.session in self.clients else None
        old = pair.client
        pair.client = type(old)(CONFIG, pair.now, credentials=old.credentials)
        if old.session.opened or old.session.outbox.accepted:
            pair.client.restore(record, pair.now)
            if index is not None:
                self.clients[index] = pair.client.session

    # What always holds

    @invariant()
    def a_passage_is_open_only_where_nothing_stands_before_a_batch(self) -> None:
        """SPEC ACK-3, CHN-6, NUM-1."""
        for connection, way in self.ways.items():
            if way.passage.is_open:
                inbox = way.session.inbox
                assert way.session.carrier is connection
                assert connection.session is way.session
                assert not connection.unwritten_bytes
                assert inbox.stated_delivered == inbox.delivered

    @invariant()
    def every_accepted_message_arrives_once_and_in_order(self) -> None:
        got: dict[bytes, list[int]] = {}
        for body in self.pair.server_got + self.pair.client_got:
            tag, number, _ = body.split(b"|", 2)
            got.setdefault(tag, []).append(int(number))
        for tag, numbers in got.items():
            accepted = self.accepted[tag]
            order = [number for number, _ in accepted]
            assert numbers == sorted(set(numbers)), "once, and in order"
            assert set(numbers) <= set(order)
            kept = [number for number, droppable in accepted if not droppable and number <= numbers[-1]]
            assert set(kept) <= set(numbers), "nothing without a policy is passed over"

    @invariant()
    def uncounted_messages_arrive_at_most_once(self) -> None:
        got = self.pair.server_volatile + self.pair.client_volatile
        assert len(got) == len(set(got))
        assert set(got) <= set(self.sent_volatile)

    @invariant()
    def reports_add_up(self) -> None:
        """SPEC RST-6."""
        for report in self.pair.client_resets + self.pair.server_resets:
            box = report.session.outbox
            assert report.known_delivered + report.unknown + report.not_sent + box.dropped_messages == box.accepted

    @invariant()
    def everything_is_bounded(self) -> None:
        """SPEC WIN-1, LIM-4."""
        sessions: list[Session] = [self.pair.client.session, *self.pair.server.sessions.values()]
        for session in sessions:
            box, inbox = session.outbox, session.inbox
            assert box.sent - box.delivered <= max(1, CONFIG.window_messages)
            assert inbox.received - inbox.delivered <= CONFIG.window_messages
            assert len(box.queue or ()) <= CONFIG.queue_messages

    @invariant()
    def a_session_has_one_live_connection(self) -> None:
        """SPEC ATT-7."""
        for wire in self.pair.wires:
            session = wire.server.session
            if session is not None and wire.server.state in (State.ATTACHED, State.PROVING):
                assert session.carrier is wire.server

    def teardown(self) -> None:
        """Once faults stop, both sides have everything (SPEC 19, sentence 6)."""
        pair = self.pair
        pair.client.session.paused = False
        for each in pair.server.sessions.values():
            each.paused = False
        while pair.wires:
            pair.drop(pair.wires[0])
        wire = pair.connect()
        if wire.client.state is not State.ATTACHED:
            pair.connect()
        pair.advance(5.0)
        session = pair.client.session
        assert session.carrier is not None, pair.client_events[-3:]
        assert session.outbox.sent == session.outbox.delivered
        peer = pair.server.sessions[session.session_id]
        assert peer.outbox.sent == peer.outbox.delivered
        assert not session.outbox.queue
        assert not peer.outbox.queue
        self.every_accepted_message_arrives_once_and_in_order()


TestGuarantee = Guarantee.TestCase
TestGuarantee.settings = settings(max_examples=settings().max_examples * 4 // 10, stateful_step_count=40)
