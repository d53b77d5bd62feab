"""One long-poll connection of a server, request by request; the session behind it is the test."""

from typing import Any

import attrs
import pytest

from hawser_engine import CloseCode, ResetReason, decode_batch
from hawser_engine.bindings.http import Reply
from hawser_engine.bindings.longpoll import (
    BODY_BYTES,
    CONTENT_TYPE,
    Exchange,
    Fields,
    PollLimits,
    PollService,
    ServerPoll,
)
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
TYPE = ("content-type", CONTENT_TYPE)
RESUME = Resume(SESSION, SECRET, b"\x01\xf4", 4, Counts(7, 7, 5), {})


def a_close(code: int = CloseCode.GOING_AWAY, **changes: Any) -> Close:
    attempt = 3 if code == CloseCode.SUPERSEDED else None
    return attrs.evolve(Close(code, "bye", True, True, 0, 0, None, attempt), **changes)


def message(body: bytes) -> bytes:
    return encode_message(body, more=False)


class Hands:
    """A service; its clients and its sessions are the test."""

    def __init__(self, limits: PollLimits | None = None) -> None:
        self.service = PollService(limits)
        self.poll: ServerPoll

    def send(self, method: str, *headers: tuple[str, str], body: bytes = b"", length: int | None = None) -> Exchange:
        fields = Fields.written((*headers, TYPE) if body else headers)
        exchange = self.service.begin(method, fields, len(body) if length is None else length)
        if exchange.reply is None:
            self.service.receive(exchange, body)
        return exchange

    def attach(self, packet: Packet | None = None, answer: Packet | None = None) -> Exchange:
        """Attach and answer it; by default OPEN with OPENED."""
        exchange = self.send("POST", body=encode(packet or an_open()))
        (self.poll,) = self.service.arrivals()
        assert len(self.poll.batches()) == 1
        self.poll.send([encode(answer or OPENED)])
        self.poll.taken()
        assert self.poll.answered() == [exchange]
        return exchange

    def resume(self, attempt: int = 4, secret: bytes = SECRET) -> Exchange:
        packet = attrs.evolve(RESUME, attempt=attempt)
        return self.attach(packet, Resumed(attempt, Counts(5, 5, 9), secret))

    def ask(
        self,
        method: str,
        number: int,
        counts: str = "0,0,0",
        body: bytes = b"",
        *,
        first: int | None = None,
        generation: int = 0,
        secret: bytes = SECRET,
        length: int | None = None,
        taken: bool = True,
    ) -> Exchange:
        headers = [
            ("hawser-session", header_text(SESSION)),
            ("hawser-secret", header_text(secret)),
            ("hawser-generation", str(generation)),
            ("hawser-number", str(number)),
            ("hawser-counts", counts),
        ]
        if first is not None:
            headers.append(("hawser-first", str(first)))
        exchange = self.send(method, *headers, body=body, length=length)
        if taken:
            self.take()
        return exchange

    def take(self, *packets: Packet) -> list[Packet]:
        """Take what has arrived as a session would, and answer with these packets."""
        batches = self.poll.batches()
        if packets:
            self.poll.send([b"".join(map(encode, packets))])
        self.poll.taken()
        return [packet for batch in batches for packet in decode_batch(batch)]


def the(exchange: Exchange) -> Reply:
    assert exchange.reply is not None
    return exchange.reply


def status(exchange: Exchange) -> int | None:
    return None if exchange.reply is None else exchange.reply.status


def headers(exchange: Exchange) -> dict[str, str]:
    return dict(the(exchange).headers)


def packets(exchange: Exchange) -> list[Packet]:
    body = the(exchange).body
    found: list[Packet] = []
    position = 0
    while taken := next_packet(body, position):
        packet, position = taken
        found += [] if packet is None else [packet]
    assert position == len(body)
    return found


# The attach


def test_an_attach_is_answered_with_what_the_session_answers() -> None:
    """SPEC CAR-13."""
    hands = Hands()
    exchange = hands.attach()
    assert status(exchange) == 200
    assert packets(exchange) == [OPENED]
    assert headers(exchange) == {"hawser-counts": "0,0,0", "content-type": CONTENT_TYPE}
    assert hands.service.connections == 1


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (CloseCode.PROTOCOL_ERROR, 400),
        (CloseCode.VERSION, 400),
        (CloseCode.UNAUTHORIZED, 401),
        (CloseCode.FORBIDDEN, 403),
        (CloseCode.SUPERSEDED, 409),
        (CloseCode.NORMAL, 410),
        (CloseCode.TOO_LARGE, 413),
        (CloseCode.RATE, 429),
        (CloseCode.UNAVAILABLE, 503),
        (CloseCode.TIMEOUT, 503),
        (777, 503),
    ],
)
def test_a_close_chooses_the_status_and_is_the_body(code: int, answer: int) -> None:
    """SPEC CAR-13, CAR-24, CAR-28."""
    hands = Hands()
    packet = a_close(code, after_min_ms=1_001)
    exchange = hands.attach(answer=packet)
    assert (status(exchange), packets(exchange)) == (answer, [packet])
    assert headers(exchange).get("retry-after") == ("2" if answer in (429, 503) else None)
    hands.poll.close()
    hands.service.end(hands.poll)
    assert hands.service.connections == 0


def test_a_reset_answers_an_attach_with_410() -> None:
    """SPEC CAR-13, CAR-27."""
    hands = Hands()
    exchange = hands.attach(RESUME, Reset(ResetReason.EXPIRED, None))
    assert (status(exchange), packets(exchange)) == (410, [Reset(ResetReason.EXPIRED, None)])
    assert hands.poll.over


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", encode(an_open()) + encode(an_open()), encode(an_open())[:-1], encode(Ack(Counts(0, 0, 0)))],
    ids=["nothing", "rubbish", "two packets", "half a packet", "another packet"],
)
def test_an_attach_is_one_packet(body: bytes) -> None:
    """SPEC CAR-13."""
    hands = Hands()
    exchange = hands.send("POST", body=body)
    assert status(exchange) == 400
    (close,) = packets(exchange)
    assert isinstance(close, Close)
    assert close.code == CloseCode.PROTOCOL_ERROR
    assert headers(exchange) == {"content-type": CONTENT_TYPE}
    assert hands.service.arrivals() == []


def test_an_attach_is_judged_by_its_length_before_it_is_read() -> None:
    """SPEC CAR-12, PKT-14."""
    hands = Hands()
    exchange = hands.send("POST", TYPE, length=8_193)
    assert status(exchange) == 413
    assert hands.service.begin("POST", Fields.written((TYPE,)), 8_192).reply is None


def test_there_is_a_bound_for_connections() -> None:
    """SPEC LIM-3."""
    hands = Hands(PollLimits(connections=1))
    hands.attach()
    exchange = hands.send("POST", body=encode(an_open()))
    assert status(exchange) == 503
    assert headers(exchange)["retry-after"] == "1"
    hands.poll.close()
    hands.service.end(hands.poll)
    assert status(hands.attach()) == 200


# Who asks


def test_a_wrong_secret_or_an_unknown_connection_is_401_and_changes_nothing() -> None:
    """SPEC CAR-14."""
    hands = Hands()
    hands.attach()
    for wrong in (
        hands.ask("GET", 1, secret=bytes(32), taken=False),
        hands.ask("GET", 1, generation=1, taken=False),
        hands.ask("POST", 1, secret=bytes(32), length=10**9, taken=False),
    ):
        assert (status(wrong), the(wrong).body, the(wrong).headers) == (401, b"", ())
    assert hands.poll.batches() == []
    assert hands.poll.answered() == []
    assert status(hands.ask("GET", 1)) is None


def test_the_first_valid_request_proves_the_secret() -> None:
    """SPEC CAR-14, CAR-15: ahead of all others goes the ACK of ATT-3, with the counts of the attach."""
    hands = Hands()
    hands.resume()
    hands.ask("POST", 1, "8,7,5", message(b"x"), first=6, generation=4, taken=False)
    assert hands.take() == [Ack(Counts(8, 7, 5)), Message(False, b"x"), Ping(0, Counts(8, 7, 6))]
    hands.ask("GET", 1, "8,8,6", generation=4, taken=False)
    assert hands.take() == [Ping(0, Counts(8, 8, 6))]
    hands.ask("GET", 2, "7,7,6", generation=4, taken=False)
    assert hands.take() == [Ping(0, Counts(8, 8, 6))]  # SPEC CAR-15: a lower count is stale
    hands.ask("GET", 3, "7,9,6", generation=4, taken=False)
    assert hands.take() == [Ping(0, Counts(7, 9, 6))]  # nonsense, which the session is to see (SPEC CNT-8)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"hawser-session": "=="},
        {"hawser-session": ""},
        {"hawser-session": None},
        {"hawser-session": "a" * 87},
        {"hawser-secret": "AAAA"},
        {"hawser-secret": header_text(SECRET) + "="},
        {"hawser-secret": header_text(SECRET)[:-1] + "!"},
        {"hawser-generation": "+0"},
    ],
)
def test_a_request_that_names_no_connection_rightly_is_400_and_changes_nothing(spoiled: dict[str, str | None]) -> None:
    """SPEC CAR-11."""
    hands = Hands()
    hands.attach()
    good: dict[str, str | None] = {
        "hawser-session": header_text(SESSION),
        "hawser-secret": header_text(SECRET),
        "hawser-generation": "0",
        "hawser-number": "1",
        "hawser-counts": "0,0,0",
    }
    given = [(name, value) for name, value in {**good, **spoiled}.items() if value is not None]
    assert status(hands.send("GET", *given)) == 400
    assert not hands.poll.over
    (name,) = spoiled
    assert status(hands.send("GET", *[(n, v or "") for n, v in good.items()], (name, str(good[name])))) == 400
    assert not hands.poll.over


@pytest.mark.parametrize(
    "spoiled",
    [
        {"hawser-number": None},
        {"hawser-number": "1e3"},
        {"hawser-number": "9007199254740993"},
        {"hawser-number": "12345678901234567"},
        {"hawser-counts": None},
        {"hawser-counts": "1,2"},
        {"hawser-counts": "1,2,-3"},
        {"hawser-first": "x"},
    ],
)
def test_a_verified_request_that_breaks_a_clause_ends_the_connection(spoiled: dict[str, str | None]) -> None:
    """SPEC CAR-11, CAR-24: 400, and the same to every request after it."""
    hands = Hands()
    hands.attach()
    parked = hands.ask("GET", 1)
    good: dict[str, str | None] = {
        "hawser-session": header_text(SESSION),
        "hawser-secret": header_text(SECRET),
        "hawser-generation": "0",
        "hawser-number": "1",
        "hawser-counts": "0,0,0",
        "hawser-first": "1",
    }
    given = [(name, value) for name, value in {**good, **spoiled}.items() if value is not None]
    exchange = hands.send("POST", *given, body=message(b"x"))
    assert status(exchange) == 400
    assert hands.poll.over
    assert status(parked) == 400
    assert packets(parked) == packets(exchange)
    assert status(hands.ask("GET", 2)) == 400
    assert status(hands.send("POST", *given, body=message(b"x"))) == 400


def test_bodies_have_a_type_and_gets_have_no_body() -> None:
    """SPEC CAR-12, CAR-16."""
    hands = Hands()
    assert status(hands.send("POST", ("content-type", "text/plain"), length=5)) == 400
    assert status(hands.send("POST", length=5)) == 400
    for method, kind in (("POST", "text/plain"), ("GET", CONTENT_TYPE)):
        hands.resume()
        names = ("hawser-session", "hawser-secret", "hawser-generation")
        values = (header_text(SESSION), header_text(SECRET), "4")
        given = [*zip(names, values, strict=True), ("content-type", kind)]
        assert status(hands.send(method, *given, length=5)) == 400
        assert hands.poll.over


def test_a_body_that_is_too_long_ends_the_connection() -> None:
    """SPEC CAR-12."""
    hands = Hands()
    hands.attach()
    length = BODY_BYTES
    hands.ask("POST", 1, body=encode(Volatile(b"v")), length=length, taken=False)
    assert not hands.poll.over
    exchange = hands.ask("POST", 1, body=b"x", length=length + 1, taken=False)
    assert status(exchange) == 413
    assert hands.poll.over


# GET


def test_the_newest_get_is_parked_and_the_one_before_answered() -> None:
    """SPEC CAR-16."""
    hands = Hands()
    hands.attach()
    first = hands.ask("GET", 1)
    assert first.reply is None
    second = hands.ask("GET", 3)
    assert (status(first), second.reply) == (204, None)
    for number in (3, 2):
        late = hands.ask("GET", number, "9,9,9")
        assert (status(late), headers(late)["hawser-counts"]) == (204, "0,0,0")
    assert second.reply is None
    hands.poll.send([message(b"x")])
    assert (status(second), packets(second)) == (200, [Message(False, b"x")])


def test_a_body_begins_where_the_client_says_whatever_was_sent_before() -> None:
    """SPEC CAR-19."""
    hands = Hands()
    hands.attach()
    hands.poll.send([message(b"a") + message(b"b") + message(b"c")])
    hands.poll.send([message(b"d")])
    for number, counts, first, expected in (
        (1, "0,0,0", "1", b"abcd"),
        (2, "0,0,0", "1", b"abcd"),
        (3, "2,0,0", "3", b"cd"),
        (4, "1,0,0", "3", b"cd"),
        (5, "3,1,0", "4", b"d"),
    ):
        exchange = hands.ask("GET", number, counts)
        assert headers(exchange)["hawser-first"] == first
        assert packets(exchange) == [Message(False, bytes((each,))) for each in expected]
    assert hands.ask("GET", 6, "4,4,0").reply is None
    assert hands.poll.held_bytes == 0


def test_all_that_the_limit_allows_leaves_in_one_body() -> None:
    """SPEC CAR-12: in whole packets; what is left comes with the next GET."""
    hands = Hands()
    hands.attach()
    body = bytes(60_000)
    hands.poll.send([message(body) * 2] * 3)
    exchange = hands.ask("GET", 1)
    assert len(packets(exchange)) == 4
    assert len(the(exchange).body) <= BODY_BYTES
    exchange = hands.ask("GET", 2, "4,0,0")
    assert (len(packets(exchange)), headers(exchange)["hawser-first"]) == (2, "5")
    hands.poll.send([message(body) + message(bytes(100)), message(body), message(body)])
    assert len(packets(hands.ask("GET", 3, "5,0,0"))) == 5
    hands.poll.send([message(body)])
    exchange = hands.ask("GET", 4, "7,0,0")  # of two packets that came together the second only
    assert (len(packets(exchange)), headers(exchange)["hawser-first"]) == (4, "8")


def test_what_is_not_counted_leaves_once_and_in_its_place() -> None:
    """SPEC CNT-7, CAR-18."""
    hands = Hands()
    hands.attach()
    hands.poll.send([message(b"a"), encode(Volatile(b"v")) + message(b"b"), b"\x82\x18\xc8\x00"])
    exchange = hands.ask("GET", 1)
    assert packets(exchange) == [Message(False, b"a"), Volatile(b"v"), Message(False, b"b")]
    exchange = hands.ask("GET", 2)
    assert packets(exchange) == [Message(False, b"a"), Message(False, b"b")]
    for letter in b"wxyz":
        hands.poll.send([encode(Volatile(bytes((letter,)) * 30_000))])
    exchange = hands.ask("GET", 3, "2,0,0")
    assert [packet.body[:1] for packet in packets(exchange) if isinstance(packet, Volatile)] == [b"y", b"z"]
    assert hands.poll.held_bytes == 0
    hands.poll.send([message(bytes(60_000)) * 2, message(bytes(60_000)) * 2, encode(Volatile(bytes(60_000)))])
    assert len(packets(hands.ask("GET", 4, "2,0,0"))) == 4
    assert packets(hands.ask("GET", 5, "6,0,0")) == [Volatile(bytes(60_000))]


def test_an_ack_and_the_end_of_the_hold_answer_a_get_with_counts() -> None:
    """SPEC CAR-17, CAR-26: an ACK and a PING of the session stand in no body."""
    hands = Hands()
    hands.resume()
    parked = hands.ask("GET", 1, "7,7,5", generation=4)
    hands.poll.send([encode(Ack(Counts(5, 4, 7)))])
    assert (status(parked), headers(parked)["hawser-counts"]) == (204, "5,4,9")
    parked = hands.ask("GET", 2, "7,7,5", generation=4)
    hands.poll.send([encode(Ping(1, Counts(5, 5, 7)))])
    assert (status(parked), the(parked).body) == (204, b"")
    hands.poll.send([encode(Ping(2, Counts(5, 5, 7)))])
    assert hands.ask("GET", 3, "7,7,5", generation=4).reply is None  # a hold that ended before it began is none


def test_the_counts_of_a_reply_are_those_after_the_request() -> None:
    """SPEC CAR-15: the PONG to what the request states."""
    hands = Hands()
    hands.attach()
    exchange = hands.ask("POST", 1, body=message(b"x"), first=1, taken=False)
    hands.take(Pong(0, Counts(1, 1, 0)))
    assert (status(exchange), headers(exchange)["hawser-counts"]) == (204, "1,1,0")
    hands.take(Pong(0, None))  # a session that states none: nothing is changed
    assert headers(hands.ask("GET", 0))["hawser-counts"] == "1,1,0"


# POST


def test_a_post_brings_what_is_new_in_it() -> None:
    """SPEC CNT-4, CAR-21."""
    hands = Hands()
    hands.attach()
    body = message(b"a") + encode(Volatile(b"v")) + b"\x82\x18\xc8\x00" + message(b"b")  # with one of kind 200
    hands.ask("POST", 1, body=body, first=1, taken=False)
    assert hands.take()[1:-1] == [Message(False, b"a"), Volatile(b"v"), Message(False, b"b")]
    again = hands.ask("POST", 1, body=body, first=1, taken=False)
    assert [type(each) for each in hands.take()] == [Ping]
    assert (status(again), headers(again)["hawser-counts"]) == (204, "2,0,0")
    hands.ask("POST", 2, body=message(b"b") + encode(Volatile(b"w")) + message(b"c"), first=2, taken=False)
    assert hands.take()[:-1] == [Volatile(b"w"), Message(False, b"c")]
    hands.ask("POST", 5, body=encode(Volatile(b"x")), taken=False)
    assert hands.take()[:-1] == [Volatile(b"x")]
    assert status(hands.ask("POST", 6)) == 204


def test_a_post_that_begins_too_far_on_is_409_and_not_seen() -> None:
    """SPEC CAR-36."""
    hands = Hands()
    hands.attach()
    ahead = hands.ask("POST", 1, "0,0,9", encode(Volatile(b"v")) + message(b"x"), first=2)
    assert (status(ahead), the(ahead).body, headers(ahead)["hawser-counts"]) == (409, b"", "0,0,0")
    assert hands.poll.batches() == []
    hands.ask("POST", 1, body=message(b"a") + message(b"x"), first=1, taken=False)
    assert len(hands.take()) == 4


def test_long_bodies_reach_the_session_in_batches_it_takes() -> None:
    """SPEC CAR-12, PKT-5."""
    hands = Hands()
    hands.attach()
    hands.ask("POST", 1, body=message(bytes(50_000)) * 5, first=1, taken=False)
    batches = hands.poll.batches()[1:-1]
    assert [len(batch) for batch in batches] == [100_012, 100_012, 50_006]


@pytest.mark.parametrize("rest", [b"\xff\xff", message(b"half")[:-1]], ids=["faulty", "unfinished"])
def test_what_stands_before_a_faulty_packet_is_taken_and_the_session_judges_it(rest: bytes) -> None:
    """SPEC CAR-23."""
    hands = Hands()
    hands.attach()
    exchange = hands.ask("POST", 1, body=message(b"a") + rest, first=1, taken=False)
    assert hands.poll.batches()[1:-1] == [message(b"a"), rest]
    hands.poll.send([encode(a_close(CloseCode.PROTOCOL_ERROR))])
    assert status(exchange) == 400


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (message(b"a"), None),
        (message(b"a") + encode(Ping(1, Counts(0, 0, 0))), 1),
        (message(b"a") + encode(Ack(Counts(0, 0, 1))), 1),
    ],
    ids=["no first number", "PING", "ACK"],
)
def test_a_body_that_holds_what_headers_say_is_400_as_a_whole(body: bytes, first: int | None) -> None:
    """SPEC CAR-21, CAR-26."""
    hands = Hands()
    hands.attach()
    exchange = hands.ask("POST", 1, body=body, first=first, taken=False)
    assert status(exchange) == 400
    assert hands.poll.batches() == []
    assert hands.poll.over


def test_the_answer_to_auth_answers_its_post_however_often_it_comes() -> None:
    """SPEC CAR-20."""
    hands = Hands()
    hands.attach()
    auth = encode(Auth({"token": "t"}))
    first = hands.ask("POST", 1, body=auth)
    assert first.reply is None
    again = hands.ask("POST", 1, body=auth)
    assert (status(first), again.reply) == (204, None)
    hands.poll.send([encode(Reauth(None))])
    assert (status(again), packets(again)) == (200, [Reauth(None)])
    again = hands.ask("POST", 1, body=auth)
    assert (status(again), packets(again)) == (200, [Reauth(None)])
    assert status(hands.ask("POST", 2)) == 204
    assert packets(hands.ask("POST", 1, body=auth)) == [Reauth(None)]
    hands.poll.send([encode(Reauth(None))])  # nobody waits for it
    pending = hands.ask("POST", 3, body=auth)
    hands.poll.send([encode(a_close(CloseCode.UNAUTHORIZED))])
    assert status(pending) == 401


def test_a_wish_for_credentials_stands_in_every_body_until_it_is_obeyed() -> None:
    """SPEC CAR-20."""
    hands = Hands()
    hands.attach()
    parked = hands.ask("GET", 1)
    wish = Reauth(30_000)
    hands.poll.send([encode(wish)])
    assert (status(parked), packets(parked)) == (200, [wish])
    parked = hands.ask("GET", 2)
    assert parked.reply is None  # it has been said
    hands.poll.send([message(b"x")])
    assert packets(parked) == [wish, Message(False, b"x")]
    parked = hands.ask("GET", 3, "1,1,0")
    hands.poll.send([encode(Ping(1, Counts(0, 0, 1)))])
    assert (status(parked), packets(parked)) == (200, [wish])
    hands.ask("POST", 1, "1,1,0", encode(Auth({})))
    hands.poll.send([encode(Reauth(None))])
    parked = hands.ask("GET", 4, "1,1,0")
    hands.poll.send([message(b"y")])
    assert packets(parked) == [Message(False, b"y")]


def test_requests_are_answered_for_a_session_that_does_not_come_back() -> None:
    hands = Hands()
    hands.attach()
    posted = hands.ask("POST", 1, body=message(b"u"), first=1, taken=False)
    asked = hands.ask("GET", 1, taken=False)
    hands.poll.send([message(b"x")])
    assert (posted.reply, asked.reply) == (None, None)
    assert hands.poll.waiting_bytes > len(message(b"u"))
    hands.poll.unattended()
    assert (status(posted), headers(posted)["hawser-counts"]) == (204, "1,0,1")
    assert packets(asked) == [Message(False, b"x")]


# The end


def test_a_close_comes_behind_what_was_sent_before_it() -> None:
    """SPEC CAR-18."""
    hands = Hands()
    hands.attach()
    bye = a_close(CloseCode.NORMAL)
    hands.poll.send([message(b"a"), message(bytes(60_000)) * 4, message(bytes(60_000)), encode(bye) + message(b"late")])
    assert hands.poll.lingering
    exchange = hands.ask("GET", 1)
    assert (status(exchange), len(packets(exchange))) == (200, 5)
    assert hands.poll.lingering
    exchange = hands.ask("GET", 2, "5,5,0")
    assert (status(exchange), packets(exchange)) == (410, [Message(False, bytes(60_000)), bye])
    assert headers(exchange)["hawser-first"] == "6"
    assert not hands.poll.lingering
    exchange = hands.ask("GET", 3, "6,6,0")
    assert (status(exchange), packets(exchange)) == (410, [bye])
    assert packets(hands.ask("POST", 1)) == [bye]


def test_a_get_is_waiting_when_the_end_comes() -> None:
    """SPEC CAR-25: the parked GET and a POST are both told, and nothing of the session is sent any more."""
    hands = Hands()
    hands.resume()
    parked = hands.ask("GET", 1, "7,7,5", generation=4)
    posted = hands.ask("POST", 1, "7,7,5", encode(Volatile(b"v")), generation=4, taken=False)
    hands.poll.send([message(b"x") + encode(a_close(CloseCode.SUPERSEDED))])
    for exchange in (parked, posted, hands.ask("GET", 2, "7,7,5", generation=4)):
        assert status(exchange) == 409
        (told,) = packets(exchange)
        assert isinstance(told, Close)
        assert told.attempt == 3


def test_a_reset_is_the_body_of_a_410_and_ends_everything() -> None:
    """SPEC CAR-27."""
    hands = Hands()
    hands.attach()
    reset = Reset(ResetReason.DRIFT, Counts(0, 0, 1))
    hands.poll.send([message(b"x") + encode(reset) + encode(Ack(Counts(0, 0, 0)))])
    assert hands.poll.over
    hands.poll.close()
    hands.service.end(hands.poll)
    for method in ("GET", "POST"):
        exchange = hands.ask(method, 1)
        assert (status(exchange), packets(exchange)) == (410, [reset])


@pytest.mark.parametrize("last", [a_close(CloseCode.NORMAL, resume=False), Reset(ResetReason.CLOSED, None)])
def test_the_last_word_of_a_client_is_answered_204(last: Packet) -> None:
    """SPEC CAR-27."""
    hands = Hands()
    hands.attach()
    parked = hands.ask("GET", 1)
    exchange = hands.ask("POST", 1, body=message(b"x") + encode(last), first=1, taken=False)
    assert [type(packet) for packet in hands.take()] == [Message, type(last)]
    assert (status(exchange), hands.poll.over) == (204, True)
    hands.poll.close()
    assert (status(parked), the(parked).body) == (401, b"")


def test_a_link_that_ends_without_a_word_delivers_what_it_has_and_is_unknown_then() -> None:
    """SPEC CAR-1, CAR-14."""
    hands = Hands()
    hands.attach()
    exchange = hands.ask("POST", 1, body=message(b"u"), first=1, taken=False)
    hands.poll.batches()
    hands.poll.send([message(b"x")])
    hands.poll.close()
    assert status(exchange) == 204
    assert hands.poll.lingering
    assert packets(hands.ask("GET", 1)) == [Message(False, b"x")]
    assert status(hands.ask("GET", 2, "1,1,1")) == 401
    hands.poll.close()
    assert not hands.poll.lingering


def test_a_link_that_ends_before_the_session_has_answered_sends_the_client_elsewhere() -> None:
    hands = Hands()
    exchange = hands.send("POST", body=encode(an_open()))
    (poll,) = hands.service.arrivals()
    poll.close()
    assert status(exchange) == 503
    (close,) = packets(exchange)
    assert isinstance(close, Close)
    assert close.code == CloseCode.GOING_AWAY


def test_what_nobody_fetches_is_let_go() -> None:
    hands = Hands()
    hands.attach()
    hands.poll.send([message(b"x"), encode(a_close())])
    hands.service.end(hands.poll)
    assert hands.poll.held_bytes == 0
    assert status(hands.ask("GET", 1)) == 503


def test_ends_are_remembered_within_bounds_and_until_a_newer_secret_is_proved() -> None:
    """SPEC CAR-25, CAR-27, SEC-3."""
    hands = Hands(PollLimits(ended=2))

    def ended(number: int) -> int | None:
        return status(hands.ask("GET", 9, generation=number, taken=False))

    for attempt in (1, 2, 3):
        hands.resume(attempt)
        hands.poll.send([encode(a_close())])
        hands.poll.close()
        hands.service.end(hands.poll)
    assert [ended(number) for number in (1, 2, 3)] == [401, 503, 503]
    hands.resume(4)
    assert ended(3) == 503
    hands.ask("GET", 1, generation=4)
    assert [ended(number) for number in (2, 3)] == [401, 401]
    hands.poll.close()
    hands.service.end(hands.poll)
    hands = Hands(PollLimits(ended=0))
    hands.attach()
    hands.poll.close()
    hands.service.end(hands.poll)
    assert status(hands.ask("GET", 1)) == 401
