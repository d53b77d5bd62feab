"""What a server's replies must be (SPEC CAR-15 to CAR-26).

C3: they say what is due, and what is true. C4: what is answered is taken. C6: what there is to say is said at once.
"""

from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.longpoll import ServerPoll
from hawser_engine.packets import Auth, Close, Message, Reauth, Reset

from .ledger import Page, check_body, counts_of, walk

if TYPE_CHECKING:
    from hawser_engine.bindings.http import Reply

    from .books import Pair
    from .chains import Chain
    from .travels import Travel

__all__ = ["Answering"]

_ANSWERED: Final = (200, 204)
_FENCED: Final = 409
_STATUSES: Final = (200, 204, 400, 401, 403, 409, 410, 413, 429, 503)


class Answering(Page):
    """The requests that reach one living connection, and the replies to them."""

    def __init__(self, chain: "Chain") -> None:
        super().__init__(chain)
        self.parked: Travel | None = None
        """The GET with the highest number, as long as it is not answered."""
        self._replaced: Travel | None = None  # the one before it, likewise
        self._posting: Travel | None = None  # the one with the highest number that arrived last
        self._get = self._post = 0  # the highest numbers
        self._stated = 0  # the highest `received` of the client
        self._told = 0  # and of the server
        self._pings = 0

    def begins(self, received: int) -> None:
        """Begin with another connection, whose attach states what its client has received."""
        self._get = self._post = self._told = 0
        self.parked = self._replaced = self._posting = None
        self._stated = received
        self._pings = self._chain.taps[1].pings

    def stands(self, poll: ServerPoll) -> str:
        """Say whether a GET of a connection is parked."""
        return "free" if self.parked is None or self.parked.served_by is not poll else "parked"

    def is_again(self, travel: "Travel", number: int) -> bool:
        """Say whether a request that arrives has a number that one before it had, or a lower one."""
        return number <= (self._get if travel.get else self._post)

    # Requests

    def comes(self, travel: "Travel", poll: ServerPoll) -> None:
        """Note a request that names the living connection, before it is judged."""
        values = dict(travel.request.headers)
        travel.served_by = poll
        travel.number = int(values["hawser-number"])
        if not travel.get:
            if travel.number >= self._post:
                self._post, self._posting = travel.number, travel
        elif travel.number <= self._get:
            travel.stale = True
            return
        else:
            self._get = travel.number
            self._replaced, self.parked = self.parked, travel
            self._pings = self._chain.taps[1].pings
        self._stated = max(self._stated, counts_of(values)[0])

    # Replies

    def answers(self, travel: "Travel", reply: "Reply") -> None:
        """Check a reply to a request that has reached the connection."""
        status = reply.status
        if status not in _STATUSES:
            raise self._wrong("C3", f"status {status}", "CAR-24")
        newest = travel is self.parked
        if newest:
            self.parked = None
        elif travel is self._replaced:
            self._replaced = None
        if not newest and travel.get and (status == 200 or (status == 204 and reply.body)):
            raise self._wrong("C3", f"GET {travel.number} is not the highest, and is answered {status}", "CAR-16")
        pair = self._pair(1)
        if pair is None or status not in _ANSWERED:
            return
        values = dict(reply.headers)
        received = self._check_claims(values, pair)
        if travel.get:
            if newest:
                self._check_get(reply, values, pair)
        else:
            self._check_post(travel, reply, received, pair)

    def check_fence(self, poll: ServerPoll, travel: "Travel", reply: "Reply") -> None:
        """Once a newer attempt is taken, requests of the older one are told so, and get nothing of the session."""
        pair = self._chain.taps[1].pair
        if pair is None or pair.attempt <= poll.generation:
            return
        # What a link that had ended before has still to be fetched is under way, as bytes in a socket would be.
        if reply.status == _FENCED and any(kind == Message.KIND for kind, _, _ in walk(reply.body)):
            raise self._wrong("C3", f"generation {poll.generation} is brought messages after {pair.attempt}", "ATT-7")
        if travel.served_by is not poll or reply.status not in _ANSWERED:
            return
        if travel.get or not reply.body:  # the answer to AUTH has waited since before
            what = f"generation {poll.generation} is answered {reply.status} after {pair.attempt}"
            raise self._wrong("C3", what, "CAR-25")

    def _check_claims(self, values: dict[str, str], pair: "Pair") -> int:
        received, delivered, sent = counts_of(values)
        up = pair.up
        if up is not None and (received > len(up.parts) or delivered > up.stated):
            raise self._wrong("C3", f"received {received}, delivered {delivered} are stated", "CAR-15")
        if received < self._told or sent > self._chain.taps[1].number:
            raise self._wrong("C3", f"received {received} and sent {sent} are stated", "CAR-15")
        self._told = received
        return received

    def _check_get(self, reply: "Reply", values: dict[str, str], pair: "Pair") -> None:
        first = values.get("hawser-first")
        if first is not None and int(first) != self._stated + 1:
            raise self._wrong("C3", f"a body begins at {first}, received {self._stated} was stated", "CAR-19")
        number, wrong = check_body(reply.body, first, pair.down, self._chain.taps[1].number)
        if wrong is not None:
            raise self._wrong("C3", f"part {number} of a body is {wrong[:8]!r}", "CAR-19")
        if self._chain.asked and all(kind != Reauth.KIND for kind, _, _ in walk(reply.body)):
            raise self._wrong("C3", "a body lacks the REAUTH that is not obeyed", "CAR-20")

    def _check_post(self, travel: "Travel", reply: "Reply", received: int, pair: "Pair") -> None:
        for _, _, packet in walk(reply.body):
            if not isinstance(packet, Reauth | Reset | Close):
                raise self._wrong("C3", f"{packet} answers a POST", "CAR-18, CAR-20")
        if pair.up is None or travel is not self._posting:
            return
        body = travel.request.body
        if not reply.body and any(kind == Auth.KIND for kind, _, _ in walk(body)):
            raise self._wrong("C3", f"POST {travel.number} brought AUTH, and its answer is empty", "CAR-20")
        first = dict(travel.request.headers).get("hawser-first")
        last, _ = check_body(body, first, pair.up, len(pair.up.parts))
        if received < last:
            raise self._wrong("C4", f"POST {travel.number} goes to part {last}, answered is {received}", "CAR-23")

    def settled(self, poll: ServerPoll) -> None:
        """Check that nothing waits for a GET that is there, once the server has done what it can (C6)."""
        tap, parked = self._chain.taps[1], self.parked
        if self._replaced is not None and self._replaced.served_by is poll:
            raise self._wrong("C6", f"GET {self._replaced.number} is replaced, and not answered", "CAR-16")
        if parked is None or parked.served_by is not poll or self._chain.left(1):
            self._pings = tap.pings
            return
        if tap.pair is not None and tap.number > self._stated:
            raise self._wrong("C6", f"GET {parked.number} is parked; {tap.number} was sent", "CAR-17")
        if tap.pings != self._pings:
            raise self._wrong("C6", f"GET {parked.number} is parked though its hold is over", "CAR-17")
