"""Peers without an engine: a script speaks at one end of a wire, one wait at a time.

A script is a generator. It yields how many seconds it is ready to wait, and gets the next packet from the other side,
or None if the wait or the link is over. It draws from a random stream of its own, so that it shifts nobody's draws.
"""

from collections.abc import Generator
from random import Random
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from hawser_engine.codec import encode, next_packet
from hawser_engine.packets import Packet, Resume

from .wires import Wire

if TYPE_CHECKING:
    from .world import World

__all__ = ["Puppet", "Script", "Step"]

_Result = TypeVar("_Result")
Step: TypeAlias = Generator[float, Packet | None, _Result]
"""A part of a script that comes to a result."""
Script: TypeAlias = Step[None]


class Puppet:
    """Whoever follows a script; ``side`` is its end of the wires: 0 speaks to a server, 1 to a client."""

    def __init__(self, world: "World", random: Random, side: int) -> None:
        self.world = world
        self.random = random
        self.draw = random.random
        self.side = side
        self.wire: Wire | None = None
        self.linked = False  # the other side has not ended the present link
        self._script: Script | None = None
        self._tail = b""
        self._waits = 0

    @property
    def busy(self) -> bool:
        """Whether there is a script, and it is not over."""
        return self._script is not None

    def follow(self, script: Script) -> None:
        """Begin a script."""
        self._script = script
        self._go_on(None)

    def random_bytes(self, count: int) -> bytes:
        """Return bytes for secrets and ids."""
        return self.random.getrandbits(8 * count).to_bytes(count, "big")

    # The link

    def take_up(self, wire: Wire) -> None:
        """Go on with another link; whatever still comes on the one before it is not heard."""
        self.wire = wire
        self.linked = True
        self._tail = b""

    def hang_up(self) -> None:
        """End the present link."""
        wire, self.wire = self.wire, None
        self.linked = False
        if wire is not None:
            wire.close(self.side)

    def say(self, *packets: Packet) -> None:
        """Send packets as one batch."""
        wire = self.wire
        if wire is None:
            return
        tap = wire.taps[self.side]
        data = b""
        for packet in packets:
            if isinstance(packet, Resume):
                wire.resume = packet
            data += encode(packet)
            tap.marks.append((tap.written + len(data), packet.KIND))
            if self.world.transcript.wanted:
                wire.say(self.side, f"says {packet!r:.160}")
        tap.written += len(data)
        wire.write(self.side, data)

    def hears(self, wire: Wire) -> None:
        """Read what has arrived on a link, and let the script go on."""
        other = 1 - self.side
        chunks, ended = wire.link.pipes[other].read(self.world.time)
        data = b"".join(chunks)
        wire.taps[other].arrived(len(data))
        if wire is self.wire:
            data = self._tail + data
            position = 0
            while wire is self.wire and (taken := next_packet(data, position)) is not None:
                packet, position = taken
                if packet is not None:
                    self._go_on(packet)
            if wire is self.wire:
                self._tail = data[position:]
                if ended:
                    self.linked = False
                    self._go_on(None)
        if not ended:
            wire.plan_read(other)

    # The script

    def _go_on(self, packet: Packet | None) -> None:
        script = self._script
        if script is None:
            return
        self._waits += 1
        try:
            seconds = script.send(packet)
        except StopIteration:
            self._script = None
            self.hang_up()
            return
        self.world.at(self.world.time + seconds, self._lose_patience, self._waits)

    def _lose_patience(self, wait: int) -> None:
        if wait == self._waits:
            self._go_on(None)
