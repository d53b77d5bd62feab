"""Questions to the members of a channel where several servers are one service (SPEC ASK-5, ASK-6)."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, CallError, Client, Collected, Config, ErrorCode, Question, to
from hawser.answers import Answer
from hawser.brokers import MemorySessions
from hawser.payloads import encode_payload
from hawser.server.canvassing import BEGIN, FETCH, LAPSE_SECONDS, LATE_SECONDS, LEAVE, WHO
from hawser.server.reaching import ANSWER_SECONDS
from hawser_engine.cbor import decode_value, encode_value
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.many import LEASE_SECONDS, Dead, Service
from tests.runtime.remains import remains
from tests.runtime.slow_sessions import Forgetful, Lossy, SlowSessions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

SLOW = 0.5
"""Seconds that a question and its answer may be on their way to a directory that is far away."""


class Members:
    """Clients at several servers that answer in a room, each in its own way, and keep who was asked."""

    def __init__(self, service: Service, nursery: trio.Nursery) -> None:
        self.asked: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.scopes: dict[str, trio.CancelScope] = {}
        self._service = service
        self._nursery = nursery

    async def add(self, name: str, at: int, answer: Callable[[Question], Awaitable[object]] | None = None) -> None:
        """One that answers so, or not at all."""
        self.scopes[name] = await self._nursery.start(self._run, name, at, answer)

    async def _run(self, name: str, at: int, answer: Any, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        async def answers(question: Question) -> object:
            self.asked[name] += 1
            try:
                if answer is None:
                    await trio.sleep_forever()
                return await answer(question)
            except trio.Cancelled:
                self.cancelled[name] += 1
                raise

        with trio.CancelScope() as scope:
            async with self._service.connect(name, at) as client, client.subscribe("room", answers=answers):
                task_status.started(scope)
                await trio.sleep_forever()


async def double(question: Question) -> object:
    return [question.user, 2 * question.data]


async def refuse(question: Question) -> object:
    raise CallError(100, "not now")


async def late(question: Question) -> object:
    await trio.sleep(2)
    return "late"


async def long(question: Question) -> object:
    return bytes(16_000)


def by_user(collected: Collected) -> dict[str, str]:
    sessions = [one.session for one in collected.answers if one.session]
    assert len(set(sessions)) == len(sessions), "each was asked once"
    return {one.user: one.status for one in collected.answers}


def service_of(count: int, kind: str) -> Service:
    kinds = {"near": None, "far away": SlowSessions(MemorySessions(), count)}
    return Service(count, kinds[kind])


@pytest.mark.parametrize("kind", ["near", "far away"])
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_members_at_all_servers_are_asked_once_and_answer(
    count: int, kind: str, autojump_clock: MockClock
) -> None:
    async with service_of(count, kind).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        handlers = {"ann": double, "bob": double, "eve": refuse, "mute": None, "dan": late, "joe": double}
        for number, (name, handler) in enumerate(handlers.items()):
            await members.add(name, number, handler)
        expected = dict.fromkeys(handlers, "answered") | {"eve": "refused", "mute": "silent"}
        async with service.connect("ada", 0) as ada, ada.subscribe("room", answers=double):
            began = trio.current_time()
            collected = await ada.collect("room", 21, seconds=6)
            assert 6 <= trio.current_time() - began < 6 + LATE_SECONDS
            assert by_user(collected) == expected
            assert sorted(collected.data, key=repr) == sorted([["ada", 42]] * 3 + ["late"], key=repr)
            assert [one.error and one.error.code for one in collected.answers if one.user == "eve"] == [100]
            assert members.asked == dict.fromkeys(handlers, 1)
            for asked, app in enumerate(service.apps, 2):
                assert by_user(await app.collect("room", 1, seconds=6)) == expected | {"ada": "answered"}
                assert members.asked == dict.fromkeys(handlers, asked)
        await trio.sleep(1)
        assert members.cancelled == {"mute": 1 + count}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["near", "far away"])
async def test_who_answers_nothing_is_counted_at_all_servers(kind: str, autojump_clock: MockClock) -> None:
    async with service_of(2, kind).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        await members.add("bob", 1, double)
        async with (
            service.connect("ada", 0) as ada,
            service.connect("eve", 0) as eve,
            service.connect("dan", 1) as dan,
            ada.subscribe("room"),
            eve.subscribe("room"),
            dan.subscribe("room"),
        ):
            await trio.sleep(3)
            collected = await ada.collect("room", 1)
            assert (by_user(collected), collected.unasked, collected.complete) == ({"bob": "answered"}, 2, False)
            assert [(await app.collect("room", 1)).unasked for app in service.apps] == [3, 3]
        nursery.cancel_scope.cancel()


async def when_told(client: Client, wait_ms: int) -> dict[str, tuple[str, int]]:
    """What came of each member, and after how many seconds."""
    began, told = trio.current_time(), dict[str, tuple[str, int]]()
    async with client.stream("$collect", "room", wait_ms, encode_payload(1)) as items:
        async for item in items:
            answer = Answer.read(item)
            told[answer.user] = answer.status, round(trio.current_time() - began)
    return told


async def test_each_answer_comes_when_it_is_known(autojump_clock: MockClock) -> None:
    async with service_of(2, "far away").up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for name, handler in {"ann": double, "dan": late, "mute": None}.items():
            await members.add(name, 1, handler)
        async with service.connect("ada", 0) as ada:
            told = await when_told(ada, 20_000)
            assert told == {"ann": ("answered", 0), "dan": ("answered", 2), "mute": ("silent", 20)}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("count", [2, 3])
async def test_members_are_gone_when_their_session_ends_or_their_server_does(
    count: int, autojump_clock: MockClock
) -> None:
    async with service_of(count, "far away").up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for name, place in {"ann": 0, "bob": 1, "eve": count - 1}.items():
            await members.add(name, place)
        async with service.connect("ada", 0) as ada:
            told: dict[str, tuple[str, int]] = {}

            async def ask() -> None:
                told.update(await when_told(ada, 30_000))

            async with trio.open_nursery() as asking:
                asking.start_soon(ask)
                await trio.sleep(4)
                members.scopes["bob"].cancel()
                await trio.sleep(4)
                service.scopes[count - 1].cancel()
        assert told["bob"] == ("gone", 4)
        assert told["eve"][0] == "gone"
        assert 8 <= told["eve"][1] <= 14  # its sessions may take `cleanup_seconds` to end
        assert told["ann"] == ("silent", 30)
        nursery.cancel_scope.cancel()


async def test_a_server_that_crashes_leaves_its_members_silent_until_its_lease_is_over(
    autojump_clock: MockClock,
) -> None:
    service = Service(3)
    cables = service.by_cable()
    async with service.up(Config(asking_seconds=200)), trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for place, name in enumerate(("ann", "bob", "eve")):
            await members.add(name, place)
        await members.add("joe", 1, double)

        async def ask(seconds: int) -> dict[str, tuple[str, int]]:
            async with service.connect("ada", 0) as ada:
                told = dict[str, tuple[str, int]]()
                async with trio.open_nursery() as asking:

                    async def collect() -> None:
                        told.update(await when_told(ada, seconds * 1_000))

                    asking.start_soon(collect)
                    await trio.sleep(3)
                    cables[1].away = True
                    await trio.sleep(LAPSE_SECONDS + 1)
                    assert members.cancelled["bob"] == 1, "nobody fetches what it says"
            return told

        told = await ask(20)
        assert told == {
            "ann": ("silent", 20),
            "bob": ("silent", 21),
            "eve": ("silent", 20),
            "joe": ("answered", 0),
        }
        assert members.asked == {"ann": 1, "bob": 1, "eve": 1, "joe": 1}
        cables[1].away = False
        await trio.sleep(2)
        members.cancelled.clear()
        told = await ask(100)
        assert told["bob"][0] == "gone"
        assert 2 * LEASE_SECONDS / 3 <= told["bob"][1] <= LEASE_SECONDS + 5
        assert (told["ann"], told["joe"]) == (("silent", 100), ("answered", 0))
        nursery.cancel_scope.cancel()


async def test_a_server_that_does_not_say_who_answers_there_is_told_to_the_asker(autojump_clock: MockClock) -> None:
    async with service_of(2, "near").up() as service, trio.open_nursery() as nursery:
        await Members(service, nursery).add("bob", 1, double)
        async with service.connect("ada", 0) as ada:
            await Dead().enter(service.broker.sessions)
            for asker in (ada, service.apps[0]):
                for seconds in (4, 20):
                    began = trio.current_time()
                    collected = await asker.collect("room", 1, seconds=seconds)
                    assert trio.current_time() - began == pytest.approx(min(seconds / 2, 5), abs=0.5)
                    assert by_user(collected) == {"bob": "answered", "": "unreached"}
                    [unreached] = collected.missing
                    assert unreached.session == ""
                    assert unreached.error is not None
                    assert unreached.error.code == ErrorCode.UNAVAILABLE
                    assert (collected.complete, len(collected.data)) == (False, 1)
            await trio.sleep(LEASE_SECONDS)
            assert by_user(await ada.collect("room", 1)) == {"bob": "answered"}
        nursery.cancel_scope.cancel()


async def test_while_the_directory_is_out_of_reach_only_own_members_are_asked_and_the_asker_knows(
    autojump_clock: MockClock,
) -> None:
    directory = SlowSessions(MemorySessions(), 1)
    async with Service(2, directory).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        await members.add("bob", 1, double)
        async with service.connect("ada", 0) as ada:
            directory.away = True
            await members.add("ann", 0, double)
            for asker in (ada, service.apps[0]):
                assert by_user(await asker.collect("room", 1)) == {"ann": "answered", "": "unreached"}
            assert members.asked == {"ann": 2}
            await trio.sleep(LEASE_SECONDS * 2)
            directory.away = False
            await trio.sleep(3)
            for asker in (ada, *service.apps):
                assert by_user(await asker.collect("room", 1)) == {"ann": "answered", "bob": "answered"}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_lost_on_the_way_nobody_is_asked_twice_and_what_is_told_is_so(
    seed: int, autojump_clock: MockClock
) -> None:
    async with Service(3, Lossy(MemorySessions(), seed)).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        names = {"ann": 0, "bob": 1, "eve": 1, "joe": 2}
        for name, place in names.items():
            await members.add(name, place, double if name != "eve" else late)
        async with service.connect("ada", 0) as ada:
            for number in range(10):
                before = members.asked.copy()
                told = by_user(await ada.collect("room", number, seconds=8))
                asked = members.asked - before
                assert set(asked.values()) <= {1}
                unreached = told.pop("", None)
                assert told.pop("ann") == "answered"
                assert unreached is not None or set(told) == {"bob", "eve", "joe"}
                for name, status in told.items():
                    assert status == "silent" or (status, asked[name]) == ("answered", 1)
                for name in asked:
                    assert name in told or name == "ann", "whoever was asked is told of"
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- nobody waits any more


@pytest.mark.parametrize("asker", ["client", "application"])
async def test_an_asker_that_leaves_ends_it_at_all_servers(asker: str, autojump_clock: MockClock) -> None:
    async with service_of(3, "far away").up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for place, name in enumerate(("ann", "bob", "eve")):
            await members.add(name, place)
        async with service.connect("ada", 0) as ada:
            who: Client | App = ada if asker == "client" else service.apps[0]
            with trio.move_on_after(3):
                await who.collect("room", 1, seconds=50)
            await trio.sleep(2)
            assert members.asked == members.cancelled == {"ann": 1, "bob": 1, "eve": 1}
        nursery.cancel_scope.cancel()


async def test_nobody_goes_on_for_an_asker_whose_server_has_crashed(autojump_clock: MockClock) -> None:
    service = Service(2)
    cables = service.by_cable()
    async with service.up(), trio.open_nursery() as nursery:
        members = Members(service, nursery)
        await members.add("bob", 1)
        async with service.connect("ada", 0) as ada, trio.open_nursery() as asking:
            asking.start_soon(partial(ada.collect, "room", 1, seconds=50))
            await trio.sleep(3)
            cables[0].away = True
            await trio.sleep(LAPSE_SECONDS - ANSWER_SECONDS - 1)
            assert members.cancelled == {}
            await trio.sleep(ANSWER_SECONDS + 1)
            assert members.cancelled == {"bob": 1}
            asking.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


async def test_nothing_is_left_of_what_was_asked_however_it_was_cut_off(autojump_clock: MockClock) -> None:
    async with service_of(2, "far away").up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for number in range(100):
            await members.add(f"bob {number}", 1, double)
            cancelled = await cancel_at_checkpoint(partial(service.apps[0].collect, "room", 1, seconds=5), number)
            members.scopes[f"bob {number}"].cancel()
            await trio.sleep(5)
            if not cancelled:
                break
        assert max(members.asked.values()) == 1
        await trio.sleep(2 * LAPSE_SECONDS)
        for app in service.apps:
            for node in app.nodes:
                assert remains(node) == {}
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- bounds


async def test_the_limit_is_for_the_members_at_all_servers_and_beyond_it_nobody_is_asked(
    autojump_clock: MockClock,
) -> None:
    async with service_of(3, "far away").up(Config(asked_at_once=4)) as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for place, name in enumerate(("ann", "bob", "eve")):
            await members.add(name, place, late)
        async with service.connect("ada", 0) as ada:
            async with trio.open_nursery() as asking:
                asking.start_soon(partial(ada.collect, "room", 1, seconds=8))
                await trio.sleep(1)
                with pytest.raises(CallError, match="LIMIT"):
                    await ada.collect("room", 1, seconds=8)
            assert members.asked == {"ann": 1, "bob": 1, "eve": 1}
            assert len((await ada.collect("room", 1, seconds=8)).data) == 3
            for number in range(9):
                await members.add(f"joe {number}", 2, late)
            before = members.asked.copy()
            with pytest.raises(CallError, match="12 members"):
                await ada.collect("room", 1, seconds=8)
            with pytest.raises(ValueError, match="12 members"):
                await service.apps[1].collect("room", 1, seconds=8)
            assert members.asked == before
        nursery.cancel_scope.cancel()


async def test_long_answers_of_many_are_fetched_a_part_at_a_time(autojump_clock: MockClock) -> None:
    async with service_of(2, "far away").up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for number in range(40):
            await members.add(f"bob {number}", 1, long)
        collected = await service.apps[0].collect("room", 1, seconds=9)
        assert collected.complete
        assert [len(data) for data in collected.data] == [16_000] * 40
        nursery.cancel_scope.cancel()


async def test_so_many_questions_wait_at_a_server_that_others_find_room(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawser.server.canvassing.PARKED_MAX", 3)
    directory = MemorySessions()
    directory.unanswered_max = 4
    async with (
        Service(2, directory).up() as service,
        service.connect("eve", 1) as eve,
        eve.directs(),
        trio.open_nursery() as nursery,
    ):
        members = Members(service, nursery)
        await members.add("bob", 1, late)
        answers: list[Collected] = []

        async def ask() -> None:
            answers.append(await service.apps[0].collect("room", 1, seconds=9))

        async with trio.open_nursery() as asking:
            for _ in range(10):
                asking.start_soon(ask)
                await trio.sleep(0.1)
            for number in range(10):
                assert (await service.apps[0].send(to.user("eve"), number)).outcome.status == "delivered"
        assert [by_user(one) for one in answers] == [{"bob": "answered"}] * 10
        nursery.cancel_scope.cancel()


async def test_a_server_answers_each_question_once_and_names_no_more_than_are_wanted(
    autojump_clock: MockClock,
) -> None:
    class Tapped(MemorySessions):
        """Lets a test ask by itself."""

        sink: Any = None

        async def enter(self, seconds: float, sink: Any) -> bytes:
            self.sink = sink
            return await super().enter(seconds, sink)

    directory = Tapped()
    async with Service(1, directory).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for name in ("ann", "bob"):
            await members.add(name, 0, late)
        answers: dict[int, list[bytes]] = {}

        def heard(number: int) -> list[Any]:
            return [decode_value(said) for said in answers[number]]

        async def ask(*question: object) -> int:
            number = len(answers)
            answers[number] = []
            directory.sink(encode_value(list(question)), answers[number].append)
            await trio.sleep(0.1)
            return number

        few, enough = await ask(WHO, [], "room", 1), await ask(WHO, [], "room", 2)
        assert heard(few) == [[2, [], 0]]
        [[count, rows, unasked]] = heard(enough)
        assert (count, unasked, [user for user, _ in rows]) == (2, 0, ["ann", "bob"])
        sessions = [session for _, session in rows]
        await ask(BEGIN, b"1", "room", None, encode_payload(1), 9_000, sessions)
        first, second = await ask(FETCH, b"1", 0), await ask(FETCH, b"1", 0)
        assert (heard(first), heard(second)) == ([[0, [], False]], [])
        await trio.sleep(3)
        [[begin, items, last]] = heard(second)
        assert (begin, len(items), last) == (0, 1, False)
        again, rest, left = await ask(FETCH, b"1", 0), await ask(FETCH, b"1", 1), await ask(LEAVE, b"1")
        assert [(said[0], len(said[1]), said[2]) for said in heard(again)] == [(0, 2, True)]
        assert [(said[0], len(said[1]), said[2]) for said in heard(rest)] == [(1, 1, True)]
        assert heard(left) == [True]
        assert heard(await ask(FETCH, b"1", 1)) == [[1, [], True]]
        assert {len(said) for said in answers.values()} == {1}
        nursery.cancel_scope.cancel()


async def test_a_server_that_entered_and_was_not_told_so_has_its_members_asked_once(
    autojump_clock: MockClock,
) -> None:
    async with Service(2, Forgetful()).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        await members.add("bob", 1, double)
        await trio.sleep(2)
        assert len(await service.broker.sessions.nodes()) == 2
        for app in service.apps:
            collected = await app.collect("room", 1)
            assert by_user(collected) == {"bob": "answered"}
        assert members.asked == {"bob": 2}
        nursery.cancel_scope.cancel()


async def test_what_another_server_says_that_makes_no_sense_is_no_answer(autojump_clock: MockClock) -> None:
    async with service_of(2, "near").up() as service:
        nothing: list[object] = [7, [1], [1, []], [1, [[1, 2]], 0], ["1", [], 0], [1, [], "0"]]
        for said in (b"", b"\xff", *map(encode_value, nothing)):

            def babble(question: bytes, answer: Callable[[bytes], None], said: bytes = said) -> None:
                answer(said)

            lease = await service.broker.sessions.enter(LEASE_SECONDS, babble)
            collected = await service.apps[0].collect("room", 1)
            assert (by_user(collected), collected.unasked) == ({"": "unreached"}, 0)
            await service.broker.sessions.leave(lease)


class Meddling(MemorySessions):
    """Lets a test do something before a question of some kind is put."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, Callable[[bytes], Awaitable[bytes | None]]] = {}

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        meddle = self.before.pop(decode_value(question)[0], None)
        said = None if meddle is None else await meddle(node)
        return await super().ask(node, question, seconds) if said is None else said


async def test_who_has_gone_before_it_is_asked_is_gone(autojump_clock: MockClock) -> None:
    directory = Meddling()
    async with Service(2, directory).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        for name in ("ann", "bob", "eve"):
            await members.add(name, 1, double)

        async with service.connect("joe", 1) as joe:
            feed = joe.subscribe("room", answers=double)
            await feed.__aenter__()

            async def go(node: bytes) -> None:
                members.scopes["bob"].cancel()
                await feed.__aexit__(None, None, None)
                await trio.sleep(1)

            directory.before[BEGIN] = go
            told = by_user(await service.apps[0].collect("room", 1))
            assert told == {"ann": "answered", "bob": "gone", "eve": "answered", "joe": "gone"}

        async def end(node: bytes) -> None:
            await directory.leave(node)

        directory.before[BEGIN] = end
        assert by_user(await service.apps[0].collect("room", 1)) == {"ann": "gone", "eve": "gone"}
        lease = await directory.enter(LEASE_SECONDS, Dead())
        directory.before[WHO] = end
        assert (await service.apps[0].collect("room", 1)).complete
        assert lease not in await directory.nodes()
        nursery.cancel_scope.cancel()


async def test_a_server_that_has_too_many_questions_is_asked_again(autojump_clock: MockClock) -> None:
    directory = Meddling()
    async with Service(2, directory).up() as service, trio.open_nursery() as nursery:
        members = Members(service, nursery)
        await members.add("bob", 1, double)

        async def nothing(node: bytes) -> bytes:
            return b""

        directory.before |= {BEGIN: nothing, FETCH: nothing, LEAVE: nothing}
        collected = await service.apps[0].collect("room", 1)
        assert by_user(collected) == {"bob": "answered"}
        assert members.asked == {"bob": 1}
        nursery.cancel_scope.cancel()


async def test_who_was_given_up_while_its_server_was_away_is_silent(autojump_clock: MockClock) -> None:
    service = Service(2)
    cables = service.by_cable()
    async with service.up(), trio.open_nursery() as nursery:
        members = Members(service, nursery)
        await members.add("bob", 1)
        async with service.connect("ada", 0) as ada, trio.open_nursery() as asking:
            told: dict[str, tuple[str, int]] = {}

            async def ask() -> None:
                told.update(await when_told(ada, 50_000))

            asking.start_soon(ask)
            await trio.sleep(3)
            cables[1].away = True
            await trio.sleep(LAPSE_SECONDS + 5)
            cables[1].away = False
        assert told["bob"][0] == "silent"
        assert 3 + LAPSE_SECONDS + 5 <= told["bob"][1] <= 3 + LAPSE_SECONDS + 11
        assert (members.asked, members.cancelled) == ({"bob": 1}, {"bob": 1})
        nursery.cancel_scope.cancel()


async def test_only_members_that_were_listed_are_told_of_and_under_the_names_that_they_had(
    autojump_clock: MockClock,
) -> None:
    def item(session: str) -> bytes:
        return encode_value([0, "somebody", session, b"\x01", 0, ""])

    said: dict[int, list[Any]] = {
        WHO: [[1, [["bob", "ab" * 8]], 2]],
        BEGIN: [True],
        FETCH: [[0, [item("cd" * 8)], False], [1, [item("ab" * 8), item("ab" * 8)], True]],
        LEAVE: [True],
    }

    def liar(question: bytes, answer: Callable[[bytes], None]) -> None:
        answer(encode_value(said[decode_value(question)[0]].pop(0)))

    async with service_of(2, "near").up() as service:
        await service.broker.sessions.enter(LEASE_SECONDS, liar)
        collected = await service.apps[0].collect("room", 1)
        assert (by_user(collected), collected.unasked) == ({"bob": "answered"}, 2)
        assert not any(said.values())
