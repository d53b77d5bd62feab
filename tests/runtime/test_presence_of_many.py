"""Ten thousand members of one channel, of whom a thousand a second leave and come back, through a whole server.

Most of them are those of another server, as the store of both reports them; some hundreds are sessions of this one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio

from hawser import App
from hawser_engine import EngineConfig
from hawser_engine.channels.attendance import Writing
from hawser_engine.channels.roll import PIECE_ENTRIES, Manner
from hawser_engine.messages import PRESENCE, encode_body
from hawser_engine.presence import Changes, Member, Members, Presence, Present
from tests.runtime.hearing import Told
from tests.runtime.helpers import FAST, serving
from tests.runtime.test_stalled_readers import Timeless

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Server
    from hawser.brokers import PresenceStore
    from hawser_engine.messages import AnyMessage

ROOM: Final = "room:arena"
MEMBERS: Final = 10_000
OWN: Final = 330
"""Sessions of the server that is looked at; more than leave in a second, or each would be away at every step."""
SECONDS: Final = 10
TICKS: Final = 100
"""In a second; in each of them ten members leave, and those come back that have been away for long enough."""
OWN_FLAPS: Final = 3
OTHER_FLAPS: Final = 7
AWAY_TICKS: Final = 50
LEASE_SECONDS: Final = 60.0
ENTRY_BYTES: Final = 64
"""One member in a message: its id, user and info, and the heads."""


class Watching(Timeless):
    """Watches, and keeps account of what it is told."""

    def __init__(self, window: int = 1_000) -> None:
        super().__init__(EngineConfig(window_messages=window), features=(PRESENCE,))
        self.told = Told(None)
        self.heard: list[tuple[float, int]] = []
        """When each message came, and how long it was."""
        self.wrong: list[str] = []

    def take(self, message: AnyMessage | None) -> None:
        if not isinstance(message, Members | Changes):
            super().take(message)
            return
        self.wrong += filter(None, [self.told.hear(message)])
        self.heard.append((trio.current_time(), len(encode_body(message))))

    async def watch(self, nursery: trio.Nursery) -> None:
        await self.attach(nursery)
        self.say(Presence(1, ROOM, 1, None))
        assert isinstance(await self.hear(), Present)


class Own(Timeless):
    """A member."""

    def __init__(self) -> None:
        super().__init__(features=(PRESENCE,))
        self.asked = 0

    async def come(self, nursery: trio.Nursery) -> None:
        await self.attach(nursery)
        self.be(b"here")
        assert isinstance(await self.hear(), Present)

    def be(self, info: bytes | None) -> None:
        """Be a member, or none."""
        self.asked += 1
        self.say(Presence(self.asked, ROOM, 0, info))


class Others:
    """The members of another server, which is the store's word alone."""

    def __init__(self, store: PresenceStore) -> None:
        self._store = store
        self.members = [Member(b"%016d" % number, f"user {number}", b"there") for number in range(MEMBERS - OWN)]

    async def come(self) -> None:
        self._lease = await self._store.begin(LEASE_SECONDS)
        await self.write(range(len(self.members)), here=True)

    async def write(self, places: range, *, here: bool) -> None:
        some = [self.members[place % len(self.members)] for place in places]
        writings = [Writing(ROOM, member.member, member if here else None) for member in some]
        assert await self._store.write(self._lease, writings)


async def flap(others: Others, own: list[Own], check: Any) -> None:
    """Let a thousand a second leave and come back."""
    for tick in range(SECONDS * TICKS + AWAY_TICKS):
        for here, which in ((False, tick), (True, tick - AWAY_TICKS)):
            if 0 <= which < SECONDS * TICKS:
                for place in range(which * OWN_FLAPS, (which + 1) * OWN_FLAPS):
                    own[place % OWN].be(b"here" if here else None)
                await others.write(range(which * OTHER_FLAPS, (which + 1) * OTHER_FLAPS), here=here)
        await trio.sleep(1 / TICKS)
        if tick % TICKS == 0:
            check()


def check_bounded(server: Server, listed: bool) -> None:
    """Whatever a node keeps of it."""
    node: Any = server._node  # pyright: ignore[reportPrivateUsage]
    desk: Any = node.presence
    [watched] = desk._watched.values()
    steps, changed = watched.roll.load
    assert steps <= Manner().steps_max
    assert sum(map(len, watched.roll._steps)) <= Manner().steps_bytes
    assert changed <= (2_000 if listed else 0)  # who has left since the last step, and who has come
    assert len(desk._attendance._due) <= OWN
    assert len(desk._attendance._written) <= OWN
    assert len(desk._holders) == OWN + 2
    assert len(node.timekeeper._heap) < 2 * OWN + 1_000
    for session in list(node.sessions.values())[:2]:  # those who watch
        assert not session.engine.outbox.queue
        assert session.engine.outbox.inflight_bytes <= EngineConfig().window_bytes


@pytest.mark.slow
@pytest.mark.parametrize("listed", [False, True], ids=["counted", "listed"])
async def test_ten_thousand_members_and_a_thousand_flaps_a_second_stay_bounded(
    autojump_clock: MockClock, listed: bool
) -> None:
    """SPEC PRS-6, PRS-8, PRS-10, PRS-11: a step a second, whether they are listed or only counted; nobody is lost."""
    app = App()
    app.channel("room:*", presence=True, open=True)
    config = attrs.evolve(FAST, presence_listed=2 * MEMBERS) if listed else FAST
    others, own = Others(app.broker.presence), [Own() for _ in range(OWN)]
    keen, stuck = Watching(), Watching(window=3)
    async with serving(app, config=config) as server, trio.open_nursery() as nursery:
        await keen.watch(nursery)
        stuck.deliver = False
        await stuck.watch(nursery)
        await others.come()
        for one in own:
            await one.come(nursery)
        await trio.sleep(5)
        assert (keen.told.total, keen.told.members is not None) == (MEMBERS, listed)
        keen.heard.clear()
        await flap(others, own, lambda: check_bounded(server, listed))
        await trio.sleep(2)

        times = [when for when, _ in keen.heard]
        assert all(later - sooner > 0.999 for sooner, later in pairwise(dict.fromkeys(times)))
        steps = len(dict.fromkeys(times))
        assert SECONDS // 2 < steps <= SECONDS + 2
        assert len(times) <= steps * (2_000 // PIECE_ENTRIES + 1 if listed else 1)
        assert sum(size for _, size in keen.heard) <= steps * (2_000 * ENTRY_BYTES if listed else ENTRY_BYTES)

        assert len(stuck.heard) <= 2
        stuck.deliver = True
        stuck.engine.session.delivered(stuck.engine.session.inbox.received, trio.current_time())
        stuck.flush()
        await trio.sleep(2)
        there = {entry.member: entry for entry in await app.broker.presence.members(ROOM)}
        assert len(there) == MEMBERS
        for watcher in (keen, stuck):
            assert not watcher.wrong
            assert (watcher.told.total, watcher.told.members) == (MEMBERS, there if listed else None)

        await trio.sleep(LEASE_SECONDS)  # the other server is no more
        there = {entry.member: entry for entry in await app.broker.presence.members(ROOM)}
        assert len(there) == OWN
        for watcher in (keen, stuck):
            assert not watcher.wrong
            assert (watcher.told.total, watcher.told.members) == (OWN, there)
        nursery.cancel_scope.cancel()
