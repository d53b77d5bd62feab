"""The lane: usual requests of clients that poll wake no task, and all others mean the same as if there were none."""

from __future__ import annotations

import logging
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing

from hawser_engine.codec import encode_message
from hawser_transports import LongPollTransport
from tests.transports.sockets import dial, settled
from tests.transports.test_longpoll import (
    OPENING,
    POLLS,
    SETTINGS,
    attached,
    listening,
    open_by_hand,
    packets,
    read,
    request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from hawser_transports import HttpListener, Link
    from tests.transports.conftest import Contexts


class Steps(trio.abc.Instrument):
    """Counts the steps of the tasks that have a socket of the listener."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += "HttpListener._contain" in task.name


@asynccontextmanager
async def fed(
    transport: LongPollTransport | None = None,
) -> AsyncGenerator[tuple[HttpListener, trio.SocketStream, Link, list[bytes]]]:
    """A listener, a client's socket, and the server's end of the link that it made, which hands over what arrives."""
    async with listening(transport) as listener, await dial(listener) as stream:
        far = await open_by_hand(listener, stream)
        heard: list[bytes] = []
        far.feed(heard.extend, lambda: None)
        yield listener, stream, far, heard
        await trio.aclose_forcefully(far)


def message(number: int) -> bytes:
    return encode_message(b"%d" % number, more=False)


def post(number: int, *lines: str) -> bytes:
    return request("POST", number, message(number), *lines, **{"Hawser-First": str(number)})


async def test_usual_requests_and_their_replies_wake_no_task() -> None:
    steps = Steps()
    async with fed() as (_, stream, far, heard):
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(steps)
        for number in range(1, 6):
            await stream.send_all(post(number))
            assert [(status, head["hawser-counts"]) for status, head, _ in await read(stream)] == [
                (204, f"{number},0,0")
            ]
            assert message(number) in heard
        await stream.send_all(request("GET", 1))
        await trio.testing.wait_all_tasks_blocked()
        await far.send_batches([message(0)])
        assert [(status, body) for status, _, body in await read(stream)] == [(200, message(0))]
        trio.lowlevel.remove_instrument(steps)
    assert steps.count == 0


@pytest.mark.parametrize(
    ("pieces", "statuses"),
    [
        pytest.param([post(1)[:20], post(1)[20:]], [204], id="a head in pieces"),
        pytest.param([post(1)[:-3], post(1)[-3:]], [204], id="a body in pieces"),
        pytest.param([post(1) + post(2)], [204, 204], id="two at once"),
        pytest.param([request("PUT", 1)], [405], id="another method"),
        pytest.param([post(1).replace(b"Hawser-Secret: AA", b"Hawser-Secret: BB")], [401], id="another secret"),
        pytest.param([request("GET", 1, b"", **{"Hawser-Counts": "1"})], [400], id="a header that is wrong"),
        pytest.param([post(1, "X:  two blanks")], [204], id="a head that is not usual"),
        pytest.param([post(1, "Content-Length: 1x")], [400], id="a length twice"),
        pytest.param([request("GET", 1, b"", **{"Content-Length": "x"})], [400], id="a length that is none"),
        pytest.param([request("GET", 1, b"", "Origin: https://elsewhere.example")], [403], id="a page from elsewhere"),
        pytest.param([post(1, "Connection: close")], [204], id="the last one"),
        pytest.param([post(1).replace(b"/chat", b"/healthz")], [405], id="another target"),
    ],
)
async def test_other_requests_have_the_answers_that_they_have_elsewhere(
    pieces: list[bytes], statuses: list[int]
) -> None:
    async with fed() as (listener, stream, _, _):
        await stream.send_all(request("POST", 0))  # answered in the lane: not new
        assert [status for status, _, _ in await read(stream)] == [204]
        for piece in pieces:
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(piece)
        answers = await read(stream, len(statuses))
        assert [status for status, _, _ in answers] == statuses
        if answers[-1][1].get("connection") == "close":
            assert not await stream.receive_some()
            return
        await stream.send_all(request("GET", 0))
        assert [status for status, _, _ in await read(stream)] == [204 if statuses != [400] else 400]
        assert listener.door.attendance.sockets == 1


async def test_a_client_that_leaves_while_it_waits_is_let_go_with_the_reply() -> None:
    async with fed() as (listener, stream, far, _):
        await stream.send_all(request("GET", 1))
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        await far.send_batches([message(0)])
        assert [body for _, _, body in await read(stream)] == [message(0)]
        await settled(listener)


async def test_a_socket_that_breaks_ends_alone() -> None:
    async with fed() as (listener, stream, far, _), await dial(listener) as other:
        await other.send_all(request("GET", 1))
        await stream.send_all(post(1))
        assert [status for status, _, _ in await read(stream)] == [204]
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.testing.wait_all_tasks_blocked()
        stream.socket.close()
        await settled(listener, 1)
        await far.send_batches([message(0)])
        assert [body for _, _, body in await read(other)] == [message(0)]


async def test_a_failure_on_one_socket_is_logged_and_ends_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as listener, await dial(listener) as stream, await dial(listener) as other:
        far = await open_by_hand(listener, stream)
        stranger = request("GET", 1, b"", **{"Hawser-Session": "AAAB"})
        await other.send_all(stranger)
        assert [status for status, _, _ in await read(other)] == [401]

        def received(batches: list[bytes]) -> None:
            if any(batch == message(1) for batch in batches):
                raise RuntimeError("of the session")

        far.feed(received, lambda: None)
        with caplog.at_level(logging.ERROR, logger="hawser.listener"):
            await stream.send_all(request("POST", 0))
            assert [status for status, _, _ in await read(stream)] == [204]
            await stream.send_all(post(1))
            assert not await read(stream)
        assert [record.message.startswith("a connection failed") for record in caplog.records] == [True]
        caplog.clear()
        await other.send_all(stranger)
        assert [status for status, _, _ in await read(other)] == [401]
        await trio.aclose_forcefully(far)


async def test_who_waits_for_a_reply_is_not_idle(mock_clock: MockClock) -> None:
    transport = LongPollTransport(settings=attrs.evolve(SETTINGS, idle_seconds=10.0), polls=POLLS)
    async with fed(transport) as (listener, stream, far, _):
        await stream.send_all(request("GET", 1))
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(9)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_batches([message(0)])
        assert [body for _, _, body in await read(stream)] == [message(0)]
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(5)
        await stream.send_all(post(1))
        assert [status for status, _, _ in await read(stream)] == [204]
        for _ in range(2):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(8)
        assert not await read(stream)
        assert not listener.door.attendance.sockets


async def test_the_lane_is_read_again_after_it_was_empty() -> None:
    async with listening() as listener:
        for _ in range(3):
            async with await dial(listener) as stream:
                await stream.send_all(request("GET", 1))
                await stream.send_all(request("GET", 1))
                assert [status for status, _, _ in await read(stream, 2)] == [401, 401]
            await settled(listener)


async def test_what_only_a_task_can_wait_for_does_not_come_here(contexts: Contexts) -> None:
    server, client = contexts
    near_transport = LongPollTransport(ssl_context=client, settings=SETTINGS, polls=POLLS)
    async with listening(LongPollTransport(ssl_context=server, settings=SETTINGS, polls=POLLS), "https") as listener:
        near, far = await attached(near_transport, listener, 1)
        await near.send_batches([message(1)])
        assert await far.receive_batches()
        await far.send_batches([message(2)])
        assert packets(await near.receive_batches())
        await trio.aclose_forcefully(near)
        await trio.aclose_forcefully(far)


async def test_a_listener_whose_run_is_over_leaves_no_reader_behind() -> None:
    """The task that reads ends with its last socket."""
    async with listening() as listener, await dial(listener) as stream:
        await stream.send_all(OPENING)
        far = await listener.accept()
        await trio.aclose_forcefully(far)
        assert await read(stream)
    await settled(listener)
    await trio.testing.wait_all_tasks_blocked()
    root = trio.lowlevel.current_root_task()
    assert root is not None
    system = [task.name for nursery in root.child_nurseries for task in nursery.child_tasks]
    assert "reading polls" not in system
