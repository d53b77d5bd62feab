"""What the checks of `check_transport` work with: fresh pairs, deadlines, comparisons and a way to complain."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar, TypeVarTuple, cast

import trio
from trio.testing import wait_all_tasks_blocked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from typing import NoReturn

    from .contract import Link

    MakePair: TypeAlias = Callable[[], Awaitable[tuple[Link, Link]]]


T = TypeVar("T")
Args = TypeVarTuple("Args")


class TransportContractError(AssertionError):
    """A transport broke its contract; the message names the check and what was seen."""


class Bench:
    """What one check works with: fresh pairs, deadlines, and a way to complain."""

    def __init__(self, where: str, make: MakePair, wait_seconds: float, quiet_seconds: float) -> None:
        self.where = where
        self.make = make
        self.wait_seconds = wait_seconds
        self.quiet_seconds = quiet_seconds

    async def run(self, check: Callable[[Bench], Awaitable[None]]) -> None:
        """Run one check; whatever it raises becomes a complaint of this bench."""
        try:
            await check(self)
        except Exception as error:
            cause = _first_leaf(error)
            if isinstance(cause, TransportContractError):
                raise cause from error.__cause__
            raise TransportContractError(f"{self.where}: failed with {cause!r}") from error

    def fail(self, seen: str) -> NoReturn:
        """Complain."""
        raise TransportContractError(f"{self.where}: {seen}")

    @asynccontextmanager
    async def pair(self) -> AsyncGenerator[tuple[Link, Link], None]:
        """A fresh pair that is closed afterwards."""
        near, far = await self.make()
        try:
            yield near, far
        finally:
            await trio.aclose_forcefully(near)
            await trio.aclose_forcefully(far)

    async def soon(self, what: str, operation: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Do something that must end within the wait."""
        with trio.move_on_after(self.wait_seconds):
            return await operation(*args)
        self.fail(f"{what} did not end within {self.wait_seconds} s")

    async def raises(
        self, error: type[Exception], what: str, operation: Callable[[*Args], Awaitable[object]], *args: *Args
    ) -> None:
        """Do something that must raise one kind of error within the wait."""
        try:
            await self.soon(what, operation, *args)
        except error:
            return
        except TransportContractError:
            raise
        except Exception as other:
            self.fail(f"{what} raised {other!r} instead of {error.__name__}")
        self.fail(f"{what} did not raise {error.__name__}")

    async def send(self, link: Link, batches: Sequence[bytes]) -> None:
        """Send all of these batches."""
        await self.soon("sending", link.send_batches, batches)

    async def receive(self, link: Link, expected: Sequence[bytes]) -> None:
        """Receive exactly these batches: same bytes, same boundaries, same order."""
        seen = 0
        while seen < len(expected):
            try:
                batches = await self.soon(f"receiving batch {seen + 1} of {len(expected)}", link.receive_batches)
            except (trio.EndOfChannel, trio.BrokenResourceError) as end:
                self.fail(f"the link ended with {end!r} after {seen} of {len(expected)} batches")
            if not batches:
                self.fail("receive_batches answered an empty list")
            for batch in batches:
                if seen == len(expected):
                    self.fail(f"more arrived than was sent: {_show(batch)}")
                if batch != expected[seen]:
                    self.fail(f"batch {seen + 1} is {_show(batch)}, sent was {_show(expected[seen])}")
                seen += 1

    async def receive_prefix(self, link: Link, expected: Sequence[bytes]) -> int:
        """Receive until the link ends; what arrives must be a prefix of what was sent."""
        seen = 0
        while True:
            try:
                batches = await self.soon("receiving until the end", link.receive_batches)
            except (trio.EndOfChannel, trio.BrokenResourceError):
                return seen
            for batch in batches:
                if seen == len(expected) or batch != expected[seen]:
                    self.fail(f"batch {seen + 1} is {_show(batch)}: not a prefix of what was sent")
                seen += 1

    async def waits(self, nursery: trio.Nursery, operation: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Start something in the nursery that is then expected to wait."""

        async def run() -> None:
            await operation(*args)

        nursery.start_soon(run)
        await wait_all_tasks_blocked(min(0.01, self.quiet_seconds))


def _first_leaf(error: Exception) -> Exception:
    """What really happened, out of whatever groups nurseries have wrapped around it."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def make_batch(number: int, size: int) -> bytes:
    """A batch that tells its number and size, so that a wrong one shows what it is."""
    return (number.to_bytes(4, "big") * (size // 4 + 1))[-size:]


def _show(batch: bytes) -> str:
    return f"{batch[-4:].hex()} ({len(batch)} bytes)"
