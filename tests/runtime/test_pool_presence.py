"""Presence through a pool: users of one session are one member, watch together, and see changes each for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import NOBODY, App, ClientPool, PayloadError, RequestFailed, SessionClosed, connect
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import PooledClient, SharedPresence

ROOM = "room:lobby"


def presence_app() -> App:
    app = App()
    app.channel("room:*", presence=True, open=True)
    app.channel("quiet:*", presence=True, appear=NOBODY, open=True)
    return app


async def there(app: App) -> list[Any]:
    return sorted(member.info for member in await app.members(ROOM))


async def next_change(presence: SharedPresence) -> tuple[str, Any]:
    with trio.fail_after(10):
        change = await presence.__anext__()
    return change.what, change.member and change.member.info


async def test_users_of_a_session_are_one_member_that_says_what_the_last_one_said(autojump_clock: MockClock) -> None:
    app = presence_app()
    async with serving(app), ClientPool() as pool, pool.client(URL) as one, pool.client(URL) as two:
        first = one.presence(ROOM, info="one", watch=False)
        await first.__aenter__()
        assert await there(app) == ["one"]
        async with two.presence(ROOM, info="two") as second:
            assert await there(app) == ["two"]
            await trio.sleep(2)  # what it said itself is told it by the list, or as a change behind it
            assert ([member.info for member in second.members], second.total, second.listed) == (["two"], 1, True)
            assert second.me == second.members[0]
            await first.update("first")
            assert await there(app) == ["first"]
            told = [await next_change(second)]
            if told == [("update", "two")]:
                told.append(await next_change(second))
            assert told[-1] == ("update", "first")
            with pytest.raises(PayloadError):
                await second.update("x" * 2_000)
            await second.update("second")
        await trio.sleep(1)
        assert await there(app) == ["first"]  # who said something else last has gone
        await first.update(None)
        assert await there(app) == []
        await first.__aexit__(None, None, None)
        assert [change async for change in first] == []
        with pytest.raises(RuntimeError, match="only once"):
            await first.__aenter__()


async def test_each_user_sees_the_changes_from_when_it_came(autojump_clock: MockClock) -> None:
    app = presence_app()
    async with serving(app), connect(URL) as ada, ClientPool() as pool:
        async with pool.client(URL) as one, pool.client(URL) as two, one.presence(ROOM) as early:
            for info in range(2):  # the second time the channel is watched anew
                async with ada.presence(ROOM, info=info, watch=False):
                    assert await next_change(early) == ("join", info)
                    async with two.presence(ROOM) as late:
                        assert [member.info for member in late.members] == [info]
                    await trio.sleep(1)
                assert await next_change(early) == ("leave", info)
        async with pool.client(URL) as one, one.presence(ROOM, info="one", watch=False) as member:
            assert member.members == []
            async with one.presence(ROOM) as watching:
                assert [entry.info for entry in watching.members] == ["one"]
                async with ada.presence(ROOM, info="ada", watch=False):
                    assert await next_change(watching) == ("join", "ada")
            await trio.sleep(1)
            async with one.presence(ROOM) as watching:
                await trio.sleep(2)
                assert [entry.info for entry in watching.members] == ["one"]


async def test_what_is_refused_to_one_is_left_to_the_others(autojump_clock: MockClock) -> None:
    app = presence_app()
    async with serving(app), ClientPool() as pool, pool.client(URL) as one, one.presence("quiet:x") as watching:
        with pytest.raises(RequestFailed):
            await one.presence("quiet:x", info="one").__aenter__()
        with pytest.raises(RequestFailed):
            await watching.update("one")
        async with one.presence("quiet:x") as other:
            assert (other.total, watching.total) == (0, 0)


async def test_nothing_is_kept_of_channels_that_nobody_looks_at_any_more(autojump_clock: MockClock) -> None:
    """Else a session that lives long and looks at many would keep a piece of each."""
    app = presence_app()
    async with serving(app), ClientPool() as pool, pool.client(URL) as one, pool.client(URL) as two:
        shares = one._present().presences  # pyright: ignore[reportPrivateUsage]

        async def look(pooled: PooledClient, number: int, seconds: float) -> None:
            async with pooled.presence(f"room:{number}", info=number):
                await trio.sleep(seconds)
                assert 0 < len(shares) <= 3

        for seconds in (0, 1):  # one comes while the other goes, or both are there
            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(look, one, number, seconds)
                    nursery.start_soon(look, two, number, 0.5)
            await trio.sleep(1)
            assert len(shares) == 0
        with pytest.raises(RequestFailed):
            await one.presence("quiet:x", info="one").__aenter__()
        await trio.sleep(1)
        assert len(shares) == 0


async def test_the_end_of_the_session_ends_it_for_all(autojump_clock: MockClock) -> None:
    async with ClientPool() as pool:
        async with serving(presence_app()), pool.client(URL) as one:
            async with one.presence(ROOM) as presence:
                await one._present().client.aclose()  # pyright: ignore[reportPrivateUsage]
                assert [change async for change in presence] == []
            with pytest.raises(SessionClosed):
                await one.presence(ROOM).__aenter__()


async def test_an_agent_may_be_offered_through_a_pool(autojump_clock: MockClock) -> None:
    app = App()
    app.agent("*", open=True)

    async def greet(name: str) -> str:
        return f"hello {name}"

    async with serving(app), ClientPool() as pool, pool.client(URL) as one, connect(URL) as other:
        async with one.offer("clerk", greet):
            assert await other.call("clerk.greet", "ada") == "hello ada"
