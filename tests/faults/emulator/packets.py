"""The little of IPv4 that a link has to know: who sends a packet, what flow it belongs to, and how to change that."""

from __future__ import annotations

from typing import Final, NamedTuple

HEADER_BYTES: Final = 20
"""The least that an IPv4 header has."""
TCP: Final = 6
UDP: Final = 17

_CHECKSUMS: Final = {TCP: 16, UDP: 6}
"""Where the checksum stands in the header of a protocol that covers the addresses with it."""
_SOURCE: Final = 12
_DESTINATION: Final = 16
_SYN: Final = 0x02


class Flow(NamedTuple):
    """What tells a conversation from others, seen from one end."""

    protocol: int
    here: int
    there: int


def is_ipv4(packet: bytes) -> bool:
    """Whether it is whole, and not of another protocol."""
    return len(packet) >= HEADER_BYTES and packet[0] >> 4 == 4 and len(packet) >= _ports(packet) + 4


def source(packet: bytes) -> bytes:
    """Four bytes: who sends it."""
    return packet[_SOURCE : _SOURCE + 4]


def destination(packet: bytes) -> bytes:
    """Four bytes: who is to get it."""
    return packet[_DESTINATION : _DESTINATION + 4]


def flow(packet: bytes, *, sent: bool) -> Flow:
    """The conversation of a packet, for whoever has sent or received it."""
    at = _ports(packet)
    first, second = (int.from_bytes(packet[place : place + 2]) for place in (at, at + 2))
    return Flow(packet[9], first, second) if sent else Flow(packet[9], second, first)


def opens(packet: bytes) -> bool:
    """Whether it begins a conversation: the first packet of a TCP connection, or anything that is not TCP."""
    return packet[9] != TCP or bool(packet[_ports(packet) + 13] & _SYN)


def from_source(packet: bytes, address: bytes) -> bytes:
    """The packet as if somebody else had sent it."""
    return _readdressed(packet, _SOURCE, address)


def to_destination(packet: bytes, address: bytes) -> bytes:
    """The packet as if it were for somebody else."""
    return _readdressed(packet, _DESTINATION, address)


def checksum_of(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of whole 16-bit words; 0 over data that carries a right one."""
    return 0xFFFF - (int.from_bytes(data) % 0xFFFF or 0xFFFF)


def _ports(packet: bytes) -> int:
    return (packet[0] & 0x0F) * 4


def _readdressed(packet: bytes, place: int, address: bytes) -> bytes:
    changed = bytearray(packet)
    old = int.from_bytes(packet[place : place + 4])
    changed[place : place + 4] = address
    difference = int.from_bytes(address) - old
    _mend(changed, 10, difference)
    within = _CHECKSUMS.get(packet[9])
    if within is not None:
        at = _ports(packet) + within
        if at + 2 <= len(packet) and (packet[9] != UDP or any(packet[at : at + 2])):  # of UDP, 0 is none
            _mend(changed, at, difference)
    return bytes(changed)


def _mend(packet: bytearray, at: int, difference: int) -> None:
    """Let a checksum follow a change of the words that it covers (RFC 1624)."""
    old = 0xFFFF - int.from_bytes(packet[at : at + 2])
    packet[at : at + 2] = (0xFFFF - (old + difference) % 0xFFFF).to_bytes(2)
