"""The relay of the demo: it passes on until it is cut, and then each end learns what the kind of cut says."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser.cli.relay import HOST, Relay
from hawser.testing import CutKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PATIENCE_SECONDS = 5
MUCH = bytes(4_000_000)
"""More than all the buffers between two sockets hold: it has left only if somebody reads it."""


@attrs.frozen
class Ends:
    relay: Relay
    client: trio.SocketStream
    server: trio.SocketStream


@asynccontextmanager
async def relayed() -> AsyncGenerator[Ends]:
    """One connection through a relay, and both its ends."""
    arrived, arrivals = trio.open_memory_channel[trio.SocketStream](1)

    async def accept(stream: trio.SocketStream) -> None:
        await arrived.send(stream)
        await trio.sleep_forever()

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, accept, 0, host=HOST))
            relay = Relay(listeners[0].socket.getsockname()[1], seed=1, delay_seconds=(0.0, 0.001))
            port = await nursery.start(relay.run)
            async with await trio.open_tcp_stream(HOST, port) as client, await arrivals.receive() as server:
                await relay.cut_one(CutKind.BOTH)  # it breaks nothing on which there was no answer yet
                await client.send_all(b"?")
                assert await server.receive_some(1) == b"?"
                await server.send_all(b"!")
                assert await client.receive_some(1) == b"!"
                yield Ends(relay, client, server)
            nursery.cancel_scope.cancel(reason="done")


async def read(stream: trio.SocketStream) -> bytes | None:
    """Everything up to the end; None if the connection was reset."""
    whole = b""
    try:
        while data := await stream.receive_some(65_536):
            whole += data
    except trio.BrokenResourceError:
        return None
    return whole


async def test_bytes_pass_in_order_both_ways_and_so_do_the_ends() -> None:
    async with relayed() as ends:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.client.send_all, MUCH + b"last")
            received = bytearray()
            while len(received) < len(MUCH) + 4:
                received += await ends.server.receive_some(65_536)
        assert received == MUCH + b"last"
        await ends.client.send_eof()
        assert await read(ends.server) == b""
        await ends.server.send_all(b"answer")
        await ends.server.aclose()
        assert await read(ends.client) == b"answer"
        assert ends.relay.cuts == 0


async def test_an_end_that_is_gone_ends_the_other_one() -> None:
    async with relayed() as ends:
        await ends.server.aclose()
        assert await read(ends.client) == b""
        with pytest.raises(trio.BrokenResourceError):
            await ends.client.send_all(MUCH)


@pytest.mark.parametrize(
    ("kind", "client_learns", "server_learns"),
    [
        (CutKind.BOTH, True, True),
        (CutKind.CLIENT, True, False),
        (CutKind.SERVER, False, True),
        (CutKind.SILENT, False, False),
    ],
)
async def test_a_cut_is_noticed_by_whom_it_concerns(kind: CutKind, client_learns: bool, server_learns: bool) -> None:
    async with relayed() as ends:
        await ends.relay.cut_one(kind)
        await ends.relay.cut_one(kind)  # there is no second connection to break
        assert ends.relay.cuts == 1
        for end, learns in ((ends.client, client_learns), (ends.server, server_learns)):
            if learns:
                assert await read(end) is None
            else:
                await end.send_all(MUCH)  # swallowed, and not refused
                await end.aclose()


async def test_a_storm_breaks_what_there_is() -> None:
    async with relayed() as ends, trio.open_nursery() as nursery:
        nursery.start_soon(partial(ends.relay.storm, every_seconds=0, kinds=(CutKind.BOTH,)))
        assert await read(ends.client) is None
        nursery.cancel_scope.cancel()
    assert ends.relay.cuts == 1


async def test_where_nobody_listens_the_connection_ends() -> None:
    closed = await trio.open_tcp_listeners(0, host=HOST)
    port = closed[0].socket.getsockname()[1]
    await closed[0].aclose()
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            relay = Relay(port, seed=1, delay_seconds=(0.0, 0.0))
            async with await trio.open_tcp_stream(HOST, await nursery.start(relay.run)) as client:
                assert not await read(client)
            nursery.cancel_scope.cancel()
