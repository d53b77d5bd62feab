"""Where sessions are kept: the contract suite, and that it catches wrong directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from hawser.brokers import MemoryBroker, MemorySessions, Moving, NoAnswer, Place, QuestionSink, SessionDirectory
from hawser.brokers.check import BrokerContractError, check_broker
from tests.runtime.slow_sessions import SlowSessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio.testing import MockClock


async def check(directory: SessionDirectory) -> None:
    broker = MemoryBroker()
    broker.sessions = directory
    await check_broker(broker, lease_seconds=60)


async def test_the_directory_of_one_process_keeps_the_contract(autojump_clock: MockClock) -> None:
    await check(MemorySessions())


@pytest.mark.parametrize("seed", range(3))
async def test_a_directory_in_no_hurry_keeps_the_contract(autojump_clock: MockClock, seed: int) -> None:
    await check(SlowSessions(MemorySessions(), seed))


async def test_a_node_knows_when_it_is_alone_and_has_nothing_of_it_when_all_have_left() -> None:
    directory = MemorySessions()

    def deaf(question: bytes, answer: Callable[[bytes], None]) -> None:
        """A sink."""

    assert directory.alone([])
    one, other = await directory.enter(60, deaf), await directory.enter(60, deaf)
    await directory.write(one, [Moving("1", "ada"), Moving("2", "bob")])
    await directory.write(other, [Moving("1", "ada")])
    assert [directory.alone(nodes) for nodes in ([], [one], [one, other])] == [False, False, True]
    await directory.leave(other)
    assert directory.alone([one])
    await directory.leave(one)
    assert [vars(directory)[held] for held in ("_nodes", "_places", "_users")] == [{}, {}, {}]


class Wrong(MemorySessions):
    """A right directory; subclasses spoil one thing each."""


class NeverExpires(Wrong):
    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        return await super().enter(seconds * 1_000, sink)


class ExpiresWhenAskedOnly(Wrong):
    async def run(self) -> None:
        await trio.sleep_forever()


class LetsWaitForWhoHasLeft(Wrong):
    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        try:
            return await super().ask(node, question, seconds)
        except NoAnswer:
            await trio.sleep(seconds)
            raise


class RenewsWhatIsGone(Wrong):
    async def renew(self, node: bytes, seconds: float) -> bool:
        await super().renew(node, seconds)
        return True


class KeepsWhatWasGivenUp(Wrong):
    async def leave(self, node: bytes) -> None:
        await trio.lowlevel.checkpoint()


class WritesOneByOne(Wrong):
    async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
        return all([await super(WritesOneByOne, self).write(node, [one]) for one in movings])


class LetsAnybodyTakeOut(Wrong):
    async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
        for one in movings:
            place = await self.find(one.session)
            if one.user is None and place is not None:
                await super().write(place.node, [one])
        return await super().write(node, movings)


class KnowsOneNodeOfAUser(Wrong):
    async def nodes_of(self, user: str) -> tuple[bytes, ...]:
        return (await super().nodes_of(user))[:1]


class FindsNoUser(Wrong):
    async def find(self, session: str) -> Place | None:
        place = await super().find(session)
        return None if place is None else Place(place.node, "")


class AsksTwice(Wrong):
    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        await super().ask(node, question, seconds)
        return await super().ask(node, question, seconds)


class AsksWhoIsGone(Wrong):
    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        answer = await super().ask(node, question, seconds)
        return b"" if answer is None else answer


class TakesSilenceForAnAnswer(Wrong):
    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        with trio.move_on_after(seconds / 2):
            return await super().ask(node, question, seconds)
        return b""


class AsksInTurn(Wrong):
    def __init__(self) -> None:
        super().__init__()
        self.turn = trio.Lock()

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        async with self.turn:
            return await super().ask(node, question, seconds)


class TakesAnswersAsTheyCome(Wrong):
    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        waiting: list[Callable[[bytes], None]] = []

        def mixed(question: bytes, answer: Callable[[bytes], None]) -> None:
            waiting.append(answer)
            sink(question, lambda said: waiting.pop(0)(said) if waiting else None)

        return await super().enter(seconds, mixed)


class LetsAnyNumberWait(Wrong):
    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        held = vars(self)["_nodes"].get(node)
        if held is not None and len(held.waiting) >= self.unanswered_max:
            held.waiting.pop(next(iter(held.waiting)))
        return await super().ask(node, question, seconds)


@pytest.mark.parametrize("kind", Wrong.__subclasses__())
async def test_every_wrong_directory_is_caught(autojump_clock: MockClock, kind: type[MemorySessions]) -> None:
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check(kind())
