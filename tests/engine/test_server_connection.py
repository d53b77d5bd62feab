"""The server's end of a link: attach, verdicts, proof, credentials, limits. The client is the test."""

from typing import Any

import attrs
import pytest

from hawser_engine import CloseCode, ConnectionTerminated, EngineConfig, LocalProtocolError, ResetReason, State
from hawser_engine.codec import MAX_BATCH, encode
from hawser_engine.packets import (
    Ack,
    Auth,
    Close,
    Counts,
    Message,
    Opened,
    Packet,
    Ping,
    Pong,
    Reauth,
    Reset,
    Resume,
    Resumed,
    Volatile,
)
from tests.engine.pair import INCARNATION, Hands, a_resume, an_open, close_of, kinds, reset_of

ZERO = Counts(0, 0, 0)
FIRST = Ack(ZERO)
GOODBYE = Close(300, "", False, False, 0, 0, None, None)
DROPPED = Close(100, "", True, True, 0, 0, None, None)
SECRET = bytes(range(32))
RESUME = Resume(b"nobody", SECRET, INCARNATION, 1, ZERO, {})


def opened(config: EngineConfig | None = None) -> tuple[Hands, Opened]:
    """Return a connection with a session that is proved."""
    hands = Hands(config=config)
    answer = hands.open()
    assert hands.say(FIRST) == []
    return hands, answer


def violation(answer: list[Packet], hands: Hands, clause: str) -> None:
    """Check that a connection has ended for a clause, and only the connection."""
    close = close_of(answer)
    assert close.code == CloseCode.PROTOCOL_ERROR
    assert f"SPEC {clause}" in close.reason
    assert hands.connection.state is State.CLOSING
    last = hands.events()[-1]
    assert isinstance(last, ConnectionTerminated)
    assert last.error is not None
    assert last.error.clause == clause


# Versions and features


def test_open_is_answered_with_a_common_version() -> None:
    """SPEC VER-1."""
    assert Hands().open(an_open(versions=(7, 1, 9))).version == 1


def test_without_a_common_version_nobody_is_authenticated() -> None:
    """SPEC VER-3."""
    hands = Hands()
    assert close_of(hands.say(an_open(versions=(2, 3)))).code == CloseCode.VERSION
    assert kinds(hands.events()) == ["ConnectionTerminated"]


def test_features_are_the_intersection() -> None:
    """SPEC VER-2."""
    hands = Hands()
    hands.server.features = frozenset({"b", "c", "z"})
    assert hands.open(an_open(features=("a", "b", "c", "b"))).features == ("b", "c")
    assert hands.session.features == ("b", "c")


# Before the attach


@pytest.mark.parametrize(
    ("packets", "clause"),
    [
        pytest.param([Message(False, b"")], "PKT-10", id="message"),
        pytest.param([Volatile(b"")], "PKT-10", id="volatile"),
        pytest.param([FIRST], "PKT-10", id="ack"),
        pytest.param([Auth({})], "PKT-10", id="auth"),
        pytest.param([Reset(3, None)], "ATT-1", id="reset"),
        pytest.param([Pong(1, None)], "ATT-1", id="pong"),
        pytest.param([Ping(1, ZERO)], "CNT-9", id="ping with counts"),
        pytest.param([Ping(1, None)] * 5, "LIV-7", id="five probes"),
        pytest.param([Opened(1, (), b"s", SECRET, b"i", 1, 1, 1, Hands().open().limits)], "PKT-15", id="opened"),
        pytest.param([Resumed(1, ZERO, SECRET)], "PKT-15", id="resumed"),
        pytest.param([Reauth(None)], "PKT-15", id="reauth"),
    ],
)
def test_before_an_attach_little_is_allowed(packets: list[Packet], clause: str) -> None:
    """SPEC ATT-1, LIV-7, CNT-9, PKT-10, PKT-15."""
    hands = Hands()
    violation(hands.say(*packets), hands, clause)


@pytest.mark.parametrize("attach", [an_open(), RESUME], ids=["OPEN", "RESUME"])
@pytest.mark.parametrize(
    "packet", [Ping(1, None), Pong(1, None), FIRST, Reset(3, None), Message(False, b""), an_open(), RESUME]
)
def test_between_the_attach_and_its_answer_nothing_is_allowed(attach: Packet, packet: Packet) -> None:
    """SPEC ATT-2, ATT-17."""
    hands = Hands()
    assert hands.say(attach) == []
    assert close_of(hands.say(packet)).code == CloseCode.PROTOCOL_ERROR
    hands.connection.accept("u", hands.now)
    assert hands.hear() == []
    assert hands.server.sessions == {}


@pytest.mark.parametrize("attach", [an_open(), RESUME], ids=["OPEN", "RESUME"])
def test_close_is_allowed_before_the_answer(attach: Packet) -> None:
    """SPEC ATT-2, CLS-6."""
    hands = Hands()
    hands.say(attach, GOODBYE)
    assert hands.connection.state is State.CLOSED
    assert hands.accept() == []


def test_four_probes_are_answered_without_counts() -> None:
    """SPEC LIV-7, LIV-3, CNT-9."""
    hands = Hands()
    assert [hands.say(Ping(token, None)) for token in range(4)] == [[Pong(token, None)] for token in range(4)]


@pytest.mark.parametrize(
    "before", [[], [Ping(1, None)], [an_open()], [RESUME]], ids=["none", "probe", "OPEN", "RESUME"]
)
def test_a_connection_that_does_not_attach_in_time_ends(before: list[Packet]) -> None:
    """SPEC ATT-13: authentication is part of the deadline, and no packet extends it."""
    hands = Hands()
    hands.now = 9.0
    hands.say(*before)
    assert hands.wait(0.9) == []
    assert close_of(hands.wait(0.1)).code == CloseCode.TIMEOUT


def test_a_verdict_that_comes_too_late_changes_nothing() -> None:
    """SPEC ATT-13."""
    hands = Hands()
    hands.say(an_open())
    hands.wait(10.0)
    assert hands.accept() == []
    assert hands.server.sessions == {}


@pytest.mark.parametrize("size", [1, 100, 9_000])
@pytest.mark.parametrize("limit", [512, 8_192])
def test_before_credentials_are_accepted_little_is_taken(size: int, limit: int) -> None:
    """SPEC PKT-14, CAR-30: however the bytes are cut."""
    hands = Hands(config=EngineConfig(preattach_bytes=limit))
    data = encode(an_open(credentials={"token": "t" * (limit + 200)}))
    for start in range(0, limit, size):
        hands.connection.receive_data(data[start : min(start + size, limit)], 0.0)
    assert hands.hear() == []
    hands.connection.receive_data(data[limit : limit + 1], 0.0)
    assert close_of(hands.hear()).code == CloseCode.TOO_LARGE


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_within_the_limit_is_judged_first(whole: bool) -> None:
    """SPEC PKT-14, CAR-30."""
    hands = Hands()
    data = bytes(1) + bytes(9_000)
    (hands.connection.receive_batch if whole else hands.connection.receive_data)(data, 0.0)
    assert close_of(hands.hear()).code == CloseCode.PROTOCOL_ERROR


def test_the_limit_is_over_once_credentials_are_accepted() -> None:
    """SPEC PKT-14."""
    hands, _ = opened()
    assert hands.say(Message(False, bytes(20_000))) == []
    assert hands.connection.state is State.ATTACHED


def test_a_reset_does_not_begin_the_limit_anew_while_nothing_is_accepted() -> None:
    """SPEC PKT-14: it holds for the connection, whatever is in the bytes."""
    hands = Hands()
    ignored = bytes.fromhex("821880") + bytes.fromhex("59 1f00") + bytes(0x1F00)
    hands.connection.receive_data(ignored, 0.0)
    hands.connection.receive_data(ignored, 0.0)
    assert close_of(hands.hear()).code == CloseCode.TOO_LARGE


# The verdict


@pytest.mark.parametrize("verdict", ["accept", "refuse", "unavailable"])
def test_a_verdict_nobody_asked_for_is_the_callers_fault(verdict: str) -> None:
    """SPEC ATT-5."""
    hands = Hands()
    arguments: tuple[Any, ...] = ("u", 0.0) if verdict == "accept" else (0.0,)
    with pytest.raises(LocalProtocolError, match="ATT-5"):
        getattr(hands.connection, verdict)(*arguments)


@pytest.mark.parametrize("what", ["open", "resume", "unknown", "auth"])
@pytest.mark.parametrize(
    ("verdict", "code"), [("refuse", CloseCode.UNAUTHORIZED), ("unavailable", CloseCode.UNAVAILABLE)]
)
def test_credentials_refused_and_not_judged(what: str, verdict: str, code: CloseCode) -> None:
    """SPEC ATT-16, AUT-2: it changes nothing of any session."""
    first, answer = opened()
    hands = first if what == "auth" else first.again()
    before = first.session.export(0.0)
    packets: dict[str, Packet] = {"open": an_open(), "resume": a_resume(answer, 1), "unknown": RESUME, "auth": Auth({})}
    packet = packets[what]
    assert hands.say(packet) == []
    getattr(hands.connection, verdict)(0.0)
    close = close_of(hands.hear())
    assert (close.code, close.resume) == (code, True)
    assert list(hands.server.sessions) == [answer.session]
    if what != "auth":
        assert first.session.export(0.0) == before
        assert first.hear() == []


@pytest.mark.parametrize("attempt", [0, 1])
def test_every_resume_is_authenticated_before_it_is_answered(attempt: int) -> None:
    """SPEC ATT-5, SEC-4, SEC-6: neither answer nor time tells which sessions exist."""
    first, answer = opened()
    hands = first.again()
    packet = (a_resume(answer, 1), RESUME)[attempt]
    assert hands.say(packet) == []
    assert kinds(hands.events()) == ["AuthenticationRequested"]


# RESUME


def test_a_resume_is_taken_and_answered_in_one_step() -> None:
    """SPEC ATT-5, ATT-7, SEC-2."""
    first, answer = opened()
    hands = first.again()
    (resumed,) = hands.resume(a_resume(answer, 1))
    assert isinstance(resumed, Resumed)
    assert (resumed.attempt, resumed.counts) == (1, ZERO)
    assert resumed.secret != answer.secret
    assert hands.server.dirty() == [first.connection]
    assert kinds(hands.say(FIRST)) == []


def test_the_older_connection_has_no_effect_any_more() -> None:
    """SPEC ATT-7."""
    first, answer = opened()
    first.session.send(b"for nobody", 0.0)
    session = first.session
    hands = first.again()
    hands.resume(a_resume(answer, 3))
    close = close_of(first.hear())
    assert (close.code, close.attempt) == (CloseCode.SUPERSEDED, 3)
    assert first.say(Message(False, b"late"), GOODBYE) == []
    assert (session.inbox.received, session.ended, hands.session) == (0, None, session)


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_resume_with_an_attempt_that_is_not_higher_is_superseded(attempt: int) -> None:
    """SPEC ATT-6."""
    first, answer = opened()
    second = first.again()
    second.resume(a_resume(answer, 2))
    before = second.session.export(0.0)
    late = first.again()
    close = close_of(late.resume(a_resume(answer, attempt, (9, 9, 9))))
    assert (close.code, close.attempt, close.reconnect, close.resume) == (CloseCode.SUPERSEDED, 2, False, False)
    assert second.session.export(0.0) == before
    assert second.hear() == []


@pytest.mark.parametrize("change", ["secret", "principal", "unknown"])
@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize(("incarnation", "reason"), [(INCARNATION, 1), (b"other", 6)])
def test_every_kind_of_no_looks_the_same(change: str, alive: bool, incarnation: bytes, reason: int) -> None:
    """SPEC ATT-14, SEC-6, SEC-4."""
    first, answer = opened()
    session = first.session
    if not alive:
        first.say(GOODBYE)
    changes: dict[str, Any] = {"incarnation": incarnation}
    changes |= {"secret": {"secret": bytes(32)}, "unknown": {"session": b"other"}}.get(change, {})
    before = session.export(0.0)
    hands = first.again()
    answered = hands.resume(a_resume(answer, 1, **changes), "somebody" if change == "principal" else "u")
    assert answered == [Reset(reason, None)]
    assert session.export(0.0) == before
    assert hands.connection.state is State.DISCARDING


@pytest.mark.parametrize("alive", [True, False])
def test_a_resume_to_another_incarnation_than_the_sessions_is_told_restarted(alive: bool) -> None:
    """SPEC ATT-14."""
    first, answer = opened()
    if not alive:
        first.say(GOODBYE)
    assert first.again().resume(a_resume(answer, 1, incarnation=b"other")) == [Reset(ResetReason.RESTARTED, None)]


def test_an_ended_session_is_told_with_its_counts_whatever_the_attempt() -> None:
    """SPEC ATT-14, RST-2, RST-8."""
    first, answer = opened()
    first.say(Message(False, b"a"), Message(False, b"b"))
    first.events()
    first.session.send(b"c", 0.0)
    first.session.delivered(1, 0.0)
    first.say(GOODBYE)
    for attempt in (1, 9):
        hands = first.again()
        assert hands.resume(a_resume(answer, attempt)) == [Reset(ResetReason.CLOSED, Counts(2, 1, 1))]
        assert hands.connection.state is State.DISCARDING


def test_an_attempt_is_checked_again_after_the_authenticator() -> None:
    """SPEC ATT-5: between the question and the answer the session may have gone on, or ended."""
    first, answer = opened()
    slow, fast = first.again(), first.again()
    slow.say(a_resume(answer, 1))
    fast.resume(a_resume(answer, 2))
    close = close_of(slow.accept())
    assert (close.code, close.attempt) == (CloseCode.SUPERSEDED, 2)


def test_a_session_that_ends_while_its_resume_is_judged_is_told_so() -> None:
    """SPEC ATT-5, RST-8."""
    first, answer = opened()
    slow = first.again()
    slow.say(a_resume(answer, 1))
    first.say(GOODBYE)
    assert slow.accept() == [Reset(ResetReason.CLOSED, ZERO)]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param((1, 1, 0), id="received below what is trimmed"),
        pytest.param((4, 2, 0), id="received above what was ever sent"),
        pytest.param((2, 3, 0), id="delivered above received"),
        pytest.param((3, 1, 0), id="delivered below what was told"),
        pytest.param((3, 2, 0), id="sent below what was received"),
    ],
)
def test_counts_that_cannot_be_end_the_session(counts: tuple[int, int, int]) -> None:
    """SPEC ATT-11, CNT-8."""
    first, answer = opened()
    for _ in range(3):
        first.session.send(b"a", 0.0)
    first.say(Ack(Counts(2, 2, 0)), Message(False, b"b"))
    hands = first.again()
    assert hands.resume(a_resume(answer, 1, counts)) == [Reset(ResetReason.DRIFT, Counts(1, 0, 3))]
    assert hands.server.sessions == {}
    report = hands.server.next_event()
    assert report is not None
    assert (report.reason, report.known_delivered, report.unknown) == (ResetReason.DRIFT, 2, 1)


def test_counts_that_can_be_are_taken() -> None:
    """SPEC ATT-11, ATT-12, NUM-5."""
    first, answer = opened()
    for body in (b"a", b"b", b"c"):
        first.session.send(body, 0.0)
    first.hear()
    hands = first.again()
    resumed, *replayed = hands.resume(a_resume(answer, 1, (2, 1, 5)))
    assert isinstance(resumed, Resumed)
    assert resumed.counts == Counts(0, 0, 3)
    assert replayed == [Message(False, b"c")]
    assert (hands.session.outbox.received, hands.session.outbox.delivered) == (2, 1)


# Secrets


def test_the_confirmed_secret_stays_good_until_the_pending_one_is_proved() -> None:
    """SPEC SEC-2: a RESUMED that is lost costs nothing."""
    first, answer = opened()
    for attempt in (1, 2, 3):
        assert kinds(first.again().resume(a_resume(answer, attempt))) == ["Resumed"]


def test_the_first_ack_proves_the_pending_secret_and_the_one_before_is_dead() -> None:
    """SPEC SEC-3."""
    first, answer = opened()
    hands = first.again()
    hands.resume(a_resume(answer, 1))
    hands.say(FIRST)
    assert hands.again().resume(a_resume(answer, 2)) == [Reset(ResetReason.UNKNOWN_SESSION, None)]


def test_a_resume_proves_the_pending_secret_too() -> None:
    """SPEC SEC-3."""
    first, answer = opened()
    hands = first.again()
    (resumed,) = hands.resume(a_resume(answer, 1))
    assert isinstance(resumed, Resumed)
    assert kinds(first.again().resume(a_resume(answer, 2, secret=resumed.secret))) == ["Resumed"]
    assert first.again().resume(a_resume(answer, 3)) == [Reset(ResetReason.UNKNOWN_SESSION, None)]


def test_each_resumed_replaces_the_pending_secret() -> None:
    """SPEC SEC-2: at most two are live."""
    first, answer = opened()
    (lost,) = first.again().resume(a_resume(answer, 1))
    first.again().resume(a_resume(answer, 2))
    assert isinstance(lost, Resumed)
    assert first.again().resume(a_resume(answer, 3, secret=lost.secret)) == [Reset(ResetReason.UNKNOWN_SESSION, None)]


def test_only_hashes_of_secrets_are_kept() -> None:
    """SPEC SEC-1."""
    hands, answer = opened()
    assert len(answer.secret) == 32
    assert answer.secret not in (hands.session.pending, hands.session.confirmed)


# Proof


@pytest.mark.parametrize("packet", [Message(False, b""), Volatile(b""), Ping(1, ZERO), Pong(1, ZERO), Auth({})])
def test_the_first_packet_after_the_answer_is_the_ack(packet: Packet) -> None:
    """SPEC ATT-3."""
    hands = Hands()
    hands.open()
    violation(hands.say(packet), hands, "PKT-10")
    assert hands.server.sessions != {}


@pytest.mark.parametrize(("packet", "left"), [(Reset(3, None), 0), (GOODBYE, 0), (DROPPED, 1)])
def test_reset_and_close_may_come_first_too(packet: Packet, left: int) -> None:
    """SPEC ATT-3, ATT-11, EXP-2."""
    hands = Hands()
    hands.open()
    assert hands.say(packet) == []
    assert len(hands.server.sessions) == left


def test_until_the_first_proof_no_hook_is_fired() -> None:
    """SPEC UNC-1."""
    hands = Hands()
    hands.open()
    assert kinds(hands.events()) == ["AuthenticationRequested"]
    hands.say(FIRST)
    assert kinds(hands.events()) == ["SessionOpened"]


def test_a_resume_confirms_a_session() -> None:
    """SPEC UNC-3."""
    first = Hands()
    answer = first.open()
    hands = first.again()
    hands.resume(a_resume(answer, 1))
    assert kinds(hands.events()) == ["AuthenticationRequested", "SessionOpened", "SessionResumed"]
    assert hands.session.proved


def test_the_server_starts_right_behind_its_answer() -> None:
    """SPEC ATT-12, NUM-1."""
    first, answer = opened()
    session = first.session
    first.connection.receive_eof(0.0)
    session.send(b"late", 0.0)
    assert session.outbox.sent == 0
    assert kinds(first.again().resume(a_resume(answer, 1))) == ["Resumed", "Message"]


def test_a_drift_in_the_first_ack_ends_the_session() -> None:
    """SPEC CNT-5."""
    hands = Hands()
    hands.open()
    assert hands.say(Ack(Counts(0, 0, 1))) == [Reset(ResetReason.DRIFT, ZERO)]


# RESET


def test_after_a_reset_everything_is_discarded_until_open() -> None:
    """SPEC RST-4, RST-5, ATT-17."""
    hands, answer = opened()
    assert reset_of(hands.say(Ack(Counts(5, 5, 5)))).reason == ResetReason.DRIFT
    old: list[Packet] = [
        Message(False, b""),
        Volatile(b""),
        Ack(Counts(9, 8, 7)),
        Ping(1, None),
        Pong(1, ZERO),
        Auth({}),
        Reset(3, None),
        a_resume(answer, 1),
        Reauth(None),
        answer,
        Resumed(1, ZERO, SECRET),
    ]
    assert hands.say(*old) == []
    assert hands.connection.state is State.DISCARDING
    hands.events()
    again = hands.open()
    assert again.session != answer.session
    hands.say(FIRST)
    assert kinds(hands.events()) == ["AuthenticationRequested", "SessionOpened"]


def test_what_is_discarded_must_be_well_formed_all_the_same() -> None:
    """SPEC RST-4."""
    hands, _ = opened()
    hands.say(Ack(Counts(5, 5, 5)))
    hands.connection.receive_data(b"\x00", 0.0)
    assert close_of(hands.hear()).code == CloseCode.PROTOCOL_ERROR


def test_after_a_resume_and_a_reset_an_open_is_no_resume() -> None:
    """SPEC UNC-1."""
    first, answer = opened()
    hands = first.again()
    hands.resume(a_resume(answer, 1))
    hands.say(Ack(Counts(5, 5, 5)))
    hands.events()
    hands.open()
    assert kinds(hands.events()) == ["AuthenticationRequested"]


def test_a_reset_by_the_client_ends_the_session_with_its_own_reason() -> None:
    """SPEC RST-1, RST-11."""
    for sent, told in ((3, ResetReason.DRIFT), (99, 99)):
        hands, answer = opened()
        hands.session.send(b"a", 0.0)
        hands.hear()
        assert hands.say(Reset(sent, Counts(1, 1, 0))) == []
        report = hands.server.next_event()
        assert report is not None
        assert (report.reason, report.known_delivered) == (told, 1)
        assert hands.again().resume(a_resume(answer, 1)) == [Reset(sent, Counts(0, 0, 1))]


def test_the_deadline_runs_again_from_the_reset() -> None:
    """SPEC ATT-13."""
    hands, _ = opened()
    hands.wait(50.0)
    hands.say(Ack(Counts(5, 5, 5)))
    assert hands.wait(9.9) == []
    assert hands.say(Ping(1, None)) == []
    assert close_of(hands.wait(0.1)).code == CloseCode.TIMEOUT


# Credentials in time


def test_new_credentials_are_asked_for_before_the_old_ones_expire() -> None:
    """SPEC AUT-1, AUT-3."""
    hands = Hands(config=EngineConfig(ping_interval_seconds=40.0, reauth_seconds=5.0, resume_period_seconds=200.0))
    hands.say(an_open())
    hands.accept(expires_in=20.0)
    hands.say(FIRST)
    assert Reauth(5_000) in hands.wait(15.0)
    close = close_of(hands.wait(5.0))
    assert (close.code, close.resume) == (CloseCode.UNAUTHORIZED, True)
    assert len(hands.server.sessions) == 1


def test_credentials_that_have_expired_in_a_sleep_are_not_asked_for() -> None:
    """SPEC AUT-3, LIV-5: a token deadline never moves."""
    hands = Hands()
    hands.say(an_open())
    hands.accept(expires_in=20.0)
    hands.say(FIRST)
    hands.connection.handle_gap(100.0)
    assert close_of(hands.wait(100.0)).code == CloseCode.UNAUTHORIZED


def test_accepted_credentials_start_a_new_time() -> None:
    """SPEC AUT-2, AUT-5: asked for or not, and one that crosses a REAUTH meets it."""
    hands, _ = opened()
    hands.connection.request_credentials(5.0, 0.0)
    assert hands.hear() == [Reauth(5_000)]
    assert hands.say(Auth({"token": "new"})) == []
    assert hands.accept(expires_in=1_000.0) == [Reauth(None)]
    assert all(not isinstance(packet, Close) for packet in hands.wait(6.0))


def test_asking_early_does_not_extend_what_is_good_until_earlier() -> None:
    """SPEC AUT-3."""
    hands = Hands()
    hands.say(an_open())
    hands.accept(expires_in=4.0)
    hands.say(FIRST)
    hands.connection.request_credentials(30.0, 0.0)
    assert close_of(hands.wait(4.0)).code == CloseCode.UNAUTHORIZED


def test_credentials_of_somebody_else_are_refused() -> None:
    """SPEC AUT-4."""
    hands, _ = opened()
    hands.say(Auth({}))
    close = close_of(hands.accept("somebody"))
    assert (close.code, close.resume) == (CloseCode.UNAUTHORIZED, True)
    assert len(hands.server.sessions) == 1


def test_a_second_auth_before_the_answer_is_a_protocol_error() -> None:
    """SPEC AUT-5."""
    hands, _ = opened()
    violation(hands.say(Auth({}), Auth({})), hands, "AUT-5")


def test_the_session_goes_on_while_credentials_are_judged() -> None:
    """SPEC AUT-2."""
    hands, _ = opened()
    hands.say(Auth({}), Message(False, b"a"))
    assert hands.session.inbox.received == 1


def test_credentials_can_only_be_asked_for_on_a_session() -> None:
    hands = Hands()
    with pytest.raises(LocalProtocolError):
        hands.connection.request_credentials(5.0, 0.0)
    assert hands.hear() == []


def test_a_verdict_means_what_was_asked_and_nothing_that_came_later() -> None:
    """SPEC ATT-5, AUT-2: a session may end, and another be opened, while credentials are judged."""
    hands, _ = opened()
    hands.events()
    hands.say(Auth({"token": "old"}), Ack(Counts(9, 9, 9)))
    hands.say(an_open(credentials={"token": "new"}))
    asked = [event for event in hands.events() if type(event).__name__ == "AuthenticationRequested"]
    assert [event.credentials for event in asked] == [{"token": "old"}]
    assert hands.accept("about the old ones") == []
    asked = [event for event in hands.events() if type(event).__name__ == "AuthenticationRequested"]
    assert [event.credentials for event in asked] == [{"token": "new"}]
    assert kinds(hands.accept("u")) == ["Opened"]


def test_a_verdict_about_a_session_that_is_over_means_nothing() -> None:
    """SPEC AUT-2."""
    hands, _ = opened()
    hands.say(Auth({}), Ack(Counts(9, 9, 9)))
    assert hands.accept() == []
    assert hands.connection.state is State.DISCARDING
    assert hands.open().version == 1


# Limits


def test_packets_that_no_window_slows_are_bounded_by_a_rate() -> None:
    """SPEC LIM-2."""
    hands, _ = opened(EngineConfig(controls_burst=10, controls_per_second=1.0))
    assert hands.say(*[Volatile(b"")] * 9) == []
    close = close_of(hands.say(FIRST))
    assert (close.code, close.resume) == (CloseCode.RATE, True)


def test_an_acknowledgement_that_says_something_new_is_bounded_by_what_was_sent() -> None:
    """SPEC LIM-2: a client that answers message by message states its counts as often (ACK-3)."""
    hands, _ = opened(EngineConfig(controls_burst=10, controls_per_second=1.0))
    session = hands.connection.session
    assert session is not None
    for number in range(1, 101):
        session.send(b"\x01", 0.0)
        assert "Close" not in kinds(hands.say(Ack(Counts(number, number, 0))))
    assert "Close" not in kinds(hands.say(*[Ack(Counts(100, 100, 0))] * 9))
    assert close_of(hands.say(Ack(Counts(100, 100, 0)))).code == CloseCode.RATE


def test_credentials_are_judged_at_a_bounded_rate() -> None:
    """SPEC LIM-2: each judgement may cost the application a look into its database."""
    hands, _ = opened(EngineConfig(controls_burst=4, controls_per_second=0.1))
    for _ in range(3):
        assert hands.say(Auth({})) == []
        assert kinds(hands.accept()) == ["Reauth"]
    hands.events()
    assert close_of(hands.say(Auth({}))).code == CloseCode.RATE
    assert kinds(hands.events()) == ["ConnectionTerminated"]


def test_packets_to_be_ignored_are_bounded_by_the_rate_too() -> None:
    """SPEC LIM-2, PKT-3."""
    hands, _ = opened(EngineConfig(controls_burst=10, controls_per_second=1.0))
    ignorable = b"\x82\x18\x80\x01"
    for expected in ([], ["Close"]):
        hands.connection.receive_batch(ignorable * 9, 0.0)
        assert kinds(hands.hear()) == expected


@pytest.mark.parametrize("packet", [Volatile(b""), Ping(1, ZERO), Pong(1, ZERO)])
def test_a_packet_above_the_rate_has_no_effect(packet: Packet) -> None:
    """SPEC LIM-2."""
    hands, _ = opened(EngineConfig(controls_burst=1, controls_per_second=0.1))
    assert kinds(hands.say(packet, packet)) == ["Close"]


def test_a_goodbye_of_any_code_ends_the_session() -> None:
    """SPEC EXP-2: the exception for SUPERSEDED is about servers."""
    hands, _ = opened()
    hands.say(attrs.evolve(GOODBYE, code=301, attempt=1))
    assert hands.server.sessions == {}


def test_a_batch_longer_than_allowed_is_refused() -> None:
    """SPEC PKT-5."""
    hands, _ = opened()
    hands.connection.receive_batch(encode(Message(False, bytes(60_000))) * 3, 0.0)
    assert MAX_BATCH < 180_000
    assert close_of(hands.hear()).code == CloseCode.PROTOCOL_ERROR
    assert hands.server.sessions != {}


def test_a_full_table_of_attached_sessions_opens_no_more() -> None:
    """SPEC LIM-3, LIM-4."""
    first = Hands(config=EngineConfig(sessions=1))
    first.open()
    second = first.again()
    second.say(an_open())
    assert close_of(second.accept()).code == CloseCode.OVERLOADED
    assert len(first.server.sessions) == 1
