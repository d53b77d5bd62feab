"""The contract suite itself: right transports pass, each wrong one is caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser_transports import BATCH_BYTES_MAX, UNREAD_BYTES_MIN, Link, MemoryLink, MemoryTransport, memory_pair
from hawser_transports.check import TransportContractError, check_transport
from hawser_transports.contract import check_batches

if TYPE_CHECKING:
    from collections.abc import Sequence


async def test_memory_pairs_keep_the_contract(autojump_clock: trio.testing.MockClock) -> None:
    async def make_pair() -> tuple[Link, Link]:
        return memory_pair()

    await check_transport(make_pair)


@pytest.mark.parametrize("pipe_bytes", [UNREAD_BYTES_MIN, BATCH_BYTES_MAX, 10 * BATCH_BYTES_MAX])
async def test_memory_links_from_a_listener_keep_the_contract(
    autojump_clock: trio.testing.MockClock, pipe_bytes: int
) -> None:
    transport = MemoryTransport(pipe_bytes=pipe_bytes)
    listener = await transport.listen("memory://harbour")

    async def make_pair() -> tuple[Link, Link]:
        near = await transport.connect("memory://harbour")
        return near, await listener.accept()

    await check_transport(make_pair)


class Wrapper(Link):
    """A right link; subclasses spoil one thing each."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link

    @property
    def description(self) -> str:
        return self.link.description

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        return self.link.send_nowait(batches)

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        await self.link.send_batches(batches)

    async def receive_batches(self) -> list[bytes]:
        return await self.link.receive_batches()

    async def aclose(self) -> None:
        await self.link.aclose()


class NeverWritesAtOnce(Wrapper):
    """Not wrong: TLS and foreign streams cannot write without waiting."""

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        check_batches(batches)
        return self.link.send_nowait([])


class OneBatchAtATime(Wrapper):
    """Not wrong: the receiver may hand out what is there in any portions."""

    def __init__(self, link: MemoryLink) -> None:
        super().__init__(link)
        self.held: list[bytes] = []

    async def receive_batches(self) -> list[bytes]:
        if not self.held:
            self.held = await self.link.receive_batches()
        else:
            await trio.lowlevel.checkpoint()
        return [self.held.pop(0)]


class Nameless(Wrapper):
    @property
    def description(self) -> str:
        return ""


class ReordersBatches(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        return (await self.link.receive_batches())[::-1]


class MergesBatches(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        return [b"".join(await self.link.receive_batches())]


class SplitsLongBatches(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        batches = await self.link.receive_batches()
        return [part for batch in batches for part in (batch[:65_536], batch[65_536:]) if part]


class LosesOneInTheMiddle(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        batches = await self.link.receive_batches()
        return batches[:2] + batches[3:]


class DoublesOne(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        batches = await self.link.receive_batches()
        return [*batches, batches[-1]]


class AnswersNothing(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        await trio.lowlevel.checkpoint()
        return []


class CorruptsMaximalBatches(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        return [batch[: BATCH_BYTES_MAX - 1] for batch in await self.link.receive_batches()]


class TakesAnySize(Wrapper):
    async def send_batches(self, batches: Sequence[bytes]) -> None:
        await self.link.send_batches([batch for batch in batches if 0 < len(batch) <= BATCH_BYTES_MAX])


class TakesAnySizeNow(Wrapper):
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        return self.link.send_nowait([batch for batch in batches if 0 < len(batch) <= BATCH_BYTES_MAX])


class EatsTheCallersList(Wrapper):
    async def send_batches(self, batches: Sequence[bytes]) -> None:
        await self.link.send_batches(batches)
        if isinstance(batches, list) and len(batches) > 1:
            batches.clear()


class InventsAnAnswer(Wrapper):
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        return self.link.send_nowait(batches) + 1


class ForgetsToSayWhatItTook(Wrapper):
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        self.link.send_nowait(batches)
        return 0


class ForgetsToSayThatItTookOne(Wrapper):
    def carry(self, batch: bytes) -> bool:
        self.link.carry(batch)
        return False


class TakesOneOfAnySize(Wrapper):
    def carry(self, batch: bytes) -> bool:
        return not 0 < len(batch) <= BATCH_BYTES_MAX or self.link.carry(batch)


class CarriesWithAnError(Wrapper):
    def carry(self, batch: bytes) -> bool:
        return self.link.send_nowait((batch,)) == 1


class CarriesUntilItIsClosed(Wrapper):
    def carry(self, batch: bytes) -> bool:
        try:
            return self.link.send_nowait((batch,)) == 1
        except trio.ClosedResourceError:
            return False


class NeverPushesBack(Wrapper):
    """Grows without end."""

    def __init__(self, link: MemoryLink) -> None:
        super().__init__(link)
        link.outgoing.bytes_max = 1 << 40


class TakesEverythingNow(Wrapper):
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        pipe = self.link.outgoing
        limit, pipe.bytes_max = pipe.bytes_max, 1 << 40
        try:
            return self.link.send_nowait(batches)
        finally:
            pipe.bytes_max = limit


class LosesTheTailAtClose(Wrapper):
    async def aclose(self) -> None:
        self.link.outgoing.take()
        await self.link.aclose()


class NeverEnds(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        try:
            return await self.link.receive_batches()
        except trio.EndOfChannel:
            await trio.sleep_forever()
            raise


class EndsOnlyOnce(Wrapper):
    ended = False

    async def receive_batches(self) -> list[bytes]:
        if self.ended:
            await trio.sleep_forever()
        try:
            return await self.link.receive_batches()
        except trio.EndOfChannel:
            self.ended = True
            raise


class WrongErrorAtTheEnd(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        try:
            return await self.link.receive_batches()
        except trio.EndOfChannel:
            raise OSError("connection reset") from None


class ClosesOnlyOnce(Wrapper):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        self.closed = True
        await self.link.aclose()


class ReadsOnAfterClose(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        if self.link.closed:
            raise trio.EndOfChannel
        return await self.link.receive_batches()


class WritesOnAfterClose(Wrapper):
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        return 0 if self.link.closed else self.link.send_nowait(batches)


class ClosesOnlyUncancelled(Wrapper):
    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        await self.link.aclose()


class CloseLeavesTasksWaiting(Wrapper):
    async def aclose(self) -> None:
        self.link.closed = True
        self.link.outgoing.ended = True
        self.link.outgoing.readers.unpark_all()
        await trio.lowlevel.checkpoint()


class AnyNumberOfReceivers(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        self.link.incoming.receiving = False
        return await self.link.receive_batches()


class AnyNumberOfSenders(Wrapper):
    async def send_batches(self, batches: Sequence[bytes]) -> None:
        self.link.outgoing.sending = False
        await self.link.send_batches(batches)


class WritesBesideAWaitingSender(Wrapper):
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        return 0 if self.link.outgoing.sending else self.link.send_nowait(batches)


class SendsWithoutCheckpoint(Wrapper):
    async def send_batches(self, batches: Sequence[bytes]) -> None:
        taken = self.link.send_nowait(batches)
        if taken < len(batches):
            await self.link.send_batches(batches[taken:])


class ChecksTooLate(Wrapper):
    """Takes everything, then lets itself be cancelled."""

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        await self.link.send_batches(batches)
        await trio.lowlevel.checkpoint()


class LivesOnAfterHalfAWrite(Wrapper):
    async def send_batches(self, batches: Sequence[bytes]) -> None:
        check_batches(batches)
        for batch in batches:
            await self.link.send_batches([batch])


class DiesInSilence(Wrapper):
    """A half write kills it at this end only."""

    dead = False

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        if self.dead:
            raise trio.BrokenResourceError
        return self.link.send_nowait(batches)

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        check_batches(batches)
        if self.dead:
            raise trio.BrokenResourceError
        for batch in batches:
            try:
                await self.link.send_batches([batch])
            except trio.Cancelled:
                self.dead = True
                raise

    async def aclose(self) -> None:
        if self.dead:
            await trio.lowlevel.checkpoint()
        else:
            await self.link.aclose()


class CancelledReceiveLosesBatches(Wrapper):
    async def receive_batches(self) -> list[bytes]:
        batches = await self.link.receive_batches()
        await trio.lowlevel.checkpoint()
        return batches


class PeerNeverLearnsOfTheClose(Wrapper):
    """A send to a closed peer waits for ever."""

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        try:
            await self.link.send_batches(batches)
        except trio.BrokenResourceError:
            await trio.sleep_forever()


RIGHT: list[type[Wrapper]] = [Wrapper, NeverWritesAtOnce, OneBatchAtATime]
CAUGHT_BY: dict[type[Wrapper], str] = {
    Nameless: "descriptions",
    ReordersBatches: "order",
    MergesBatches: "order",
    SplitsLongBatches: "sizes_and_boundaries",
    LosesOneInTheMiddle: "order",
    DoublesOne: "sizes_and_boundaries",
    AnswersNothing: "sizes_and_boundaries",
    CorruptsMaximalBatches: "sizes_and_boundaries",
    TakesAnySize: "refuses_wrong_sizes",
    TakesAnySizeNow: "refuses_wrong_sizes",
    EatsTheCallersList: "leaves_the_callers_list_alone",
    InventsAnAnswer: "leaves_the_callers_list_alone",
    ForgetsToSayWhatItTook: "order",
    ForgetsToSayThatItTookOne: "carry_says_what_it_took",
    TakesOneOfAnySize: "carry_says_what_it_took",
    CarriesWithAnError: "carry_takes_what_is_lost",
    CarriesUntilItIsClosed: "carry_takes_what_is_lost",
    NeverPushesBack: "back_pressure",
    TakesEverythingNow: "back_pressure",
    LosesTheTailAtClose: "end_comes_after_everything_sent",
    NeverEnds: "end_comes_after_everything_sent",
    EndsOnlyOnce: "end_comes_after_everything_sent",
    WrongErrorAtTheEnd: "end_comes_after_everything_sent",
    ClosesOnlyOnce: "end_comes_after_everything_sent",
    ReadsOnAfterClose: "close_is_final_and_idempotent",
    WritesOnAfterClose: "close_is_final_and_idempotent",
    ClosesOnlyUncancelled: "cancelled_close_closes",
    CloseLeavesTasksWaiting: "close_wakes_own_tasks",
    AnyNumberOfReceivers: "two_tasks_at_once",
    AnyNumberOfSenders: "two_tasks_at_once",
    WritesBesideAWaitingSender: "two_tasks_at_once",
    SendsWithoutCheckpoint: "checkpoints",
    ChecksTooLate: "cancelled_send",
    LivesOnAfterHalfAWrite: "cancelled_send",
    DiesInSilence: "two_tasks_at_once",
    CancelledReceiveLosesBatches: "cancelled_receive",
    PeerNeverLearnsOfTheClose: "close_while_the_peer_sends",
}


def pairs_of(kind: type[Wrapper]) -> Any:
    async def make_pair() -> tuple[Link, Link]:
        near, far = memory_pair()
        return kind(near), kind(far)

    return make_pair


@pytest.mark.parametrize("kind", RIGHT)
async def test_a_link_may_differ_where_the_contract_is_silent(
    autojump_clock: trio.testing.MockClock, kind: type[Wrapper]
) -> None:
    await check_transport(pairs_of(kind))


@pytest.mark.parametrize("kind", list(CAUGHT_BY))
async def test_every_wrong_transport_is_caught(autojump_clock: trio.testing.MockClock, kind: type[Wrapper]) -> None:
    with pytest.raises(TransportContractError) as caught:
        await check_transport(pairs_of(kind))
    assert str(caught.value).startswith(f"{CAUGHT_BY[kind]} (forward): ")
