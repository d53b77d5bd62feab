"""C2: a client's requests are numbered, repeated and given up as SPEC CAR-14 to CAR-28 say, and state what is true."""

from typing import TYPE_CHECKING, Final

from .ledger import Page, check_body, counts_of

if TYPE_CHECKING:
    from hawser_engine.bindings.http import Reply, Request

    from .chains import Chain

__all__ = ["Asking"]

_ENDS: Final = (400, 401, 403, 409, 410, 413)


class Asking(Page):
    """The requests of one link."""

    def __init__(self, chain: "Chain") -> None:
        super().__init__(chain)
        self._identity: tuple[str, ...] = ()  # of the present connection: session and generation
        self._over: tuple[str, ...] = ()  # of one of which the server has said that it is over
        self._get: Request | None = None
        self._post: Request | None = None
        self._get_number = self._post_number = 0
        self._posted = True  # the last POST is answered
        self._claimed = (0, 0)

    def leaves(self, request: "Request") -> None:
        """Check a request as it leaves, for the first time or again."""
        values = dict(request.headers)
        if "hawser-number" not in values:
            return  # an attach
        identity = values["hawser-session"], values["hawser-generation"]
        if identity == self._over:
            raise self._wrong("C2", f"{request.method} leaves on a connection that is over", "CAR-14, CAR-27")
        if identity != self._identity:
            self._identity = identity
            self._get_number = self._post_number = 0
            self._post = None
            self._posted = True
            self._claimed = (0, 0)
        number = int(values["hawser-number"])
        if request.method == "GET":
            if request is self._get:
                return  # somebody wanted it later (SPEC CAR-28)
            if number <= self._get_number:
                raise self._wrong("C2", f"GET {number} leaves after {self._get_number}", "CAR-16")
            self._get, self._get_number = request, number
        else:
            if self._is_post_again(request, number):
                return
            self._post, self._post_number = request, number
            self._posted = False
        self._check_claims(values, request.body)

    def _is_post_again(self, request: "Request", number: int) -> bool:
        before = self._post
        if number == self._post_number and before is not None:
            if (before.headers, before.body) != (request.headers, request.body):
                raise self._wrong("C2", f"POST {number} is made again with another content", "CAR-21")
            return True
        if number != self._post_number + 1 or not self._posted:
            answered = "answered" if self._posted else "not answered"
            raise self._wrong("C2", f"POST {number} leaves after {self._post_number}, which is {answered}", "CAR-21")
        return False

    def told(self, request: "Request", reply: "Reply", *, answered: bool) -> None:
        """Note a reply, and whether the client takes it for an answer."""
        values = dict(request.headers)
        self._posted = self._posted or (answered and request is self._post)
        if reply.status in _ENDS and "hawser-number" in values:
            self._over = values["hawser-session"], values["hawser-generation"]

    def get_is_again(self) -> None:
        """Check that a POST is under way, now that a GET has failed (SPEC CAR-28)."""
        if self._posted:
            raise self._wrong("C2", f"GET {self._get_number} leaves for one that failed, and no POST", "CAR-28")

    def _check_claims(self, values: dict[str, str], body: bytes) -> None:
        pair = self._pair(0)
        if pair is None or pair.up is None:
            return
        received, delivered, sent = counts_of(values)
        arrived = self._chain.arrivals.numbers[1]
        if (arrived is not None and received > arrived) or received > len(pair.down.parts):
            raise self._wrong("C2", f"received {received} is stated, {arrived} has come", "CAR-15")
        if delivered > pair.down.stated or sent > self._chain.taps[0].number:
            raise self._wrong("C2", f"delivered {delivered} and sent {sent} are stated", "CAR-15")
        if received < self._claimed[0] or delivered < self._claimed[1]:
            raise self._wrong("C2", f"{received}, {delivered} are stated after {self._claimed}", "CAR-15")
        self._claimed = received, delivered
        number, wrong = check_body(body, values.get("hawser-first"), pair.up, sent)
        if wrong is not None:
            raise self._wrong("C2", f"part {number} of a body is {wrong[:8]!r}", "CAR-21")
