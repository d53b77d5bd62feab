"""The link emulator: its packets and its policy in tables, and what it makes of a machine."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from unittest.mock import Mock

import pytest
import trio

from tests.faults.emulator import Conditions, Emulator, Policy, packets
from tests.faults.emulator.namespaces import PREFIX, host, missing, reap
from tests.faults.emulator.packets import TCP, UDP, Flow
from tests.faults.emulator.policy import FAR, INSIDE, Direction
from tests.faults.processes import running

UP, DOWN = Direction.UP, Direction.DOWN
ACK, SYN = 0x10, 0x02


def tcp(
    source: bytes = INSIDE,
    to: bytes = FAR,
    *,
    ports: tuple[int, int] = (40_000, 80),
    flags: int = ACK,
    body: bytes = b"",
) -> bytes:
    """A packet with right checksums."""
    segment = bytearray(struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, flags, 1_000, 0, 0) + body)
    return ip(source, to, TCP, segment, 16)


def udp(body: bytes, *, checked: bool = True) -> bytes:
    segment = bytearray(struct.pack("!HHHH", 53, 54, 8 + len(body), 0) + body)
    return ip(INSIDE, FAR, UDP, segment, 6 if checked else None)


def ip(source: bytes, to: bytes, protocol: int, segment: bytearray, at: int | None) -> bytes:
    if at is not None:
        segment[at : at + 2] = packets.checksum_of(pseudo(source, to, protocol, segment)).to_bytes(2)
    head = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, protocol, 0) + source + to)
    head[10:12] = packets.checksum_of(bytes(head)).to_bytes(2)
    return bytes(head + segment)


def pseudo(source: bytes, to: bytes, protocol: int, segment: bytes | bytearray) -> bytes:
    """What the checksum of a segment covers."""
    whole = source + to + struct.pack("!HH", protocol, len(segment)) + segment
    return whole + b"\0" * (len(whole) % 2)


def is_right(packet: bytes) -> bool:
    """Whether both checksums are."""
    segment = packet[20:]
    return (
        packets.checksum_of(packet[:20])
        == packets.checksum_of(pseudo(packets.source(packet), packets.destination(packet), packet[9], segment))
        == 0
    )


PACKET = tcp(body=b"x" * 1_460)


# ---------------------------------------------------------------- packets


@pytest.mark.parametrize("body", [b"", b"odd", b"even", bytes(range(256)) * 5])
@pytest.mark.parametrize("address", [bytes(4), bytes((255,) * 4), bytes((10, 78, 0, 7)), INSIDE])
def test_another_address_leaves_the_checksums_right(address: bytes, body: bytes) -> None:
    for packet in (tcp(body=body), udp(body)):
        assert is_right(packet)
        moved = packets.from_source(packet, address)
        assert (packets.source(moved), packets.destination(moved)) == (address, FAR)
        assert is_right(moved)
        moved = packets.to_destination(moved, address)
        assert packets.destination(moved) == address
        assert is_right(moved)
        assert packets.to_destination(packets.from_source(moved, INSIDE), FAR) == packet


def test_a_checksum_that_is_not_there_is_not_made_up() -> None:
    moved = packets.from_source(udp(b"hello", checked=False), bytes((10, 78, 0, 7)))
    assert moved[26:28] == b"\0\0"
    assert packets.checksum_of(moved[:20]) == 0


@pytest.mark.parametrize(
    ("packet", "whole"),
    [
        (PACKET, True),
        (b"", False),
        (PACKET[:19], False),
        (PACKET[:23], False),
        (b"\x60" + PACKET[1:], False),  # IPv6
        (b"\x4f" + PACKET[1:60], False),  # options that are not there
    ],
)
def test_what_is_no_whole_packet_is_told_from_one(packet: bytes, whole: bool) -> None:
    assert packets.is_ipv4(packet) is whole
    assert bool(Policy(Conditions()).carry(UP, packet, 0)) is whole


def test_both_ends_of_a_conversation_name_it_alike() -> None:
    assert packets.flow(tcp(ports=(1, 2)), sent=True) == Flow(TCP, 1, 2)
    assert packets.flow(tcp(ports=(2, 1)), sent=False) == Flow(TCP, 1, 2)
    assert [packets.opens(each) for each in (tcp(), tcp(flags=SYN), tcp(flags=SYN | ACK), udp(b""))] == [
        False,
        True,
        True,
        True,
    ]


# ---------------------------------------------------------------- policy


def carried(conditions: Conditions, number: int = 1_000, seed: int = 0) -> list[tuple[int, float]]:
    """Of so many packets, a millisecond apart, which arrive, in what order and when."""
    policy = Policy(conditions, seed)
    found: list[tuple[float, int]] = []
    for each in range(number):
        found += [(when, each) for when, _ in policy.carry(UP, PACKET, each / 1_000)]
    return [(each, when) for when, each in sorted(found)]


def test_a_perfect_link_hands_everything_over_at_once() -> None:
    assert carried(Conditions()) == [(each, each / 1_000) for each in range(1_000)]
    assert Policy(Conditions()).carry(DOWN, PACKET, 5.0) == [(5.0, PACKET)]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_as_many_are_lost_as_asked_for_and_the_same_ones_again(share: float) -> None:
    arrived = carried(Conditions(loss=share), 10_000)
    assert 0.8 * share < 1 - len(arrived) / 10_000 < 1.2 * share
    assert arrived == carried(Conditions(loss=share), 10_000)
    assert arrived != carried(Conditions(loss=share), 10_000, seed=1)


def test_delay_and_jitter_make_packets_late() -> None:
    for each, when in carried(Conditions(delay_seconds=0.75)):
        assert when == pytest.approx(each / 1_000 + 0.75)
    late = [when - each / 1_000 for each, when in carried(Conditions(delay_seconds=0.1, jitter_seconds=0.05))]
    assert min(late) >= 0.1 - 1e-9
    assert max(late) <= 0.15 + 1e-9
    assert 0.12 < sum(late) / len(late) < 0.13


def test_a_quarter_is_overtaken() -> None:
    order = [each for each, _ in carried(Conditions(reordered=0.25, held_seconds=0.0105))]
    assert sorted(order) == list(range(1_000))
    behind = sum(any(later > each for later in order[:place]) for place, each in enumerate(order))
    assert 200 < behind < 300


def test_a_quarter_arrives_twice() -> None:
    order = [each for each, _ in carried(Conditions(duplicated=0.25))]
    assert sorted(set(order)) == list(range(1_000))
    assert 1_200 < len(order) < 1_300


def test_a_slow_line_queues_and_then_drops() -> None:
    line = Conditions(bytes_per_second=15_000.0, queue_bytes=6_100)
    policy = Policy(line)
    assert len(PACKET) == 1_500
    times = [when for _ in range(6) for when, _ in policy.carry(UP, PACKET, 0.0)]
    assert times == pytest.approx([0.1, 0.2, 0.3, 0.4])  # four are in the queue, and no more
    assert policy.carry(DOWN, PACKET, 0.0)[0][0] == pytest.approx(0.1)  # the other way is free
    assert policy.carry(UP, PACKET, 0.1)[0][0] == pytest.approx(0.5)
    assert policy.carry(UP, PACKET, 9.0)[0][0] == pytest.approx(9.1)
    assert (policy.counts[UP].packets, policy.counts[UP].bytes, policy.counts[UP].dropped) == (8, 12_000, 2)


def test_a_black_hole_comes_and_goes() -> None:
    hole = Conditions(up_seconds=5.0, down_seconds=2.0)
    policy = Policy(hole)
    seen = {now: bool(policy.carry(UP, PACKET, now)) for now in (0.0, 4.9, 5.0, 6.9, 7.0, 11.9, 12.0)}
    assert seen == {0.0: True, 4.9: True, 5.0: False, 6.9: False, 7.0: True, 11.9: True, 12.0: False}
    for span, down in (((0, 5), 0), ((0, 7), 2), ((4, 6), 1), ((6, 13), 2), ((5.5, 6.0), 0.5), ((0, 70), 20)):
        assert hole.seconds_down(*span) == pytest.approx(down)
    assert Conditions().seconds_down(0, 100) == 0


def back(to: bytes) -> bytes:
    return tcp(FAR, to, ports=(80, 40_000))


def test_a_conversation_ends_in_silence_with_its_address() -> None:
    policy = Policy(Conditions(address_seconds=5.0))
    first, second = bytes((10, 78, 0, 1)), bytes((10, 78, 0, 2))
    assert policy.carry(UP, tcp(), 0) == [(0, tcp())]
    assert policy.carry(DOWN, back(INSIDE), 3.9) == [(3.9, back(INSIDE))]
    assert policy.carry(UP, tcp(), 6) == []  # began with another address
    assert policy.carry(UP, tcp(flags=SYN), 6) == [(6, tcp(first, flags=SYN))]
    assert policy.carry(UP, tcp(body=b"hello"), 7) == [(7, tcp(first, body=b"hello"))]
    assert policy.carry(DOWN, back(first), 7) == [(7, back(INSIDE))]
    assert policy.carry(DOWN, tcp(FAR, first, ports=(80, 40_001)), 7) == []  # nobody has asked
    assert policy.carry(UP, tcp(), 12) == []
    assert policy.carry(DOWN, back(first), 12) == []
    assert policy.carry(DOWN, back(second), 12) == []
    assert policy.carry(UP, tcp(flags=SYN), 12) == [(12, tcp(second, flags=SYN))]
    assert policy.carry(DOWN, back(second), 12) == [(12, back(INSIDE))]


def test_an_address_lasts_about_as_long_as_asked_for() -> None:
    policy = Policy(Conditions(address_seconds=5.0))
    seen = [packets.source(policy.carry(UP, udp(b""), now / 10)[0][1]) for now in range(10_000)]
    assert 180 < len(set(seen)) < 220
    lifetimes = [seen.count(address) / 10 for address in dict.fromkeys(seen)]
    assert all(3.9 < lifetime < 6.1 for lifetime in lifetimes[:-1])
    assert len(set(lifetimes)) > 10


def test_one_address_carries_so_many_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.emulator.policy.FLOWS_MAX", 2)
    policy = Policy(Conditions(address_seconds=5.0))
    assert [bool(policy.carry(UP, tcp(flags=SYN, ports=(port, 80)), 6)) for port in (1, 2, 3, 2)] == [
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("wrong", [{"loss": 1.0}, {"delay_seconds": -1}, {"up_seconds": 0}, {"queue_bytes": 100}])
def test_conditions_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Conditions(**wrong)


# ---------------------------------------------------------------- the machine

PING = (
    sys.executable,
    "-c",
    """if True:
    import socket, sys
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(20)
    near.connect((sys.argv[1], 7))
    for line in sys.stdin:
        near.send(line.encode())
        print(near.recv(100).decode(), end="", flush=True)
""",
)
ECHO = (
    sys.executable,
    "-c",
    """if True:
    import socket, sys
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind((sys.argv[1], 7))
    print("ready", flush=True)
    while True:
        data, peer = far.recvfrom(100)
        print(peer[0], flush=True)
        far.sendto(data, peer)
""",
)


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces")
async def test_programs_on_two_hosts_meet_on_the_link_and_nothing_is_left() -> None:
    with trio.fail_after(60):
        async with Emulator.open() as emulator:
            names = [emulator.near.name, emulator.far.name]
            assert set(names) <= listed()
            async with (
                running(*emulator.far.command(*ECHO, emulator.address)) as far,
                running(*emulator.near.command(*PING, emulator.address)) as near,
            ):
                await far.out.until("ready")
                await near.write("hello\n")
                await near.out.until("^hello$")
                emulator.become(Policy(Conditions(delay_seconds=0.2)))
                start = trio.current_time()
                await near.write("again\n")
                await near.out.until("^again$")
                assert trio.current_time() - start >= 0.4
                assert far.out.texts == ["ready", "10.77.0.2", "10.77.0.2"]
                up, down = (emulator.policy.counts[direction] for direction in (UP, DOWN))
                assert (up.packets, up.bytes, down.packets, down.bytes) == (1, 34, 1, 34)
    assert not set(names) & listed()


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces")
def test_what_a_killed_program_leaves_behind_is_removed_by_the_next_one() -> None:
    maker = """if True:
        import os, signal
        from tests.faults.emulator.namespaces import host
        with host("10.77.0.2") as made:
            print(made.name, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    made = subprocess.run([sys.executable, "-c", maker], capture_output=True, text=True, timeout=60, check=False)
    name = made.stdout.strip()
    assert name in listed(), made.stderr
    with host("10.77.0.3") as alive:
        assert name in reap()
        assert name not in listed()
        assert alive.name in listed()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("sys.platform", "darwin", "this is no Linux"),
        ("os.geteuid", Mock(return_value=1_000), "they need root"),
        ("shutil.which", Mock(return_value=None), "there is no ip command"),
        ("tests.faults.emulator.namespaces.DEVICE", "/dev/none", "there is no /dev/none"),
    ],
)
def test_what_a_machine_lacks_is_told(name: str, value: object, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", Mock(return_value=0))
    monkeypatch.setattr("shutil.which", Mock(return_value="ip"))
    monkeypatch.setattr("tests.faults.emulator.namespaces.DEVICE", "/dev/null")
    monkeypatch.setattr(name, value)
    assert says in str(missing())


@pytest.mark.usefixtures("namespaces")
def test_a_host_that_cannot_be_made_leaves_nothing() -> None:
    before = listed()
    with pytest.raises(OSError, match="no address"):
        with host("no address"):
            pass
    assert not {name for name in listed() - before if name.startswith(f"{PREFIX}-{os.getpid()}-")}


def listed() -> set[str]:
    folder = "/run/netns"
    return set(os.listdir(folder)) if os.path.isdir(folder) else set()
