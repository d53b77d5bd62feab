"""What members of channels, users and agents do with each other, over sockets whose connections break meanwhile."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import EVERYONE, App, CallError, ErrorCode, Inputs, Principal, connect, takes_inputs, to
from hawser_transports import LongPollTransport, PollSettings, WebSocketTransport
from tests.faults.processes import running
from tests.faults.proxy import Kind, Proxy
from tests.runtime.helpers import FAST, collect, only_session, serving
from tests.runtime.test_over_websocket import SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from hawser import Client, Server
    from hawser_transports import Transport

SERVING = WebSocketTransport(settings=SETTINGS)
CARRIAGES = {
    "websocket": SERVING,
    "long-poll": LongPollTransport(settings=SETTINGS, polls=PollSettings(retry_seconds=0.05)),
}
QUICK = attrs.evolve(FAST, backoff_base_seconds=0.05, backoff_cap_seconds=0.2, resumes_per_minute=10_000)
"""Back at once."""


@attrs.frozen
class Place:
    """A server behind connections that can be broken."""

    server: Server
    proxy: Proxy
    transport: Transport

    @asynccontextmanager
    async def client(self, user: str, **options: Any) -> AsyncGenerator[Client, None]:
        """A client there."""
        url = f"http://127.0.0.1:{self.proxy.port}/"
        config = attrs.evolve(QUICK, **options)
        async with connect(url, transport=self.transport, token=user, config=config) as client:
            yield client

    def break_all(self) -> None:
        """Break each connection that there is."""
        self.proxy.strike(Kind.RESET)


@pytest.fixture(params=CARRIAGES)
def carriage(request: pytest.FixtureRequest) -> Transport:
    return CARRIAGES[request.param]


@asynccontextmanager
async def open_place(app: App, carriage: Transport) -> AsyncGenerator[Place, None]:
    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"])

    with trio.fail_after(60):
        async with serving(app, config=QUICK, transport=SERVING, url="http://127.0.0.1:0") as server:
            async with trio.open_nursery() as nursery:
                port = int(server.url.rpartition(":")[2].strip("/"))
                proxy: Proxy = await nursery.start(Proxy(port).run)
                yield Place(server, proxy, carriage)
                nursery.cancel_scope.cancel()
    assert len(proxy.broken) > 1


async def test_filters_patterns_and_what_is_volatile(carriage: Transport) -> None:
    """SPEC SUB-12, WLD-4, VOL-4: each has what is for it, once, across links that break."""
    app = App()
    app.channel("log:*", history=100, about=["tags"], volatile=True, open=True)
    async with open_place(app, carriage) as place, place.client("ada") as ada, place.client("bob") as bob:
        async with (
            ada.subscribe("log:1", filter="number > 4") as some,
            bob.subscribe("log:*") as wide,
            bob.subscribe("log:2") as plain,
        ):
            for number in range(10):
                for channel in ("log:1", "log:2"):
                    await ada.publish(channel, number, tags={"number": str(number)})
                if number % 3 == 1:
                    place.break_all()
            assert await collect(some, 5) == [5, 6, 7, 8, 9]
            assert await collect(wide, 10) == await collect(plain, 10) == list(range(10))
            await ada.publish("log:2", "now", volatile=True)
            assert await collect(plain, 1) == ["now"]


@pytest.mark.parametrize("overflow", ["catch-up", "drop-oldest", "keep-latest"])
async def test_a_slow_reader_gets_what_the_channel_declares(carriage: Transport, overflow: Any) -> None:
    """SPEC OVF-1, LAT-2: all of it, the newest behind a gap, or the newest of each key."""
    app = App()
    app.channel("board", history=300, overflow=overflow, about=["latest_key"], open=True)
    async with open_place(app, carriage) as place, place.client("ada") as ada:
        async with place.client("bob", subscription_messages=5) as bob, bob.subscribe("board") as messages:
            for number in range(250):
                await ada.publish("board", number, latest_key=str(number % 3))
                if number % 100 == 50:
                    place.break_all()
            items: list[Any] = []
            while not items or items[-1] != 249:
                items += await collect(messages, 1)
    if overflow == "catch-up":
        assert items == list(range(250))
    elif overflow == "drop-oldest":
        numbers = [item for item in items if isinstance(item, int)]
        assert len(numbers) < len(items)  # there was a gap
        assert numbers == sorted(numbers)
        assert numbers[-100:] == list(range(150, 250))
    else:
        assert len(items) < 50
        assert items[-3:] == [247, 248, 249]


async def test_history_is_read_a_page_at_a_time(carriage: Transport) -> None:
    """SPEC PGE-2, PGE-4: in pages of many parts, each of which is answered once."""
    app = App()
    app.channel("board", history=300, open=True)
    async with open_place(app, carriage) as place, place.client("ada") as ada:
        for number in range(40):
            await ada.publish("board", [number, bytes(40_000)])
        page = await ada.history("board")
        assert len(page.messages) == 26  # of 40,000 bytes in a message of 1 MiB
        seen = list(page.messages)
        while page.next is not None:
            place.break_all()
            page = await ada.history("board", before=page.next, limit=5)
            seen[:0] = page.messages
        assert [message.data[0] for message in seen] == list(range(40))


async def test_members_see_each_other(carriage: Transport) -> None:
    """SPEC PRS-2, PRS-9: a link that breaks and is back within the grace is no news."""
    app = App()
    app.channel("room", presence=True, open=True)
    async with open_place(app, carriage) as place, place.client("ada") as ada, place.client("bob") as bob:
        async with ada.presence("room", info={"at": 1}) as seen:
            async with bob.presence("room", info={"at": 2}):
                while len(seen.members) < 2:
                    await anext(seen)
                place.break_all()
                for client in (ada, bob):
                    await client.publish("room", "back again")
                assert {(member.user, member.info["at"]) for member in seen.members} == {("ada", 1), ("bob", 2)}
            assert (await anext(seen)).what == "leave"
            assert [member.user for member in seen.members] == ["ada"]


async def test_somebody_is_sent_something_and_members_are_asked(carriage: Transport) -> None:
    """SPEC ADR-2 to ADR-8, ASK-1: unicast, multicast, except me, and what becomes of each."""
    app = App()
    app.user("*", open=True)
    app.channel("room", history=10, ask=EVERYONE, open=True)

    async def answer(question: Any) -> str:
        return f"{question.data}!"

    async with open_place(app, carriage) as place, place.client("ada") as ada, place.client("bob") as bob:
        async with (
            bob.directs() as directs,
            ada.subscribe("room") as mine,
            bob.subscribe("room", answers=answer) as his,
        ):
            for number in range(6):
                sent = await ada.send([to.user("bob"), to.user("nobody")], number)
                assert [outcome.reached for outcome in sent.outcomes] == [1, 0]
                await ada.publish("room", number, except_me=number % 2 == 1)
                if number % 2:
                    place.break_all()
            assert [(await directs.receive()).data for _ in range(6)] == list(range(6))
            assert await collect(his, 6) == list(range(6))
            assert await collect(mine, 3) == [0, 2, 4]
            asked = await ada.collect("room", "who", seconds=5)
            assert [one.data for one in asked.answers] == ["who!"]


async def test_agents_are_called_and_stream(carriage: Transport) -> None:
    """SPEC AGT-3, STR-1 to STR-3, CAL-4: once each, in order, both ways, and a caller that gives up is heard."""
    app = App()
    app.agent("*", open=True)
    app.directory()
    ran: list[int] = []
    given_up = trio.Event()

    async def count(number: int) -> int:
        ran.append(number)
        return number

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            given_up.set()

    @takes_inputs
    async def double(inputs: Inputs[int]) -> AsyncGenerator[int]:
        async for number in inputs:
            yield number * 2

    async with open_place(app, carriage) as place, place.client("ada") as ada, place.client("bob") as bob:
        async with bob.offer("worker", count, wait, double):
            assert [each.agent for each in await ada.agents()] == ["worker"]
            for number in range(10):
                assert await ada.call("worker.count", number) == number
                if number % 4 == 1:
                    place.break_all()
            assert ran == list(range(10))
            with trio.move_on_after(0.2):
                await ada.call("worker.wait")
            await given_up.wait()
            async with ada.stream("worker.double", inputs=True) as items:
                for number in range(100):
                    await items.send(number)
                    assert await items.receive() == number * 2
                    if number % 40 == 20:
                        place.break_all()
                await items.finish()
        with pytest.raises(CallError) as caught:
            await ada.call("worker.count", 1)
        assert caught.value.code == ErrorCode.NOT_FOUND


DYING = """
import os, sys, trio
from hawser import connect
from hawser_transports import LongPollTransport, WebSocketTransport

async def main():
    transport = {"websocket": WebSocketTransport, "long-poll": LongPollTransport}[sys.argv[2]]()
    async with connect(sys.argv[1], transport=transport, token="bob") as bob, bob.mailbox() as letters:
        await letters.receive()
        os._exit(7)

trio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "programs"), [("websocket", 1), ("long-poll", 9)])
async def test_a_letter_that_ends_its_program_at_once_was_delivered(name: str, programs: int) -> None:
    """SPEC MBX-17: by long-poll as a rule, for the request that says so may need a connection first."""
    app, stated = App(), False
    app.mailbox("user:*", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"])

    while not stated and programs:
        programs -= 1
        async with serving(app, transport=SERVING, url="http://127.0.0.1:0") as server:
            await app.post("user:bob", "poison")
            async with running(sys.executable, "-c", DYING, server.url, name) as program:
                session = (await only_session(server)).engine
                assert await program.wait() == 7
            with trio.move_on_after(1):
                while not stated:
                    await trio.sleep(0.01)
                    stated = session.outbox.delivered == session.outbox.sent > 1
    assert stated


async def test_letters_wait_for_whoever_is_away(carriage: Transport) -> None:
    """SPEC MBX-5, MBX-15: in order, and settled once the handler is done with them."""
    app = App()
    app.mailbox("user:*", open=True)
    async with open_place(app, carriage) as place, place.client("ada") as ada:
        for number in range(5):
            await ada.post("user:bob", number)
        async with place.client("bob") as bob, bob.mailbox() as letters:
            for number in range(5):
                assert (await letters.receive()).data == number
                place.break_all()
        async with place.client("bob") as bob, bob.mailbox() as letters:
            with trio.move_on_after(0.5):
                assert (await letters.receive()).data == 4  # the block was left before it was acknowledged
