"""Connections that a client opens: what the system is told to watch."""

from __future__ import annotations

import os
import socket
import sys
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import pytest
import trio

from hawser_transports import WireSettings
from hawser_transports.dialing import dial
from hawser_transports.listener import _listen  # pyright: ignore[reportPrivateUsage]
from hawser_transports.thin import THIN_LINEAR_TIMEOUTS
from hawser_transports.urls import parse_url

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names and numbers are those of Linux")


async def options(settings: WireSettings) -> Sequence[int]:
    """What a connection is left with: keep-alive, its first probe, those behind it, how many, the user timeout."""

    async def hold(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (place,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), hold, 0)
            url = parse_url(f"http://127.0.0.1:{place.socket.getsockname()[1]}/", ("http",))
            wire = await dial(url, None, settings)
            with socket.socket(fileno=os.dup(wire.lend(lambda: None))) as same:
                found = [same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
                if sys.platform == "linux":
                    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
                    found += [same.getsockopt(socket.IPPROTO_TCP, name) for name in names]
            wire.close()
            nursery.cancel_scope.cancel()
    return found


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (20.0, [1, 10, 1, 10, 20_000]),
        (1.0, [1, 1, 1, 10, 1_000]),
        (1e9, [1, 32_767, 3_277, 10, 65_534_000]),
    ],
)
async def test_the_system_gives_a_silent_connection_up(seconds: float, expected: Sequence[int]) -> None:
    assert list(await options(WireSettings(unanswered_seconds=seconds))) == expected


async def test_twenty_seconds_are_the_default_and_none_at_all_can_be_had() -> None:
    assert (await options(WireSettings()))[-1] == 20_000
    found = await options(WireSettings(unanswered_seconds=inf))
    assert (found[0], found[-1]) == (0, 0)


async def test_both_ends_send_again_at_even_intervals() -> None:
    """The option holds for what a listener takes, too, though only the listening socket is told."""
    with socket.socket() as listening:
        port = _listen(listening, ("127.0.0.1", 0))
        wire = await dial(parse_url(f"http://127.0.0.1:{port}/", ("http",)), None, WireSettings())
        taken, _ = listening.accept()
        with taken, socket.socket(fileno=os.dup(wire.lend(lambda: None))) as near:
            assert [one.getsockopt(socket.IPPROTO_TCP, THIN_LINEAR_TIMEOUTS) for one in (near, taken)] == [1, 1]
        wire.close()
