"""What a connection through the proxy meets, drawn from a seed."""

from __future__ import annotations

import random
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Direction(Enum):
    """Which way bytes go."""

    UP = "up"
    """From who connected to the target."""
    DOWN = "down"
    """Back."""


class Kind(Enum):
    """How a connection breaks."""

    RESET = "reset"
    """Both ends get a TCP reset; what the proxy still held is gone."""
    TRUNCATE = "truncate"
    """Both ends get an orderly end, in the middle of whatever was being said."""
    HALF_CLOSE = "half-close"
    """One direction ends in order and takes no more; the other goes on."""
    BLACKHOLE = "blackhole"
    """Every byte is taken and none arrives, either way; nothing ends."""


@attrs.frozen
class Fault:
    """One break, at an exact byte."""

    kind: Kind
    after: int
    """Bytes that pass in ``direction`` before it; what follows them does not."""
    direction: Direction = Direction.DOWN


@attrs.frozen(kw_only=True)
class Route:
    """What one connection meets."""

    fault: Fault | None = None
    latency: float = 0.0
    """Seconds that each piece waits."""
    rate: int | None = None
    """Bytes per second, each way; None: as fast as they come."""
    late: float = 0.0
    """The share of pieces that come `late_seconds` later than others, as if TCP had to send them again."""
    late_seconds: float = 0.0
    refused: bool = False
    """The connection is accepted and reset before a byte passes."""


Plan: TypeAlias = "Callable[[random.Random], Route]"
"""Draws the route of one connection. The generator depends on the seed and the connection's number only."""


def clear(_: random.Random) -> Route:
    """No fault at all."""
    return Route()


def breaking(
    kinds: Sequence[Kind] = tuple(Kind),
    *,
    after: tuple[int, int] = (0, 20_000),
    chance: float = 1.0,
    latency: tuple[float, float] = (0.0, 0.0),
    rate: int | None = None,
) -> Plan:
    """Break so many of the connections, each at a random byte of a random direction.

    Args:
        kinds: How they break, each as likely as the others.
        after: The least and the most bytes that pass before it.
        chance: How many of them break.
        latency: The least and the most seconds that a piece waits; drawn once for each connection.
        rate: Bytes per second, each way.
    """

    def plan(dice: random.Random) -> Route:
        fault = None
        if dice.random() < chance:
            fault = Fault(dice.choice(kinds), dice.randint(*after), dice.choice(tuple(Direction)))
        return Route(fault=fault, latency=dice.uniform(*latency), rate=rate)

    return plan


def first(routes: Sequence[Route], then: Plan = clear) -> Plan:
    """Give the first connections these routes, in order, and all later ones what ``then`` draws."""
    left = list(routes)

    def plan(dice: random.Random) -> Route:
        return left.pop(0) if left else then(dice)

    return plan


def draw(plan: Plan, seed: int, number: int) -> Route:
    """The route of a connection: the same for the same seed and number, whatever the others do."""
    return plan(random.Random(f"{seed}/{number}"))
