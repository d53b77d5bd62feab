"""A readable record of one world: what was done, what was sent, what arrived."""

import hashlib

from hawser_engine.packets import Message, Packet, Volatile

__all__ = ["Transcript", "describe"]


class Transcript:
    """Lines in order, if anybody wants them."""

    __slots__ = ("lines", "wanted")

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.lines: list[str] = []

    def add(self, time: float, who: str, text: str) -> None:
        """Write a line down; callers ask ``wanted`` first."""
        self.lines.append(f"{time:9.3f}  {who:<12} {text}")

    def digest(self) -> str:
        """Return a hash of everything."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


def describe(packet: Packet | None) -> str:
    """Return one line for a packet; bodies and secrets are shortened."""
    if packet is None:
        return "(ignorable)"
    if isinstance(packet, Message | Volatile):
        more = " more" if isinstance(packet, Message) and packet.more else ""
        return f"{packet.NAME} {len(packet.body)} bytes {packet.body[:4].hex()}{more}"
    return repr(packet)
