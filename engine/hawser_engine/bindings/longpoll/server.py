"""One long-poll connection as the server sees it: requests in, replies out; batches in, batches out.

Rule 1: a reply carries what the client lacks by its own word, never less because of what an earlier reply has carried.
Rule 2: what the session has to say is answered when it has taken all that came before (``taken``), so that a body holds
all that window and limit allow and the counts beside it are fresh.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Final

from hawser_engine.bindings.http import Reply
from hawser_engine.codec import encode, encode_ack, encode_probe, message_at, probe_at
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.packets import Ack, Auth, Close, Opened, Packet, Ping, Pong, Reauth, Reset, Resume, Resumed

from .bodies import arrive, pieces
from .fields import (
    BODY_BYTES,
    CONTENT_TYPE,
    COUNTS,
    FIRST,
    RETRY_AFTER,
    TYPE,
    Fields,
    Standing,
    closing,
    header_text,
    secret_digest,
)
from .outflow import Outflow

__all__ = ["Exchange", "ServerPoll", "close_reply"]

_STATUS: Final[Mapping[int, int]] = {
    CloseCode.PROTOCOL_ERROR: 400,
    CloseCode.VERSION: 400,
    CloseCode.FLOW: 400,
    CloseCode.UNAUTHORIZED: 401,
    CloseCode.FORBIDDEN: 403,
    CloseCode.SUPERSEDED: 409,
    CloseCode.SESSION_ENDED: 410,
    CloseCode.NORMAL: 410,
    CloseCode.TOO_LARGE: 413,
    CloseCode.RATE: 429,
}
_UNAVAILABLE: Final = 503
_WITH_RETRY: Final = (429, _UNAVAILABLE)
_UNKNOWN: Final = Reply(401)
_BODY_HEADER: Final = (TYPE, CONTENT_TYPE)


class Exchange:
    """A request that has arrived, and its reply once there is one."""

    __slots__ = ("context", "fields", "method", "poll", "reply")

    def __init__(self, method: str, fields: Fields) -> None:
        """Start without a reply."""
        self.method: str = method
        self.fields: Fields = fields
        self.poll: ServerPoll | None = None
        """The connection that it belongs to; of an attach, the one that it makes."""
        self.reply: Reply | None = None
        self.context: object | None = None
        """For the driver alone: how it learns of the reply."""


class ServerPoll:
    """One long-poll connection; ``PollService`` makes one for each attach."""

    __slots__ = (
        "_answered",
        "_attach",
        "_auth_answer",
        "_auth_number",
        "_client",
        "_counts_owed",
        "_delivered",
        "_final",
        "_get_number",
        "_hold_over",
        "_inbox",
        "_on_attached",
        "_outflow",
        "_parked",
        "_post",
        "_post_number",
        "_proved",
        "_reauth",
        "_reauth_new",
        "_received",
        "_resume",
        "_sent",
        "_taking",
        "_told",
        "context",
        "digest",
        "generation",
        "over",
        "session",
    )

    def __init__(
        self, exchange: Exchange, body: bytes, resume: Resume | None, on_attached: Callable[["ServerPoll"], None]
    ) -> None:
        """Start with the attach.

        Args:
            exchange: The request that attaches; answered when the session has answered.
            body: Its packet, OPEN or RESUME.
            resume: That packet, if it is a RESUME.
            on_attached: Called once ``session``, ``digest`` and ``generation`` are known.
        """
        self._attach: Exchange | None = exchange
        self._resume = resume
        self._on_attached = on_attached
        self._inbox: list[bytes] = [body]
        self._taking = True
        self._answered: list[Exchange] = []
        self._outflow = Outflow(0)
        self._client = Standing(0, 0, 0)  # by maximum (SPEC CAR-15)
        self._received = self._delivered = self._sent = 0  # our own counts
        self._counts_owed = False  # the session wants them stated (SPEC ACK-1, ACK-2)
        self._parked: Exchange | None = None
        self._get_number = 0
        self._hold_over = False
        self._post: Exchange | None = None
        self._post_number = 0
        self._auth_number = 0  # of the POST with the last AUTH
        self._auth_answer: bytes | None = None
        self._reauth: bytes | None = None  # in every body until it is obeyed (SPEC CAR-20)
        self._reauth_new = False
        self._proved = False
        self._final: Reply | None = None
        self._told = False  # to a GET, with all that was sent before
        self.context: object | None = None
        """For the driver alone: what leads from here to its own objects."""
        self.session: bytes = b""
        """Its id as it stands in a header; empty before the attach is answered."""
        self.digest: bytes = b""
        """Of the secret that this attach issued, see `secret_digest` (SPEC SEC-1)."""
        self.generation: int = 0
        self.over: bool = False
        """Whether the session has no more to expect of it: client or server has ended it, or a clause was broken."""

    # Getters

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for the client's word, or for a GET."""
        return self._outflow.held_bytes

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have arrived and that ``batches`` has not returned."""
        return sum(map(len, self._inbox))

    @property
    def lingering(self) -> bool:
        """Whether it has ended and what was sent before the end has still to be fetched."""
        return self._final is not None and not self._told and self._outflow.held_bytes > 0

    # Outputs

    def batches(self) -> list[bytes]:
        """Return what has arrived for the session; call ``taken`` when it has them and has sent what it has to say."""
        batches, self._inbox = self._inbox, []
        return batches

    def answered(self) -> list[Exchange]:
        """Return the exchanges that have got their replies, each once."""
        answered, self._answered = self._answered, []
        return answered

    # Inputs from the client; the secret has been verified

    def get(self, exchange: Exchange, number: int, counts: Standing) -> None:
        """Take a GET (SPEC CAR-16, CAR-17, CAR-19)."""
        if number <= self._get_number and self._final is None:
            self._reply(exchange, 204)
            return
        self._get_number = max(number, self._get_number)
        if self._parked is not None:
            self._reply(self._parked, 204)
        self._parked = exchange
        self._hold_over = False
        if self._final is None:
            self._hear(counts)
        else:
            self._outflow.received(counts.received)
            self._answer_get()

    def post(self, exchange: Exchange, number: int, first: int | None, counts: Standing, body: bytes) -> None:
        """Take a POST (SPEC CAR-21, CAR-23, CAR-36).

        Raises:
            RemoteProtocolError: It breaks a clause; hand the exchange to ``fail``.
        """
        if self._final is not None:
            self._end(exchange)
        elif number <= self._post_number:
            self._hear(counts)
            self._repeated(exchange, number)
        else:
            arrival = arrive(body, first, self._received)
            if arrival.ahead:
                self._reply(exchange, 409)
                return
            self._post_number = number
            self._post = exchange
            for packet in arrival.packets:
                if isinstance(packet, Auth):
                    self._auth_number, self._auth_answer = number, None
                elif isinstance(packet, Reset | Close):
                    self.over = True
            self._hear(counts, arrival.batches, arrival.new)

    def fail(self, exchange: Exchange, error: RemoteProtocolError) -> None:
        """End the connection, because a request breaks a clause that is not the session's to judge."""
        if self._final is None:
            self.over = True
            self._finish(close_reply(closing(error.code, str(error))))
        self._end(exchange)

    # Inputs from the session

    def send(self, batches: Sequence[bytes]) -> None:
        """Take what the session sends, in order."""
        for batch in batches:
            pong = probe_at(batch, 0, Pong)  # the answer to the PING of nearly every request
            if pong is not None and pong[4] == len(batch) and self._final is None:
                self._delivered = pong[2]
                continue
            message = message_at(batch, 0)
            if message is not None and message[1] == len(batch):
                self._push(batch, (message[1],))
                continue
            start = 0
            ends: list[int] = []
            for piece in pieces(batch):
                if piece.counted:
                    ends.append(piece.end - start)
                    continue
                self._push(batch[start : piece.start], ends)
                start, ends = piece.end, []
                if piece.packet is not None and self._final is None:  # nothing follows the end (SPEC CLS-3, RST-4)
                    self._take(piece.packet, batch[piece.start : piece.end])
            self._push(batch[start:], ends)
        self._settle()

    def taken(self) -> None:
        """Note that the session has taken what ``batches`` returned, and has sent what it had to say."""
        if not self._inbox:
            self.unattended()

    def unattended(self) -> None:
        """Note that nobody is about to take what has arrived: it is kept here, and requests need not wait for that."""
        self._taking = False
        post = self._post
        if post is not None and self._auth_number < self._post_number:
            self._post = None
            self._reply(post, 204)
        self._settle()

    def close(self) -> None:
        """Note that the session is done with the connection; what was sent before may still be fetched."""
        self.taken()
        self.over = True
        if self._final is None:
            attaching = self._attach is not None
            self._finish(close_reply(closing(CloseCode.GOING_AWAY, "")) if attaching else _UNKNOWN)

    def forget(self) -> None:
        """Let go of what nobody has fetched; the end alone is told from now on."""
        self._outflow.clear()

    # Receiving

    def _hear(self, counts: Standing, batches: Sequence[bytes] = (), new: int = 0) -> None:
        """Give the session the proof, what a body has brought, new MESSAGEs in it, and a PING with the client's counts.

        Spec: CAR-14, CAR-15.
        """
        known = self._client
        if counts.delivered <= counts.received:
            if counts.received < known.received or counts.delivered < known.delivered:
                received_max, delivered_max = max(counts[0], known[0]), max(counts[1], known[1])
                counts = Standing(received_max, delivered_max, counts.sent)
            self._client = counts
        if not self._proved:
            self._proved = True
            self._inbox.append(encode_ack(counts.received, counts.delivered, self._received))
        self._inbox += batches
        self._received += new
        if not self.over:
            self._inbox.append(encode_probe(Ping, 0, counts.received, counts.delivered, self._received))
        self._outflow.received(counts.received)
        self._taking = True

    def _repeated(self, exchange: Exchange, number: int) -> None:
        """Answer a POST that is known already (SPEC CAR-20, CAR-21)."""
        if number == self._post_number and self._post is not None:
            self._reply(self._post, 204)  # nobody hears it: a client has one POST outstanding
            self._post = exchange
        elif number == self._auth_number and self._auth_answer is not None:
            self._reply(exchange, 200, self._auth_answer)
        else:
            self._reply(exchange, 204)

    # Sending

    def _push(self, data: bytes, ends: Sequence[int]) -> None:
        if ends and self._final is None:
            self._outflow.push_messages(data, ends)
            self._sent = max(self._sent, self._outflow.last)

    def _take(self, packet: Packet, data: bytes) -> None:
        """Do what a packet of the session means, other than MESSAGE."""
        if isinstance(packet, Opened | Resumed):
            self._attached(packet, data)
        elif isinstance(packet, Ping):
            self._hold_over = True
        elif isinstance(packet, Pong | Ack):
            if packet.counts is not None:
                self._delivered = packet.counts.delivered
            self._counts_owed = self._counts_owed or isinstance(packet, Ack)
        elif isinstance(packet, Reauth):
            self._take_reauth(packet, data)
        elif isinstance(packet, Reset):
            self.over = True
            self._outflow.clear()
            self._finish(Reply(410, (), data))
        elif isinstance(packet, Close):
            if packet.code == CloseCode.SUPERSEDED:
                self._outflow.clear()  # SPEC ATT-7
            self._finish(close_reply(packet, data))
        else:
            self._outflow.push(data, packet)

    def _attached(self, packet: Opened | Resumed, data: bytes) -> None:
        self.digest = secret_digest(header_text(packet.secret).encode("ascii"))
        if isinstance(packet, Opened):
            self.session = header_text(packet.session).encode("ascii")
        else:
            resume = self._resume
            assert resume is not None, "RESUMED answers RESUME"
            self.session, self.generation = header_text(resume.session).encode("ascii"), packet.attempt
            self._client = Standing(resume.counts.received, resume.counts.delivered, resume.counts.sent)
            counts = packet.counts
            self._received, self._delivered, self._sent = counts.received, counts.delivered, counts.sent
            self._outflow = Outflow(resume.counts.received)
        self._on_attached(self)
        exchange, self._attach = self._attach, None
        assert exchange is not None, "there is one attach"
        self._answer(exchange, Reply(200, (), data))

    def _take_reauth(self, packet: Reauth, data: bytes) -> None:
        if packet.within_ms is not None:
            self._reauth = data
            self._reauth_new = True
            return
        self._reauth = None
        self._auth_answer = data
        post, self._post = self._post, None
        if post is not None:
            self._reply(post, 200, data)

    def _settle(self) -> None:
        """Answer the parked GET if there is something to say and nothing more to be waited for (SPEC CAR-17)."""
        if self._taking or self._parked is None or self._final is not None:
            return
        if self._hold_over or self._reauth_new or self._counts_owed or self._outflow.held_bytes:
            self._answer_get()

    def _answer_get(self) -> None:
        exchange, self._parked = self._parked, None
        assert exchange is not None
        final = self._final
        head = b"" if self._reauth is None else self._reauth
        tail = b"" if final is None else final.body
        body = self._outflow.body(BODY_BYTES - len(head) - len(tail))
        data, first = (b"", 0) if body is None else (body.data, body.first)
        if final is not None and (body is None or (body.complete and tail)):
            self._told = True
            self._answer(exchange, final, data, first)
        else:
            data = head + data
            self._answer(exchange, Reply(200 if data else 204, (), data), b"", first)
        if body is not None:
            self._outflow.left(body)
        self._reauth_new = self._hold_over = False

    def _finish(self, final: Reply) -> None:
        """Answer everything with the end from now on."""
        self._final = final
        for exchange in (self._attach, self._post):
            if exchange is not None:
                self._end(exchange)
        self._attach = self._post = None
        if self._parked is not None:
            self._answer_get()

    def _end(self, exchange: Exchange) -> None:
        assert self._final is not None
        self._answer(exchange, self._final)

    def _reply(self, exchange: Exchange, status: int, body: bytes = b"") -> None:
        self._answer_with(exchange, status, (), body, 0)

    def _answer(self, exchange: Exchange, reply: Reply, before: bytes = b"", first: int = 0) -> None:
        self._answer_with(exchange, reply.status, reply.headers, before + reply.body, first)

    def _answer_with(
        self, exchange: Exchange, status: int, headers: tuple[tuple[str, str], ...], body: bytes, first: int
    ) -> None:
        if self.session:
            headers = (*headers, (COUNTS, f"{self._received},{self._delivered},{self._sent}"))
            self._counts_owed = False
        if first:
            headers = (*headers, (FIRST, header_text(first)))
        if body:
            headers = (*headers, _BODY_HEADER)
        exchange.reply = Reply(status, headers, body)
        self._answered.append(exchange)


def close_reply(packet: Close, data: bytes | None = None) -> Reply:
    """Build the reply that carries a CLOSE (SPEC 14.3, the table of statuses)."""
    status = _STATUS.get(packet.code, _UNAVAILABLE)
    headers: tuple[tuple[str, str], ...] = ()
    if status in _WITH_RETRY:
        headers = ((RETRY_AFTER, str(max(1, ceil(packet.after_min_ms / 1000)))),)
    return Reply(status, headers, encode(packet) if data is None else data)
