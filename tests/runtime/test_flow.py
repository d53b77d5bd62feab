"""Credit for items: what may be sent, and what is held (SPEC STR-2)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser.flow import Credit, Inflow
from hawser_engine.errors import RemoteProtocolError


def ignore(items: int, size: int) -> None:
    """Credit goes nowhere."""


async def test_credit_is_waited_for_and_used() -> None:
    credit, sent = Credit(1, 10), list[int]()

    async def send() -> None:
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            for length in (100, 1, 1):
                await credit.take(length)
                sent.append(length)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert sent == [100]  # it may be longer than what is left
        credit.add(5, 90)  # which pays for that one
        await wait_all_tasks_blocked()
        assert sent == [100]
        credit.add(0, 1)
        await wait_all_tasks_blocked()
        assert sent == [100, 1]  # and there are no bytes again
        credit.close()
        await wait_all_tasks_blocked()
        credit.add(1, 1)
        with pytest.raises(trio.BrokenResourceError):
            await credit.some()


async def test_credit_goes_out_again_half_of_it_at_a_time() -> None:
    granted: list[tuple[int, int]] = []
    inflow = Inflow(lambda items, size: granted.append((items, size)), 4, 100, opened=True)
    for number in range(4):
        inflow.put(bytes(number))
    assert [await inflow.take() for _ in range(3)] == [b"", b"\0", b"\0\0"]
    assert granted == [(2, 1)]
    inflow.put(bytes(60))
    assert [len(await inflow.take()) for _ in range(2)] == [3, 60]
    assert granted == [(2, 1), (2, 5), (1, 60)]


async def test_an_item_without_credit_is_the_fault_of_its_sender() -> None:
    few, small = Inflow(ignore, 1, 100, opened=True), Inflow(ignore, 9, 2, opened=True)
    few.put(b"one")
    small.put(b"long")
    for inflow in (few, small, Inflow(ignore, 1, 1, opened=False)):
        with pytest.raises(RemoteProtocolError, match="beyond the credit"):
            inflow.put(b"")


async def test_what_has_not_been_wanted_yet_has_no_credit() -> None:
    granted: list[tuple[int, int]] = []
    inflow = Inflow(lambda items, size: granted.append((items, size)), 4, 100, opened=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inflow.take)
        await wait_all_tasks_blocked()
        assert granted == [(4, 100)]
        inflow.put(b"x")
    inflow.put(b"y")
    inflow.end()
    inflow.put(b"never")
    assert await inflow.take() == b"y"
    for _ in range(2):
        with pytest.raises(trio.EndOfChannel):
            await inflow.take()
    assert granted == [(4, 100)]  # whoever has ended needs none


async def test_waiting_for_an_item_can_be_cancelled() -> None:
    inflow = Inflow(ignore, 4, 100, opened=True)
    with trio.CancelScope() as scope:
        scope.cancel()
        await inflow.take()
    assert scope.cancelled_caught
    inflow.put(b"x")
    with trio.CancelScope() as scope:
        scope.cancel()
        await inflow.take()
    assert scope.cancelled_caught
    assert await inflow.take() == b"x"
