"""The client's end of long-poll against a server that answers whatever the test says."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest
import trio

from hawser_engine.bindings.head import HeadGate, HeadLimits
from hawser_engine.bindings.http import Reply, Request, framing, write_reply
from hawser_engine.bindings.longpoll import CONTENT_TYPE
from hawser_engine.bindings.replies import ReplyRefused
from hawser_engine.codec import encode, encode_message
from hawser_transports import Link, LongPollTransport, PollSettings, WireSettings
from hawser_transports.dialing import dial
from hawser_transports.longpoll import Asking
from hawser_transports.urls import parse_url
from tests.engine.pair import an_open
from tests.transports.test_longpoll import opened, packets

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

POLLS = PollSettings(retry_seconds=0.01, close_seconds=0.05, linger_seconds=0.1)
TYPE = ("content-type", CONTENT_TYPE)
NOTHING = Reply(204, (("hawser-counts", "0,0,0"),))


@attrs.frozen
class Asked:
    method: str
    headers: dict[str, str]
    body: bytes


Script: TypeAlias = "Callable[[Asked], Reply | bytes | None]"
"""What answers a request: a reply, bytes in place of one, or None: nothing ever does."""


class Scripted:
    """A server that keeps what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        data = b""
        while True:
            gate = HeadGate(request=True, limits=HeadLimits())
            while (head := gate.receive_data(data) if data else None) is None:
                data = bytes(await stream.receive_some())
                if not data:
                    return
            body = head.rest
            while len(body) < framing(head).length:
                body += await stream.receive_some()
            data = b""
            headers = {name.decode(): value.decode() for name, value in head.headers}
            asked = Asked(head.start[0].decode(), headers, body)
            self.asked.append(asked)
            answer = opening(asked) or self.script(asked)
            if answer is None:
                await trio.sleep_forever()
            await stream.send_all(answer if isinstance(answer, bytes) else write_reply(answer, persists=True))
            if isinstance(answer, bytes):
                return


def opening(asked: Asked) -> Reply | None:
    """OPENED, to an attach."""
    return None if "hawser-generation" in asked.headers else Reply(200, (TYPE,), encode(opened(1)))


@asynccontextmanager
async def attached(script: Script, settings: PollSettings = POLLS) -> AsyncGenerator[tuple[Link, Scripted]]:
    """A link to a scripted server, behind its attach."""
    server = Scripted(script)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (place,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), server.serve, 0)
            url = f"http://127.0.0.1:{place.socket.getsockname()[1]}/"
            link = await LongPollTransport(polls=settings).connect(url)
            await link.send_batches([encode(an_open())])
            assert packets(await link.receive_batches()) == [opened(1)]
            yield link, server
            await trio.aclose_forcefully(link)
            nursery.cancel_scope.cancel()


def once(*answers: Reply | bytes) -> Script:
    """Answer GETs with these, one by one, then not at all; POSTs with nothing to say."""
    waiting = list(answers)
    return lambda asked: NOTHING if asked.method == "POST" else waiting.pop(0) if waiting else None


DOWN = Reply(200, (("hawser-counts", "0,0,1"), ("hawser-first", "1"), TYPE), encode_message(b"down", more=False))


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, (("content-type", "text/html"),), b"<html>please log in</html>"),
        Reply(204),
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/cbor-seq\r\nContent-Length: 500\r\n\r\ncut",
        b"220 smtp.example.org ESMTP\r\n",
        b"",
    ],
    ids=["a page", "no counts", "a bad gateway", "a body that is cut", "no HTTP", "nothing at all"],
)
async def test_what_is_no_reply_costs_another_get(answer: Reply | bytes) -> None:
    """SPEC CAR-24, CAR-28."""
    async with attached(once(answer, DOWN)) as (link, server):
        while encode_message(b"down", more=False) not in await link.receive_batches():
            pass
        numbers = [int(asked.headers["hawser-number"]) for asked in server.asked if asked.method == "GET"]
        assert numbers[0] == 1
        assert len(set(numbers)) == len(numbers) > 1


async def test_after_a_failure_no_connection_that_was_kept_is_trusted() -> None:
    """A network that has swallowed one of them has swallowed the others, and they would hold up the next requests."""
    answers: list[Reply | bytes] = [NOTHING, NOTHING, b"", NOTHING]
    server = Scripted(lambda _: answers.pop(0))
    request = Request("GET", (("hawser-generation", "0"),), b"")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), server.serve, 0)
            place = parse_url(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/", ("http",))
            asking = Asking(place, partial(dial, place, None, WireSettings()))
            async with trio.open_nursery() as together:
                together.start_soon(asking.ask, request)
                together.start_soon(asking.ask, request)
            with pytest.raises(ReplyRefused):
                await asking.ask(request)
            assert server.connections == 2
            assert (await asking.ask(request)).status == 204
            assert server.connections == 3
            asking.close()
            nursery.cancel_scope.cancel()


async def test_a_post_is_made_again_as_it_was_until_it_is_answered() -> None:
    """SPEC CAR-21, CAR-28: also where the server asks for patience."""
    answers: list[Reply | bytes] = [b"", Reply(429, (("retry-after", "0"),)), b"HTTP/1.1 ", NOTHING]
    done = Reply(204, (("hawser-counts", "1,1,0"),))

    def script(asked: Asked) -> Reply | bytes | None:
        if asked.method == "GET":
            return None
        return (answers.pop(0) if len(answers) > 1 else done) if asked.body else NOTHING

    async with attached(script) as (link, server):
        await link.send_batches([encode_message(b"up", more=False)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.receive_batches)
            while len([each for each in server.asked if each.body]) < 5:
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        posts = [each for each in server.asked if each.body == encode_message(b"up", more=False)]
        assert len(posts) == 4
        assert all(each == posts[0] for each in posts)


async def test_a_get_that_is_never_answered_ends_the_link() -> None:
    """SPEC CAR-26."""
    settings = attrs.evolve(POLLS, get_seconds=0.05)
    async with attached(once(), settings) as (link, _):
        with pytest.raises(trio.BrokenResourceError, match="a GET was not answered in time"):
            await link.receive_batches()
        with pytest.raises(trio.BrokenResourceError):
            link.send_nowait([encode_message(b"up", more=False)])


async def test_a_post_that_is_never_answered_is_made_again() -> None:
    """SPEC CAR-26."""
    settings = attrs.evolve(POLLS, post_seconds=0.02)
    async with attached(lambda asked: None, settings) as (link, server):
        await link.send_batches([encode_message(b"up", more=False)])
        while len([asked for asked in server.asked if asked.body == encode_message(b"up", more=False)]) < 3:
            await trio.sleep(0.005)


async def test_a_post_that_is_not_answered_lets_the_get_be_made_again() -> None:
    """SPEC CAR-16: what swallows the one swallows the other, and the GET has to wait far longer to find out."""
    gets: list[int] = []

    def script(asked: Asked) -> Reply | None:
        if asked.method == "GET":
            gets.append(int(asked.headers["hawser-number"]))
        return None if len(gets) < 2 else DOWN if asked.method == "GET" else NOTHING

    async with attached(script, attrs.evolve(POLLS, post_seconds=0.1, get_seconds=20)) as (link, _):
        await link.send_batches([encode_message(b"up", more=False)])
        assert encode_message(b"down", more=False) in await link.receive_batches()
        assert gets[:2] == [1, 2]


async def test_a_server_that_answers_nothing_is_given_up_in_time_though_its_gets_are_made_again() -> None:
    """SPEC CAR-26."""
    start = trio.current_time()
    async with attached(lambda asked: None, attrs.evolve(POLLS, post_seconds=0.05, get_seconds=0.4)) as (link, server):
        await link.send_batches([encode_message(b"up", more=False)])
        with pytest.raises(trio.BrokenResourceError, match="a GET was not answered in time"):
            await link.receive_batches()
        assert trio.current_time() - start >= 0.4
        assert len([asked for asked in server.asked if asked.method == "GET"]) > 2


async def test_two_connections_carry_everything() -> None:
    """SPEC CAR-10: one for the parked GET, one for the POSTs, kept for as long as the server keeps them."""

    def script(asked: Asked) -> Reply | None:
        sent = asked.headers["hawser-counts"].split(",")[2]
        return Reply(204, (("hawser-counts", f"{sent},{sent},0"),)) if asked.method == "POST" else None

    async with attached(script) as (link, server), trio.open_nursery() as nursery:

        async def receive() -> None:
            while True:
                await link.receive_batches()

        nursery.start_soon(receive)
        for number in range(20):
            posts = len(server.asked)
            await link.send_batches([encode_message(bytes((number,)), more=False)])
            while len(server.asked) == posts:
                await trio.sleep(0.001)
        assert server.connections == 2
        nursery.cancel_scope.cancel()


async def test_an_attach_that_fails_is_not_made_again() -> None:
    """SPEC ATT-20: that is a new attempt's, on a new link."""
    connections = 0

    async def hang_up(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await stream.receive_some()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (place,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), hang_up, 0)
            url = f"http://127.0.0.1:{place.socket.getsockname()[1]}/"
            async with await LongPollTransport(polls=POLLS).connect(url) as link:
                await link.send_batches([encode(an_open())])
                with pytest.raises(trio.EndOfChannel):
                    await link.receive_batches()
            assert connections == 1
            nursery.cancel_scope.cancel()


async def test_a_link_that_is_dropped_asks_nothing_more() -> None:
    """SPEC ATT-15: what it took and what it would say as it closes stay unsaid, for a newer link has the session."""
    async with attached(lambda asked: None) as (link, server):
        assert link.carriage == "long-poll"
        await link.send_batches([encode_message(b"first", more=False)])
        while len(server.asked) < 3:
            await trio.sleep(0.01)
        await link.send_batches([encode_message(b"second", more=False)])
        link.drop()
        with pytest.raises(trio.BrokenResourceError):
            await link.send_batches([encode_message(b"third", more=False)])
        await link.aclose()
        await trio.sleep(0.05)
        assert sorted(asked.method for asked in server.asked) == ["GET", "POST", "POST"]
        assert server.connections == 2
