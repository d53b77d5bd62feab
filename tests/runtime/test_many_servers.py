"""What is sent where several servers are one service: reached, counted, in order, or not known (SPEC ADR-12)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import App, Client, Config, Directs, Session, to
from hawser.brokers import BrokerUnavailable, MemorySessions, Moving
from hawser.payloads import encode_payload
from hawser.server.peers import QUESTIONS_MAX
from hawser_engine import EngineConfig
from hawser_engine.calls import Call
from hawser_engine.messages import ADDRESSING, Listen, Listening
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import PATIENCE, RawClient
from tests.runtime.many import LEASE_SECONDS, Dead, Service, url
from tests.runtime.slow_sessions import Forgetful, SlowSessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock


@pytest.fixture(params=["one", "two", "two, far away"])
def service(request: pytest.FixtureRequest) -> Service:
    directory = SlowSessions(MemorySessions(), 1) if "far" in request.param else None
    return Service(1 if request.param == "one" else 2, directory)


async def heard(directs: Directs, count: int) -> list[Any]:
    with trio.fail_after(PATIENCE):
        return [(await directs.receive()).data for _ in range(count)]


async def outcome(sender: Client | App, target: to.Target, data: object, **options: Any) -> tuple[str, int, int, int]:
    one = (await sender.send(target, data, **options)).outcome
    return one.status, one.reached, one.away, one.full


async def test_all_sessions_are_reached_and_counted_wherever_they_are(
    service: Service, autojump_clock: MockClock
) -> None:
    async with (
        service.up(),
        service.connect("ada", 0) as ada,
        service.connect("bob", 0) as phone,
        service.connect("bob", 1) as desk,
        ada.directs() as answers,
        phone.directs() as first,
        desk.directs() as second,
    ):
        assert await outcome(ada, to.user("bob"), "hello") == ("delivered", 2, 0, 0)
        for directs in (first, second):
            direct = await directs.receive()
            assert (direct.to, direct.user, direct.session) == (to.user("bob"), "ada", answers.session)
        assert answers.session is not None
        assert second.session is not None
        assert await outcome(desk, to.session(answers.session), "hi") == ("delivered", 1, 0, 0)
        assert await outcome(ada, to.session(second.session), "you") == ("delivered", 1, 0, 0)
        assert await outcome(ada, to.session("ab" * 8), "who?") == ("nobody", 0, 0, 0)
        assert await outcome(desk, to.everybody, "all") == ("delivered", 3, 0, 0)
        assert await outcome(desk, to.everybody, "others", except_me=True) == ("delivered", 2, 0, 0)
        for app in service.apps:
            assert await outcome(app, to.everybody, "app") == ("delivered", 3, 0, 0)
        told = ["all", "others", *["app"] * len(service.apps)]
        assert await heard(answers, 1 + len(told)) == ["hi", *told]
        assert await heard(first, len(told)) == told
        assert await heard(second, len(told)) == ["you", "all", *told[2:]]


async def test_a_session_for_which_several_targets_stand_gets_it_once(
    service: Service, autojump_clock: MockClock
) -> None:
    async with service.up(), service.connect("ada", 0) as ada, service.connect("bob", 1) as bob:
        async with bob.directs() as directs:
            assert directs.session is not None
            targets = [to.user("bob"), to.session(directs.session), to.user("eve"), to.everybody, to.user("bob")]
            for number in range(2):
                outcomes = (await ada.send(targets, number)).outcomes
                assert [one.reached for one in outcomes] == [1, 1, 0, 1, 1]
            assert await heard(directs, 2) == [0, 1]


async def test_one_worker_of_an_agent_gets_it_and_those_at_the_same_server_first(
    service: Service, autojump_clock: MockClock
) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service.up())
        ada = await stack.enter_async_context(service.connect("ada", 0))
        far: list[Directs] = []
        for name in ("worker 1", "worker 2"):
            worker = await stack.enter_async_context(service.connect(name, 1, config=Config(direct_messages=5)))
            await stack.enter_async_context(worker.offer("clerk", _work, worker=name))
            far.append(await stack.enter_async_context(worker.directs()))
        for number in range(4):
            assert await outcome(ada, to.agent("clerk"), number) == ("delivered", 1, 0, 0)
        assert sorted([*await heard(far[0], 2), *await heard(far[1], 2)]) == [0, 1, 2, 3]
        if len(service.apps) > 1:
            near = await stack.enter_async_context(service.connect("worker 3", 0))
            await stack.enter_async_context(near.offer("clerk", _work, worker="worker 3"))
            directs = await stack.enter_async_context(near.directs())
            for number in range(4):
                assert await outcome(ada, to.agent("clerk"), number) == ("delivered", 1, 0, 0)
            assert await heard(directs, 4) == [0, 1, 2, 3]


async def _work_for(session: Session) -> None:
    """What a server does."""


async def _work() -> None:
    """What agents do."""


async def test_what_one_session_sends_to_another_arrives_in_order(service: Service, autojump_clock: MockClock) -> None:
    async with service.up(), service.connect("ada", 0) as ada, service.connect("bob", 1) as bob:
        async with bob.directs() as directs, trio.open_nursery() as nursery:
            assert directs.session is not None
            targets = [to.user("bob"), to.session(directs.session), to.everybody]
            for number in range(60):
                nursery.start_soon(ada.send, targets[number % 3], number)
                await trio.lowlevel.checkpoint()
            assert await heard(directs, 60) == [*range(60)]


async def test_whoever_does_not_keep_up_is_counted_as_full(service: Service, autojump_clock: MockClock) -> None:
    few = Config(direct_messages=2)
    async with (
        service.up(),
        service.connect("ada", 0) as ada,
        service.connect("bob", 1, config=few) as bob,
        bob.directs() as directs,
    ):
        told = [await outcome(ada, to.user("bob"), number) for number in range(4)]
        assert told == [("delivered", 1, 0, 0)] * 2 + [("full", 0, 0, 1)] * 2
        assert await heard(directs, 2) == [0, 1]
        await trio.sleep(1)
        assert await outcome(ada, to.user("bob"), 4) == ("delivered", 1, 0, 0)


async def test_who_gets_it_gets_no_letter_and_who_does_not_gets_one(
    service: Service, autojump_clock: MockClock
) -> None:
    service.with_mailboxes()
    few = Config(direct_messages=1)
    async with service.up(), service.connect("ada", 0) as ada, service.connect("bob", 1, config=few) as bob:
        assert (await outcome(ada, to.user("bob"), "early"))[0] == "queued"
        async with bob.directs() as directs:
            assert (await outcome(ada, to.user("bob"), "now"))[0] == "delivered"
            assert await outcome(ada, to.user("bob"), "full") == ("queued", 0, 0, 1)
            assert [one.status for one in (await ada.send([to.user("bob")] * 2, "both")).outcomes] == ["queued"] * 2
            assert await heard(directs, 1) == ["now"]
        await trio.sleep(1)
        assert (await outcome(ada, to.user("bob"), "late"))[0] == "queued"
        assert await service.letters() == [encode_payload(data) for data in ("early", "full", "both", "late")]


async def test_the_right_to_send_to_a_session_is_that_to_its_user(service: Service, autojump_clock: MockClock) -> None:
    for app in service.apps:

        @app.user("bob").authorize
        async def may(session: Session, action: str, user: str) -> bool:
            return session.principal.id == "ada"

    async with (
        service.up(),
        service.connect("ada", 0) as ada,
        service.connect("eve", 0) as eve,
        service.connect("bob", 1) as bob,
        bob.directs() as directs,
    ):
        assert directs.session is not None
        refused = (await eve.send(to.session(directs.session), 1)).outcome
        assert (refused.status, refused.error and refused.error.code.name) == ("refused", "DENIED")
        assert await outcome(ada, to.session(directs.session), 2) == ("delivered", 1, 0, 0)
        assert await heard(directs, 1) == [2]


# ---------------------------------------------------------------- servers that end


async def test_nobody_gets_a_letter_of_what_a_dead_server_may_have_given_to_its_sessions(
    autojump_clock: MockClock,
) -> None:
    async with (
        Service(2).with_mailboxes().up() as service,
        service.connect("ada", 0) as ada,
        service.connect("ann", 1) as ann,
        ann.directs() as directs,
    ):
        dead = Dead()
        await dead.enter(service.broker.sessions, "bob", "ann")
        began = trio.current_time()
        sent = await ada.send([to.user("bob"), to.user("ann"), to.session("dead bob"), to.user("eve")], "x")
        assert trio.current_time() - began == pytest.approx(5, abs=0.5)
        assert [one.status for one in sent.outcomes] == ["refused", "delivered", "refused", "queued"]
        errors = [one.error and (one.error.code.name, one.error.temporary) for one in sent.outcomes]
        assert errors == [("UNAVAILABLE", True), None, ("UNAVAILABLE", True), None]
        assert (sent.outcomes[1].reached, dead.asked) == (1, 1)
        assert await heard(directs, 1) == ["x"]
        assert await service.letters() == []
        assert (await outcome(service.apps[0], to.user("bob"), "x"))[0] == "refused"
        await trio.sleep(LEASE_SECONDS)
        assert (await outcome(ada, to.user("bob"), "y"))[0] == "queued"
        assert await service.letters() == [encode_payload("y")]
        assert dead.asked == 2


async def test_a_server_that_ends_in_the_middle_is_waited_for_no_longer(autojump_clock: MockClock) -> None:
    async with Service(2).with_mailboxes().up() as service, service.connect("ada", 0) as ada:
        dead = Dead()
        lease = await dead.enter(service.broker.sessions, "bob")
        async with trio.open_nursery() as nursery:
            began = trio.current_time()

            async def send() -> None:
                assert (await outcome(ada, to.user("bob"), "x"))[0] == "refused"

            nursery.start_soon(send)
            await dead.heard.wait()
            await service.broker.sessions.leave(lease)
        assert trio.current_time() - began < 1
        assert await service.letters() == []


async def test_a_server_that_has_ended_has_nobody(autojump_clock: MockClock) -> None:
    async with Service(2).up() as service, service.connect("ada", 0) as ada, trio.open_nursery() as nursery:
        gone = trio.Event()

        async def stay() -> None:
            async with service.connect("bob", 1) as bob, bob.directs():
                gone.set()
                await trio.sleep_forever()

        nursery.start_soon(stay)
        await gone.wait()
        assert await outcome(ada, to.user("bob"), 1) == ("delivered", 1, 0, 0)
        service.scopes[1].cancel()
        await trio.sleep(6)
        began = trio.current_time()
        assert await outcome(ada, to.user("bob"), 2) == ("nobody", 0, 0, 0)
        assert trio.current_time() - began < 1
        nursery.cancel_scope.cancel()


async def test_a_server_that_has_ended_and_could_not_say_so_is_one_that_does_not_answer(
    autojump_clock: MockClock,
) -> None:
    class Sticky(MemorySessions):
        async def leave(self, node: bytes) -> None:
            raise BrokerUnavailable("out of reach")

    async with Service(2, Sticky()).up() as service, service.connect("ada", 0) as ada:
        async with service.connect("bob", 1) as bob, bob.directs():
            service.scopes[1].cancel()
            await trio.sleep(1)
            assert (await outcome(ada, to.everybody, 1))[0] == "refused"
            assert [one.status for one in (await ada.collect("room", 1)).answers] == ["unreached"]
        await trio.sleep(LEASE_SECONDS)
        assert (await outcome(ada, to.everybody, 2))[0] == "nobody"


async def test_while_the_directory_is_out_of_reach_only_the_own_sessions_are(autojump_clock: MockClock) -> None:
    directory = SlowSessions(MemorySessions(), 1)
    async with (
        Service(2, directory).with_mailboxes().up() as service,
        service.connect("ada", 0) as ada,
        service.connect("ann", 0) as ann,
        service.connect("bob", 1) as bob,
        ann.directs() as near,
    ):
        directory.away = True
        async with bob.directs() as far:
            assert await outcome(ada, to.user("ann"), 1) == ("delivered", 1, 0, 0)
            assert (await outcome(ada, to.user("bob"), 2))[0] == "refused"
            assert (await outcome(service.apps[0], to.user("bob"), 3))[0] == "refused"
            assert far.session is not None
            refused = (await ada.send(to.session(far.session), 4)).outcome
            assert refused.error is not None
            assert refused.error.code.name == "UNAVAILABLE"
            assert await service.letters() == []
            await trio.sleep(LEASE_SECONDS * 2)
            directory.away = False
            await trio.sleep(3)
            assert await outcome(ada, to.user("bob"), 5) == ("delivered", 1, 0, 0)
            assert await outcome(bob, to.user("ann"), 6) == ("delivered", 1, 0, 0)
            assert await heard(near, 2) == [1, 6]
            assert await heard(far, 1) == [5]


# ---------------------------------------------------------------- bounds


class Watched(MemorySessions):
    """Keeps what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.sinks: list[Any] = []

    async def enter(self, seconds: float, sink: Any) -> bytes:
        self.sinks.append(sink)
        return await super().enter(seconds, sink)

    async def find(self, session: str) -> Any:
        self.calls.append("find")
        return await super().find(session)

    async def nodes_of(self, user: str) -> tuple[bytes, ...]:
        self.calls.append("nodes_of")
        return await super().nodes_of(user)

    async def nodes(self) -> tuple[bytes, ...]:
        self.calls.append("nodes")
        return await super().nodes()

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        self.calls.append("ask")
        return await super().ask(node, question, seconds)

    async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
        self.calls.append("write")
        return await super().write(node, movings)


@pytest.mark.parametrize(("count", "calls"), [(1, ["write"]), (2, ["write", "nodes_of"])])
async def test_a_server_that_is_alone_asks_nobody(count: int, calls: list[str], autojump_clock: MockClock) -> None:
    directory = Watched()
    async with (
        Service(count, directory).up() as service,
        service.connect("ada", 0) as ada,
        service.connect("bob", 0) as bob,
        bob.directs() as directs,
    ):
        if count == 2:
            await Dead().enter(directory)
            directory.calls.clear()
            calls = ["nodes_of"]
        assert await outcome(ada, to.user("bob"), 1) == ("delivered", 1, 0, 0)
        assert await outcome(ada, to.user("bob"), 2) == ("delivered", 1, 0, 0)
        assert directory.calls == (calls if count == 1 else calls * 2)
        assert await heard(directs, 2) == [1, 2]


async def test_a_server_that_is_asked_too_much_says_so_at_once_and_one_that_is_asked_nonsense_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    directory = Watched()
    async with Service(2, directory).up() as service, service.connect("bob", 0) as bob, bob.directs() as directs:
        answers: list[bytes] = []
        [sink] = directory.sinks
        for _ in range(QUESTIONS_MAX):
            sink(b"\x81\x09", answers.append)
        assert answers == []
        async with service.connect("ada", 1) as ada:
            for _ in range(QUESTIONS_MAX):
                await trio.lowlevel.checkpoint()
            await trio.sleep(1)
            assert answers == [b""] * QUESTIONS_MAX
            assert len(caplog.records) == QUESTIONS_MAX
            caplog.clear()
            for _ in range(QUESTIONS_MAX + 1):
                sink(b"\x81\x09", answers.append)
            assert len(answers) == QUESTIONS_MAX + 1
            await trio.sleep(1)
            caplog.clear()
            assert await outcome(ada, to.user("bob"), 1) == ("delivered", 1, 0, 0)
            assert await heard(directs, 1) == [1]


async def test_what_is_cancelled_is_given_once_or_not_at_all_and_hinders_nobody(autojump_clock: MockClock) -> None:
    directory = SlowSessions(MemorySessions(), 1)
    async with Service(2, directory).up() as service, service.connect("bob", 1) as bob, bob.directs() as directs:
        reached = 0
        for number in range(100):
            cancelled = await cancel_at_checkpoint(partial(service.apps[0].send, to.user("bob"), "cut"), number)
            assert await outcome(service.apps[0], to.user("bob"), number) == ("delivered", 1, 0, 0)
            await trio.sleep(1)
            data = (await heard(directs, 1))[0]
            if data == "cut":
                reached += 1
                data = (await heard(directs, 1))[0]
            assert data == number
            if not cancelled:
                break
        assert reached >= 1


async def test_who_has_no_room_by_the_time_it_is_entered_is_answered_when_it_has(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Held(MemorySessions):
        go_on = trio.Event()

        async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
            await self.go_on.wait()
            return await super().write(node, movings)

    directory = Held()
    everything = Service(1, directory)
    everything.apps[0].procedure("work")(_work_for)
    bob = RawClient(EngineConfig(window_messages=2), {"token": "bob"}, (ADDRESSING,))
    config = Config(queue_messages=2)
    async with everything.up(config) as service, bob.connected(url(0)) as raw:
        await raw.opened.wait()
        raw.deliver = False
        raw.say(Listen(1, 9, 9_000))
        await wait_all_tasks_blocked()
        raw.say(*(Call(number, "work", b"\x80", None) for number in range(2, 11)))
        await wait_all_tasks_blocked()
        directory.go_on.set()
        await wait_all_tasks_blocked()
        said = list[object]()
        while not any(isinstance(message, Listening) for message in said):
            said.append(await raw.hear())
            raw.engine.session.delivered(len(said), trio.current_time())
            raw.flush()
        assert caplog.records == []
        assert await outcome(service.apps[0], to.user("bob"), 1) == ("full", 0, 0, 1)


async def test_a_server_that_entered_and_was_not_told_so_gives_its_sessions_everything_once(
    autojump_clock: MockClock,
) -> None:
    async with (
        Service(2, Forgetful()).up() as service,
        service.connect("bob", 1) as bob,
        bob.directs() as directs,
        service.connect("ada", 0) as ada,
    ):
        await trio.sleep(2)
        assert len(await service.broker.sessions.nodes()) == 2
        assert await outcome(ada, to.everybody, 1) == ("delivered", 1, 0, 0)
        assert await outcome(ada, to.user("bob"), 2) == ("delivered", 1, 0, 0)
        assert await heard(directs, 2) == [1, 2]


async def test_a_broker_that_cannot_say_more_is_no_answer(autojump_clock: MockClock) -> None:
    class Full(MemorySessions):
        async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
            raise BrokerUnavailable("full")

    async with (
        Service(2, Full()).up() as service,
        service.connect("ada", 0) as ada,
        service.connect("bob", 1) as bob,
        bob.directs(),
    ):
        assert (await outcome(ada, to.user("bob"), 1))[0] == "refused"
