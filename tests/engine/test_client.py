"""The client: its attempts, its answers, what it tells its application. The server is the test."""

from typing import Any

import attrs
import pytest

from hawser_engine import (
    Client,
    CloseCode,
    ConnectionTerminated,
    CredentialsAccepted,
    CredentialsRequested,
    EngineConfig,
    LocalProtocolError,
    MessageReceived,
    MessageTooLarge,
    ResetReason,
    SessionReset,
    State,
)
from hawser_engine.client_connection import ClientConnection
from hawser_engine.codec import encode
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
)
from tests.engine.pair import close_of, events, hear, kinds, say, state_of

ZERO = Counts(0, 0, 0)
FIRST = Ack(ZERO)
SECRET, NEXT = bytes(32), bytes([1]) * 32
OPENED = Opened(1, (), b"s", SECRET, b"i", 60_000, 25_000, 10_000, ServerLimits(10, 1_000, 100, 8, 1_000))
SUPERSEDED = Close(301, "", False, False, 0, 0, None, 1)


class Desk:
    """A client whose server is the test."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        options.setdefault("credentials", {"token": "t"})
        self.client = Client(options.pop("config", EngineConfig()), 0.0, **options)

    def connect(self) -> tuple[ClientConnection, list[Packet]]:
        link = self.client.connect(self.now)
        return link, hear(link, self.now)

    def answer(self, link: ClientConnection, *packets: Packet) -> list[Packet]:
        say(link, self.now, *packets)
        return hear(link, self.now)

    def opened(self, packet: Opened = OPENED) -> ClientConnection:
        link, _ = self.connect()
        assert self.answer(link, packet) == [FIRST]
        self.events()
        return link

    def events(self) -> list[Any]:
        found: list[Any] = []
        while (event := self.client.next_event()) is not None:
            found.append(event)
        return found


def violation(desk: Desk, link: ClientConnection, clause: str, *packets: Packet) -> None:
    close = close_of(desk.answer(link, *packets))
    assert close.code == CloseCode.PROTOCOL_ERROR
    error = next(event.error for event in events(link) if isinstance(event, ConnectionTerminated))
    assert error is not None
    assert error.clause == clause


# OPEN


def test_the_first_attach_is_an_open_with_what_this_side_accepts() -> None:
    """SPEC ATT-4, PKT-13."""
    desk = Desk(features=("x",), resume_period_seconds=7.5, config=EngineConfig(window_messages=9))
    link, sent = desk.connect()
    assert sent == [Open((1,), ("x",), {"token": "t"}, 7_500, Limits(9, 262_144, 1_048_576))]
    assert (link.state, desk.client.session.attempt) == (State.OPENING, 0)


def test_after_opened_the_client_proves_the_secret_at_once_and_then_sends() -> None:
    """SPEC ATT-3, ATT-12, ACK-5, NUM-1."""
    desk = Desk()
    desk.client.session.send(b"early", 0.0)
    link, _ = desk.connect()
    assert desk.answer(link, OPENED) == [FIRST, Message(False, b"early")]
    assert kinds(events(link)) == ["SessionOpened"]


def test_the_windows_and_times_of_the_server_hold() -> None:
    """SPEC WIN-1, VER-2, LIV-4."""
    desk = Desk(features=("x", "y"))
    desk.opened(attrs.evolve(OPENED, features=("y",)))
    session = desk.client.session
    assert (session.outbox.window_messages, session.outbox.window_bytes, session.outbox.message_bytes) == (
        10,
        1_000,
        100,
    )
    assert (session.features, session.silence_limit, session.resume_period) == (("y",), 35.0, 60.0)
    assert (session.operations, session.operation_bytes) == (8, 1_000)


@pytest.mark.parametrize("changes", [{"version": 2}, {"features": ("z",)}])
def test_an_answer_that_was_not_offered_ends_the_connection(changes: dict[str, Any]) -> None:
    """SPEC VER-4."""
    desk = Desk(features=("x",))
    link, _ = desk.connect()
    violation(desk, link, "VER-4", attrs.evolve(OPENED, **changes))
    assert not desk.client.session.opened


@pytest.mark.parametrize(
    ("packet", "clause"),
    [
        (Resumed(1, ZERO, NEXT), None),
        (Message(False, b""), "PKT-10"),
        (FIRST, "PKT-10"),
        (Reauth(None), "PKT-10"),
        (Reset(1, None), "PKT-10"),
        (Ping(1, None), "LIV-7"),
        (Pong(1, ZERO), "CNT-9"),
        (Auth({}), "PKT-15"),
        (Open((1,), (), {}, None, Limits(1, 1, 1)), "PKT-15"),
        (Resume(b"s", SECRET, b"i", 1, ZERO, {}), "PKT-15"),
    ],
)
def test_only_opened_answers_an_open(packet: Packet, clause: str | None) -> None:
    """SPEC ATT-19, ATT-8, ATT-1, PKT-15."""
    desk = Desk()
    link, _ = desk.connect()
    if clause is None:
        assert desk.answer(link, packet) == []
        assert state_of(link) is State.OPENING
        return
    violation(desk, link, clause, packet)


@pytest.mark.parametrize("packet", [OPENED, Resumed(0 + 1, ZERO, NEXT)])
def test_a_second_answer_is_a_protocol_error(packet: Packet) -> None:
    """SPEC ATT-19."""
    desk = Desk()
    link = desk.opened()
    if isinstance(packet, Resumed):
        link, _ = desk.connect()
        desk.answer(link, packet)
    violation(desk, link, "PKT-10", packet)


def test_without_an_answer_the_client_gives_the_connection_up() -> None:
    """SPEC ATT-20."""
    desk = Desk()
    link, _ = desk.connect()
    link.handle_timeout(9.9)
    assert state_of(link) is State.OPENING
    link.handle_timeout(10.0)
    assert close_of(hear(link, 10.0)).code == CloseCode.TIMEOUT
    assert desk.client.connection is None


def test_an_open_that_is_too_long_changes_nothing() -> None:
    """SPEC PKT-7."""
    desk = Desk(credentials={"token": "t" * 20_000})
    with pytest.raises(MessageTooLarge):
        desk.client.connect(0.0)
    assert desk.client.connection is None


def test_a_resume_that_is_too_long_uses_no_attempt() -> None:
    """SPEC ATT-4, ATT-15."""
    desk = Desk()
    link = desk.opened()
    desk.client.credentials = {"token": "t" * 20_000}
    with pytest.raises(MessageTooLarge):
        desk.client.connect(0.0)
    assert (desk.client.session.attempt, desk.client.connection) == (0, link)
    assert desk.answer(link, Ping(1, ZERO)) == [Pong(1, ZERO)]


# Probes


def test_a_link_can_be_probed_before_the_attach() -> None:
    """SPEC LIV-7, ATT-1."""
    desk = Desk()
    link = desk.client.connect(0.0, attach=False)
    link.ping(0.0)
    assert hear(link, 0.0) == [Ping(1, None)]
    assert desk.answer(link, Pong(1, None)) == []
    link.attach(0.0)
    assert kinds(hear(link, 0.0)) == ["Open"]
    with pytest.raises(LocalProtocolError, match="ATT-17"):
        link.attach(0.0)


def test_a_pong_may_cross_the_open() -> None:
    """SPEC ATT-1."""
    desk = Desk()
    link = desk.client.connect(0.0, attach=False)
    link.ping(0.0)
    link.attach(0.0)
    hear(link, 0.0)
    assert desk.answer(link, Pong(1, None), OPENED) == [FIRST]


def test_a_link_has_answered_when_its_newest_probe_came_back() -> None:
    """SPEC ATT-18, LIV-8."""
    desk = Desk()
    link = desk.client.connect(0.0, attach=False)
    assert desk.answer(link, Pong(0, None)) == []
    assert not link.answered
    link.ping(0.0)
    link.ping(0.0)
    hear(link, 0.0)
    assert desk.answer(link, Pong(1, None)) == []
    assert not link.answered
    desk.answer(link, Pong(2, None))
    assert link.answered
    link.ping(0.0)
    assert not link.answered


def test_a_link_that_is_tried_tells_nothing_of_the_session() -> None:
    """SPEC ATT-18."""
    desk = Desk()
    link = desk.opened()
    tried = desk.client.connect(0.0, attach=False)
    link.receive_batch(encode(Message(False, b"hi")), 0.0)
    assert tried.next_event() is None
    assert isinstance(link.next_event(), MessageReceived)
    tried.receive_eof(0.0)
    assert isinstance(tried.next_event(), ConnectionTerminated)
    assert (desk.client.connection, tried.next_event()) == (link, None)


# RESUME


def test_attempts_rise_by_one() -> None:
    """SPEC ATT-4."""
    desk = Desk()
    desk.opened()
    for attempt in (1, 2, 3):
        link, sent = desk.connect()
        assert sent == [Resume(b"s", SECRET, b"i", attempt, ZERO, {"token": "t"})]
        link.receive_eof(0.0)


def test_a_resume_states_counts_and_the_answer_is_taken() -> None:
    """SPEC ATT-12, CNT-5, NUM-5, SEC-2."""
    desk = Desk()
    link = desk.opened()
    for body in (b"a", b"b", b"c"):
        desk.client.session.send(body, 0.0)
    hear(link, 0.0)
    desk.answer(link, Message(False, b"x"), Ack(Counts(2, 1, 1)))
    link.receive_eof(0.0)
    desk.client.session.send(b"d", 0.0)
    link, (resume,) = desk.connect()
    assert isinstance(resume, Resume)
    assert resume.counts == Counts(1, 0, 3)
    sent = desk.answer(link, Resumed(1, Counts(2, 1, 1), NEXT))
    assert sent == [Ack(Counts(1, 0, 2)), Message(False, b"c"), Message(False, b"d")]
    assert desk.client.session.secret == NEXT
    resumed = [event for event in events(link) if type(event).__name__ == "SessionResumed"]
    assert [event.replayed for event in resumed] == [1]


def test_a_resumed_of_an_older_attempt_is_ignored() -> None:
    """SPEC ATT-8."""
    desk = Desk()
    desk.opened()
    desk.connect()
    link, _ = desk.connect()
    assert desk.answer(link, Resumed(1, Counts(9, 9, 9), NEXT)) == []
    assert (link.state, desk.client.session.secret) == (State.RESUMING, SECRET)
    assert desk.answer(link, Resumed(2, ZERO, NEXT)) == [FIRST]


@pytest.mark.parametrize(
    "counts",
    [(0, 0, 1), (4, 2, 1), (3, 4, 1), (3, 1, 1), (3, 2, 0)],
    ids=["received below trimmed", "received above sent", "delivered above received", "delivered below", "sent below"],
)
def test_counts_that_cannot_be_end_the_session(counts: tuple[int, int, int]) -> None:
    """SPEC ATT-11, RST-5, RST-1."""
    desk = Desk()
    link = desk.opened()
    for _ in range(3):
        desk.client.session.send(b"a", 0.0)
    hear(link, 0.0)
    desk.answer(link, Ack(Counts(2, 2, 0)), Message(False, b"x"))
    desk.events()
    link, _ = desk.connect()
    reset, again = desk.answer(link, Resumed(1, Counts(*counts), NEXT))
    assert reset == Reset(ResetReason.DRIFT, Counts(1, 0, 3))
    assert kinds([again]) == ["Open"]
    report = next(event for event in desk.events() if isinstance(event, SessionReset))
    assert (report.reason, report.known_delivered, report.unknown) == (ResetReason.DRIFT, 2, 1)


def test_the_older_connection_is_left_without_a_word() -> None:
    """SPEC ATT-15."""
    desk = Desk()
    old = desk.opened()
    desk.client.session.send(b"a", 0.0)
    new, _ = desk.connect()
    assert hear(old, 0.0) == []
    assert desk.answer(old, Message(False, b"late"), Ack(Counts(1, 1, 1)), Ping(4, ZERO), Reset(3, None)) == []
    old.receive_data(b"\x00 this is no packet", 0.0)
    assert hear(old, 0.0) == []
    assert (desk.client.session.inbox.received, events(old), desk.client.connection) == (0, [], new)
    old.handle_timeout(10.0)
    assert state_of(old) is State.CLOSED


def test_the_older_connection_is_closed_without_a_word() -> None:
    """SPEC ATT-15: a goodbye there could still end the session that goes on elsewhere."""
    desk = Desk()
    old = desk.opened()
    new, _ = desk.connect()
    for _ in range(2):
        old.close(CloseCode.NORMAL, "bye", 0.0)
    assert hear(old, 0.0) == []
    assert old.state is State.CLOSED
    assert [(event.code, event.initiator) for event in events(old)] == [(CloseCode.NORMAL, "local")]
    assert (desk.client.connection, desk.events()) == (new, [])


def test_on_the_older_connection_only_news_of_another_holder_counts() -> None:
    """SPEC ATT-15, ATT-9."""
    desk = Desk()
    old = desk.opened()
    new, _ = desk.connect()
    data = bytes.fromhex("890d19012d60f4f40000f6") + b"\x07"
    old.receive_data(data[:4], 0.0)
    old.receive_data(data[4:], 0.0)
    assert [event.reason for event in desk.events() if isinstance(event, SessionReset)] == [ResetReason.TAKEN_OVER]
    assert close_of(hear(new, 0.0)).code == CloseCode.GOING_AWAY
    assert state_of(old) is State.CLOSED
    assert kinds(desk.connect()[1]) == ["Open"]


def test_the_fence_of_its_own_newer_connection_is_no_news() -> None:
    """SPEC ATT-15, ATT-10."""
    desk = Desk()
    old = desk.opened()
    new, _ = desk.connect()
    desk.answer(old, SUPERSEDED)
    assert (old.state, desk.client.connection, desk.events()) == (State.CLOSED, new, [])


def test_late_news_of_a_session_that_is_over_ends_no_other_one() -> None:
    """SPEC ATT-9: attempt 1 was fenced by attempt 2, and the session ended before that was read here."""
    desk = Desk()
    old = desk.opened()
    new, _ = desk.connect()
    desk.answer(new, Reset(ResetReason.EXPIRED, None), attrs.evolve(OPENED, session=b"t"))
    desk.events()
    desk.answer(old, SUPERSEDED)
    assert (old.state, desk.client.session.session_id, desk.events()) == (State.CLOSED, b"t", [])


def test_superseded_by_an_attempt_it_never_used_the_client_opens_a_new_session() -> None:
    """SPEC ATT-9, RST-6."""
    desk = Desk()
    link = desk.opened()
    desk.client.session.send(b"a", 0.0)
    desk.answer(link, attrs.evolve(SUPERSEDED, attempt=5))
    report = next(event for event in desk.events() if isinstance(event, SessionReset))
    assert (report.reason, report.unknown) == (ResetReason.TAKEN_OVER, 1)
    end = next(event for event in events(link) if isinstance(event, ConnectionTerminated))
    assert (end.reconnect, end.resume) == (True, False)
    assert kinds(desk.connect()[1]) == ["Open"]


@pytest.mark.parametrize("attempt", [0, 1])
def test_superseded_with_its_own_number_the_client_tries_the_next(attempt: int) -> None:
    """SPEC ATT-10, CLS-6."""
    desk = Desk()
    desk.opened()
    link, _ = desk.connect()
    desk.answer(link, attrs.evolve(SUPERSEDED, attempt=attempt))
    end = next(event for event in events(link) if isinstance(event, ConnectionTerminated))
    assert (end.reconnect, end.resume) == (True, True)
    _, (resume,) = desk.connect()
    assert isinstance(resume, Resume)
    assert resume.attempt == 2


# RESET


@pytest.mark.parametrize(("number", "reason"), [(1, ResetReason.UNKNOWN_SESSION), (77, 77)])
def test_after_a_reset_the_client_opens_on_the_same_connection(number: int, reason: int) -> None:
    """SPEC RST-5, RST-6, RST-7, RST-11."""
    desk = Desk()
    link = desk.opened()
    desk.client.session.send(b"a", 0.0)
    hear(link, 0.0)
    (again,) = desk.answer(link, Reset(number, None))
    assert isinstance(again, Open)
    assert state_of(link) is State.REOPENING
    report = next(event for event in desk.events() if isinstance(event, SessionReset))
    assert (report.reason, report.unknown, report.not_sent) == (reason, 1, 0)
    discarded: list[Packet] = [Message(False, b""), Ack(Counts(9, 8, 7)), Ping(1, ZERO), Reset(3, None), Reauth(None)]
    assert desk.answer(link, *discarded, Resumed(9, ZERO, NEXT)) == []
    assert desk.answer(link, attrs.evolve(OPENED, session=b"other")) == [FIRST]
    assert desk.client.session.session_id == b"other"


def test_the_counts_of_a_reset_are_used_where_they_can_be_true() -> None:
    """SPEC RST-1, RST-6."""
    desk = Desk()
    link = desk.opened()
    for _ in range(3):
        desk.client.session.send(b"a", 0.0)
    desk.answer(link, Reset(2, Counts(2, 2, 0)))
    report = next(event for event in desk.events() if isinstance(event, SessionReset))
    assert (report.known_delivered, report.unknown) == (2, 1)


# CLOSE


@pytest.mark.parametrize(
    ("close", "resumes"),
    [
        pytest.param(Close(108, "", True, True, 0, 0, None, None), True, id="resume"),
        pytest.param(Close(200, "", True, False, 0, 0, None, None), False, id="session ended"),
        pytest.param(Close(302, "", False, True, 0, 0, None, None), True, id="unauthorized keeps the session"),
        pytest.param(Close(150, "", True, False, 0, 0, None, None), False, id="the answers hold, not the code"),
        pytest.param(Close(250, "", True, True, 0, 0, None, None), True, id="whatever the code is"),
    ],
)
def test_the_answers_of_a_close_hold(close: Close, resumes: bool) -> None:
    """SPEC CLS-1, CLS-2, CLS-6, EXP-2."""
    desk = Desk()
    link = desk.opened()
    assert desk.answer(link, close) == []
    assert state_of(link) is State.CLOSED
    assert kinds(desk.connect()[1]) == ["Resume" if resumes else "Open"]


def test_a_close_on_an_unattached_connection_ends_no_session() -> None:
    """SPEC CLS-6."""
    desk = Desk()
    desk.opened()
    link, _ = desk.connect()
    desk.answer(link, Close(304, "", False, False, 0, 0, None, None))
    assert kinds(desk.connect()[1]) == ["Resume"]


def test_when_and_where_to_come_back_are_told() -> None:
    """SPEC CLS-1: a maximum below the minimum is the minimum."""
    desk = Desk()
    link = desk.opened()
    desk.answer(link, Close(100, "deploy", True, True, 2_000, 1_000, "ws://b", None))
    end = next(event for event in events(link) if isinstance(event, ConnectionTerminated))
    assert (end.after_seconds, end.url, end.reason, end.initiator) == ((2.0, 2.0), "ws://b", "deploy", "remote")


def test_a_goodbye_ends_the_session() -> None:
    """SPEC EXP-2."""
    desk = Desk()
    link = desk.opened()
    desk.client.close(0.0, "bye")
    close = close_of(hear(link, 0.0))
    assert (close.code, close.reason, close.resume) == (CloseCode.NORMAL, "bye", False)
    assert kinds(desk.events()) == ["SessionReset"]
    desk.client.close(0.0)


# Time and credentials


def test_a_silent_server_is_held_dead() -> None:
    """SPEC LIV-4, EXP-5."""
    desk = Desk()
    link = desk.opened()
    link.handle_timeout(34.9)
    assert state_of(link) is State.ATTACHED
    link.handle_timeout(35.0)
    assert state_of(link) is State.CLOSING
    assert kinds(desk.connect()[1]) == ["Resume"]


def test_any_byte_is_life() -> None:
    """SPEC LIV-2, LIV-4."""
    desk = Desk()
    link = desk.opened()
    link.receive_data(b"\x83", 30.0)
    link.handle_timeout(35.0)
    link.handle_timeout(64.9)
    assert state_of(link) is State.ATTACHED
    link.handle_timeout(65.0)
    assert state_of(link) is State.CLOSING


def test_credentials_are_asked_for_and_accepted() -> None:
    """SPEC AUT-1, AUT-2, AUT-5."""
    desk = Desk()
    link = desk.opened()
    desk.answer(link, Reauth(5_000))
    assert desk.events() == [CredentialsRequested(5.0)]
    desk.client.authenticate({"token": "new"}, 0.0)
    assert hear(link, 0.0) == [Auth({"token": "new"})]
    with pytest.raises(LocalProtocolError, match="AUT-5"):
        desk.client.authenticate({"token": "newer"}, 0.0)
    desk.answer(link, Reauth(5_000))
    assert desk.events() == []
    desk.answer(link, Reauth(None))
    assert desk.events() == [CredentialsAccepted()]
    assert desk.client.credentials == {"token": "new"}


def test_new_credentials_are_used_at_the_next_attach() -> None:
    """SPEC SEC-4."""
    desk = Desk()
    desk.client.authenticate({"token": "new"}, 0.0)
    _, (packet,) = desk.connect()
    assert isinstance(packet, Open)
    assert packet.credentials == {"token": "new"}


# Records


def test_a_client_goes_on_from_a_complete_record() -> None:
    """SPEC EXP-4, EXP-3."""
    desk = Desk()
    link = desk.opened()
    desk.client.session.send(b"a", 0.0)
    hear(link, 0.0)
    other = Desk()
    other.client.restore(desk.client.export(0.0), 0.0)
    _, sent = other.connect()
    assert sent == [Resume(b"s", SECRET, b"i", 1, Counts(0, 0, 1), {"token": "t"})]


def test_a_client_in_use_takes_no_record() -> None:
    """SPEC EXP-4."""
    desk = Desk()
    record = desk.client.export(0.0)
    desk.client.session.send(b"a", 0.0)
    with pytest.raises(LocalProtocolError, match="EXP-4"):
        desk.client.restore(record, 0.0)


def test_a_client_pings_only_when_it_may_have_slept() -> None:
    """SPEC LIV-5."""
    desk = Desk()
    link = desk.opened()
    link.probe(1.0)
    assert hear(link, 1.0) == [Ping(1, ZERO)]
    link.probe(1.0)
    assert hear(link, 1.0) == []
    link.handle_timeout(11.0)
    assert close_of(hear(link, 11.0)).code == CloseCode.TIMEOUT


def test_a_second_late_pass_moves_the_deadline_of_the_ping_that_followed_the_first() -> None:
    """SPEC LIV-5: each deadline once; that of the new PING is another one."""
    desk = Desk()
    link = desk.opened()
    link.handle_gap(1.0)
    assert kinds(hear(link, 1.0)) == ["Ping"]
    link.handle_gap(15.0)
    link.handle_gap(20.0)  # finds it moved already
    link.handle_timeout(24.9)
    assert state_of(link) is State.ATTACHED
    link.handle_timeout(25.0)
    assert state_of(link) is State.CLOSING


def test_an_ack_in_an_unusual_encoding_is_an_ack() -> None:
    """SPEC PKT-6, PKT-9: heads longer than necessary mean the same."""
    desk = Desk()
    link = desk.opened()
    desk.client.session.send(b"a", 0.0)
    link.receive_data(bytes.fromhex("82180883010100"), 0.0)
    assert desk.client.session.outbox.delivered == 1
