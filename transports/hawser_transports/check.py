"""The public contract suite for transports, in the manner of `trio.testing.check_two_way_stream`.

The checks stand in `check_cases`, what they work with in `check_bench`. Nothing there knows any transport: a
third party calls `check_transport` with a way to make a connected pair of its own links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check_bench import Bench, TransportContractError
from .check_cases import CHECKS

if TYPE_CHECKING:
    from .check_bench import MakePair
    from .contract import Link

__all__ = ["TransportContractError", "check_transport"]


async def check_transport(make_pair: MakePair, *, wait_seconds: float = 5.0, quiet_seconds: float = 0.2) -> None:
    """Check that a transport keeps the contract of `Link`, in both directions.

    Run it inside `trio.run` with a listener at hand, or inside a test with an autojump clock where the transport
    needs no real time.

    Args:
        make_pair: Opens a fresh connected pair of links, called some hundred times. Everything is closed again.
        wait_seconds: How long to wait for what must happen.
        quiet_seconds: How long to watch for what must not happen, or to take silence for waiting.

    Raises:
        TransportContractError: The contract is broken; the message begins with the name of the check.
    """

    async def make_reverse() -> tuple[Link, Link]:
        near, far = await make_pair()
        return far, near

    for direction, make in (("forward", make_pair), ("backward", make_reverse)):
        for check in CHECKS:
            name = check.__name__.removeprefix("_check_")
            await Bench(f"{name} ({direction})", make, wait_seconds, quiet_seconds).run(check)
