"""The vectors of the WebSocket carriage against what is deployed: the listener on a socket, links over a stream."""

from __future__ import annotations

import math
from typing import Any

import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from hawser_engine.bindings.head import HeadGate, HeadLimits
from hawser_engine.bindings.websocket import FrameLimits, MaskedFrames, SharedFrames, WebSocket
from hawser_transports import Link, ListenerSettings, StreamWire, WebSocketLink, WireSettings
from hawser_transports.listener import listen_http
from hawser_transports.urls import parse_url
from hawser_transports.web import SCHEMES, upgrade_handler
from tests.spec.vector_files import data_of, head_of
from tests.spec.websocket_cases import check_headers, named, outcome, wanted
from tests.transports.sockets import dial, settled

QUICK = ListenerSettings(
    accepts_per_second=math.inf, connections_per_address=math.inf, wire=WireSettings(close_seconds=0.2)
)


@named("response", "server")
async def test_the_listener_makes_the_upgrades_it_has_to_and_no_others(case: dict[str, Any]) -> None:
    """SPEC CAR-3, CAR-7, CAR-8, CAR-33: with the status that says why."""
    handlers = {b"/chat": upgrade_handler(case["origins"])}
    place = parse_url("ws://127.0.0.1:0", SCHEMES)
    with trio.fail_after(60):
        async with await listen_http(place, handlers, settings=QUICK) as listener, await dial(listener) as stream:
            await stream.send_all(head_of(case["request"]))
            gate = HeadGate(request=False, limits=HeadLimits())
            response = None
            while response is None:
                response = gate.receive_data(bytes(await stream.receive_some()))
            assert int(response.start[1]) == case["response"]["status"]
            if "refused" not in case:
                check_headers(response, case["response"]["headers"])
                assert not any(response.values(name.encode()) for name in case["response"]["absent"])
                await trio.aclose_forcefully(await listener.accept())
            await stream.aclose()
            await settled(listener)


async def meet(case: dict[str, Any], stream: list[bytes]) -> dict[str, Any]:
    """Feed a link; return what came of it."""
    near, far = memory_stream_pair()
    framer = SharedFrames() if case["role"] == "server" else MaskedFrames(lambda size: b"\xa5" * size)
    link: Link = WebSocketLink(StreamWire(far, "far", WireSettings()), WebSocket(framer, FrameLimits()))
    batches: list[bytes] = []
    sent = b""
    over = False
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            nonlocal over
            try:
                while True:
                    batches.extend(await link.receive_batches())
            except trio.ClosedResourceError:
                pass
            except (trio.EndOfChannel, trio.BrokenResourceError):
                over = True

        async def hear() -> None:
            nonlocal sent
            while data := await near.receive_some():
                sent += data

        nursery.start_soon(receive)
        nursery.start_soon(hear)
        for piece in stream:
            await near.send_all(piece)
        await wait_all_tasks_blocked()
        if "say" in case:
            link.say_why(case["say"])
            await link.aclose()
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(link)
    await near.aclose()
    return outcome(batches, sent, case, over=over)


@named("frames", "server")
async def test_a_stream_at_a_link_of_a_server(case: dict[str, Any], autojump_clock: MockClock) -> None:
    """SPEC CAR-3, CAR-4, CAR-5, CAR-6, CAR-32."""
    data = data_of(case["hex"])
    for stream in ([data], [data[:1], data[1:3], data[3:]]):
        assert await meet(case, stream) == wanted(case)


@named("frames", "client")
async def test_a_stream_at_a_link_of_a_client(case: dict[str, Any], autojump_clock: MockClock) -> None:
    """SPEC CAR-3, CAR-4, CAR-5, CAR-6, CAR-32."""
    data = data_of(case["hex"])
    for stream in ([data], [data[:1], data[1:3], data[3:]]):
        assert await meet(case, stream) == wanted(case)
