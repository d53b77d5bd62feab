"""What `check_broker` checks of a broker's presence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hawser_engine.channels.attendance import Writing
from hawser_engine.presence import Member
from hawser_transports.cancelling import cancel_at_checkpoint

from .expecting import expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from .presence import PresenceStore

LONG: Final = 1_000.0
"""Seconds of a lease that is not to expire while something else is checked."""


class _Reports:
    """A sink that keeps who is there, and how often it was told."""

    def __init__(self) -> None:
        self.members: dict[bytes, Member] = {}
        self.told = 0
        self.arrived = trio.Event()

    def __call__(self, channel: str, changes: Sequence[Writing]) -> None:
        for change in changes:
            self.told += 1
            if change.entry is None:
                self.members.pop(change.member, None)
            else:
                self.members[change.member] = change.entry
        self.arrived.set()
        self.arrived = trio.Event()

    async def until(self, told: int) -> list[Member]:
        with trio.move_on_after(5):
            while self.told < told:
                await self.arrived.wait()
        return _sorted(self.members.values())


def _sorted(members: Iterable[Member]) -> list[Member]:
    return sorted(members, key=lambda entry: entry.member)


def _member(number: int, info: bytes = b"") -> Member:
    return Member(b"%d" % number, f"user{number}", info)


def _here(channel: str, entry: Member) -> Writing:
    return Writing(channel, entry.member, entry)


async def _check_members(store: PresenceStore) -> None:
    reports, late = _Reports(), _Reports()
    lease = await store.begin(LONG)
    expect("nobody yet", await store.watch("check:members", reports), ())
    expect(
        "writing", await store.write(lease, [_here("check:members", _member(1)), _here("check:else", _member(1))]), True
    )
    await store.write(lease, [_here("check:members", _member(2)), _here("check:members", _member(1, b"x"))])
    both = [_member(1, b"x"), _member(2)]
    expect("members as reported", await reports.until(3), both)
    expect("members", _sorted(await store.members("check:members")), both)
    expect("members to a second watcher", _sorted(await store.watch("check:members", late)), both)
    late.members = {entry.member: entry for entry in both}
    await store.write(lease, [_here("check:members", _member(2)), Writing("check:members", b"9", None)])
    await store.write(lease, [Writing("check:members", b"1", None)])
    expect("members after one left", await reports.until(4), [_member(2)])
    expect("members after one left, to the second", await late.until(1), [_member(2)])
    expect("reports of what changed nothing", (reports.told, late.told), (4, 1))
    await store.unwatch("check:members", late)
    await store.unwatch("check:members", late)
    await store.end(lease)
    expect("members after the lease was given up", await reports.until(5), [])
    expect("reports after unwatching", late.told, 1)
    expect("members elsewhere after that", await store.members("check:else"), ())
    await store.end(lease)
    expect("renewing a lease that was given up", await store.renew(lease, LONG), False)
    expect("writing under it", await store.write(lease, [_here("check:members", _member(1))]), False)
    expect("members written under it", await store.members("check:members"), ())
    await store.unwatch("check:members", reports)


async def _check_two_nodes(store: PresenceStore) -> None:
    one, other = await store.begin(LONG), await store.begin(LONG)
    expect("two leases are two", one != other, True)
    await store.write(one, [_here("check:nodes", _member(1)), _here("check:nodes", _member(2))])
    await store.write(other, [_here("check:nodes", _member(2, b"moved")), _here("check:nodes", _member(3))])
    await store.end(one)
    left = [_member(2, b"moved"), _member(3)]
    expect("members of the other node, one of them moved there", _sorted(await store.members("check:nodes")), left)
    await store.end(other)


async def _check_cancelled_writings(store: PresenceStore) -> None:
    lease, reports = await store.begin(LONG), _Reports()
    await store.watch("check:cancel", reports)
    for number in range(100):
        writings = [_here("check:cancel", _member(2 * number)), _here("check:cancel", _member(2 * number + 1))]

        async def write(writings: Sequence[Writing] = writings) -> None:
            await store.write(lease, writings)

        cancelled = await cancel_at_checkpoint(write, number)
        some = len(await store.members("check:cancel")) - 2 * number
        expect("what a cancelled writing did is all or nothing", some in (0, 2), True)
        await write()
        expect("members after it was repeated", len(await reports.until(2 * number + 2)), 2 * number + 2)
        if not cancelled:
            break
    await store.unwatch("check:cancel", reports)
    await store.end(lease)


async def check_leases(store: PresenceStore, seconds: float) -> None:
    """Leases that are renewed last, and one that is not takes its members with it, without anybody asking."""
    reports = _Reports()
    await store.watch("check:leases", reports)
    one, other = await store.begin(seconds), await store.begin(seconds)
    await store.write(one, [_here("check:leases", _member(1))])
    await store.write(other, [_here("check:leases", _member(2))])
    await trio.sleep(seconds * 0.7)
    expect("renewing in time", await store.renew(one, seconds), True)
    await trio.sleep(seconds * 0.5)
    expect("members when a lease has expired", await reports.until(3), [_member(1)])
    expect("members as read", await store.members("check:leases"), (_member(1),))
    expect("renewing too late", await store.renew(other, seconds), False)
    expect("writing too late", await store.write(other, [_here("check:leases", _member(3))]), False)
    again = await store.begin(seconds)
    expect("writing under a new lease", await store.write(again, [_here("check:leases", _member(2))]), True)
    expect("members once more", await reports.until(4), [_member(1), _member(2)])
    await trio.sleep(seconds * 1.5)
    expect("members when all have expired", await reports.until(6), [])
    await store.unwatch("check:leases", reports)


PRESENCE_CHECKS: Final[tuple[Callable[[PresenceStore], Awaitable[None]], ...]] = (
    _check_members,
    _check_two_nodes,
    _check_cancelled_writings,
)
