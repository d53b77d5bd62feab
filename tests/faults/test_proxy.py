"""The proxy does to plain sockets what its plan says, at the byte it says."""

from __future__ import annotations

import random
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.faults.processes import running
from tests.faults.proxy import Direction, Fault, Kind, Proxy, Route, breaking, first
from tests.faults.proxy.faults import draw

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PATIENCE = 60
"""Seconds after which what has not happened never will."""
SOON = 0.2
"""Seconds in which nothing comes of what nothing is to come of."""
TEXT = random.Random(1).randbytes(300_000)


class Target:
    """What is behind the proxy: echoes, and remembers what arrived and how each connection ended."""

    def __init__(self) -> None:
        self.arrived: list[bytearray] = []
        self.ends: list[str] = []

    async def run(self, *, task_status: trio.TaskStatus[int]) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(self._echo, listeners)

    async def _echo(self, stream: trio.SocketStream) -> None:
        arrived = bytearray()
        self.arrived.append(arrived)
        try:
            async with stream:
                while data := await stream.receive_some(65_536):
                    arrived += data
                    await stream.send_all(data)
            self.ends.append("end")
        except trio.BrokenResourceError:
            self.ends.append("reset")


@asynccontextmanager
async def through(*routes: Route) -> AsyncGenerator[tuple[Proxy, Target]]:
    """A proxy before an echoing target: the first connections meet these routes, later ones nothing."""
    target = Target()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(target.run)
            proxy = await nursery.start(Proxy(port, plan=first(routes)).run)
            yield proxy, target
            nursery.cancel_scope.cancel()


async def connect(proxy: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def say(stream: trio.SocketStream, data: bytes) -> None:
    """Send as much as the other side takes."""
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)


async def heard(stream: trio.SocketStream) -> tuple[bytes, str]:
    """Everything that comes, and how it ends."""
    got = bytearray()
    try:
        while data := await stream.receive_some(65_536):
            got += data
    except trio.BrokenResourceError:
        return bytes(got), "reset"
    return bytes(got), "end"


async def until_ended(target: Target, count: int = 1) -> None:
    while len(target.ends) < count:
        await trio.sleep(0.005)


async def test_without_a_fault_every_byte_passes_both_ways() -> None:
    async with through() as (proxy, target), await connect(proxy) as stream, trio.open_nursery() as nursery:

        async def speak() -> None:
            await stream.send_all(TEXT)
            await stream.send_eof()

        nursery.start_soon(speak)
        assert await heard(stream) == (TEXT, "end")
        await until_ended(target)
    assert target.arrived == [TEXT]
    assert target.ends == ["end"]
    assert proxy.broken == []


@pytest.mark.parametrize("after", [0, 1, 7, 65_536, 65_537, 299_999])
@pytest.mark.parametrize("kind", [Kind.RESET, Kind.TRUNCATE])
async def test_a_cut_on_the_way_there_comes_after_exactly_so_many_bytes(kind: Kind, after: int) -> None:
    async with through(Route(fault=Fault(kind, after, Direction.UP))) as (proxy, target):
        async with await connect(proxy) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(say, stream, TEXT)
            got, _ = await heard(stream)
        await until_ended(target)
    assert TEXT.startswith(got)
    assert target.arrived == [TEXT[:after]]
    assert proxy.broken == [kind]


@pytest.mark.parametrize("after", [0, 1, 1_000])
async def test_a_truncated_answer_ends_in_order_at_the_byte(after: int) -> None:
    async with through(Route(fault=Fault(Kind.TRUNCATE, after))) as (proxy, _):
        async with await connect(proxy) as stream:
            await say(stream, TEXT[:1_000])
            assert await heard(stream) == (TEXT[:after], "end")


async def test_a_reset_is_a_reset_at_both_ends() -> None:
    async with through() as (proxy, target):
        async with await connect(proxy) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some(5) == b"hello"
            assert proxy.strike(Kind.RESET) == 1
            assert await heard(stream) == (b"", "reset")
            await until_ended(target)
    assert target.ends == ["reset"]
    assert proxy.broken == [Kind.RESET]


async def test_a_half_closed_connection_goes_on_the_other_way() -> None:
    async with through(Route(fault=Fault(Kind.HALF_CLOSE, 3, Direction.DOWN))) as (proxy, target):
        async with await connect(proxy) as stream:
            await stream.send_all(b"hello")
            assert await heard(stream) == (b"hel", "end")
            await stream.send_all(b", world")
            while bytes(target.arrived[0]) != b"hello, world":
                await trio.sleep(0.005)
    assert proxy.broken == [Kind.HALF_CLOSE]


async def test_a_black_hole_takes_everything_and_ends_nothing() -> None:
    async with through() as (proxy, target):
        async with await connect(proxy) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some(5) == b"hello"
            proxy.strike(Kind.BLACKHOLE)
            await stream.send_all(TEXT)
            with trio.move_on_after(SOON) as waited:
                await stream.receive_some(1)
            assert waited.cancelled_caught
        await trio.sleep(SOON)
        assert target.ends == []  # not even the end of who connected
    assert target.arrived == [b"hello"]


async def test_a_muted_direction_hands_nothing_over_and_the_other_goes_on() -> None:
    async with through() as (proxy, target):
        async with await connect(proxy) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some(5) == b"hello"
            proxy.mute(Direction.DOWN)
            await stream.send_all(b", world")
            while bytes(target.arrived[0]) != b"hello, world":
                await trio.sleep(0.005)
            with trio.move_on_after(SOON) as waited:
                await stream.receive_some(1)
            assert waited.cancelled_caught
            assert proxy.strike(Kind.RESET) == 1  # it still can be
            assert await heard(stream) == (b"", "reset")


async def test_latency_and_rate_slow_every_byte_and_lose_none() -> None:
    async with through(Route(latency=0.05, rate=20_000)) as (proxy, _):
        async with await connect(proxy) as stream:
            start = trio.current_time()
            await stream.send_all(TEXT[:4_000])
            await stream.send_eof()
            assert await heard(stream) == (TEXT[:4_000], "end")
            assert trio.current_time() - start >= 0.2  # 4,000 bytes there and back overlap


async def test_what_is_held_arrives_when_it_is_released() -> None:
    async with through() as (proxy, target):
        async with await connect(proxy) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some(5) == b"hello"
            proxy.hold()
            await stream.send_all(b", world")
            with trio.move_on_after(SOON) as waited:
                await stream.receive_some(1)
            assert waited.cancelled_caught
            proxy.release()
            assert await stream.receive_some(7) == b", world"
        await until_ended(target)
    assert proxy.bytes_passed == 24
    assert proxy.broken == []


async def test_some_pieces_are_late_and_none_is_lost() -> None:
    async with through(Route(late=0.5, late_seconds=0.03)) as (proxy, _):
        async with await connect(proxy) as stream:
            start = trio.current_time()
            for _ in range(10):
                await stream.send_all(b"x")
                assert await stream.receive_some(1) == b"x"
            assert trio.current_time() - start >= 0.09  # of twenty pieces some are, for every seed


async def test_it_refuses_and_accepts_again_on_the_same_port() -> None:
    async with through() as (proxy, _):
        async with await connect(proxy) as before:
            proxy.refuse()
            await trio.testing.wait_all_tasks_blocked()  # the door is shut
            with pytest.raises(OSError, match="all attempts to connect"):
                await connect(proxy)
            await before.send_all(b"still here")
            assert await before.receive_some(10) == b"still here"
        proxy.accept()
        await trio.testing.wait_all_tasks_blocked()  # and open
        async with await connect(proxy) as after:
            await after.send_all(b"back")
            assert await after.receive_some(4) == b"back"
    assert proxy.accepted == 2


async def test_a_refused_route_and_an_absent_target_reset_at_once() -> None:
    async with through(Route(refused=True)) as (proxy, target):
        async with await connect(proxy) as stream:
            assert await heard(stream) == (b"", "reset")
        assert target.arrived == []
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            proxy = await nursery.start(Proxy(1).run)
            async with await connect(proxy) as stream:
                assert await heard(stream) == (b"", "reset")
            nursery.cancel_scope.cancel()


def test_a_route_depends_on_seed_and_number_alone() -> None:
    plan = breaking(after=(0, 10**9), latency=(0, 1), chance=0.5)
    routes = [draw(plan, 7, number) for number in range(200)]
    assert routes[::-1] == [draw(plan, 7, number) for number in reversed(range(200))]
    assert routes != [draw(plan, 8, number) for number in range(200)]
    faults = [route.fault for route in routes if route.fault is not None]
    assert 60 < len(faults) < 140
    assert {fault.kind for fault in faults} == set(Kind)
    assert {fault.direction for fault in faults} == set(Direction)


@pytest.mark.slow
async def test_the_command_line_breaks_on_command() -> None:
    target = Target()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(target.run)
            command = (sys.executable, "-m", "tests.faults.proxy", str(port), "--rate", "1000000")
            async with running(*command) as program:
                listening = await program.out.until(r"listening on (\d+)")
                async with await trio.open_tcp_stream("127.0.0.1", int(listening[1])) as stream:
                    await stream.send_all(b"hello")
                    assert await stream.receive_some(5) == b"hello"
                    await program.write("reset\n")
                    await program.out.until("^1 struck$")
                    assert await heard(stream) == (b"", "reset")
                await program.write("counts\n")
                await program.out.until("^1 accepted, 0 live, 1 broken$")
                await program.end_input()
                assert await program.wait() == 0
            nursery.cancel_scope.cancel()
