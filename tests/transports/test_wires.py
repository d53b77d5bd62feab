"""Wires without a network: foreign streams on a virtual clock, and connected socket pairs."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.lowlevel import ParkingLot
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from hawser_engine.bindings.websocket import FrameLimits, MaskedFrames, SharedFrames, WebSocket
from hawser_transports import Link, SocketWire, StreamWire, WebSocketLink, Wire, WireSettings
from hawser_transports.check import check_transport
from hawser_transports.contract import pump
from hawser_transports.wires import DISCARD_BYTES, READ_BYTES, ROOM_BYTES
from tests.engine.bindings.peers import frame

SETTINGS = WireSettings()


def links(near: Wire, far: Wire) -> tuple[WebSocketLink, WebSocketLink]:
    client = WebSocket(MaskedFrames(lambda size: b"\x01\x02\x03\x04"[:size]), FrameLimits())
    server = WebSocket(SharedFrames(), FrameLimits())
    return WebSocketLink(near, client), WebSocketLink(far, server)


def stream_wires(settings: WireSettings = SETTINGS) -> tuple[StreamWire, StreamWire]:
    near, far = lockstep_stream_pair()
    return StreamWire(near, "near", settings), StreamWire(far, "far", settings)


def socket_wires(settings: WireSettings = SETTINGS) -> tuple[SocketWire, SocketWire]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return SocketWire(near, "near", settings), SocketWire(far, "far", settings)


class Half:
    """One direction of a stream that holds 100,000 bytes, as a kernel does."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.ended = False
        self.changed = ParkingLot()


class HeldStream(trio.abc.Stream):
    """A foreign stream; those of `trio.testing` hold everything or nothing."""

    def __init__(self, incoming: Half, outgoing: Half) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        for at in range(0, len(data), 1_000):
            while len(self.outgoing.held) >= 100_000 and not self.outgoing.ended:
                await self.outgoing.changed.park()
            if self.closed or self.outgoing.ended:
                raise trio.BrokenResourceError
            self.outgoing.held += data[at : at + 1_000]
            self.outgoing.changed.unpark_all()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self.incoming.held and not self.incoming.ended:
            await self.incoming.changed.park()
        data = bytes(self.incoming.held[:max_bytes])
        del self.incoming.held[:max_bytes]
        self.incoming.changed.unpark_all()
        return data

    async def aclose(self) -> None:
        self.closed = self.incoming.ended = self.outgoing.ended = True
        self.incoming.changed.unpark_all()
        self.outgoing.changed.unpark_all()
        await trio.lowlevel.checkpoint()


async def test_links_over_a_foreign_stream_keep_the_contract(autojump_clock: MockClock) -> None:
    async def make_pair() -> tuple[Link, Link]:
        there, back = Half(), Half()
        near, far = HeldStream(back, there), HeldStream(there, back)
        return links(StreamWire(near, "near", SETTINGS), StreamWire(far, "far", SETTINGS))

    await check_transport(make_pair)


@pytest.mark.slow
async def test_links_over_a_socket_pair_keep_the_contract() -> None:
    async def make_pair() -> tuple[Link, Link]:
        return links(*socket_wires(WireSettings(close_seconds=0.5)))

    with trio.fail_after(120):
        await check_transport(make_pair, wait_seconds=30, quiet_seconds=0.1)


async def test_the_last_words_of_a_link_that_is_pumped_are_written(autojump_clock: MockClock) -> None:
    """SPEC CAR-5, CLS-3: the task that receives ends at the close, and leaves the rest of it to who closes."""
    near, far = lockstep_stream_pair()
    _, link = links(StreamWire(near, "near", SETTINGS), StreamWire(far, "far", SETTINGS))

    class Nobody:
        def received(self, batches: list[bytes]) -> None:
            raise NotImplementedError

        def ended(self, error: Exception | None) -> None:
            assert isinstance(error, trio.ClosedResourceError)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump, link, Nobody())
        await wait_all_tasks_blocked()
        assert link.send_nowait([b"bye"]) == 1
        link.say_why(101)
        nursery.start_soon(link.aclose)
        await trio.sleep(1)  # the peer is slow to read, but not slower than a graceful close is patient
        heard = b""
        while data := await near.receive_some():
            heard += data
    assert heard == b"\x82\x03bye\x88\x02" + (4_101).to_bytes(2, "big")


async def test_what_arrives_and_is_no_batch_yet_is_told_as_life() -> None:
    """SPEC CAR-6, LIV-2: a ping of WebSocket's, a part of a batch; not a batch, which tells it itself."""
    near, far = memory_stream_pair()
    _, link = links(StreamWire(near, "near", SETTINGS), StreamWire(far, "far", SETTINGS))
    told: list[str] = []
    got: list[bytes] = []
    link.watch(lambda: told.append("life"))
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            while True:
                got.extend(await link.receive_batches())

        nursery.start_soon(receive)
        batch = frame(0x82, b"ahoy")
        for data, life, batches in (
            (frame(0x89, b"?"), 1, 0),
            (frame(0x8A), 2, 0),
            (batch[:5], 3, 0),
            (batch[5:], 3, 1),
            (batch + frame(0x89) + batch[:3], 3, 2),
        ):
            await near.send_all(data)
            await wait_all_tasks_blocked()
            assert (len(told), len(got)) == (life, batches)
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(link)


async def test_a_stream_whose_peer_takes_nothing_breaks_after_the_write_deadline(autojump_clock: MockClock) -> None:
    """SPEC LIM-6."""
    near, _far = stream_wires(WireSettings(write_seconds=7))
    near.write(b"x" * 100)
    await trio.sleep(6.9)
    assert not near.broken
    await trio.sleep(0.2)
    assert near.broken
    assert near.closed
    with pytest.raises(trio.ClosedResourceError):
        await near.receive()


async def test_by_default_a_mebibyte_waits_and_ten_seconds_are_patience(autojump_clock: MockClock) -> None:
    """SPEC LIM-6, with the defaults of SPEC section 18."""
    near, _far = stream_wires()
    near.write(b"x" * 1_048_576)
    assert not near.broken
    near.write(b"y")
    assert near.broken
    near, _far = stream_wires()
    near.write(b"x")
    await trio.sleep(9.9)
    assert not near.broken
    await trio.sleep(0.2)
    assert near.broken


async def test_a_socket_whose_peer_takes_nothing_breaks_after_the_write_deadline() -> None:
    """SPEC LIM-6."""
    near, far = socket_wires(WireSettings(write_seconds=0.02))
    near.write(b"x" * ROOM_BYTES * 15)
    assert near.unwritten > 0
    with trio.fail_after(30):
        while near.unwritten >= ROOM_BYTES:
            await near.wait_room()
    assert near.broken
    with pytest.raises(trio.BrokenResourceError):
        await near.receive()
    far.close()


async def test_a_peer_that_reads_slowly_gets_everything() -> None:
    near, far = socket_wires()
    data = bytes(range(256)) * 4_000
    near.write(data)
    got = b""
    with trio.fail_after(30):
        while len(got) < len(data):
            got += await far.receive()
    assert got == data
    assert near.unwritten == 0
    near.close()
    assert await far.receive() == b""
    far.close()


async def test_what_waits_to_be_written_is_bounded(autojump_clock: MockClock) -> None:
    """SPEC LIM-6, LIM-4."""
    near, _far = stream_wires(WireSettings(outbound_bytes=100_000))
    near.write(b"x" * 60_000)
    near.write(b"y" * 40_000)
    assert not near.broken
    near.write(b"z")
    assert near.broken
    assert near.unwritten == 0
    near.write(b"after")
    assert near.unwritten == 0


async def test_room_comes_back_when_the_peer_reads(autojump_clock: MockClock) -> None:
    near, far = stream_wires()
    await near.wait_room()
    near.write(b"x" * ROOM_BYTES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.wait_room)
        await wait_all_tasks_blocked()
        assert near.unwritten == ROOM_BYTES
        assert len(await far.receive()) == ROOM_BYTES
    assert near.unwritten == 0


@pytest.mark.parametrize("kind", ["stream", "socket"])
async def test_finishing_writes_what_is_left_and_hears_the_peer_out(kind: str) -> None:
    near, far = stream_wires() if kind == "stream" else socket_wires()
    data = b"x" * 900_000
    heard: list[bytes] = []

    def discard(piece: bytes) -> bool:
        heard.append(piece)
        return piece.endswith(b"!")

    async with trio.open_nursery() as nursery:
        near.write(data)
        nursery.start_soon(near.finish, discard)
        got = 0
        while got < len(data):
            got += len(await far.receive())
        far.write(b"bye")
        await wait_all_tasks_blocked(0.01)
        far.write(b"!")
    assert near.closed
    assert b"".join(heard) == b"bye!"
    await far.finish()


async def test_finishing_gives_up_after_its_time_and_when_the_peer_never_stops(autojump_clock: MockClock) -> None:
    near, far = stream_wires(WireSettings(close_seconds=3))
    began = trio.current_time()
    await near.finish()
    assert trio.current_time() - began == pytest.approx(3)
    near, far = stream_wires()

    async def babble() -> None:
        for _ in range(10_000):
            far.write(b"x" * 10_000)
            await far.wait_room()
            if far.broken:
                return

    heard = 0

    def count(piece: bytes) -> bool:
        nonlocal heard
        heard += len(piece)
        return False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(babble)
        await near.finish(count)
        nursery.cancel_scope.cancel()
    assert DISCARD_BYTES <= heard <= DISCARD_BYTES + ROOM_BYTES


async def test_finishing_is_cut_short_by_cancelling(autojump_clock: MockClock) -> None:
    near, _far = stream_wires()
    with trio.move_on_after(1) as scope:
        await near.finish()
    assert scope.cancelled_caught
    assert near.closed


async def test_a_stream_that_fails_in_no_known_way_breaks_its_wire_only() -> None:
    """Containment: a writer is a system task, and one that raised would end the whole program."""

    class Odd(trio.abc.Stream):
        async def send_all(self, data: object) -> None:
            await trio.lowlevel.checkpoint()
            raise RuntimeError("planted")

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            await trio.sleep_forever()
            return b""

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    wire = StreamWire(Odd(), "odd", SETTINGS)
    wire.write(b"x")
    await wait_all_tasks_blocked()
    assert wire.broken


async def test_a_writer_that_the_end_of_the_program_cancels_leaves_a_broken_wire() -> None:
    wires: list[Wire] = []

    async def main() -> None:
        near, _far = lockstep_stream_pair()
        wires.append(StreamWire(near, "near", SETTINGS))
        wires[0].write(b"x")
        await wait_all_tasks_blocked()

    await trio.to_thread.run_sync(trio.run, main)
    assert wires[0].broken


async def test_a_task_exists_only_while_something_is_left() -> None:
    near, far = socket_wires()
    tasks = trio.lowlevel.current_statistics().tasks_living
    near.write(b"x" * 1_000)
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    near.write(b"x" * 900_000)
    assert trio.lowlevel.current_statistics().tasks_living == tasks + 1
    got = 0
    with trio.fail_after(30):
        while got < 901_000:
            got += len(await far.receive())
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    near.close()
    far.close()


async def test_interrupting_wakes_who_waits_and_leaves_the_wire_alone() -> None:
    for near, far in (stream_wires(), socket_wires()):
        async with trio.open_nursery() as nursery:

            async def receive(wire: Wire = near) -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await wire.receive()

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            near.interrupt()
        far.write(b"still here")
        assert await near.receive() == b"still here"
        near.close()
        near.interrupt()
        far.close()


async def test_interrupting_a_socket_does_not_stop_its_writer() -> None:
    near, far = socket_wires()
    near.write(b"x" * 900_000)
    await wait_all_tasks_blocked()
    near.interrupt()
    got = 0
    with trio.fail_after(30):
        while got < 900_000:
            got += len(await far.receive())
    near.close()
    far.close()


async def test_closing_while_the_writer_waits_ends_it() -> None:
    near, far = socket_wires()
    tasks = trio.lowlevel.current_statistics().tasks_living
    near.write(b"x" * 900_000)
    await wait_all_tasks_blocked()
    near.close()
    await wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert not near.broken
    far.close()


class CountedReads(socket.socket):
    """A socket that counts how often it is asked."""

    reads = 0

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        self.reads += 1
        return super().recv(size, flags)


async def test_a_socket_that_was_read_empty_is_not_asked_again_before_it_has_something() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    counted = CountedReads(fileno=far.detach())
    counted.setblocking(False)
    wire = SocketWire(counted, "far", SETTINGS)
    received: list[bytes] = []

    async def read() -> None:
        while data := await wire.receive():
            received.append(data)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for number in range(3):
                await wait_all_tasks_blocked()
                near.send(bytes([number]))
            await wait_all_tasks_blocked()
            near.close()
    assert received == [b"\0", b"\1", b"\2"]
    assert counted.reads <= 2 + len(received)  # one before anything was known, one for the end
    wire.close()


async def test_a_wire_whose_last_read_left_something_goes_on_reading() -> None:
    near, far = socket_wires()
    with trio.fail_after(10):
        near.write(bytes(3 * READ_BYTES // 2))
        received = 0
        while received < 3 * READ_BYTES // 2:
            received += len(await far.receive())
        near.close()
        assert await far.receive() == b""
    far.close()


async def test_a_closed_wire_says_so_whatever_it_has_read() -> None:
    near, far = socket_wires()
    near.write(b"data")
    assert await far.receive() == b"data"
    far.close()
    with pytest.raises(trio.ClosedResourceError):
        await far.receive()
    near.close()


async def test_a_wire_that_is_closed_or_broken_drops_what_it_is_offered() -> None:
    near, far = socket_wires()
    assert near.offer(b"heard")
    assert await far.receive() == b"heard"
    near.close()
    assert near.offer(b"dropped")
    far.abort()
    assert far.offer(b"dropped")
    assert far.unwritten == 0


async def test_a_wire_that_has_no_room_takes_nothing_that_it_is_offered() -> None:
    near, far = socket_wires()
    assert near.offer(bytes(1_000_000))
    left = near.unwritten
    assert left >= ROOM_BYTES
    assert not near.offer(b"refused")
    assert near.unwritten == left
    near.close()
    far.close()


async def test_an_offer_that_fails_breaks_the_wire() -> None:
    near, far = socket_wires()
    far.close()
    assert near.offer(b"taken, and lost")
    assert near.broken
    assert near.offer(b"dropped")


async def test_a_reset_by_the_peer_breaks_the_wire() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    wire = SocketWire(ours, "ours", SETTINGS)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await wire.receive()

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        theirs.close()
    wire.write(b"x")
    assert wire.broken
    with pytest.raises(trio.BrokenResourceError):
        await wire.receive()


async def test_the_end_of_a_closed_pair_of_memory_streams_is_an_end() -> None:
    near, far = memory_stream_pair()
    wire = StreamWire(near, "near", SETTINGS)
    await far.aclose()
    assert await wire.receive() == b""
    wire.close()
    wire.close()


@pytest.mark.parametrize("field", ["outbound_bytes", "write_seconds", "close_seconds", "unanswered_seconds"])
def test_a_wrong_setting_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        WireSettings(**{field: -1})
