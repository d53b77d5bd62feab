"""Behind real nginx and haproxy, with the documented files, a server counts its clients by their own addresses."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import attrs
import pytest
import trio

from hawser_engine.codec import decode
from hawser_engine.codes import CloseCode
from hawser_engine.packets import Close
from tests.engine.bindings.peers import request as upgrade
from tests.faults.middleboxes import MIDDLEBOXES, SETTINGS, standing
from tests.faults.processes import PATIENCE
from tests.transports.test_longpoll import OPENING, read

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="addresses of one machine: all of 127.0.0.0/8 is Linux's own"),
]

ADA: Final = "127.0.0.2"
BOB: Final = "127.0.0.3"
EVE: Final = "127.0.0.4"
NOBODY: Final = "203.0.113.9"
"""An address that somebody claims to have (RFC 5737)."""
FEW: Final = "connections_per_address = 2\n"
"""Behind what is documented, of which `[listener]` is the last table."""
ATTACH: Final = OPENING.replace(b"/chat", b"/", 1)
"""A long-poll link is begun."""


@attrs.frozen
class Callers:
    """Clients that stay on the line, as raw requests: which address they have, and which one they claim."""

    port: int
    stack: AsyncExitStack

    async def upgrade(self, address: str, claim: str | None = None) -> int:
        """Ask for a WebSocket, and stay; how that was answered."""
        _, status, _ = await self.ask(address, upgrade(), claim)
        return status

    async def ask(self, address: str, data: bytes, claim: str | None = None) -> tuple[trio.SocketStream, int, bytes]:
        """Make a request, and stay: the connection, and how it was answered."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port, local_address=address)
        await self.stack.enter_async_context(stream)
        if claim is not None:
            data = data.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {claim}\r\n\r\n".encode(), 1)
        await stream.send_all(data)
        ((status, _, body),) = await read(stream)
        return stream, status, body


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_the_limit_of_an_address_is_the_clients_whatever_it_claims(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    program: str = request.getfixturevalue(name)
    with trio.fail_after(PATIENCE):
        async with (
            standing(MIDDLEBOXES[name], tmp_path, program=program, config=FEW) as place,
            AsyncExitStack() as stack,
        ):
            callers = Callers(place.port, stack)
            first, status, _ = await callers.ask(ADA, upgrade())
            assert status == 101
            _, status, _ = await callers.ask(ADA, ATTACH, claim=NOBODY)
            assert status == 200
            # It has both that it may have, and no claim gets it another one.
            assert await callers.upgrade(ADA) == 429
            assert await callers.upgrade(ADA, claim=NOBODY) == 429
            assert await callers.upgrade(ADA, claim=f"{NOBODY}, {BOB}") == 429
            _, status, body = await callers.ask(ADA, ATTACH, claim=NOBODY)
            refusal = decode(body)
            assert isinstance(refusal, Close)
            assert (status, refusal.code) == (503, CloseCode.OVERLOADED)
            # What one client claims is on no other one's account.
            assert [await callers.upgrade(BOB, claim=EVE) for _ in range(3)] == [101, 101, 429]
            assert await callers.upgrade(EVE) == 101
            # Past the proxy nobody's claim counts, and an address is the same one.
            past = Callers(place.servers[0], stack)
            assert await past.upgrade(ADA, claim=NOBODY) == 429
            # Who leaves makes room for one of his own address.
            await first.aclose()
            while await callers.upgrade(ADA) == 429:
                await trio.sleep(0.05)
            assert await callers.upgrade(ADA) == 429


async def test_a_proxy_that_nobody_has_named_has_the_limit_of_one_address(tmp_path: Path, nginx: str) -> None:
    """That the clients differ is the file's doing: without `proxies` they do not."""
    naming = 'proxies = ["127.0.0.1"]\n'
    assert SETTINGS["nginx"].read_text(encoding="utf-8").endswith(naming)
    with trio.fail_after(PATIENCE):
        async with (
            standing(MIDDLEBOXES["nginx"], tmp_path, program=nginx, config=FEW, changes={naming: ""}) as place,
            AsyncExitStack() as stack,
        ):
            callers = Callers(place.port, stack)
            assert [await callers.upgrade(address) for address in (ADA, BOB, EVE)] == [101, 101, 429]
