"""One HTTP exchange under way: a request as it left once, and whoever waits for its reply."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hawser_engine.bindings.http import Request
    from hawser_engine.bindings.longpoll import ServerPoll

    from .chains import Chain

__all__ = ["Travel"]


class Travel:
    """One transmission; a request that is made again travels again."""

    __slots__ = (
        "attaches",
        "chain",
        "copy",
        "doubled",
        "get",
        "left",
        "lost",
        "number",
        "request",
        "served_by",
        "stale",
        "tries",
    )

    def __init__(self, chain: "Chain", request: "Request", tries: int, left: int) -> None:
        self.chain = chain
        self.request = request
        self.tries = tries
        """How often the request has travelled before."""
        self.left = left
        """Its place in the order in which the requests of its chain have left."""
        self.copy = False
        """Made by the network, beside the one that the client has sent."""
        self.doubled = False
        """There is such a copy, or it is one."""
        self.lost = False
        """Something on its way has broken; it arrives nowhere any more."""
        self.get = request.method == "GET"
        self.attaches = not any(name == "hawser-number" for name, _ in request.headers)
        """It belongs to no connection, and asks for one (SPEC CAR-13)."""
        self.served_by: ServerPoll | None = None
        """The connection that it has reached at the server."""
        self.number = 0
        """Its poll or request number, once it has arrived."""
        self.stale = False
        """A GET whose number was not higher than the highest when it arrived (SPEC CAR-16)."""
