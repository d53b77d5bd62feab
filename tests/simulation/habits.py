"""Which links are chains of requests, and what goes wrong with requests: the draws of one seed.

They come from a source of their own, so that a world without such links is what it would be without this file.
"""

from enum import Enum
from random import Random
from typing import Final

from attrs import frozen

from hawser_engine.bindings.longpoll import PollLimits

from .plan import Plan

__all__ = ["Carriage", "PollPlan"]

_WORLDS: Final = 0.14
"""Share of the worlds in which somebody polls."""


class Carriage(Enum):
    """How a link moves its batches."""

    STREAM = "stream"
    """As bytes in a row, or batch by batch."""
    POLL = "poll"
    """In requests and replies."""


@frozen(kw_only=True)
class PollPlan:
    """The draws."""

    shares: tuple[float, ...]
    """For each client, the share of its links that poll."""
    lost: float
    """Share of the requests, and of the replies, that are lost."""
    cut: float
    """Share of them that break off at some byte."""
    refused: float
    """Share of the requests that something before the server answers."""
    doubled: float
    """Share of the requests that arrive twice."""
    late: float
    """Share of requests and replies that take long, so that others overtake them."""
    patience_seconds: float
    """A server waits so long for a request once a hold is over (SPEC CAR-26)."""
    get_seconds: float
    """A client gives a GET up after this: more than hold and pong wait."""
    post_seconds: float
    """And a POST after this: one pong wait."""
    retry_seconds: float
    """The longest pause before a request is made again."""
    held_bytes: int
    """What one end keeps for the other before its sender waits (SPEC LIM-4)."""
    limits: PollLimits
    migrate_every: float
    """Mean seconds between moves of a session from one link to another."""

    @property
    def used(self) -> bool:
        """Whether anybody polls."""
        return any(self.shares)

    @property
    def settling_seconds(self) -> float:
        """What it takes longer until everything has arrived: a link is given up, and its server finds it dead."""
        return 2.0 * self.get_seconds + self.patience_seconds + 4.0 * self.retry_seconds if self.used else 0.0

    @classmethod
    def drawn(cls, random: Random, plan: Plan) -> "PollPlan":
        """Draw everything that stays the same while the world of a seed runs."""
        draw = random.random
        polls = draw() < _WORLDS

        def rate(highest: float) -> float:
            return highest * draw() * draw() if draw() < 0.7 else 0.0

        shares = [(1.0, 0.5, 0.0)[int(3 * draw())] for _ in range(plan.clients)]
        shares[int(draw() * plan.clients)] = 0.5 + 0.5 * (draw() < 0.5)
        hold = plan.server.ping_interval_seconds + plan.server.pong_wait_seconds
        return cls(
            shares=tuple(shares) if polls else (0.0,) * plan.clients,
            lost=rate(0.3),
            cut=rate(0.15),
            refused=rate(0.15),
            doubled=rate(0.4),
            late=rate(0.4),
            patience_seconds=2.0 + 6.0 * draw(),
            get_seconds=hold * (1.0 + 0.3 * draw()),
            post_seconds=plan.client.pong_wait_seconds,
            retry_seconds=0.2 + 2.0 * draw(),
            held_bytes=1 + int(20_000 * draw() * draw()),
            limits=PollLimits(connections=6 * plan.clients + int(10 * draw()), ended=int(12 * draw())),
            migrate_every=2.0 + 8.0 * draw(),
        )
