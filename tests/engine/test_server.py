"""The tables of a server: who lives how long, who goes first."""

import pytest

from hawser_engine import EngineConfig, ResetReason, ServerSession, SessionReset, State
from hawser_engine.packets import Ack, Counts, Message, Opened, Reset, Resume
from hawser_engine.server import Server
from tests.engine.pair import INCARNATION, Hands, a_resume, an_open, close_of, counting_bytes, kinds, reset_of

FIRST = Ack(Counts(0, 0, 0))
SHORT = EngineConfig(
    ping_interval_seconds=2.0,
    pong_wait_seconds=2.0,
    handshake_seconds=2.0,
    backoff_cap_seconds=2.0,
    resume_period_seconds=20.0,
    unconfirmed_sessions=2,
    tombstones=3,
    resumes_per_minute=2,
)


def reports(server: Server) -> list[SessionReset]:
    found: list[SessionReset] = []
    while (event := server.next_event()) is not None:
        found.append(event)
    return found


def proved(hands: Hands) -> Opened:
    answer = hands.open()
    hands.say(FIRST)
    return answer


def test_features_are_a_list_and_no_string() -> None:
    """Each of its letters would be one, and nobody speaks those."""
    with pytest.raises(TypeError, match=r"write \['presence'\]"):
        Server(SHORT, random_bytes=counting_bytes(), features="presence")


def test_a_server_names_its_own_store() -> None:
    """SPEC ATT-14, SEC-1."""
    server = Server(SHORT, random_bytes=counting_bytes())
    assert server.incarnation == bytes(range(8))
    assert len(server.new_secret()) == 32


@pytest.mark.parametrize(("wanted", "period"), [(None, 20.0), (5_000, 5.0), (99_000, 20.0)])
def test_a_detached_session_lives_for_its_resume_period(wanted: int | None, period: float) -> None:
    """SPEC EXP-1: the smaller of what was wanted and what is configured."""
    hands = Hands(config=SHORT)
    answer = hands.open(an_open(resume_period_ms=wanted))
    assert answer.resume_period_ms == period * 1_000
    hands.say(FIRST)
    hands.wait(1.0)
    hands.connection.receive_eof(hands.now)
    assert hands.server.next_timeout() == 1.0 + period
    hands.wait(period - 0.1)
    assert reports(hands.server) == []
    hands.wait(0.1)
    assert [report.reason for report in reports(hands.server)] == [ResetReason.EXPIRED]
    assert hands.again().resume(a_resume(answer, 1)) == [Reset(ResetReason.EXPIRED, Counts(0, 0, 0))]


def test_a_session_that_is_attached_again_does_not_expire() -> None:
    """SPEC EXP-1."""
    hands = Hands(config=SHORT)
    answer = proved(hands)
    hands.connection.receive_eof(0.0)
    hands.now = 19.0
    second = hands.again()
    second.resume(a_resume(answer, 1))
    second.server.handle_timeout(30.0)
    assert reports(hands.server) == []
    second.now = 31.0
    second.connection.receive_eof(31.0)
    second.server.handle_timeout(40.0)
    second.server.handle_timeout(51.0)
    assert len(reports(hands.server)) == 1


def test_a_tombstone_is_kept_for_the_resume_period() -> None:
    """SPEC RST-2, RST-3."""
    hands = Hands(config=SHORT)
    answer = proved(hands)
    hands.server.end(hands.session, ResetReason.REVOKED, 0.0)
    hands.now = 19.9
    assert reset_of(hands.again().resume(a_resume(answer, 1))).reason == ResetReason.REVOKED
    hands.now = 20.0
    assert reset_of(hands.again().resume(a_resume(answer, 1))) == Reset(ResetReason.UNKNOWN_SESSION, None)
    hands.server.handle_timeout(20.0)
    assert reset_of(hands.again().resume(a_resume(answer, 1))) == Reset(ResetReason.UNKNOWN_SESSION, None)


def test_the_oldest_tombstones_go_first() -> None:
    """SPEC RST-2, LIM-4."""
    first = Hands(config=SHORT)
    answers: list[Opened] = []
    for _ in range(5):
        hands = first.again()
        answers.append(proved(hands))
        hands.server.end(hands.session, ResetReason.REVOKED, 0.0)
    told = [reset_of(first.again().resume(a_resume(answer, 1))).reason for answer in answers]
    assert told == [1, 1, 8, 8, 8]


def test_the_oldest_unconfirmed_sessions_are_dropped_first_and_leave_no_tombstone() -> None:
    """SPEC UNC-2."""
    first = Hands(config=SHORT)
    answers = [first.open(), first.again().open(), first.again().open()]
    assert reset_of(first.hear()).reason == ResetReason.EVICTED
    told = [kinds(first.again().resume(a_resume(answer, 1))) for answer in answers]
    assert told == [["Reset"], ["Resumed"], ["Resumed"]]
    assert first.again().resume(a_resume(answers[0], 1)) == [Reset(ResetReason.UNKNOWN_SESSION, None)]


def test_the_session_detached_longest_makes_room() -> None:
    """SPEC LIM-4, the reasons of SPEC 9."""
    first = Hands(config=EngineConfig(sessions=2))
    answers: list[Opened] = []
    for _ in range(3):
        hands = first.again()
        answers.append(proved(hands))
        hands.connection.receive_eof(0.0)
    assert set(first.server.sessions) == {answers[1].session, answers[2].session}
    assert reset_of(first.again().resume(a_resume(answers[0], 1))).reason == ResetReason.EVICTED


@pytest.mark.parametrize("reason", [ResetReason.REVOKED, ResetReason.CLOSED, ResetReason.INTERNAL])
def test_ending_a_session_tells_the_client_once(reason: ResetReason) -> None:
    """SPEC RST-1, RST-6."""
    hands = Hands()
    proved(hands)
    session = hands.session
    session.send(b"a", 0.0)
    hands.hear()
    hands.server.end(session, reason, 0.0)
    assert hands.server.dirty() == [hands.connection]
    assert hands.hear() == [Reset(reason, Counts(0, 0, 1))]
    hands.server.end(session, ResetReason.REVOKED, 0.0)
    assert [(report.reason, report.unknown) for report in reports(hands.server)] == [(reason, 1)]
    assert hands.connection.state is State.DISCARDING


def test_ending_a_detached_session_tells_nobody() -> None:
    """SPEC RST-1."""
    hands = Hands()
    proved(hands)
    session = hands.session
    hands.connection.receive_eof(0.0)
    hands.server.end(session, ResetReason.REVOKED, 0.0)
    assert hands.server.dirty() == []
    assert len(reports(hands.server)) == 1


def test_a_late_pass_gives_detached_sessions_one_pong_wait_more_once() -> None:
    """SPEC LIV-5."""
    hands = Hands(config=SHORT)
    proved(hands)
    hands.connection.receive_eof(0.0)
    hands.server.handle_gap(19.0)
    hands.server.handle_gap(20.5)
    hands.server.handle_timeout(20.9)
    assert reports(hands.server) == []
    hands.server.handle_timeout(21.0)
    assert len(reports(hands.server)) == 1


def test_what_a_late_pass_gave_is_gone_with_the_next_attach() -> None:
    """SPEC EXP-1, LIV-5: of a session with a resume period shorter than a pong wait."""
    hands = Hands(config=EngineConfig(pong_wait_seconds=10.0))
    answer = hands.open(an_open(resume_period_ms=1_000))
    hands.say(FIRST)
    hands.connection.receive_eof(0.0)
    hands.server.handle_gap(0.5)
    hands.server.handle_timeout(1.0)
    hands.now = 2.0
    second = hands.again()
    assert kinds(second.resume(a_resume(answer, 1))) == ["Resumed"]
    second.connection.receive_eof(3.0)
    assert hands.server.next_timeout() == 4.0
    hands.server.handle_timeout(4.0)
    assert len(reports(hands.server)) == 1
    hands.server.handle_timeout(10.5)
    assert hands.server.next_timeout() is None


def test_a_late_pass_shortens_no_life() -> None:
    """SPEC LIV-5."""
    hands = Hands(config=SHORT)
    proved(hands)
    session = hands.session
    hands.connection.receive_eof(0.0)
    hands.server.handle_gap(1.0)
    assert session.expires_at == 20.0


def test_resumes_without_progress_are_bounded() -> None:
    """SPEC LIM-5."""
    hands = Hands(config=SHORT)
    answer = proved(hands)
    assert kinds(hands.again().resume(a_resume(answer, 1))) == ["Resumed"]
    assert kinds(hands.again().resume(a_resume(answer, 2))) == ["Resumed"]
    hands.now = 10.0
    close = close_of(hands.again().resume(a_resume(answer, 3)))
    assert (close.code, close.after_min_ms) == (103, 50_000)
    hands.now = 60.0
    assert kinds(hands.again().resume(a_resume(answer, 3))) == ["Resumed"]


def test_progress_allows_any_number_of_resumes() -> None:
    """SPEC LIM-5."""
    first = Hands(config=SHORT)
    answer = proved(first)
    secret = answer.secret
    for attempt in range(1, 8):
        hands = first.again()
        resumed, *_ = hands.resume(a_resume(answer, attempt, (0, 0, attempt - 1), secret=secret))
        assert kinds([resumed]) == ["Resumed"]
        secret = getattr(resumed, "secret")  # noqa: B009  # narrowed by its kind above
        hands.say(Ack(Counts(0, 0, attempt - 1)), Message(False, b"a"))


def test_a_restored_session_goes_on_under_its_old_incarnation() -> None:
    """SPEC EXP-3, ATT-14."""
    hands = Hands(config=SHORT)
    answer = proved(hands)
    record = hands.session.export(0.0)
    other = Server(SHORT, random_bytes=counting_bytes(), incarnation=b"other")
    other.restore(record, 50.0)
    again = Hands(other, now=50.0)
    assert kinds(again.resume(a_resume(answer, 1))) == ["Resumed"]
    stranger = Resume(b"nobody", bytes(32), INCARNATION, 1, Counts(0, 0, 0), {})
    assert Hands(other, now=50.0).resume(stranger) == [Reset(ResetReason.RESTARTED, None)]


def test_a_restored_session_lives_no_longer_than_the_original() -> None:
    """SPEC EXP-3, EXP-1."""
    hands = Hands(config=SHORT)
    hands.open()
    session = hands.session
    hands.connection.receive_eof(0.0)
    other = Server(SHORT, random_bytes=counting_bytes())
    twin = other.restore(session.export(15.0), 100.0)
    assert isinstance(twin, ServerSession)
    assert (twin.expires_at, twin.proved) == (105.0, False)
    other.handle_timeout(105.0)
    assert other.sessions == {}
