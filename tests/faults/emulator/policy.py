"""What becomes of each packet on a link: pure, and the same again for the same seed, packets and times."""

from __future__ import annotations

import random
from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs
from attrs import field, validators

from tests.faults.emulator import packets

if TYPE_CHECKING:
    from tests.faults.emulator.packets import Flow

INSIDE: Final = bytes((10, 77, 0, 2))
"""The address that the near host has, and that it goes by where nothing changes it."""
FAR: Final = bytes((10, 77, 1, 1))
"""The address of the far host."""
FLOWS_MAX: Final = 10_000
"""Conversations that one address carries; a packet that would begin another one is dropped."""

_OUTSIDE: Final = bytes((10, 78))
_share: Final = [validators.ge(0.0), validators.lt(1.0)]


class Direction(Enum):
    """Which way a packet goes."""

    UP = "up"
    """From the near host, where clients are."""
    DOWN = "down"
    """Back to it."""


@attrs.frozen(kw_only=True)
class Conditions:
    """How bad a link is; by default it is perfect."""

    loss: float = field(default=0.0, validator=_share)
    """The share of packets that never arrive, each way."""
    delay_seconds: float = field(default=0.0, validator=validators.ge(0.0))
    """How long each packet is under way; the round trip is twice that."""
    jitter_seconds: float = field(default=0.0, validator=validators.ge(0.0))
    """The most by which that is longer, drawn for each packet; so packets overtake one another."""
    reordered: float = field(default=0.0, validator=_share)
    """The share of packets that are held back by `held_seconds`, so that later ones overtake them."""
    held_seconds: float = field(default=0.03, validator=validators.gt(0.0))
    duplicated: float = field(default=0.0, validator=_share)
    """The share of packets that arrive twice."""
    bytes_per_second: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    """The rate of the line, each way; what comes quicker waits in a queue."""
    queue_bytes: float = field(default=32_768.0, validator=validators.ge(1_500.0))
    """What that queue holds; more is dropped."""
    up_seconds: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    """The link is there for so long, then swallows everything for `down_seconds`, and so on; None: always there."""
    down_seconds: float = field(default=2.0, validator=validators.gt(0.0))
    address_seconds: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    """So often the near host gets another address to the outside, and whatever went over the old one hears nothing.

    Give or take a fifth, drawn for each: no network keeps step with the timers of those who use it.
    """

    def is_down(self, now: float) -> bool:
        """Whether the link swallows everything just now."""
        return self.up_seconds is not None and now % (self.up_seconds + self.down_seconds) >= self.up_seconds

    def seconds_down(self, start: float, end: float) -> float:
        """For how long of a time it does."""
        if self.up_seconds is None:
            return 0.0
        return self._down_until(end) - self._down_until(start)

    def _down_until(self, now: float) -> float:
        assert self.up_seconds is not None
        rounds, rest = divmod(now, self.up_seconds + self.down_seconds)
        return rounds * self.down_seconds + max(0.0, rest - self.up_seconds)


@attrs.define
class Counts:
    """What a link has seen, by the packets that hosts have sent."""

    packets: int = 0
    bytes: int = 0
    dropped: int = 0


class Policy:
    """One link between two hosts."""

    def __init__(self, conditions: Conditions, seed: int = 0) -> None:
        self.conditions = conditions
        self.counts = {direction: Counts() for direction in Direction}
        self._dice = {direction: random.Random(f"{seed}/{direction.value}") for direction in Direction}
        self._addresses = random.Random(f"{seed}/addresses")
        self._free_at = dict.fromkeys(Direction, 0.0)
        self._period = 0
        self._address_until = 0.0 if conditions.address_seconds is None else self._lifetime(conditions.address_seconds)
        self._flows: set[Flow] = set()

    def carry(self, direction: Direction, packet: bytes, now: float) -> list[tuple[float, bytes]]:
        """Decide what becomes of a packet.

        Args:
            direction: Which way it goes.
            packet: Whole, from the header of IPv4 on. Of other protocols nothing is carried.
            now: Seconds since the link began; never less than before.

        Returns:
            What enters the other host, and when: nothing, the packet, or the packet twice.
        """
        counts = self.counts[direction]
        counts.packets += 1
        counts.bytes += len(packet)
        carried = self._carry(direction, packet, now) if packets.is_ipv4(packet) else []
        counts.dropped += not carried
        return carried

    def _carry(self, direction: Direction, packet: bytes, now: float) -> list[tuple[float, bytes]]:
        conditions, dice = self.conditions, self._dice[direction]
        # Each fault is drawn for each packet, so that one kind of fault more does not move the others.
        lost, held, doubled = (
            dice.random() < share for share in (conditions.loss, conditions.reordered, conditions.duplicated)
        )
        jitter = dice.random() * conditions.jitter_seconds
        if conditions.is_down(now) or lost:
            return []
        if conditions.address_seconds is not None:
            while now >= self._address_until:
                self._period += 1
                self._flows.clear()
                self._address_until += self._lifetime(conditions.address_seconds)
            translated = self._translate(direction, packet)
            if translated is None:
                return []
            packet = translated
        left = self._leave(direction, len(packet), now)
        if left is None:
            return []
        when = left + conditions.delay_seconds + jitter + held * conditions.held_seconds
        return [(when, packet)] * (2 if doubled else 1)

    def _leave(self, direction: Direction, size: int, now: float) -> float | None:
        """When the last byte of a packet has left for the line; None if the queue is full."""
        rate = self.conditions.bytes_per_second
        if rate is None:
            return now
        begin = max(now, self._free_at[direction])
        if (begin - now) * rate + size > self.conditions.queue_bytes:
            return None
        self._free_at[direction] = begin + size / rate
        return self._free_at[direction]

    def _lifetime(self, seconds: float) -> float:
        return seconds * self._addresses.uniform(0.8, 1.2)

    def _translate(self, direction: Direction, packet: bytes) -> bytes | None:
        """Give a packet the address of the period; None for one of a conversation that an earlier one began.

        A conversation is not answered by a reset: it meets silence, as those of a telephone that has left a network.
        """
        if not self._period:  # what is there when the link begins has its first address, which is its own
            return packet
        outside = _OUTSIDE + (self._period % 65_536).to_bytes(2)
        known = packets.flow(packet, sent=direction is Direction.UP)
        if direction is Direction.DOWN:
            if packets.destination(packet) != outside or known not in self._flows:
                return None
            return packets.to_destination(packet, INSIDE)
        if known not in self._flows:
            if not packets.opens(packet) or len(self._flows) >= FLOWS_MAX:
                return None
            self._flows.add(known)
        return packets.from_source(packet, outside)
