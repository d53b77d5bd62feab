"""What `check_broker` checks of a broker's directory of sessions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from hawser_transports.cancelling import cancel_at_checkpoint

from .base import BrokerUnavailable
from .expecting import BrokerContractError, expect, patiently
from .sessions import Moving, NoAnswer, Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .sessions import SessionDirectory

LONG: Final = 1_000.0
"""Seconds of a lease, or of patience, that are not to pass while something else is checked."""
SOON: Final = 0.05
"""Seconds for which an answer is waited for that does not come."""


class _Asked:
    """A sink that keeps what it is asked, and answers when it is told to, or at once."""

    def __init__(self, *, answers: bool = False) -> None:
        self.questions: list[bytes] = []
        self.answers: list[Callable[[bytes], None]] = []
        self.arrived = trio.Event()
        self._answers = answers

    def __call__(self, question: bytes, answer: Callable[[bytes], None]) -> None:
        self.questions.append(question)
        self.answers.append(answer)
        if self._answers:
            answer(b"to " + question)
            answer(b"once more")
        self.arrived.set()
        self.arrived = trio.Event()

    async def until(self, count: int) -> list[bytes]:
        await patiently(lambda: len(self.questions) >= count, lambda: self.arrived)
        return self.questions


async def _check_places(directory: SessionDirectory) -> None:
    one, other = await directory.enter(LONG, _Asked()), await directory.enter(LONG, _Asked())
    expect("two leases are two", one != other, True)
    expect("nodes", {one, other} <= set(await directory.nodes()), True)
    expect("whether they are alone without one of them", directory.alone([one]), False)
    expect("a session that is nowhere", await directory.find("check:1"), None)
    expect("nodes of a user who is nowhere", await directory.nodes_of("check:ada"), ())
    movings = [Moving("check:1", "check:ada"), Moving("check:2", "check:ada"), Moving("check:3", "check:bob")]
    expect("writing", await directory.write(one, movings), True)
    await directory.write(other, [Moving("check:4", "check:ada")])
    expect("a session", await directory.find("check:2"), Place(one, "check:ada"))
    expect("nodes of a user", sorted(await directory.nodes_of("check:ada")), sorted([one, other]))
    await directory.write(other, [Moving("check:1", None), Moving("check:3", "check:bob")])
    expect("a session that another node takes out", await directory.find("check:1"), Place(one, "check:ada"))
    expect("a session that has moved", await directory.find("check:3"), Place(other, "check:bob"))
    expect("nodes of its user", await directory.nodes_of("check:bob"), (other,))
    await directory.write(one, [Moving("check:1", None), Moving("check:3", None)])
    expect("nodes of a user of whom one session is left there", len(await directory.nodes_of("check:ada")), 2)
    await directory.write(one, [Moving("check:2", None), Moving("check:2", None)])
    expect("nodes of a user of whom none is left there", await directory.nodes_of("check:ada"), (other,))
    await directory.leave(other)
    await directory.leave(other)
    expect("a session of a node that has left", await directory.find("check:4"), None)
    expect("nodes of its user", await directory.nodes_of("check:ada"), ())
    expect("nodes after one has left", other in await directory.nodes(), False)
    expect("renewing a lease that was given up", await directory.renew(other, LONG), False)
    expect("writing under it", await directory.write(other, [Moving("check:4", "check:ada")]), False)
    expect("what was written under it", await directory.find("check:4"), None)
    await directory.leave(one)


async def _no_answer(check: str, ask: Callable[[], Awaitable[bytes | None]]) -> float:
    """Let it ask, and complain unless nobody can say what became of it; returns how long that took."""
    began = trio.current_time()
    try:
        answer = await ask()
    except NoAnswer:
        return trio.current_time() - began
    raise BrokerContractError(f"{check}: saw {answer!r}, expected NoAnswer")


async def _check_questions(directory: SessionDirectory) -> None:
    sink, silent = _Asked(answers=True), _Asked()
    one, other = await directory.enter(LONG, sink), await directory.enter(LONG, silent)
    for number in range(9):
        question = b"%d" % number
        expect("an answer", await directory.ask(one, question, LONG), b"to " + question)
    expect("questions, each once and in order", await sink.until(9), [b"%d" % number for number in range(9)])
    for number in range(9):
        await _no_answer("asking who is silent", partial(directory.ask, other, b"%d" % number, SOON))
    expect("questions without an answer, in order", await silent.until(9), [b"%d" % number for number in range(9)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_no_answer, "an answer to another", partial(directory.ask, other, b"9", 10 * SOON))
        await silent.until(10)
        silent.answers[0](b"too late")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_no_answer, "asking who leaves then", partial(directory.ask, other, b"10", LONG))
        await silent.until(11)
        began = trio.current_time()
        await directory.leave(other)
    expect("whether who has left is waited for", trio.current_time() - began > LONG / 2, False)
    expect("asking who has left", await directory.ask(other, b"11", LONG), None)
    expect("questions to a node that has left", len(silent.questions), 11)
    await directory.leave(one)


async def _check_late_answers(directory: SessionDirectory) -> None:
    """A node answers when it can: what is asked behind a question is not held up by it, nor takes its answer."""
    sink = _Asked()
    node = await directory.enter(LONG, sink)
    answers: dict[bytes, bytes | None] = {}

    async def ask(question: bytes) -> None:
        answers[question] = await directory.ask(node, question, LONG)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, b"%d" % number)
        expect("questions that wait", len(await sink.until(3)), 3)
        for number in reversed(range(3)):
            sink.answers[number](b"to " + sink.questions[number])
    expect("answers, the last one first", answers, {b"%d" % number: b"to %d" % number for number in range(3)})
    await directory.leave(node)


async def _check_bounds(directory: SessionDirectory) -> None:
    sink = _Asked()
    node = await directory.enter(LONG, sink)
    most = directory.unanswered_max
    async with trio.open_nursery() as nursery:
        for number in range(most):
            nursery.start_soon(directory.ask, node, b"%d" % number, LONG)
        expect("questions that wait", len(await sink.until(most)), most)
        try:
            await directory.ask(node, b"too many", SOON)
        except (BrokerUnavailable, NoAnswer) as error:
            expect("asking beyond the bound", type(error), BrokerUnavailable)
        expect("questions that were put", len(sink.questions), most)
        sink.answers[0](b"")
        await sink.until(most)
        nursery.cancel_scope.cancel(reason="enough have waited")
    with trio.move_on_after(SOON):
        await directory.ask(node, b"there is room again", LONG)
    expect("the last question", (await sink.until(most + 1))[-1], b"there is room again")
    await directory.leave(node)


async def _check_cancelling(directory: SessionDirectory) -> None:
    sink = _Asked(answers=True)
    node = await directory.enter(LONG, sink)
    for number in range(100):
        pair = [Moving(f"check:{2 * number}", "check:ada"), Moving(f"check:{2 * number + 1}", "check:ada")]

        async def write(pair: list[Moving] = pair) -> None:
            await directory.write(node, pair)

        cancelled = await cancel_at_checkpoint(write, number)
        some = [await directory.find(moving.session) is not None for moving in pair]
        expect("what a cancelled writing did is all or nothing", len(set(some)), 1)
        await write()
        if not cancelled:
            break
    for number in range(100):
        before = len(sink.questions)

        async def ask(number: int = number) -> None:
            await directory.ask(node, b"%d" % number, LONG)

        cancelled = await cancel_at_checkpoint(ask, number)
        expect("an answer after that", await directory.ask(node, b"next", LONG), b"to next")
        asked = (await sink.until(before + 1))[before:]
        expect("questions, one of them cancelled", asked in ([b"next"], [b"%d" % number, b"next"]), True)
        if not cancelled:
            break
    await directory.leave(node)


async def check_leases_of_nodes(directory: SessionDirectory, seconds: float) -> None:
    """Leases that are renewed last; one that is not takes its sessions with it, and nobody waits for its answers."""
    waited: list[float] = []
    one, other = await directory.enter(seconds, _Asked(answers=True)), await directory.enter(seconds, _Asked())
    await directory.write(one, [Moving("check:1", "check:ada")])
    await directory.write(other, [Moving("check:2", "check:ada")])

    async def ask() -> None:
        waited.append(await _no_answer("asking who dies then", partial(directory.ask, other, b"?", 9 * seconds)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(seconds * 0.7)
        expect("renewing in time", await directory.renew(one, seconds), True)
        await trio.sleep(seconds * 0.5)
        expect("whether its answer is waited for when a node has died", len(waited), 1)
        expect("a session whose node has died", await directory.find("check:2"), None)
        expect("nodes of its user", await directory.nodes_of("check:ada"), (one,))
        expect("nodes", await directory.nodes(), (one,))
        expect("asking a node that has died", await directory.ask(other, b"!", seconds), None)
        expect("asking one that has not", await directory.ask(one, b"!", seconds), b"to !")
    expect("renewing too late", await directory.renew(other, seconds), False)
    expect("writing too late", await directory.write(other, [Moving("check:2", "check:ada")]), False)
    await trio.sleep(seconds * 1.5)
    expect("nodes when all have died", await directory.nodes(), ())


SESSION_CHECKS: Final[tuple[Callable[[SessionDirectory], Awaitable[None]], ...]] = (
    _check_places,
    _check_questions,
    _check_late_answers,
    _check_bounds,
    _check_cancelling,
)
