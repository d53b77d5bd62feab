"""The checks of `check_transport`: each makes pairs of links, does one thing to them and compares."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from .cancelling import cancel_at_checkpoint
from .check_bench import Bench, TransportContractError, make_batch
from .contract import BATCH_BYTES_MAX, Link

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

SIZES: Final = (1, 2, 125, 126, 127, 1_000, 4_096, 65_535, 65_536, 65_537, BATCH_BYTES_MAX - 1, BATCH_BYTES_MAX)
"""Sizes at which framings change their form, and the largest of all."""

FLOOD_BYTES: Final = 64 * 1024 * 1024
"""A link that takes so much without being read is not bounded."""

CHECKPOINTS_MAX: Final = 200
"""An operation that still waits after so many steps waits for something that never comes."""


async def _check_descriptions(bench: Bench) -> None:
    async with bench.pair() as (near, far):
        for link in (near, far):
            if not link.description.strip():
                bench.fail("a link has no description")


async def _check_sizes_and_boundaries(bench: Bench) -> None:
    batches = [make_batch(number, size) for number, size in enumerate(SIZES)]
    async with bench.pair() as (near, far):
        for batch in batches:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.receive, far, [batch])
                await bench.soon("sending one batch", near.send_batches, [batch])


async def _check_order(bench: Bench) -> None:
    batches = [make_batch(number, SIZES[number % 9] // (1 + number % 3) + 1) for number in range(300)]
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        nursery.start_soon(bench.receive, far, batches)
        for first in range(0, len(batches), 7):
            group = batches[first : first + 7]
            if first % 2:
                group = group[near.send_nowait(group) :]
            await bench.soon("sending a group", near.send_batches, tuple(group))


async def _check_both_ways_at_once(bench: Bench) -> None:
    batches = [make_batch(number, 50_000) for number in range(60)]
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        for one, other in ((near, far), (far, near)):
            nursery.start_soon(bench.receive, other, batches)
            nursery.start_soon(bench.send, one, tuple(batches))


async def _check_refuses_wrong_sizes(bench: Bench) -> None:
    good = make_batch(1, 10)
    async with bench.pair() as (near, far):
        for wrong in (b"", bytes(BATCH_BYTES_MAX + 1)):
            await bench.raises(
                ValueError,
                f"sending a batch of {len(wrong)} bytes",
                near.send_batches,
                [good, wrong],
            )
            try:
                near.send_nowait([good, wrong])
            except ValueError:
                pass
            else:
                bench.fail(f"send_nowait took a batch of {len(wrong)} bytes")
        await bench.soon("sending afterwards", near.send_batches, [make_batch(2, 10)])
        await bench.receive(far, [make_batch(2, 10)])


async def _check_leaves_the_callers_list_alone(bench: Bench) -> None:
    batches = [make_batch(number, 100) for number in range(5)]
    async with bench.pair() as (near, far):
        given = list(batches)
        await bench.soon("sending a list", near.send_batches, given)
        if given != batches:
            bench.fail("send_batches changed the list it was given")
        given.reverse()
        given.clear()
        await bench.receive(far, batches)
        await bench.soon("sending nothing", near.send_batches, ())
        if near.send_nowait([]) != 0:
            bench.fail("send_nowait took more than nothing")
        await bench.soon("sending a tuple", near.send_batches, tuple(batches))
        await bench.receive(far, batches)


async def _check_send_nowait_counts_what_it_took(bench: Bench) -> None:
    batches = [make_batch(number, 30_000) for number in range(40)]
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        taken = near.send_nowait(batches)
        if not 0 <= taken <= len(batches):
            bench.fail(f"send_nowait answered {taken} of {len(batches)}")
        nursery.start_soon(bench.receive, far, batches)
        await bench.soon("sending the rest", near.send_batches, batches[taken:])


async def _check_carry_says_what_it_took(bench: Bench) -> None:
    batches = [make_batch(number, 30_000) for number in range(40)]
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        for wrong in (b"", bytes(BATCH_BYTES_MAX + 1)):
            try:
                near.carry(wrong)
            except ValueError:
                pass
            else:
                bench.fail(f"carry took a batch of {len(wrong)} bytes")
        taken = 0
        while taken < len(batches) and near.carry(batches[taken]):
            taken += 1
        nursery.start_soon(bench.receive, far, batches)
        await bench.soon("sending the rest", near.send_batches, batches[taken:])


async def _flood(bench: Bench, link: Link) -> list[bytes]:
    """Send until the link takes no more; the last batch handed over may be half taken."""
    sent: list[bytes] = []
    while len(sent) * BATCH_BYTES_MAX < FLOOD_BYTES:
        batch = make_batch(len(sent), BATCH_BYTES_MAX)
        sent.append(batch)
        with trio.move_on_after(bench.quiet_seconds) as patience:
            await link.send_batches([batch])
        if patience.cancelled_caught:
            return sent
    bench.fail(f"the link took {FLOOD_BYTES} bytes that nobody reads: no back-pressure")


async def _check_back_pressure(bench: Bench) -> None:
    async with bench.pair() as (near, _far):
        room = len(await _flood(bench, near)) - 1
    batches = [make_batch(number, BATCH_BYTES_MAX) for number in range(room + 8)]
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        await bench.waits(nursery, near.send_batches, batches)
        await bench.receive(far, batches)
    async with bench.pair() as (near, far):
        taken = near.send_nowait(batches)
        if taken == len(batches):
            bench.fail(f"send_nowait took {taken} batches, send_batches only {room}: no back-pressure")
        await bench.receive(far, batches[:taken])


async def _check_end_comes_after_everything_sent(bench: Bench) -> None:
    batches = [make_batch(number, 1_000) for number in range(15)]
    async with bench.pair() as (near, far):
        await bench.soon("sending", near.send_batches, batches)
        await bench.soon("closing", near.aclose)
        await bench.receive(far, batches)
        for _ in range(3):
            await bench.raises(trio.EndOfChannel, "receiving after the peer closed", far.receive_batches)


async def _check_close_is_final_and_idempotent(bench: Bench) -> None:
    async with bench.pair() as (near, far):
        await bench.soon("sending to the end that closes", far.send_batches, [make_batch(0, 10)])
        for _ in range(3):
            await bench.soon("closing", near.aclose)
        await bench.raises(trio.ClosedResourceError, "receiving after closing", near.receive_batches)
        await bench.raises(trio.ClosedResourceError, "sending after closing", near.send_batches, [make_batch(1, 10)])
        try:
            near.send_nowait([make_batch(2, 10)])
        except trio.ClosedResourceError:
            pass
        else:
            bench.fail("send_nowait after closing did not raise ClosedResourceError")


async def _check_carry_takes_what_is_lost(bench: Bench) -> None:
    async with bench.pair() as (near, _):
        await bench.soon("closing", near.aclose)
        try:
            taken = near.carry(make_batch(1, 10))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            bench.fail("carry raised on a link that was closed")
        else:
            if not taken:
                bench.fail("carry refused what it would have to refuse for ever: the link was closed")


async def _check_cancelled_close_closes(bench: Bench) -> None:
    async with bench.pair() as (near, far):
        await trio.aclose_forcefully(near)
        await bench.raises(trio.ClosedResourceError, "receiving after a cancelled close", near.receive_batches)
        await bench.receive_prefix(far, [])


async def _check_close_wakes_own_tasks(bench: Bench) -> None:
    async with bench.pair() as (near, _far):
        batches = [make_batch(number, BATCH_BYTES_MAX) for number in range(FLOOD_BYTES // BATCH_BYTES_MAX)]

        async def receive() -> None:
            await bench.raises(trio.ClosedResourceError, "a receive during close", near.receive_batches)

        async def send() -> None:
            await bench.raises(trio.ClosedResourceError, "a send during close", near.send_batches, batches)

        async with trio.open_nursery() as nursery:
            await bench.waits(nursery, receive)
            await bench.waits(nursery, send)
            await bench.soon("closing", near.aclose)


async def _check_close_while_the_peer_sends(bench: Bench) -> None:
    batches = [make_batch(number, BATCH_BYTES_MAX) for number in range(FLOOD_BYTES // BATCH_BYTES_MAX)]
    async with bench.pair() as (near, far):

        async def send() -> None:
            await bench.raises(trio.BrokenResourceError, "a send to a peer that closes", near.send_batches, batches)

        async with trio.open_nursery() as nursery:
            await bench.waits(nursery, send)
            await bench.soon("closing", far.aclose)
        await bench.raises(trio.BrokenResourceError, "a later send to a closed peer", near.send_batches, batches)


async def _check_two_tasks_at_once(bench: Bench) -> None:
    room = FLOOD_BYTES // BATCH_BYTES_MAX
    batches = [make_batch(number, BATCH_BYTES_MAX) for number in range(room)]
    async with bench.pair() as (near, far):
        async with trio.open_nursery() as nursery:
            await bench.waits(nursery, bench.receive, far, [make_batch(7, 10)])
            await bench.raises(trio.BusyResourceError, "a second receive", far.receive_batches)
            await bench.soon("sending to the first receive", near.send_batches, [make_batch(7, 10)])
        async with trio.open_nursery() as nursery:
            await bench.waits(nursery, near.send_batches, batches)
            await bench.raises(trio.BusyResourceError, "a second send", near.send_batches, [make_batch(8, 10)])
            try:
                near.send_nowait([make_batch(9, 10)])
            except trio.BusyResourceError:
                pass
            else:
                bench.fail("send_nowait during a send did not raise BusyResourceError")
            nursery.cancel_scope.cancel()
        await bench.soon("closing", near.aclose)
        await bench.receive_prefix(far, batches)


async def _check_checkpoints(bench: Bench) -> None:
    async with bench.pair() as (near, far):
        for number in range(3):
            try:
                with assert_checkpoints():
                    await near.send_batches([make_batch(number, 10)])
                with assert_checkpoints():
                    await bench.receive(far, [make_batch(number, 10)])
            except AssertionError as error:
                if isinstance(error, TransportContractError):
                    raise
                bench.fail("sending or receiving without waiting is no checkpoint")


async def _visit_send(bench: Bench, number: int, batches: Sequence[bytes], *, reading: bool) -> bool:
    """Cancel one send at one checkpoint and see that the link is untouched or dead. False: it was not cancelled."""
    marker = make_batch(1_000_000, 12)
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        arrived: list[bytes] = []
        ended = trio.Event()

        async def read() -> None:
            try:
                while True:
                    arrived.extend(await far.receive_batches())
            except (trio.EndOfChannel, trio.BrokenResourceError):
                ended.set()

        if reading:
            nursery.start_soon(read)
        cancelled = True
        with trio.move_on_after(bench.quiet_seconds) as patience:
            cancelled = await cancel_at_checkpoint(partial(near.send_batches, batches), number)
        if not reading:
            nursery.start_soon(read)
        alive = True
        try:
            await bench.soon("a send after a cancelled one", near.send_batches, [marker])
        except trio.BrokenResourceError:
            alive = False
        await near.aclose()
        await bench.soon("finding out at the peer that a link whose send was cancelled ended", ended.wait)
    if not alive:
        if arrived != list(batches[: len(arrived)]):
            bench.fail("what arrived before a cancelled send killed the link is no prefix of what was sent")
    elif arrived != ([marker] if cancelled else [*batches, marker]):
        bench.fail(f"a cancelled send left {len(arrived) - 1} batches on a link that lives on")
    return cancelled and not patience.cancelled_caught


async def _check_cancelled_send(bench: Bench) -> None:
    async with bench.pair() as (near, _far):
        room = len(await _flood(bench, near)) - 1
    few = [make_batch(number, 1_000) for number in range(3)]
    many = [make_batch(number, BATCH_BYTES_MAX) for number in range(room + 6)]
    for batches, reading in ((few, True), (few, False), (many, True), (many, False)):
        for number in range(CHECKPOINTS_MAX):
            if not await _visit_send(bench, number, batches, reading=reading):
                break


async def _check_cancelled_receive(bench: Bench) -> None:
    batches = [make_batch(number, 500) for number in range(8)]
    for waiting in (True, False):
        for number in range(CHECKPOINTS_MAX):
            async with bench.pair() as (near, far):
                arrived: list[bytes] = []

                async def take(far: Link = far, arrived: list[bytes] = arrived) -> None:
                    arrived.extend(await far.receive_batches())

                async def send(near: Link = near) -> None:
                    await near.send_batches(batches[:4])

                if not waiting:
                    await send()
                    await wait_all_tasks_blocked(min(0.01, bench.quiet_seconds))
                with trio.move_on_after(bench.quiet_seconds):
                    cancelled = await cancel_at_checkpoint(take, number)
                    if not cancelled:
                        break
                if arrived:
                    bench.fail("a cancelled receive has taken batches")
                if waiting:
                    await send()
                await bench.soon("sending after a cancelled receive", near.send_batches, batches[4:])
                await bench.receive(far, batches)
            if waiting and number:
                break


async def _check_receive_cancelled_as_a_batch_arrives(bench: Bench) -> None:
    batch = make_batch(5, 700)
    async with bench.pair() as (near, far), trio.open_nursery() as nursery:
        arrived: list[bytes] = []
        scope = trio.CancelScope()

        async def take() -> None:
            with scope:
                arrived.extend(await far.receive_batches())

        await bench.waits(nursery, take)
        if not near.send_nowait([batch]):
            await bench.soon("sending", near.send_batches, [batch])
        scope.cancel()
        await wait_all_tasks_blocked(min(0.01, bench.quiet_seconds))
        if not arrived:
            await bench.receive(far, [batch])
        elif arrived != [batch]:
            bench.fail(f"received {len(arrived)} batches of 1")


CHECKS: Final[tuple[Callable[[Bench], Awaitable[None]], ...]] = (
    _check_descriptions,
    _check_sizes_and_boundaries,
    _check_order,
    _check_both_ways_at_once,
    _check_refuses_wrong_sizes,
    _check_leaves_the_callers_list_alone,
    _check_send_nowait_counts_what_it_took,
    _check_carry_says_what_it_took,
    _check_back_pressure,
    _check_end_comes_after_everything_sent,
    _check_close_is_final_and_idempotent,
    _check_carry_takes_what_is_lost,
    _check_cancelled_close_closes,
    _check_close_wakes_own_tasks,
    _check_close_while_the_peer_sends,
    _check_two_tasks_at_once,
    _check_checkpoints,
    _check_cancelled_send,
    _check_cancelled_receive,
    _check_receive_cancelled_as_a_batch_arrives,
)
