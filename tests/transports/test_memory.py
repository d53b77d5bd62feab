"""The memory transport beyond what the contract suite asks: addresses, listening, cuts, feeding receivers."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from hawser_transports import UNREAD_BYTES_MIN, Link, MemoryTransport, Receiver, memory_pair, pump


class Diary(Receiver):
    """A receiver that writes down what it is told."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.ends: list[Exception | None] = []

    def received(self, batches: list[bytes]) -> None:
        self.batches += batches

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)


async def test_a_name_left_open_is_filled_in_and_every_listener_gets_its_own() -> None:
    transport = MemoryTransport()
    first = await transport.listen("memory://")
    second = await transport.listen("memory://")
    assert first.url != second.url
    async with first, second:
        near = await transport.connect(first.url)
        far = await first.accept()
        assert near.send_nowait([b"ahoy"]) == 1
        assert await far.receive_batches() == [b"ahoy"]
        assert first.url in near.description


async def test_a_taken_name_is_refused_and_free_again_after_closing() -> None:
    transport = MemoryTransport()
    listener = await transport.listen("memory://pier")
    with pytest.raises(OSError, match="memory://pier is taken"):
        await transport.listen("memory://pier")
    await listener.aclose()
    await listener.aclose()
    async with await transport.listen("memory://pier"):
        pass


async def test_connecting_where_nobody_listens_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError, match="memory://nowhere: nobody listens there"):
        await MemoryTransport().connect("memory://nowhere")


@pytest.mark.parametrize("url", ["http://pier", "memory://pier/path", "memory://pier?x=1", "memory://pier#x", "pier"])
async def test_an_url_of_another_shape_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="one looks like memory://name"):
        await MemoryTransport().connect(url)
    with pytest.raises(ValueError, match="one looks like memory://name"):
        await MemoryTransport().listen(url)


def test_names_belong_to_one_trio_run() -> None:
    async def listen() -> None:
        await MemoryTransport().listen("memory://pier")

    trio.run(listen)
    trio.run(listen)


async def test_a_full_listen_queue_refuses_the_next_link() -> None:
    transport = MemoryTransport()
    async with await transport.listen("memory://pier") as listener:
        links = [await transport.connect("memory://pier") for _ in range(1_024)]
        with pytest.raises(ConnectionRefusedError, match="1024 links already wait"):
            await transport.connect("memory://pier")
        await listener.accept()
        await transport.connect("memory://pier")
    with pytest.raises(trio.EndOfChannel):
        await links[-1].receive_batches()


async def test_closing_a_listener_ends_accept_and_leaves_accepted_links_alone() -> None:
    transport = MemoryTransport()
    listener = await transport.listen("memory://pier")
    near = await transport.connect("memory://pier")
    far = await listener.accept()
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()

        nursery.start_soon(accept)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await listener.accept()
        await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    near.send_nowait([b"still here"])
    assert await far.receive_batches() == [b"still here"]


async def test_every_call_is_a_checkpoint() -> None:
    transport = MemoryTransport()
    with assert_checkpoints():
        listener = await transport.listen("memory://pier")
    with assert_checkpoints():
        await transport.connect("memory://pier")
    with assert_checkpoints():
        await listener.accept()
    with assert_checkpoints():
        await listener.aclose()


async def test_a_cut_loses_what_is_under_way_at_both_ends() -> None:
    near, far = memory_pair()
    near.send_nowait([b"lost"])
    near.cut()
    for link in (near, far):
        with pytest.raises(trio.BrokenResourceError):
            await link.receive_batches()
        with pytest.raises(trio.BrokenResourceError):
            link.send_nowait([b"x"])
        with pytest.raises(trio.BrokenResourceError):
            await link.send_batches([b"x"])


async def test_a_cut_or_close_between_the_checks_of_a_receive_is_noticed() -> None:
    for end in ("cut", "close"):
        near, far = memory_pair()
        near.send_nowait([b"there"])
        async with trio.open_nursery() as nursery:

            async def receive(far: Link = far, end: str = end) -> None:
                with pytest.raises(trio.BrokenResourceError if end == "cut" else trio.ClosedResourceError):
                    await far.receive_batches()

            nursery.start_soon(receive)
            nursery.start_soon(trio.lowlevel.checkpoint)
            await trio.lowlevel.checkpoint()
            far.cut() if end == "cut" else far.close()


def test_a_pipe_too_small_for_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16384 bytes"):
        memory_pair(pipe_bytes=UNREAD_BYTES_MIN - 1)


@pytest.mark.parametrize("ending", ["closed by the peer", "cut", "closed here", "cancelled"])
async def test_a_pump_feeds_a_receiver_and_tells_it_once_how_the_link_ended(ending: str) -> None:
    near, far = memory_pair()
    diary = Diary()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump, far, diary)
        near.send_nowait([b"one", b"two"])
        await wait_all_tasks_blocked()
        match ending:
            case "closed by the peer":
                await near.aclose()
            case "cut":
                near.cut()
            case "closed here":
                await far.aclose()
            case _:
                nursery.cancel_scope.cancel()
    assert diary.batches == [b"one", b"two"]
    expected = {"cut": trio.BrokenResourceError, "closed here": trio.ClosedResourceError}.get(ending, type(None))
    assert [type(end) for end in diary.ends] == [expected]
    with pytest.raises(trio.ClosedResourceError):
        await far.receive_batches()


async def test_a_listener_serves_each_link_to_a_receiver_of_its_own_until_it_is_closed() -> None:
    transport = MemoryTransport()
    listener = await transport.listen("memory://pier")
    diaries: list[Diary] = []

    def attach(link: Link) -> Diary:
        assert link.description.endswith("(server)")
        diaries.append(Diary())
        return diaries[-1]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, attach)
        for text in (b"one", b"two"):
            async with await transport.connect("memory://pier") as near:
                await near.send_batches([text])
                await wait_all_tasks_blocked()
        await listener.aclose()
    assert [diary.batches for diary in diaries] == [[b"one"], [b"two"]]
    assert [diary.ends for diary in diaries] == [[None], [None]]
