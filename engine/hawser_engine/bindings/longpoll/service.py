"""All long-poll connections of one service: which request belongs to which, and what is answered without any.

Rule: until its secret is verified a request touches nothing and makes nobody hold its body.
"""

import hmac
from collections import OrderedDict
from typing import Final

from attrs import field, frozen, validators

from hawser_engine.bindings.http import Reply
from hawser_engine.codec import decode
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.packets import Close, Open, Resume

from .fields import (
    BODY_BYTES,
    CONTENT_TYPE,
    FIRST,
    GENERATION,
    NUMBER,
    SECRET,
    SESSION,
    TYPE,
    Fields,
    closing,
    fault,
    overload,
    secret_digest,
)
from .server import Exchange, ServerPoll, close_reply

__all__ = ["PollLimits", "PollService", "overloaded"]

_CONTENT_TYPE: Final = CONTENT_TYPE.encode("ascii")
_NO_DIGEST: Final = bytes(32)


@frozen(kw_only=True)
class PollLimits:
    """What one service takes; a wrong value is refused with the name of the field."""

    connections: int = field(default=10_000, validator=validators.ge(1))
    """Long-poll connections at once; an attach beyond them is answered CLOSE(OVERLOADED) (SPEC LIM-3)."""
    ended: int = field(default=1_024, validator=validators.ge(0))
    """Ended connections whose end is told again to whoever asks; the oldest are forgotten first."""
    attach_bytes: int = field(default=8_192, validator=validators.ge(512))
    """Of the body of an attach, for nobody knows yet who sends it (SPEC PKT-14)."""


class PollService:
    """One long-poll service, as pure state; requests come in as soon as their heads are there."""

    def __init__(self, limits: PollLimits | None = None) -> None:
        """Start without connections."""
        self._limits = PollLimits() if limits is None else limits
        self._polls: dict[bytes, dict[int, ServerPoll]] = {}  # by session and generation, ended ones too
        self._live: dict[ServerPoll, None] = {}
        self._ended: OrderedDict[ServerPoll, None] = OrderedDict()
        self._arrived: list[ServerPoll] = []

    @property
    def connections(self) -> int:
        """How many have not ended."""
        return len(self._live)

    # Inputs

    def begin(self, method: str, fields: Fields, length: int) -> Exchange:
        """Judge a request by its head, before its body is read.

        Args:
            method: GET or POST.
            fields: Its headers.
            length: How long the body is going to be.

        Returns:
            An exchange; if it has no reply yet, read the body and go on with ``receive``.

        Spec: CAR-12, CAR-14, PKT-14.
        """
        exchange = Exchange(method, fields)
        attaches = method == "POST" and GENERATION not in fields
        try:
            if not attaches and not self._find(exchange):
                exchange.reply = Reply(401)
            else:
                _check_form(exchange, length, self._limits.attach_bytes if attaches else BODY_BYTES)
        except RemoteProtocolError as error:
            if exchange.poll is not None:
                exchange.poll.fail(exchange, error)
            else:
                exchange.reply = _refusal(error.code, str(error))
        return exchange

    def receive(self, exchange: Exchange, body: bytes) -> None:
        """Take the body of a request that ``begin`` has let through.

        Afterwards look at ``arrivals``, and drain the exchange's connection, if it has one.
        """
        poll = exchange.poll
        if poll is None:
            self._attach(exchange, body)
            return
        fields = exchange.fields
        try:
            number, counts = fields.needed(NUMBER), fields.counts()
            if exchange.method == "GET":
                poll.get(exchange, number, counts)
            else:
                poll.post(exchange, number, fields.number(FIRST), counts, body)
        except RemoteProtocolError as error:
            poll.fail(exchange, error)
        else:
            of_session = self._polls[poll.session]
            if len(of_session) > 1:
                for older in [each for each in of_session.values() if each.generation < poll.generation]:
                    self._forget(older)  # its secret is dead now (SPEC SEC-3), so it is unknown (SPEC CAR-25)

    def end(self, poll: ServerPoll) -> None:
        """Note that the session is done with a connection; its end is told to whoever asks, for a while."""
        self._live.pop(poll, None)
        poll.forget()
        if self._polls.get(poll.session, {}).get(poll.generation) is poll:
            self._ended[poll] = None
            if len(self._ended) > self._limits.ended:
                self._forget(next(iter(self._ended)))

    # Outputs

    def arrivals(self) -> list[ServerPoll]:
        """Return the connections that have arrived, each once."""
        arrived, self._arrived = self._arrived, []
        return arrived

    # Helpers

    def _find(self, exchange: Exchange) -> bool:
        """Say whether a request names a connection and its secret (SPEC CAR-14)."""
        fields = exchange.fields
        session, secret, generation = fields.get(SESSION), fields.get(SECRET), fields.number(GENERATION)
        poll = None
        if session is not None and secret is not None and generation is not None:
            # As they are written: there is one way to write them, so nothing has to be decoded to find what is known.
            poll = self._polls.get(session, {}).get(generation)
            digest = secret_digest(secret)
            if hmac.compare_digest(digest, _NO_DIGEST if poll is None else poll.digest):
                exchange.poll = poll
                return True
        # What is malformed is told from what is unknown.
        fields.secret()
        fields.session()
        fields.needed(GENERATION)
        return False

    def _attach(self, exchange: Exchange, body: bytes) -> None:
        """Make a connection of a POST that attaches (SPEC CAR-13)."""
        try:
            packet = decode(body)
            if not isinstance(packet, Open | Resume):
                raise fault("CAR-13", "expected OPEN or RESUME and nothing else", packet.NAME)
        except RemoteProtocolError as error:
            exchange.reply = _refusal(error.code, str(error))
            return
        if len(self._live) >= self._limits.connections:
            exchange.reply = _refusal(CloseCode.OVERLOADED, "too many connections (SPEC LIM-3)")
            return
        poll = exchange.poll = ServerPoll(exchange, body, packet if isinstance(packet, Resume) else None, self._known)
        self._live[poll] = None
        self._arrived.append(poll)

    def _known(self, poll: ServerPoll) -> None:
        self._polls.setdefault(poll.session, {})[poll.generation] = poll

    def _forget(self, poll: ServerPoll) -> None:
        self._ended.pop(poll, None)
        of_session = self._polls[poll.session]
        del of_session[poll.generation]
        if not of_session:
            del self._polls[poll.session]


def overloaded(reason: str, after_seconds: int) -> Reply:
    """Build the reply to an attach for which there is no room.

    Args:
        reason: For people.
        after_seconds: When the client may come back, or in the second behind it.

    Spec: LIM-3, CAR-28.
    """
    return _closed(overload(reason, after_seconds))


def _refusal(code: int, reason: str) -> Reply:
    """Build the reply to a request that belongs to no connection."""
    return _closed(closing(code, reason))


def _closed(packet: Close) -> Reply:
    reply = close_reply(packet)
    return Reply(reply.status, (*reply.headers, (TYPE, CONTENT_TYPE)), reply.body)


def _check_form(exchange: Exchange, length: int, limit: int) -> None:
    """Check what a head tells about the body (SPEC CAR-12, CAR-16).

    Raises:
        RemoteProtocolError: It is not as it has to be.
    """
    if exchange.method == "GET" and length:
        raise fault("CAR-16", f"saw a body of {length} bytes, expected none", "GET")
    if length > limit:
        detail = f"saw {length} bytes, expected at most {limit}"
        raise RemoteProtocolError(CloseCode.TOO_LARGE, "CAR-12", detail, "body")
    if length and exchange.fields.get(TYPE) != _CONTENT_TYPE:
        raise fault("CAR-12", f"saw another type of body, expected {CONTENT_TYPE}", TYPE)
