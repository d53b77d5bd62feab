"""The client's end of a long-poll connection: batches in, requests out; replies in, batches out.

It makes at most one GET and one POST at a time. A request that fails is made again: a POST as it was, a GET with the
next number, for the server says again what is missing. How soon is the driver's business; when to give up is the
session's, which hears every reply as a PING.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from hawser_engine.bindings.http import Reply, Request
from hawser_engine.bindings.retry import away_seconds
from hawser_engine.codec import decode, encode, encode_ack, encode_probe
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.packets import Ack, Close, Open, Opened, Packet, Ping, Pong, Reset, Resume, Resumed

from .bodies import arrive, pieces
from .fields import (
    BODY_BYTES,
    CONTENT_TYPE,
    COUNTS,
    FIRST,
    GENERATION,
    NUMBER,
    RETRY_AFTER,
    SECRET,
    SESSION,
    TYPE,
    Fields,
    Standing,
    closing,
    header_text,
    overload,
)
from .outflow import Body, Outflow

__all__ = ["ClientPoll", "Retry"]

_ANSWERS: Final = (200, 204)
_ENDING: Final = (400, 401, 403, 409, 410, 413, 429, 503)
_WITHOUT_BODY: Final = (401, 409)  # SPEC CAR-14, CAR-36: only an attach can tell what is the matter
_TYPE: Final = (TYPE, CONTENT_TYPE)
_NOTHING: Final = Standing(0, 0, 0)
_LONGEST_WAIT: Final = 3_600


@frozen
class Retry:
    """A request is to be made again."""

    after_seconds: int | None
    """As it was, and not before (SPEC CAR-28). None: when the driver sees fit, as ``again`` says."""


class ClientPoll:
    """One long-poll connection as the client sees it, and after a RESET the next one in its place (SPEC CAR-27).

    Once the session has moved to a newer link it is of no use any more: its driver lets go of it without a word, and of
    the requests that wait for a reply (SPEC ATT-15).
    """

    __slots__ = (
        "_attach",
        "_attach_packet",
        "_closing",
        "_counts_owed",
        "_delivered",
        "_get",
        "_get_number",
        "_goodbye",
        "_identity",
        "_inbox",
        "_outflow",
        "_parting",
        "_post",
        "_post_body",
        "_post_number",
        "_received",
        "_taking",
        "ended",
    )

    def __init__(self) -> None:
        """Start without an attach: nothing is requested before the session sends OPEN or RESUME."""
        self._inbox: list[bytes] = []
        self._taking = False
        self._attach_packet: Open | Resume | None = None
        self._parting = False  # the session has said CLOSE, or its driver has closed this
        self.ended: str | None = None
        """How it ended, for people; None as long as it has not."""
        self._begin()

    def _begin(self) -> None:
        """Forget the connection before, of which no reply means anything any more."""
        self._attach: Request | None = None
        self._identity: tuple[tuple[str, str], ...] = ()  # empty as long as nothing is attached
        self._outflow = Outflow(0)
        self._received = self._delivered = 0
        self._get: Request | None = None
        self._get_number = 0
        self._post: Request | None = None
        self._post_body: Body | None = None
        self._post_number = 0
        self._counts_owed = False
        self._closing = False  # RESET or CLOSE is the last thing to be posted
        self._goodbye = False  # and is in the POST

    # Getters

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for the server's word, or for a POST."""
        return self._outflow.held_bytes

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have arrived and that ``batches`` has not returned."""
        return sum(map(len, self._inbox))

    def wants(self, request: Request) -> bool:
        """Say whether the reply to a request still matters."""
        return self.ended is None and any(request is each for each in (self._attach, self._get, self._post))

    # Outputs

    def batches(self) -> list[bytes]:
        """Return what has arrived for the session; call ``taken`` when it has them and has sent what it has to say."""
        batches, self._inbox = self._inbox, []
        return batches

    def requests(self) -> list[Request]:
        """Return the requests to make now, each once; every one ends in ``receive`` or ``fail``.

        A GET waits until the session has taken what the one before has brought, so that it states the newest counts.
        """
        if self.ended is not None:
            return []
        if not self._identity:
            packet = self._attach_packet
            if packet is None or self._attach is not None:
                return []
            self._attach = Request("POST", (_TYPE,), encode(packet))
            return [self._attach]
        found: list[Request] = []
        if self._get is None and not self._closing and not self._taking:
            self._get_number += 1
            self._get = self._request("GET", self._get_number)
            found.append(self._get)
        if self._post is None:
            body = self._outflow.body(BODY_BYTES)
            if body is not None or (self._counts_owed and self._get is not None):  # else a GET is about to state them
                self._post_number += 1
                self._post_body = body
                self._goodbye = self._closing and body is not None and body.complete
                self._post = self._request("POST", self._post_number, body)
                found.append(self._post)
        return found

    # Inputs from the session

    def send(self, batches: Sequence[bytes]) -> None:
        """Take what the session sends, in order; then look at ``requests``."""
        for batch in batches:
            start = 0
            ends: list[int] = []
            for piece in pieces(batch):
                if piece.counted:
                    ends.append(piece.end - start)
                    continue
                self._push(batch[start : piece.start], ends)
                start, ends = piece.end, []
                if piece.packet is not None:
                    self._take(piece.packet, batch[piece.start : piece.end])
            self._push(batch[start:], ends)

    def taken(self) -> None:
        """Note that the session has taken what ``batches`` returned, and has sent what it had to say."""
        if not self._inbox:
            self._taking = False

    def unattended(self) -> None:
        """Note that nobody is about to take what has arrived: it is kept here, and a GET need not wait for that."""
        self._taking = False

    def close(self) -> None:
        """Say goodbye for a session that has not: it goes on elsewhere (SPEC CAR-27)."""
        if not self._identity:
            self._end("closed before it was attached")
        elif self._closing:
            self._part()
        elif self.ended is None:
            packet = closing(CloseCode.GOING_AWAY, "")
            self._take(packet, encode(packet))

    # Inputs from the server

    def receive(self, request: Request, reply: Reply) -> Retry | None:
        """Take the reply to a request; then drain ``batches``, and after ``taken`` look at ``requests``.

        Returns:
            What to do with the same request, None if it is done with.

        Spec: CAR-19, CAR-24, CAR-28, CAR-35.
        """
        if not self.wants(request):
            return None
        fields = Fields.written(reply.headers)
        status, body = reply.status, reply.body
        try:
            if body and fields.get(TYPE) != CONTENT_TYPE.encode("ascii"):
                return self._stranger(request, reply)
            if request is self._attach:
                return self._attached(request, reply)
            if status == 429 and not body:
                return Retry(min(fields.needed(RETRY_AFTER), _LONGEST_WAIT))
            if status in _ANSWERS and bool(body) == (status == 200):
                self._hear(request, status, fields.counts(), fields.number(FIRST), body)
            elif body and status in _ENDING:
                self._hear(request, status, _NOTHING, fields.number(FIRST), body)
            elif not body and status in _WITHOUT_BODY:
                self._end(f"the server answered {status}")
            else:
                return self.fail(request)
        except RemoteProtocolError:
            return self.fail(request)
        return None

    def fail(self, request: Request) -> Retry | None:
        """Note that a request has no reply, or none that means anything (SPEC CAR-24)."""
        if not self.wants(request):
            return None
        if request is self._attach:
            self._end("the attach was not answered")
            return None
        return Retry(None)

    def again(self, request: Request) -> Request | None:
        """Return what to send in place of a request that has failed, None if it is of no interest any more.

        Spec: CAR-16, CAR-21.
        """
        if not self.wants(request):
            return None
        if request is self._get:
            if self._closing:
                self._get = None
                return None
            self._get_number += 1
            self._get = request = self._request("GET", self._get_number)
            self._counts_owed = True  # a POST is to bring what the lost reply may have told (SPEC CAR-28)
        return request

    # Sending

    def _push(self, data: bytes, ends: Sequence[int]) -> None:
        if ends and self._identity:  # else as in `_take`
            self._outflow.push_messages(data, ends)

    def _take(self, packet: Packet, data: bytes) -> None:
        """Do what a packet of the session means, other than MESSAGE."""
        if isinstance(packet, Open | Resume):
            self._attach_packet = packet
        elif not self._identity:
            # Said before the server's RESET was heard, of a session that is over: not for the next one (SPEC RST-4).
            if isinstance(packet, Close):
                self._end("closed before it was attached")
        elif isinstance(packet, Pong | Ack | Ping):
            if packet.counts is not None:
                self._delivered = packet.counts.delivered
            self._counts_owed = self._counts_owed or not isinstance(packet, Pong)
        else:
            if isinstance(packet, Reset):
                self._outflow.clear()  # SPEC RST-4
            self._outflow.push(data, packet)
            self._closing = self._closing or isinstance(packet, Reset | Close)
            if isinstance(packet, Close):
                self._part()

    def _part(self) -> None:
        """Let nothing follow the last word, not even the OPEN behind a RESET (SPEC CLS-3, CAR-27)."""
        self._parting = True
        self._attach_packet = None

    def _request(self, method: str, number: int, body: Body | None = None) -> Request:
        headers = [
            *self._identity,
            (NUMBER, header_text(number)),
            (COUNTS, Standing(self._received, self._delivered, self._outflow.last).text),
        ]
        self._counts_owed = False
        if body is None:
            return Request(method, tuple(headers), b"")
        if body.first:
            headers.append((FIRST, header_text(body.first)))
        return Request(method, (*headers, _TYPE), body.data)

    # Receiving

    def _attached(self, request: Request, reply: Reply) -> Retry | None:
        """Take the answer to the attach (SPEC CAR-13)."""
        status, body = reply.status, reply.body
        if not body or status not in (200, *_ENDING):
            return self._stranger(request, reply)
        sent = self._attach_packet
        packet = decode(body)
        self._attach_packet = None
        self._give(body)
        if isinstance(packet, Opened) and isinstance(sent, Open):
            self._identify(packet.session, packet.secret, 0)
        elif isinstance(packet, Resumed) and isinstance(sent, Resume):
            self._identify(sent.session, packet.secret, sent.attempt)
            self._outflow = Outflow(packet.counts.received)
            self._received, self._delivered = sent.counts.received, sent.counts.delivered
        elif isinstance(packet, Reset):
            self._begin()
        else:
            self._end(f"the server answered {status}")
        return None

    def _stranger(self, request: Request, reply: Reply) -> Retry | None:
        """Take a reply that is none of the protocol's (SPEC CAR-24); an attach may have been asked to come later."""
        seconds = away_seconds(
            reply.status, [value.encode("ascii") for name, value in reply.headers if name == RETRY_AFTER]
        )
        if seconds is None or request is not self._attach:
            return self.fail(request)
        why = f"the server answered {reply.status}"
        self._attach_packet = None
        self._give(encode(overload(why, seconds)))  # the session hears it as it would on any carriage (SPEC CAR-35)
        self._end(why)
        return None

    def _identify(self, session: bytes, secret: bytes, generation: int) -> None:
        self._attach = None
        self._identity = (
            (SESSION, header_text(session)),
            (SECRET, header_text(secret)),
            (GENERATION, header_text(generation)),
        )

    def _hear(self, request: Request, status: int, counts: Standing, first: int | None, body: bytes) -> None:
        arrival = arrive(body, first, self._received)
        if request is self._get:
            self._get = None
        elif not self._posted(counts, status):
            return
        if arrival.ahead and first is not None:
            # For the session to find that its count and the server's differ (SPEC CNT-4, CNT-5).
            self._give(encode_ack(counts.received, counts.delivered, first - 1))
            return
        if self._closing:  # behind its last word the session takes nothing (SPEC CLS-3, RST-4)
            arrival = arrival._replace(new=0)
        self._received += arrival.new
        self._give(*arrival.batches)
        for packet in arrival.packets:
            if isinstance(packet, Reset):
                if self._parting:
                    self._end("closed")
                else:
                    self._begin()
                return
            if isinstance(packet, Close):
                self._end(f"the server closed with {packet.code}")
                return
        if status not in _ANSWERS:
            self._end(f"the server answered {status}")
            return
        self._outflow.received(counts.received)
        self._give(encode_probe(Ping, 0, counts.received, counts.delivered, self._received))

    def _posted(self, counts: Standing, status: int) -> bool:
        """Note that the POST is answered; say whether the connection goes on."""
        body, self._post_body = self._post_body, None
        self._post = None
        if body is not None:
            self._outflow.left(body)
        if self._goodbye:
            if self._attach_packet is None:
                self._end("closed")
            else:
                self._begin()  # after a RESET of this side: the OPEN is a new connection's
            return False
        if status in _ANSWERS and body is not None and counts.received < body.last:
            self._end("the server has not taken what it answered")
            return False
        return True

    def _give(self, *batches: bytes) -> None:
        self._inbox += batches
        self._taking = True

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why
            self._outflow.clear()
