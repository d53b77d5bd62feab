"""What one user may have and how often, whoever else is there (SPEC LIM-1, LIM-3, UNC-1)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Client, Config, ConnectFailed, Principal, connect, states
from hawser.principals import ANONYMOUS
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine import CloseCode, ResetReason
from hawser_engine.agents import Offer, Offered, OfferedProcedure, Withdraw
from hawser_engine.messages import AGENTS, PRESENCE, ChannelRequest, Published, Subscribe, Subscribed
from hawser_engine.messages import Publish as PublishMessage
from hawser_engine.presence import Presence, Present
from tests.runtime.helpers import PATIENCE, URL, RawClient, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

TWO = Config(connections_per_user=2)


def app_of_users(*, thinking_seconds: float = 0) -> App:
    """An app that takes everybody's token for a name; without one they are anonymous."""
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        await trio.sleep(thinking_seconds)
        token = credentials.get("token")
        return Principal(token) if token else ANONYMOUS

    return app


async def test_a_user_has_so_many_connections_and_the_next_comes_in_when_one_leaves(autojump_clock: MockClock) -> None:
    async with serving(app_of_users(), config=TWO) as server:
        async with connect(URL, token="ada") as kept:
            async with connect(URL, token="ada"):
                with pytest.raises(ConnectFailed, match="a user has at most 2 connections"):
                    async with connect(URL, token="ada"):
                        pass
                assert server.sessions == 2  # nobody keeps a session for who was not let in
                async with connect(URL, token="grace"):  # everybody else is served
                    pass
            async with connect(URL, token="ada") as client:
                assert (await client.publish("c", 1)).position.offset == 1
                assert (await kept.publish("c", 2)).position.offset == 2


async def test_one_too_many_is_told_when_to_come_back(autojump_clock: MockClock) -> None:
    config = Config(connections_per_user=1)
    async with serving(app_of_users(), config=config), connect(URL, token="ada"):
        async with RawClient(credentials={"token": "ada"}).connected() as client:
            await client.until(lambda: bool(client.terminations))
            [end] = client.terminations
            assert (end.code, end.reconnect, end.after_seconds) == (CloseCode.OVERLOADED, True, (1.0, 5.0))
            assert not client.opened.is_set()


async def test_of_sessions_that_wait_for_a_user_the_one_that_waits_longest_is_given_up(
    autojump_clock: MockClock,
) -> None:
    """SPEC LIM-3: whoever opens and leaves again and again holds no more than that, and takes nothing from others."""
    config = Config(detached_per_user=2)
    async with serving(app_of_users(), config=config) as server, AsyncExitStack() as stack:
        clients: list[tuple[FaultyNetwork, Client]] = []  # each to be cut by itself, one behind the other
        for token in ("ada", "ada", "ada", "grace"):
            network = await stack.enter_async_context(FaultyNetwork())
            clients.append((network, await stack.enter_async_context(connect(URL, token=token, transport=network))))
        turns = clients[0][1].states
        for _ in range(2):  # those who have come back count anew
            for network, _ in clients:
                network.refuse()
                await network.cut()
                await trio.sleep(0.1)
            assert server.sessions == 3
            for network, _ in clients:
                network.refuse(False)
            await trio.sleep(PATIENCE)
            assert server.sessions == 4
        resets: list[int] = []
        with trio.move_on_after(PATIENCE):
            async for turn in turns:
                resets += [turn.reason] if isinstance(turn, states.Reset) else []
        assert resets == [ResetReason.EVICTED] * 2


@pytest.mark.parametrize("kind", [CutKind.BOTH, CutKind.CLIENT])
async def test_a_resume_releases_its_predecessor_first(autojump_clock: MockClock, kind: CutKind) -> None:
    """Also where the server takes the old connection for alive."""
    async with serving(app_of_users(), config=TWO) as server, FaultyNetwork() as network:
        async with connect(URL, token="ada", transport=network) as one, connect(URL, token="ada") as two:
            for number in range(1, 6):
                await network.cut(kind)
                with trio.fail_after(PATIENCE):
                    assert (await one.publish("c", number)).position.offset == number
            assert server.resumes == 5
            assert (await two.publish("c", 6)).position.offset == 6


async def test_who_is_away_leaves_room_and_is_sent_back_where_others_have_taken_it(autojump_clock: MockClock) -> None:
    config = Config(connections_per_user=1)
    async with serving(app_of_users(), config=config) as server, FaultyNetwork() as network:
        async with connect(URL, token="ada", transport=network) as away:
            network.refuse()
            await network.cut()
            async with connect(URL, token="ada") as other:
                network.refuse(False)
                with trio.move_on_after(20):
                    await away.publish("c", 1)
                    raise AssertionError("there was no room for it")
                assert (await other.publish("c", 2)).position.offset == 1
            with trio.fail_after(PATIENCE):  # its session has waited for it, with what it had to say
                assert (await away.publish("c", 3)).position.offset == 3
            assert server.sessions == 1


async def test_who_was_sent_back_takes_no_place(autojump_clock: MockClock) -> None:
    """A resume that found no room counts no more than one that was never tried."""
    config = Config(connections_per_user=1)
    async with serving(app_of_users(), config=config), FaultyNetwork() as network:
        async with connect(URL, token="ada", transport=network) as away:
            network.refuse()
            await network.cut()
            async with connect(URL, token="ada"):
                network.refuse(False)
                await trio.sleep(20)
                network.refuse()
                assert not isinstance(away.state, states.Connected)
            async with connect(URL, token="ada") as client:
                assert (await client.publish("c", 1)).position.offset == 1


async def test_a_session_that_is_not_proved_counts_for_nothing(autojump_clock: MockClock) -> None:
    """Three OPENs are answered at the same instant: who proves it first is in, the others are sent back."""
    config = Config(connections_per_user=1)
    async with serving(app_of_users(thinking_seconds=1), config=config):
        clients = [RawClient(credentials={"token": "ada"}) for _ in range(3)]
        async with clients[0].connected(), clients[1].connected(), clients[2].connected():
            await trio.sleep(2)
            assert all(client.opened.is_set() for client in clients)
            codes = [client.terminations[0].code for client in clients if client.terminations]
            assert codes == [CloseCode.OVERLOADED] * 2


async def test_everybody_who_is_not_told_apart_is_not_one_user(autojump_clock: MockClock) -> None:
    config = Config(connections_per_user=1)
    for app in (open_app(), app_of_users()):
        async with serving(app, config=config), connect(URL) as one, connect(URL) as two:
            assert (await one.publish("c", 1)).position.offset == 1
            assert (await two.publish("c", 2)).position.offset == 2


async def test_joins_above_the_rate_wait_and_none_is_refused(autojump_clock: MockClock) -> None:
    config = Config(joins_per_second=2, joins_burst=10, channels_per_session=1_000)
    async with serving(open_app(), config=config), RawClient().connected() as client, connect(URL) as other:
        await client.opened.wait()
        began = trio.current_time()
        for number in range(5):
            names = [f"c{number}-{index}" for index in range(8)]
            client.say(Subscribe(number + 1, tuple(ChannelRequest(name, None) for name in names)))
        client.say(PublishMessage(6, "room", b"\xf6", None))
        times: list[float] = []
        for _ in range(5):
            answer = await client.hear()
            assert isinstance(answer, Subscribed)
            assert not [one for one in answer.channels if one.reason]
            times.append(trio.current_time() - began)
            async with other.subscribe(f"other{len(times)}"):  # the rate is each session's own
                pass
        assert times == pytest.approx([0, 3, 7, 11, 15], abs=0.5)
        assert isinstance(await client.hear(), Published)  # and what came after them is still in its order


async def test_presence_above_the_rate_waits_and_giving_it_up_is_no_join(autojump_clock: MockClock) -> None:
    """SPEC PRS-12."""
    app = App()
    app.channel("c*", presence=True, open=True)
    config = Config(joins_per_second=2, joins_burst=3)
    async with serving(app, config=config), RawClient(features=(PRESENCE,)).connected() as client:
        await client.opened.wait()
        began = trio.current_time()
        for number, info in enumerate([b"1", None, b"2", None, b"3", b"4", b"5", b"6"]):
            client.say(Presence(number + 1, "c", 0, info))
        client.say(Subscribe(9, (ChannelRequest("c", None),)))
        times: list[float] = []
        for _ in range(9):
            answer = await client.hear()
            assert isinstance(answer, Present | Subscribed)
            times.append(trio.current_time() - began)
        assert times == pytest.approx([0, 0, 0, 0, 0, 0.5, 1, 1.5, 2], abs=0.2)


async def test_offers_above_the_rate_wait_and_giving_one_up_is_no_join(autojump_clock: MockClock) -> None:
    """SPEC AGT-15."""
    app = App()
    app.agent("*", open=True)
    config = Config(joins_per_second=2, joins_burst=3)
    async with serving(app, config=config), RawClient(features=(AGENTS,)).connected() as client:
        await client.opened.wait()
        began = trio.current_time()
        for id in range(1, 13, 2):
            client.say(Offer(id, "busy", None, b"", (OfferedProcedure("search", b""),)))
            client.say(Withdraw(id + 1, "busy"))
        times: list[float] = []
        for _ in range(12):
            answer = await client.hear()
            assert isinstance(answer, Offered)
            assert answer.code == 0
            times.append(trio.current_time() - began)
        assert times == pytest.approx([0, 0, 0, 0, 0, 0, 0.5, 0.5, 1, 1, 1.5, 1.5], abs=0.2)


async def test_the_burst_of_joins_is_there_again_after_a_pause(autojump_clock: MockClock) -> None:
    config = Config(joins_per_second=1, joins_burst=4)
    async with serving(open_app(), config=config), connect(URL) as client:

        async def join(count: int) -> float:
            began = trio.current_time()
            for _ in range(count):
                async with client.subscribe("c"):
                    pass
            return trio.current_time() - began

        assert await join(4) < 0.5
        assert await join(2) == pytest.approx(2, abs=0.5)
        await trio.sleep(60)
        assert await join(4) < 0.5
        assert await join(1) == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("name", ["connections_per_user", "joins_per_second", "joins_burst", "drain_seconds"])
@pytest.mark.parametrize("value", [-1, "7", None, True, float("nan")])
def test_a_wrong_limit_is_refused_by_the_name_of_its_field(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Config(**{name: value})
