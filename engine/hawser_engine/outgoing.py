"""What one connection holds for the network: packets, joined into batches when they leave (SPEC PKT-5, LIM-6)."""

from typing import TYPE_CHECKING

from .codec import MAX_BATCH

if TYPE_CHECKING:
    from .passage import Passage

__all__ = ["Outgoing"]


class Outgoing:
    """Packets in order, kept by reference; a shared batch that leaves alone is not copied."""

    __slots__ = ("_packets", "_size", "passage", "states_counts", "unwritten")

    def __init__(self) -> None:
        """Start empty."""
        self._packets: list[bytes] | None = None  # made on first use, and handed out with what it holds
        self._size = 0
        self.unwritten: int = 0
        """Bytes queued here that the network has not taken, as far as ``written`` told."""
        self.states_counts: bool = False
        """Whether the last packet states the counts, so that no ACK need follow (SPEC ACK-3)."""
        self.passage: Passage | None = None
        """The way past this queue, once it was laid; closed by whatever is queued."""

    def __bool__(self) -> bool:
        return self._packets is not None

    def push(self, packet: bytes) -> None:
        """Queue one packet, or shared packets."""
        if self._packets is None:
            self._packets = [packet]
        else:
            self._packets.append(packet)
        size = len(packet)
        self._size += size
        self.unwritten += size
        self.states_counts = False
        if self.passage is not None:
            self.passage.close()

    def take(self) -> list[bytes]:
        """Hand everything out, in as few batches as the limit allows."""
        packets = self._packets
        if packets is None:
            return []
        self._packets = None
        self._size = 0
        return packets if len(packets) == 1 else _joined(packets)

    def written(self, left: int) -> None:
        """Note that of all that was handed out ``left`` bytes still wait."""
        self.unwritten = left + self._size

    def clear(self) -> None:
        """Drop what has not been handed out (SPEC ATT-7)."""
        self.unwritten -= self._size
        self._packets = None
        self._size = 0


def _joined(packets: list[bytes]) -> list[bytes]:
    batches: list[bytes] = []
    run: list[bytes] = []
    size = 0
    for packet in packets:
        if size + len(packet) > MAX_BATCH:
            batches.append(b"".join(run))
            run, size = [], 0
        run.append(packet)
        size += len(packet)
    batches.append(b"".join(run))
    return batches
