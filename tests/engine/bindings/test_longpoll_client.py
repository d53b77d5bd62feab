"""One long-poll connection of a client, reply by reply; the session behind it is the test."""

from collections.abc import Iterable

import attrs
import pytest

from hawser_engine import CloseCode, ResetReason
from hawser_engine.bindings.http import Reply, Request
from hawser_engine.bindings.longpoll import BODY_BYTES, CONTENT_TYPE, ClientPoll, Retry
from hawser_engine.bindings.longpoll.fields import header_text
from hawser_engine.codec import encode, encode_message, next_packet
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
    ServerLimits,
    Volatile,
)
from tests.engine.pair import an_open

SESSION = b"\x6e\x31\xc0\xff\xee"
SECRET = bytes(range(32))
OPENED = Opened(1, (), SESSION, SECRET, b"\x01\xf4", 120_000, 25_000, 10_000, ServerLimits(9, 9, 9, 9, 9))
RESUME = Resume(SESSION, bytes(32), b"\x01\xf4", 4, Counts(7, 7, 5), {})
RESUMED = Resumed(4, Counts(5, 5, 9), SECRET)
TYPE = ("content-type", CONTENT_TYPE)
GONE = Close(CloseCode.GOING_AWAY, "", True, True, 0, 0, None, None)


def message(body: bytes) -> bytes:
    return encode_message(body, more=False)


def packets(data: Iterable[bytes]) -> list[Packet]:
    found: list[Packet] = []
    for each in data:
        position = 0
        while taken := next_packet(each, position):
            packet, position = taken
            found += [] if packet is None else [packet]
        assert position == len(each)
    return found


def reply(status: int, body: bytes = b"", counts: str | None = "0,0,0", first: int | None = None) -> Reply:
    headers = [("hawser-counts", counts)] if counts is not None else []
    headers += [("hawser-first", str(first))] if first is not None else []
    headers += [TYPE] if body else []
    return Reply(status, tuple(headers), body)


def header(request: Request, name: str) -> str | None:
    return dict(request.headers).get(name)


class Hands:
    """A client's connection; its session and its server are the test."""

    def __init__(self, *, resume: bool = False) -> None:
        self.poll = ClientPoll()
        self.say(RESUME if resume else an_open())
        (self.attach,) = self.poll.requests()
        self.get: Request
        if not resume:
            self.got = self.hear(self.attach, reply(200, encode(OPENED)))
        else:
            self.got = self.hear(self.attach, reply(200, encode(RESUMED)))
        (self.get,) = self.poll.requests()

    def say(self, *said: Packet) -> None:
        self.poll.send([b"".join(map(encode, said))])

    def hear(self, request: Request, answer: Reply, *said: Packet) -> list[Packet]:
        """Give it a reply; the session takes what it brings and answers with these packets."""
        assert self.poll.receive(request, answer) is None
        batches = self.poll.batches()
        if said:
            self.say(*said)
        self.poll.taken()
        return packets(batches)

    def post(self) -> Request:
        (request,) = self.poll.requests()
        assert request.method == "POST"
        return request


# The attach


def test_an_open_is_an_attach() -> None:
    """SPEC CAR-11, CAR-13, CAR-14."""
    hands = Hands()
    assert (hands.attach.method, hands.attach.headers) == ("POST", (TYPE,))
    assert packets([hands.attach.body]) == [an_open()]
    assert hands.got == [OPENED]
    assert hands.get.method == "GET"
    assert dict(hands.get.headers) == {
        "hawser-session": header_text(SESSION),
        "hawser-secret": header_text(SECRET),
        "hawser-generation": "0",
        "hawser-number": "1",
        "hawser-counts": "0,0,0",
    }
    assert header_text(SECRET) not in repr(hands.get)


def test_a_resume_goes_on_where_both_sides_stand() -> None:
    """SPEC ATT-12, CAR-14."""
    hands = Hands(resume=True)
    assert header(hands.get, "hawser-generation") == "4"
    assert header(hands.get, "hawser-counts") == "7,7,5"
    hands.poll.send([encode(Ack(Counts(7, 7, 5))) + message(b"six") + message(b"seven")])
    request = hands.post()
    assert (header(request, "hawser-first"), header(request, "hawser-counts")) == ("6", "7,7,7")
    assert hands.hear(request, reply(204, counts="7,6,9")) == [Ping(0, Counts(7, 6, 7))]
    assert hands.poll.held_bytes == 0
    got = hands.hear(hands.get, reply(200, message(b"x"), "7,7,9", 8), Pong(0, Counts(8, 8, 7)))
    assert got == [Message(False, b"x"), Ping(0, Counts(7, 7, 8))]
    (get,) = hands.poll.requests()
    assert (header(get, "hawser-number"), header(get, "hawser-counts")) == ("2", "8,8,7")


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 429, 503])
def test_an_attach_that_is_closed_ends_the_connection(status: int) -> None:
    """SPEC CAR-13."""
    poll = ClientPoll()
    poll.send([encode(an_open())])
    (attach,) = poll.requests()
    assert poll.receive(attach, reply(status, encode(GONE), None)) is None
    assert packets(poll.batches()) == [GONE]
    assert poll.ended == f"the server answered {status}"
    assert poll.requests() == []
    assert poll.receive(attach, reply(200, encode(OPENED))) is None
    assert poll.batches() == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        reply(204),
        reply(401),
        reply(302, b"x"),
        reply(200, b"\xff"),
        Reply(200, (), encode(OPENED)),
        Reply(200, (TYPE, TYPE), encode(OPENED)),
        Reply(502, (("content-type", "text/html"),), b"<html>"),
    ],
)
def test_an_attach_that_is_not_answered_is_not_made_again(answer: Reply | None) -> None:
    """SPEC ATT-20, CAR-24: a session makes the next attempt on a new connection."""
    poll = ClientPoll()
    poll.send([encode(an_open())])
    (attach,) = poll.requests()
    assert poll.requests() == []
    assert (poll.fail(attach) if answer is None else poll.receive(attach, answer)) is None
    assert poll.ended == "the attach was not answered"
    assert poll.batches() == []
    assert poll.again(attach) is None


@pytest.mark.parametrize(
    ("answer", "spread"),
    [
        (Reply(429, (("retry-after", "7"),)), (7_000, 8_000)),
        (Reply(429, (("retry-after", "7"), ("content-type", "text/html")), b"<html>"), (7_000, 8_000)),
        (Reply(503, (("retry-after", "7"), ("content-type", "text/plain")), b"too many sockets"), (7_000, 8_000)),
        (Reply(429, ()), (0, 0)),
        (Reply(503, (("retry-after", "soon"),)), (0, 0)),
    ],
)
def test_an_attach_that_is_asked_to_come_later_is_closed_with_that_time(answer: Reply, spread: tuple[int, int]) -> None:
    """SPEC CAR-35: it is not made again, and its session hears what it would hear on any carriage."""
    poll = ClientPoll()
    poll.send([encode(an_open())])
    (attach,) = poll.requests()
    assert poll.receive(attach, answer) is None
    (close,) = packets(poll.batches())
    assert isinstance(close, Close)
    assert (close.code, close.reconnect, close.resume) == (CloseCode.OVERLOADED, True, True)
    assert (close.after_min_ms, close.after_max_ms) == spread
    assert poll.ended == f"the server answered {answer.status}"
    assert poll.requests() == []


def test_an_answer_to_something_else_is_for_the_session_to_judge() -> None:
    poll = ClientPoll()
    poll.send([encode(an_open())])
    (attach,) = poll.requests()
    poll.receive(attach, reply(200, encode(RESUMED)))
    poll.taken()  # too early, and so nothing
    assert packets(poll.batches()) == [RESUMED]
    assert poll.ended is not None


def test_a_reset_that_answers_a_resume_is_followed_by_another_attach() -> None:
    """SPEC CAR-27, RST-5."""
    poll = ClientPoll()
    poll.send([encode(RESUME)])
    (attach,) = poll.requests()
    assert poll.receive(attach, reply(410, encode(Reset(ResetReason.EXPIRED, None)), None)) is None
    assert packets(poll.batches()) == [Reset(ResetReason.EXPIRED, None)]
    assert poll.requests() == []
    poll.send([encode(an_open())])
    poll.taken()
    (attach,) = poll.requests()
    assert packets([attach.body]) == [an_open()]
    poll.receive(attach, reply(200, encode(OPENED)))
    poll.batches()
    poll.taken()
    assert [request.method for request in poll.requests()] == ["GET"]


# Both ways


def test_one_post_is_outstanding_and_the_next_carries_all_that_waits() -> None:
    """SPEC CAR-12, CAR-21."""
    hands = Hands()
    hands.poll.send([message(b"a") + message(b"b")])
    first = hands.post()
    assert (header(first, "hawser-number"), header(first, "hawser-first")) == ("1", "1")
    hands.poll.send([message(b"c") + encode(Volatile(b"v")), message(bytes(60_000)) * 2, message(bytes(60_000)) * 3])
    assert hands.poll.requests() == []
    hands.hear(first, reply(204, counts="2,2,0"))
    second = hands.post()
    assert (header(second, "hawser-number"), header(second, "hawser-first")) == ("2", "3")
    assert len(second.body) <= BODY_BYTES
    assert [type(packet) for packet in packets([second.body])] == [Message, Volatile, *[Message] * 4]
    hands.hear(second, reply(204, counts="7,7,0"))
    third = hands.post()
    assert (header(third, "hawser-first"), len(packets([third.body]))) == ("8", 1)


def test_a_body_brings_what_is_new_in_it() -> None:
    """SPEC CNT-4, CAR-19."""
    hands = Hands()
    got = hands.hear(hands.get, reply(200, message(b"a") + encode(Volatile(b"v")) + message(b"b"), "0,0,2", 1))
    assert got == [Message(False, b"a"), Volatile(b"v"), Message(False, b"b"), Ping(0, Counts(0, 0, 2))]
    (get,) = hands.poll.requests()
    got = hands.hear(get, reply(200, message(b"b") + message(b"c"), "0,0,3", 2))
    assert got == [Message(False, b"c"), Ping(0, Counts(0, 0, 3))]
    (get,) = hands.poll.requests()
    assert header(get, "hawser-counts") == "3,0,0"


def test_a_body_that_begins_too_far_on_shows_the_session_the_drift() -> None:
    """SPEC CNT-4, CNT-5: as an ACK behind a MESSAGE that never came would."""
    hands = Hands()
    got = hands.hear(hands.get, reply(200, message(b"x"), "0,0,7", 7), Reset(ResetReason.DRIFT, None))
    assert got == [Ack(Counts(0, 0, 6))]
    hands.say(an_open())
    request = hands.post()
    assert packets([request.body]) == [Reset(ResetReason.DRIFT, None)]
    assert hands.hear(request, reply(204)) == []
    (attach,) = hands.poll.requests()
    assert packets([attach.body]) == [an_open()]


def test_counts_leave_alone_if_nothing_else_does() -> None:
    """SPEC CAR-15, CAR-23, LIV-5: an ACK or a PING of the session is a POST without a body."""
    hands = Hands()
    hands.hear(hands.get, reply(200, message(b"a"), "0,0,1", 1))
    (get,) = hands.poll.requests()
    for said in (Ack(Counts(1, 1, 0)), Ping(1, Counts(1, 1, 0))):
        hands.say(said)
        request = hands.post()
        assert (request.body, header(request, "hawser-counts"), header(request, "content-type")) == (b"", "1,1,0", None)
        hands.hear(request, reply(204, counts="0,0,1"))
    hands.say(Ping(1, None), Pong(1, None))
    hands.hear(hands.post(), reply(204, counts="0,0,1"))
    hands.say(Ack(Counts(1, 1, 0)))
    hands.poll.receive(get, reply(204, counts="0,0,1"))
    assert hands.poll.batches()
    assert hands.poll.requests() == []
    hands.poll.taken()
    (get,) = hands.poll.requests()  # it states them, so no POST need
    assert header(get, "hawser-counts") == "1,1,0"


def test_what_the_session_sends_that_nobody_knows_stays_here() -> None:
    """SPEC PKT-3."""
    hands = Hands()
    hands.poll.send([b"\x82\x18\xc8\x00" + message(b"a")])
    assert packets([hands.post().body]) == [Message(False, b"a")]


def test_uncounted_messages_are_dropped_when_too_many_wait() -> None:
    """SPEC CNT-7: the oldest first, and one that is on its way is not missed when its reply comes."""
    hands = Hands()
    hands.say(Volatile(bytes(30_000)))
    request = hands.post()
    for letter in b"xyz":
        hands.say(Volatile(bytes((letter,)) * 30_000))
    hands.hear(request, reply(204))
    assert [packet.body[:1] for packet in packets([hands.post().body]) if isinstance(packet, Volatile)] == [b"y", b"z"]


def test_the_answer_to_auth_comes_with_its_post() -> None:
    """SPEC CAR-20."""
    hands = Hands()
    hands.say(Auth({"token": "new"}))
    assert hands.hear(hands.post(), reply(200, encode(Reauth(None))))[0] == Reauth(None)


def test_a_get_is_made_for_a_session_that_does_not_come_back() -> None:
    hands = Hands()
    hands.poll.receive(hands.get, reply(200, message(b"a"), "0,0,1", 1))
    assert hands.poll.waiting_bytes == len(message(b"a")) + len(encode(Ping(0, Counts(0, 0, 1))))
    assert hands.poll.requests() == []
    hands.poll.unattended()
    (get,) = hands.poll.requests()
    assert header(get, "hawser-counts") == "1,0,0"


# What fails


def test_a_post_is_made_again_as_it_was_and_a_get_with_the_next_number() -> None:
    """SPEC CAR-16, CAR-21, CAR-28: a reply that was lost may have told counts, which a POST asks for again."""
    hands = Hands()
    hands.poll.send([message(b"a")])
    request = hands.post()
    hands.poll.send([message(b"b")])
    assert hands.poll.fail(request) == Retry(None)
    assert hands.poll.again(request) is request
    hands.hear(request, reply(204, counts="1,0,0"))
    hands.hear(hands.post(), reply(204, counts="2,0,0"))
    assert hands.poll.fail(hands.get) == Retry(None)
    get = hands.poll.again(hands.get)
    assert get is not None
    assert header(get, "hawser-number") == "2"
    assert hands.poll.fail(hands.get) is None
    assert hands.poll.again(hands.get) is None
    assert hands.post().body == b""


@pytest.mark.parametrize(
    "answer",
    [
        Reply(204),
        Reply(200, (("hawser-counts", "0,0,0"),)),
        Reply(204, (("hawser-counts", "0,0,0"), TYPE), message(b"x")),
        Reply(200, (("hawser-counts", "0,0,0"), ("content-type", "text/html")), b"<html>"),
        Reply(200, (("hawser-counts", "0,0,0"), TYPE), message(b"x")),
        Reply(200, (("hawser-counts", "0,0,0"), TYPE), encode(Ping(0, Counts(0, 0, 0)))),
        Reply(401, (("content-type", "text/plain"),), b"a proxy wants a word"),
        Reply(429, ()),
        Reply(429, (("retry-after", "soon"),)),
        Reply(502),
        Reply(503),
    ],
)
def test_a_reply_that_is_none_is_a_failed_request(answer: Reply) -> None:
    """SPEC CAR-24."""
    hands = Hands()
    assert hands.poll.receive(hands.get, answer) == Retry(None)
    assert hands.poll.batches() == []
    assert hands.poll.wants(hands.get)


def test_too_many_requests_are_made_again_no_earlier_than_asked() -> None:
    """SPEC CAR-28."""
    hands = Hands()
    for after, wait in (("7", 7), ("999999999", 3_600)):
        assert hands.poll.receive(hands.get, Reply(429, (("retry-after", after),))) == Retry(wait)
    assert hands.poll.wants(hands.get)


@pytest.mark.parametrize("status", [401, 409])
def test_a_connection_that_the_server_does_not_have_is_over(status: int) -> None:
    """SPEC CAR-14, CAR-36: it begins each body behind what was stated, so a 409 is no place to go on from."""
    hands = Hands()
    hands.poll.send([message(b"a")])
    hands.hear(hands.post(), reply(status))
    assert hands.poll.ended == f"the server answered {status}"
    assert hands.poll.held_bytes == 0


def test_a_server_that_takes_less_than_it_answers_is_left() -> None:
    """SPEC CAR-23."""
    hands = Hands()
    hands.poll.send([message(b"a") + message(b"b")])
    hands.hear(hands.post(), reply(204, counts="1,0,0"))
    assert hands.poll.ended is not None


# The end


@pytest.mark.parametrize("status", [400, 401, 403, 409, 410, 413, 429, 503])
def test_a_close_ends_the_connection_behind_what_stands_before_it(status: int) -> None:
    """SPEC CAR-18, CAR-25."""
    hands = Hands()
    got = hands.hear(hands.get, reply(status, message(b"a") + encode(GONE), "0,0,1", 1))
    assert got == [Message(False, b"a"), GONE]
    assert hands.poll.ended == "the server closed with 100"
    assert hands.poll.requests() == []


def test_a_status_that_ends_it_ends_it_whatever_the_body_says() -> None:
    hands = Hands()
    assert hands.hear(hands.get, reply(400, encode(Volatile(b"v")))) == [Volatile(b"v")]
    assert hands.poll.ended == "the server answered 400"


def test_a_reset_is_followed_by_an_attach_and_older_replies_mean_nothing() -> None:
    """SPEC CAR-27, RST-5."""
    hands = Hands()
    hands.poll.send([message(b"a")])
    request = hands.post()
    reset = Reset(ResetReason.DRIFT, None)
    assert hands.hear(hands.get, reply(410, encode(reset), "0,0,0"), an_open()) == [reset]
    assert not hands.poll.wants(request)
    assert hands.hear(request, reply(204, counts="1,1,0")) == []
    (attach,) = hands.poll.requests()
    assert packets([attach.body]) == [an_open()]


@pytest.mark.parametrize(
    "late", [(), (Ack(Counts(3, 3, 1)),), (Reset(ResetReason.DRIFT, None),), (Volatile(b"v"), Pong(0, Counts(3, 3, 1)))]
)
def test_what_a_session_had_said_when_it_was_reset_is_not_the_next_ones(late: tuple[Packet, ...]) -> None:
    """SPEC RST-4: it may have waited for room here, and comes when the server's RESET was heard."""
    hands = Hands()
    reset = Reset(ResetReason.REVOKED, None)
    assert hands.hear(hands.get, reply(410, encode(reset), "0,0,0")) == [reset]
    hands.poll.send([message(b"a"), b"".join(map(encode, late)), encode(an_open())])
    (attach,) = hands.poll.requests()
    assert packets([attach.body]) == [an_open()]
    hands.hear(attach, reply(200, encode(OPENED)))
    (get,) = hands.poll.requests()
    assert header(get, "hawser-counts") == "0,0,0"
    hands.poll.send([message(b"b")])
    request = hands.post()
    assert (header(request, "hawser-first"), header(request, "hawser-counts")) == ("1", "0,0,1")


def test_a_goodbye_is_the_last_thing_posted_and_nothing_is_asked_for_any_more() -> None:
    """SPEC CAR-27."""
    hands = Hands()
    hands.poll.send([message(b"a")])
    request = hands.post()
    bye = attrs.evolve(GONE, code=CloseCode.NORMAL, resume=False)
    hands.poll.send([message(b"b") + encode(bye)])
    hands.poll.close()
    hands.hear(hands.get, reply(204, counts="0,0,0"))
    hands.hear(request, reply(204, counts="1,1,0"))
    request = hands.post()
    assert packets([request.body]) == [Message(False, b"b"), bye]
    assert hands.poll.fail(request) == Retry(None)
    assert hands.poll.again(request) is request
    hands.hear(request, reply(204, counts="2,2,0"))
    assert hands.poll.ended == "closed"
    hands.poll.close()
    assert hands.poll.requests() == []


def test_a_get_that_fails_during_a_goodbye_is_not_made_again() -> None:
    hands = Hands()
    hands.say(GONE)
    assert hands.poll.fail(hands.get) == Retry(None)
    assert hands.poll.again(hands.get) is None
    assert [request.method for request in hands.poll.requests()] == ["POST"]


@pytest.mark.parametrize("last", [GONE, Reset(ResetReason.CLOSED, None)])
def test_what_comes_behind_the_last_word_is_not_counted(last: Packet) -> None:
    """SPEC CAR-15, CLS-3, RST-4: the session does not take it, and the request with that word states counts too."""
    hands = Hands()
    hands.say(Message(False, b"a"))
    request = hands.post()
    hands.say(last)
    hands.hear(hands.get, reply(200, message(b"late"), counts="0,0,1", first=1))
    hands.hear(request, reply(204, counts="1,1,1"))
    assert header(hands.post(), "hawser-counts") == "0,0,1"


def test_a_session_that_is_over_posts_its_reset_and_nothing_before_it() -> None:
    """SPEC RST-4."""
    hands = Hands()
    hands.poll.send([message(b"a") + encode(Reset(ResetReason.CLOSED, None))])
    assert packets([hands.post().body]) == [Reset(ResetReason.CLOSED, None)]


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("said", [False, True], ids=["closed", "CLOSE"])
def test_an_open_that_waits_never_leaves_once_nobody_wants_the_link(*, said: bool, crossed: bool) -> None:
    """SPEC CLS-3, CAR-27: nobody would go on with what it opened, even if the server resets the session too."""
    hands = Hands()
    hands.say(Reset(ResetReason.OVERFLOW, None), an_open())
    goodbye = hands.post()
    if said:
        hands.say(GONE)
    else:
        hands.poll.close()
    if crossed:
        reset = Reset(ResetReason.REVOKED, None)
        assert hands.hear(hands.get, reply(410, encode(reset))) == [reset]
    else:
        assert hands.hear(goodbye, reply(204)) == []
    assert hands.poll.requests() == []
    assert hands.poll.ended is not None


def test_a_link_that_is_closed_without_a_word_says_that_it_goes() -> None:
    """SPEC CAR-1, CAR-27: nothing but a packet tells a server that nobody will ask again."""
    hands = Hands()
    hands.poll.close()
    assert packets([hands.post().body]) == [GONE]
    poll = ClientPoll()
    poll.send([encode(an_open())])
    poll.send([encode(GONE)])
    poll.close()
    assert poll.ended == "closed before it was attached"
