"""Who is let in, by address, by number and by rate, what the others are told, and whose word about addresses counts."""

from __future__ import annotations

import math
import random
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser_engine.bindings.head import Head, HeadGate, HeadLimits, HeadRefused
from hawser_engine.codec import decode
from hawser_engine.codes import CloseCode
from hawser_engine.packets import Close
from hawser_transports import (
    HttpListener,
    ListenerSettings,
    LongPollTransport,
    PollSettings,
    WebSocketTransport,
    WireSettings,
)
from hawser_transports.addresses import Proxies, group
from hawser_transports.door import SOCKETS_A_CONNECTION, Attendance, Busy, Door
from tests.engine.bindings.peers import GOOD
from tests.transports.sockets import dial, settled
from tests.transports.test_longpoll import OPENING, read

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from hawser_transports import Transport
    from tests.transports.conftest import Contexts

QUICK = WireSettings(close_seconds=0.5)
UPGRADE = GOOD.replace(b"GET / ", b"GET /chat ")


def limits(**given: Any) -> ListenerSettings:
    lifted: dict[str, Any] = {"accepts_per_second": math.inf, "connections_per_address": math.inf, "wire": QUICK}
    return ListenerSettings(**lifted | given)


@asynccontextmanager
async def listening(
    settings: ListenerSettings, context: ssl.SSLContext | None = None
) -> AsyncGenerator[HttpListener, None]:
    transport = WebSocketTransport(
        ssl_context=context, settings=settings, polls=PollSettings(close_seconds=0.1, linger_seconds=0.1)
    )
    with trio.fail_after(60):
        async with await transport.listen(f"http{'s' if context else ''}://127.0.0.1:0/chat") as listener:
            assert isinstance(listener, HttpListener)
            yield listener


@asynccontextmanager
async def two_places(transport: Transport) -> AsyncGenerator[tuple[HttpListener, HttpListener], None]:
    """One service at two ports."""
    url = "http://127.0.0.1:0/chat"
    with trio.fail_after(60):
        async with await transport.listen(url) as first, await transport.listen(url) as second:
            assert isinstance(first, HttpListener)
            assert isinstance(second, HttpListener)
            yield first, second


async def answer(listener: HttpListener, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """What a request is answered, on a connection of its own."""
    async with await dial(listener) as stream:
        await stream.send_all(request)
        return (await read(stream, 1))[0]


@asynccontextmanager
async def upgraded(listener: HttpListener, *headers: str) -> AsyncGenerator[bytes, None]:
    """A WebSocket, and what was answered to its request."""
    lines = "".join(f"{line}\r\n" for line in headers).encode()
    async with await dial(listener) as stream:
        await stream.send_all(UPGRADE.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n"))
        yield bytes(await stream.receive_some())


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002::/64"),
        ("2001:db8:1:2::", "20010db800010002::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
    ],
)
def test_of_ipv6_everybody_has_a_network(host: str, counts_as: str) -> None:
    assert group(host) == counts_as


def head(*forwarded: str) -> Head:
    lines = "".join(f"X-Forwarded-For: {each}\r\n" for each in forwarded)
    found = HeadGate(request=True, limits=HeadLimits()).receive_data(
        f"GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # nobody whose word counts
        ("192.0.2.1", ["nonsense"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),  # the proxy itself, which asks for its own sake
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the left one is the client's own invention
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),  # two lines are one list
        ("10.0.0.1", ["nonsense,\t198.51.100.7 , 10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", ["10.2.3.4"], "10.2.3.4"),  # one of the inner net
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["2001:DB8::7"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::1", ["198.51.100.7"], "198.51.100.7"),
    ],
)
def test_the_client_is_the_last_hop_that_no_trusted_proxy_is(peer: str, forwarded: list[str], client: str) -> None:
    assert Proxies(["10.0.0.0/8", "::1"]).client(head(*forwarded), peer) == client


@pytest.mark.parametrize("hop", ["unknown", "_hidden", "", "198.51.100.7,", "198.51.100", "[::1", "a:b:c", "1.2.3.4.5"])
def test_a_hop_that_is_no_address_is_refused(hop: str) -> None:
    with pytest.raises(HeadRefused, match=r"400 .*X-Forwarded-For that is no address"):
        Proxies(["10.0.0.0/8"]).client(head(hop), "10.0.0.1")


def test_without_proxies_nobody_is_believed() -> None:
    assert Proxies([]).client(head("198.51.100.7"), "10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize("network", ["10.0.0.1/8", "everybody", "10.0.0.0/33", ""])
def test_a_proxy_that_is_no_network_is_refused_by_name(network: str) -> None:
    with pytest.raises(ValueError, match=r"proxies has .*it must be an address or a network"):
        ListenerSettings(proxies=(network,))


def test_proxies_are_several_and_no_string() -> None:
    one: Any = "10.0.0.0/8"
    with pytest.raises(TypeError, match=r"proxies is .*write \('10\.0\.0\.0/8',\)"):
        ListenerSettings(proxies=one)


# ---------------------------------------------------------------- the door alone


def test_what_leaves_makes_room_and_nothing_is_kept_of_who_was_there() -> None:
    door = Door(Attendance(limits(connections=3, connections_per_address=2), lambda size: bytes(size)))
    first, second = door.enter("192.0.2.1", 0), door.enter("192.0.2.1", 0)
    with pytest.raises(Busy, match=r"429 Too Many Requests \(remote\): too many connections from one address") as busy:
        door.enter("192.0.2.1", 0)
    assert busy.value.retry_seconds == 5
    third = door.enter("192.0.2.2", 0)
    with pytest.raises(Busy, match=r"503 .*too many connections"):
        door.enter("192.0.2.3", 0)
    assert (door.attendance.connections, door.attendance.refused) == (3, 2)
    for own in (first, second, third):
        door.left(own)
    assert door.attendance.connections == 0
    door.enter("192.0.2.1", 0)


def test_who_is_one_too_many_of_his_address_takes_nobodys_turn() -> None:
    door = Door(Attendance(limits(accepts_per_second=2, connections_per_address=1)))
    door.enter("192.0.2.1", 0)
    for _ in range(1_000):
        with pytest.raises(Busy, match="429"):
            door.enter("192.0.2.1", 0)
    door.enter("192.0.2.2", 0)
    with pytest.raises(Busy, match=r"503 .*at once") as busy:
        door.enter("192.0.2.3", 0)
    assert 1 <= busy.value.retry_seconds <= 2


def test_turns_are_spread_over_what_the_backlog_takes() -> None:
    door = Door(Attendance(limits(accepts_per_second=10), random.Random(1).randbytes))
    told: list[int] = []
    for number in range(410):
        try:
            door.enter(f"192.0.2.{number % 256}", 0)
        except Busy as busy:
            told.append(busy.retry_seconds)
    assert len(told) == 400
    assert max(told) in (50, 51)  # 400 at 8 a second, behind the first second
    counts = [told.count(second) for second in range(2, 50)]
    assert min(counts) >= 3
    assert max(counts) <= 14


def test_sockets_of_a_trusted_proxy_are_no_one_address() -> None:
    door = Door(Attendance(limits(connections=10, connections_per_address=1, proxies=("10.0.0.1",))))
    assert [door.opened("192.0.2.1") for _ in range(4)] == [*["192.0.2.1"] * SOCKETS_A_CONNECTION, None]
    assert [door.opened("10.0.0.1") for _ in range(20)] == [""] * 20
    assert [door.opened("10.0.0.1") for _ in range(20)] == [*[""] * 7, *[None] * 13]  # but the node has its limit
    for own in ("192.0.2.1", *[""] * 27):
        door.closed(own)
    assert (door.attendance.sockets, door.attendance.refused) == (2, 14)


# ---------------------------------------------------------------- a listener


async def test_one_address_has_only_so_many_connections_and_leaving_makes_room() -> None:
    async with listening(limits(connections_per_address=2)) as listener:
        transport = WebSocketTransport()
        first = await transport.connect(listener.url)
        second = await transport.connect(listener.url)
        status, headers, text = await answer(listener, UPGRADE)
        assert (status, headers["connection"]) == (429, "close")
        assert 5 <= int(headers["retry-after"]) <= 15
        assert b"too many connections from one address (SPEC LIM-3)" in text
        with pytest.raises(OSError, match="the server answered 429"):
            await transport.connect(listener.url)
        assert (listener.door.attendance.connections, listener.door.attendance.refused) == (2, 2)
        await trio.aclose_forcefully(first)
        await trio.aclose_forcefully(await listener.accept())
        await settled(listener, 1)
        third = await transport.connect(listener.url)
        await trio.aclose_forcefully(second)
        await trio.aclose_forcefully(third)


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit() -> None:
    settings = limits(connections_per_address=1, proxies=("127.0.0.1",))
    async with listening(settings) as listener:
        async with upgraded(listener, "X-Forwarded-For: 192.0.2.1") as first:
            assert first.startswith(b"HTTP/1.1 101")
            async with upgraded(listener, "X-Forwarded-For: 192.0.2.1") as again:
                assert again.startswith(b"HTTP/1.1 429")
            async with upgraded(listener, "X-Forwarded-For: 192.0.2.1, 192.0.2.2") as other:
                assert other.startswith(b"HTTP/1.1 101")
            async with upgraded(listener, "X-Forwarded-For: me") as odd:
                assert odd.startswith(b"HTTP/1.1 400")
            assert listener.door.attendance.connections == 2


async def test_all_places_of_one_service_have_its_limits_together() -> None:
    """A balancer in front of two ports of one server gives nobody twice as much."""
    settings = limits(connections_per_address=2, connections=3, proxies=("127.0.0.1",))
    async with two_places(WebSocketTransport(settings=settings)) as places, AsyncExitStack() as stack:

        async def come(place: int, address: str) -> bytes:
            answered = upgraded(places[place], f"X-Forwarded-For: {address}")
            return (await stack.enter_async_context(answered)).split()[1]

        assert [await come(place, "192.0.2.1") for place in (0, 1)] == [b"101", b"101"]
        assert [await come(place, "192.0.2.1") for place in (0, 1)] == [b"429", b"429"]
        assert [await come(place, "192.0.2.2") for place in (0, 1)] == [b"101", b"503"]
        assert [each.door.attendance.connections for each in places] == [3, 3]
        await places[0].drain()
        assert [each.door.shut for each in places] == [True, False]


async def test_long_poll_links_of_two_places_are_counted_together() -> None:
    settings = limits(connections_per_address=1)
    async with two_places(LongPollTransport(settings=settings)) as places, await dial(places[0]) as stream:
        await stream.send_all(OPENING)
        entered = await places[0].accept()
        status, _, body = await answer(places[1], OPENING)
        await trio.aclose_forcefully(entered)
        refusal = decode(body)
        assert isinstance(refusal, Close)
        assert (status, refusal.code) == (503, CloseCode.OVERLOADED)


async def test_a_spoofed_header_helps_nobody() -> None:
    async with listening(limits(connections_per_address=1)) as listener:
        async with upgraded(listener, "X-Forwarded-For: 192.0.2.1"):
            async with upgraded(listener, "X-Forwarded-For: 192.0.2.2") as spoofed:
                assert spoofed.startswith(b"HTTP/1.1 429")


async def test_over_the_rate_an_upgrade_is_told_its_turn_and_health_is_not_refused() -> None:
    async with listening(limits(accepts_per_second=1)) as listener:
        async with upgraded(listener) as first:
            assert first.startswith(b"HTTP/1.1 101")
            status, headers, text = await answer(listener, UPGRADE)
            assert (status, b"too many connections at once" in text) == (503, True)
            assert 1 <= int(headers["retry-after"]) <= 2
            assert (await answer(listener, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200


async def test_over_the_rate_a_long_poll_attach_is_closed_with_the_answers() -> None:
    async with listening(limits(accepts_per_second=1)) as listener:
        async with upgraded(listener):
            status, headers, body = await answer(listener, OPENING)
            close = decode(body)
            assert isinstance(close, Close)
            assert (status, close.code, close.reconnect, close.resume) == (503, CloseCode.OVERLOADED, True, True)
            assert close.after_min_ms == 1_000 * int(headers["retry-after"])
            assert close.after_max_ms == close.after_min_ms + 1_000
            assert listener.door.attendance.connections == 1


async def test_a_long_poll_link_is_one_connection_whatever_its_sockets() -> None:
    async with listening(limits(connections_per_address=1)) as listener:
        transport = LongPollTransport(polls=PollSettings(close_seconds=0.1, linger_seconds=0.1))
        async with await transport.connect(listener.url) as near:
            _, body = OPENING.split(b"\r\n\r\n", 1)
            near.send_nowait([body])
            far = await listener.accept()
            assert listener.door.attendance.connections == 1
            assert (await answer(listener, UPGRADE))[0] == 429
            assert (await answer(listener, OPENING))[0] == 503
            assert listener.door.attendance.connections == 1
            await trio.aclose_forcefully(far)
            with trio.fail_after(30):
                while listener.door.attendance.connections:
                    await trio.sleep(0.01)


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x82\x00"])
async def test_an_attach_that_fails_leaves_nothing_counted(body: bytes) -> None:
    line, _ = OPENING.split(b"\r\n\r\n", 1)
    lines = [each for each in line.split(b"\r\n") if not each.lower().startswith(b"content-length")]
    request = b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
    async with listening(limits()) as listener:
        assert (await answer(listener, request))[0] == 400
        assert listener.door.attendance.connections == 0


async def test_too_many_sockets_of_one_address_are_answered_without_being_read(contexts: Contexts) -> None:
    async with listening(limits(connections_per_address=1)) as listener:
        kept = [await dial(listener) for _ in range(SOCKETS_A_CONNECTION)]
        await settled(listener, SOCKETS_A_CONNECTION)
        status, headers, _ = await answer(listener, b"")
        assert (status, int(headers["retry-after"]) >= 5) == (503, True)
        assert listener.door.attendance.refused == 1
        for each in kept:
            await each.aclose()
        await settled(listener)
    async with listening(limits(connections_per_address=1), contexts[0]) as listener:
        kept = [await dial(listener) for _ in range(SOCKETS_A_CONNECTION)]
        await settled(listener, SOCKETS_A_CONNECTION)
        async with await dial(listener) as stream:
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        assert listener.door.attendance.refused == 1  # before TLS there is nothing that could be said
        for each in kept:
            await each.aclose()


# ---------------------------------------------------------------- draining


async def test_who_drains_lets_nobody_in_says_so_and_serves_who_is_there() -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with listening(limits()) as listener:
        transport = LongPollTransport(polls=PollSettings(close_seconds=0.1, linger_seconds=0.1))
        async with await transport.connect(listener.url) as near:
            _, body = OPENING.split(b"\r\n\r\n", 1)
            near.send_nowait([body])
            far = await listener.accept()
            assert (await answer(listener, health))[0] == 200
            await listener.drain()
            await listener.drain()
            assert (await answer(listener, health))[::2] == (503, b"draining\n")
            status, headers, text = await answer(listener, UPGRADE)
            assert (status, b"the server is draining" in text) == (503, True)
            assert 1 <= int(headers["retry-after"]) <= 5
            status, _, body = await answer(listener, OPENING)
            close = decode(body)
            assert isinstance(close, Close)
            assert (status, close.code, close.reason) == (503, CloseCode.OVERLOADED, "the server is draining")
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()
            # The link goes on, with requests on whatever sockets.
            unknown = b"GET /chat HTTP/1.1\r\nHost: x\r\nHawser-Generation: 0\r\nHawser-Session: AAAA\r\n"
            unknown += b"Hawser-Secret: " + b"A" * 43 + b"\r\nHawser-Number: 1\r\nHawser-Counts: 0,0,0\r\n\r\n"
            assert (await answer(listener, unknown))[0] == 401
            assert listener.door.attendance.connections == 1
            await trio.aclose_forcefully(far)
