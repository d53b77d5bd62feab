"""Events and typed procedures: what is declared, what becomes of a request, and what its sender is told."""

from __future__ import annotations

import subprocess
import sys
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import App, CallError, ErrorCode, Inputs, PublishRequest, RequestFailed, Session, connect, takes_inputs, to
from hawser.contract.conversion import Conversion
from hawser.contract.signatures import types_of
from hawser.payloads import ARGUMENT_BYTES_MAX
from hawser_engine.messages import Publish, PublishOptions
from tests.runtime.contract import shop
from tests.runtime.contract.shop import Item, Placed, Receipt, Shipped
from tests.runtime.helpers import URL, RawClient, collect, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

    from hawser import Proceed, Request
    from tests.runtime.contract.shop import Size

ORDER = {"id": "7", "items": [{"name": "rope", "price": 3}]}
PLACED = {"event": "placed"}


async def refused(asked: Callable[[], Awaitable[Any]]) -> tuple[int, str, Any]:
    """What a request is answered with: code, message, and paths and codes of the problems."""
    with pytest.raises(RequestFailed) as caught:
        await asked()
    data: Any = caught.value.data
    assert not caught.value.temporary
    return caught.value.code, caught.value.message, data and [(one["path"], one["code"]) for one in data["problems"]]


# ---------------------------------------------------------------- events


async def test_an_event_is_published_as_declared_and_filtered_by_its_name(autojump_clock: MockClock) -> None:
    shipped = 'event == "shipped"'
    async with serving(shop.app), connect(URL) as client, connect(URL) as other:
        async with client.subscribe("orders:1") as every, other.subscribe("orders:1", filter=shipped) as some:
            await client.publish("orders:1", ORDER, tags=PLACED)
            await shop.app.publish("orders:1", Shipped("7"), tags={"by": "ship"})
            await shop.app.publish("orders:1", {"id": "8"}, tags={"event": "shipped"})
            messages = [await every.receive() for _ in range(3)]
            assert [(one.data, one.tags) for one in messages] == [
                (ORDER, PLACED),
                ({"id": "7"}, {"by": "ship", "event": "shipped"}),
                ({"id": "8"}, {"event": "shipped"}),
            ]
            assert await collect(some, 2) == [{"id": "7"}, {"id": "8"}]
            assert [type(shop.orders.read(one)) for one in messages] == [Placed, Shipped, Shipped]
            with pytest.raises(ValueError, match=r"message 1 is not as declared: tags\.event is none of this channel"):
                App().channel("*").read(messages[0])


async def test_an_event_goes_into_several_channels_as_into_one(autojump_clock: MockClock) -> None:
    """SPEC ADR-7, CTR-1; the application is told before anybody has it."""
    names = ["orders:several:1", "orders:several:2"]
    targets = [to.channel(name) for name in names]
    async with serving(shop.app), connect(URL) as client, client.subscribe(names[1]) as messages:
        for sent in (
            await client.publish_to(names, ORDER, tags=PLACED),
            (await client.send(targets, ORDER, tags=PLACED)).outcomes,
            (await shop.app.send(targets, ORDER, tags=PLACED)).outcomes,
        ):
            assert [one.status for one in sent] == ["published", "published"]
            message = await messages.receive()
            assert (message.data, message.tags) == (ORDER, PLACED)
        assert [one.status for one in await client.publish_to(names, ORDER)] == ["refused", "refused"]
        with pytest.raises(ValueError, match=r"tags\.event is missing"):
            await shop.app.send([to.everybody, *targets], ORDER)


async def test_what_is_not_as_declared_is_refused_and_reaches_nobody(autojump_clock: MockClock) -> None:
    async with serving(shop.app), connect(URL) as client, client.subscribe("orders:2") as messages:
        bad = {"id": 7, "items": [{"name": "rope", "price": -1}, {"nmae": "rope", "price": 1}]}
        code, message, problems = await refused(lambda: client.publish("orders:2", bad, tags=PLACED))
        assert code == ErrorCode.BAD_REQUEST
        assert message == (
            "the publication is not as declared: $.id saw a number, expected a text; "
            "$.items[0].price 'price' must be >= 0: -1; $.items[1].name is missing; and more (CTR-3)"
        )
        assert problems == [
            ("$.id", "type"),
            ("$.items[0].price", "value"),
            ("$.items[1].name", "missing"),
            ("$.items[1].nmae", "unknown"),
        ]
        await client.publish("orders:2", {"id": "7"}, tags={"event": "shipped"})
        assert (await messages.receive()).offset == 1


@pytest.mark.parametrize(
    ("tags", "problem", "message"),
    [
        (None, ("tags.event", "missing"), "tags.event is missing, expected 'placed' or 'shipped'"),
        ({"other": "placed"}, ("tags.event", "missing"), "tags.event is missing, expected 'placed' or 'shipped'"),
        (
            {"event": "lost"},
            ("tags.event", "unknown"),
            "tags.event is none of this channel, expected 'placed' or 'shipped'",
        ),
    ],
    ids=repr,
)
async def test_a_publication_says_which_event_it_is(
    tags: dict[str, str] | None, problem: tuple[str, str], message: str, autojump_clock: MockClock
) -> None:
    async with serving(shop.app), connect(URL) as client:
        code, said, problems = await refused(lambda: client.publish("orders:3", ORDER, tags=tags))
        assert (code, problems) == (ErrorCode.BAD_REQUEST, [problem])
        assert said == f"the publication is not as declared: {message} (CTR-3)"
        with pytest.raises(ValueError, match=message):
            await shop.app.publish("orders:3", ORDER, tags=tags)


async def test_data_that_is_none_or_too_long_is_refused(autojump_clock: MockClock) -> None:
    async with serving(shop.app), connect(URL) as client:
        long = {"id": "x" * ARGUMENT_BYTES_MAX}
        code, message, _ = await refused(lambda: client.publish("orders:4", long, tags={"event": "shipped"}))
        assert (code, message) == (ErrorCode.TOO_LARGE, "data has at most 65536 bytes in this channel")
    async with serving(shop.app):
        raw = RawClient()
        async with raw.connected():
            await raw.opened.wait()
            raw.say(Publish(1, "orders:4", b"\xff", None, PublishOptions({"event": "shipped"})))
            answer: Any = await raw.hear()
            assert (answer.code, answer.message[:25]) == (ErrorCode.BAD_REQUEST, "the data is no CBOR value")


async def test_what_the_application_publishes_is_as_declared_too(autojump_clock: MockClock) -> None:
    wrong: Any = 5
    with pytest.raises(ValueError, match=r"not as declared: \$.id saw a number"):
        await shop.app.publish("orders:5", Shipped(wrong))
    with pytest.raises(ValueError, match=r"not as declared: \$ is Item, which is the class of no event here"):
        await shop.app.publish("orders:5", Item("rope", 3))


async def test_rights_come_before_what_is_wrong_and_middleware_before_both(autojump_clock: MockClock) -> None:
    app = App()
    closed = app.channel("closed")
    open_to_all = app.channel("open", open=True)
    seen: list[Any] = []

    @closed.event("made")
    @open_to_all.event("made")
    @attrs.frozen
    class Made:
        count: int

    Made.__annotations__["count"] = int

    @app.middleware
    async def mend(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest):
            seen.append(request.data)
            if request.data == "mend me":
                return await proceed(request.with_data({"count": 1}))
        return await proceed()

    async with serving(app), connect(URL) as client:
        code, _, problems = await refused(lambda: client.publish("closed", 3, tags={"event": "made"}))
        assert (code, problems) == (ErrorCode.DENIED, None)
        await client.publish("open", "mend me", tags={"event": "made"})
        code, _, problems = await refused(lambda: client.publish("open", 3, tags={"event": "made"}))
        assert (code, problems) == (ErrorCode.BAD_REQUEST, [("$", "type")])
        assert seen == [3, "mend me", 3]


def test_events_are_declared_once() -> None:
    app = App()
    rule = app.channel("room:*")
    assert rule.events is None
    declared: type = rule.event("said")(Item)
    assert declared is Item
    assert "tags" in rule.about
    with pytest.raises(ValueError, match="the event 'said' is declared already"):
        rule.event("said")(Receipt)
    with pytest.raises(ValueError, match="Item is declared already, as 'said'"):
        rule.event("written")(Item)
    for name in ("", "ü" * 33):
        with pytest.raises(ValueError, match="the name of an event has 1 to 64 bytes"):
            rule.event(name)(Receipt)
    with pytest.raises(TypeError, match="complex cannot be declared"):
        rule.event("wrong")(complex)
    assert rule.events is not None
    assert list(rule.events) == [("said", Item)]


# ---------------------------------------------------------------- procedures


async def test_a_typed_procedure_gets_and_returns_instances(autojump_clock: MockClock) -> None:
    async with serving(shop.app), connect(URL) as client, client.subscribe("orders:7") as messages:
        assert await client.call("orders.place", ORDER) == {"id": "7", "total": 3}
        assert await client.call("orders.place", order=ORDER, express=True) == {"id": "7", "total": 8}
        size = {"size": "small"}
        expected = {"id": "7", "items": [{"name": "rope", "price": 3, **size}], "paid": None, "at": None}
        assert await collect(messages, 2) == [expected, expected]
        async with client.stream("orders.follow", "1", "2") as items:
            assert [item async for item in items] == [{"id": "1"}, {"id": "2"}]
        async with client.stream("orders.collect", "9", inputs=True) as stream:
            for price in (1, 2):
                await stream.send({"name": "rope", "price": price})
            await stream.finish()
            assert [item async for item in stream] == []
            assert stream.result == {"id": "9", "total": 3}


async def test_a_call_that_is_not_as_annotated_is_not_started(autojump_clock: MockClock) -> None:
    async with serving(shop.app), connect(URL) as client:
        before = await shop.app.broker.history("orders:8", 0, limit=1, limit_bytes=0)
        bad = {"id": "8", "items": [{"name": "rope", "price": "3", "size": "huge"}]}
        code, message, problems = await refused(lambda: client.call("orders.place", bad, 1))
        assert code == ErrorCode.BAD_REQUEST
        assert message == (
            "what 'orders.place' is called with is not as declared: $[0].items[0].price (order) saw a text, "
            "expected an integer; $[0].items[0].size (order) expected 'small' or 'large'; $[1] (express) saw a number, "
            "expected a truth value (CTR-3)"
        )
        assert problems == [("$[0].items[0].price", "type"), ("$[0].items[0].size", "value"), ("$[1]", "type")]
        _, _, problems = await refused(lambda: client.call("orders.place", order=bad, express=1))
        assert problems == [
            ("$.order.items[0].price", "type"),
            ("$.order.items[0].size", "value"),
            ("$.express", "type"),
        ]
        code, message, problems = await refused(lambda: client.call("orders.place"))
        assert (code, message, problems) == (
            ErrorCode.BAD_REQUEST, "orders.place: missing a required argument: 'order'", None
        )  # fmt: skip

        async def follow() -> None:
            async with client.stream("orders.follow", "1", 2) as items:
                await items.receive()

        _, _, problems = await refused(follow)
        assert problems == [("$[1]", "type")]
        assert await shop.app.broker.history("orders:8", 0, limit=1, limit_bytes=0) == before


def app_with(handler: Any, *, checked: bool | None = None) -> App:
    app = App()
    app.procedure("it", checked=checked)(handler)
    return app


async def test_what_a_procedure_returns_is_looked_at_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(session: Session) -> Receipt:
        total: Any = "much"
        return Receipt("1", total)

    async with serving(app_with(wrong)), connect(URL) as client:
        code, message, _ = await refused(lambda: client.call("it"))
        assert code == ErrorCode.INTERNAL
        assert message.startswith("incident ")
    assert "$.total saw a text, expected an integer" in caplog.text


async def test_only_so_many_problems_of_all_arguments_are_told(autojump_clock: MockClock) -> None:
    async def many(session: Session, *numbers: int, **named: int) -> Receipt:
        return Receipt("1", sum(numbers))

    async with serving(app_with(many)), connect(URL) as client:
        with pytest.raises(CallError) as caught:
            await client.call("it", *["a"] * 100)
        data: Any = caught.value.data
        assert ([one["path"] for one in data["problems"]], data["more"]) == ([f"$[{at}]" for at in range(16)], True)
        with pytest.raises(CallError) as caught:
            await client.call("it", **{f"n{number}": None for number in range(16)})
        data = caught.value.data
        assert ([one["path"] for one in data["problems"]], data["more"]) == ([f"$.n{at}" for at in range(16)], False)
        assert await client.call("it", 1, 2) == {"id": "1", "total": 3}
        assert await client.call("it", a=1) == {"id": "1", "total": 0}

    async def lists(session: Session, first: list[int], second: Receipt) -> None:
        pass

    async with serving(app_with(lists)), connect(URL) as client:
        with pytest.raises(CallError) as caught:
            await client.call("it", ["a"] * 17, {"id": 1, "total": 1})
        data = caught.value.data
        assert (len(data["problems"]), data["more"]) == (16, True)


async def test_a_client_has_typed_procedures_too(autojump_clock: MockClock) -> None:
    app = App()
    app.agent("desk", open=True)
    answers: list[Any] = []

    @app.on_connect
    async def ask(session: Session) -> None:
        answers.append(await session.call("price", {"name": "rope", "price": 3}))
        try:
            await session.call("price", {"name": "rope"})
        except CallError as error:
            answers.append(error.data)

    async def price(item: Item) -> int:
        return item.price

    async with serving(app), connect(URL, procedures={"price": price}) as client:
        while len(answers) < 2:
            await trio.sleep(0.1)
        assert answers[0] == 3
        assert answers[1]["problems"] == [{"path": "$[0].price", "code": "missing", "message": "(item) is missing"}]
        async with client.offer("desk", price):
            assert await client.call("desk.price", {"name": "rope", "price": 4}) == 4
            _, _, problems = await refused(lambda: client.call("desk.price", 5))
            assert problems == [("$[0]", "type")]


async def hidden(session: Session, item: Item, size: Size) -> None:
    pass


async def hidden_alone(session: Session, size: Size) -> None:
    pass


async def hidden_result(session: Session, item: Item) -> AsyncIterator[int]:
    yield 1


async def strange(session: Session, item: Item, numbers: set[int]) -> None:
    pass


async def strange_result(session: Session, item: Item) -> complex:
    return 1j


@takes_inputs
async def hidden_items(session: Session, inputs: Inputs[Size], item: Item) -> None:
    pass


@takes_inputs
async def strange_items(session: Session, inputs: Inputs[set[int]], item: Item) -> None:
    pass


@takes_inputs
async def no_items(session: Session, inputs: Item) -> None:
    pass


@pytest.mark.parametrize(
    ("handler", "checked", "says"),
    [
        (hidden, None, r"procedure 'it', parameter 'size': the annotation 'Size' cannot be looked up \(name 'Size'"),
        (
            hidden_alone,
            None,
            "parameter 'size': the annotation 'Size' cannot be .*; write Any for what is not to be checked",
        ),
        (hidden_result, None, "what it returns: the annotation 'AsyncIterator"),
        (strange, None, r"procedure 'it', parameter 'numbers': set\[int\] cannot be declared"),
        (strange_result, None, "procedure 'it', what it returns: complex cannot be declared"),
        (hidden_items, None, r"parameter 'inputs': the annotation 'Inputs\[Size\]' cannot be looked up"),
        (strange_items, None, r"parameter 'inputs': set\[int\] cannot be declared"),
        (no_items, None, r"parameter 'inputs': it brings items, and is annotated .*Item; write Inputs, or Inputs\["),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_typed_procedure_whose_types_cannot_be_checked_is_refused(
    handler: Any, checked: bool | None, says: str
) -> None:
    with pytest.raises(TypeError, match=says):
        app_with(handler, checked=checked)


def test_annotations_are_found_wherever_they_stand() -> None:
    @attrs.frozen
    class Near:
        x: int

    Near.__annotations__["x"] = int

    async def local(session: Session, near: Near) -> None:
        assert isinstance(near, Near)

    class Callee:
        async def __call__(self, session: Session, item: Item) -> Receipt:
            return Receipt(item.name, 1)

        async def method(self, session: Session, near: Near) -> None:
            assert isinstance(near, Near)

    async def partly(done: Any, session: Session, near: Near, item: Item) -> None:
        assert isinstance(near, Near)

    @wraps(local)
    async def around(*arguments: Any) -> None:
        await local(*arguments)

    for alike in (Callee().method, around, partial(partly, None, item=Item("rope", 1))):
        types = types_of(alike, "it", leading=1, checked=None)
        assert types is not None
        assert types.parameters["near"] is Near

    async def real(session, item, more=3):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        pass

    real.__annotations__ = {"item": Item, "return": None}
    found = types_of(local, "it", leading=1, checked=None)
    assert found is not None
    assert dict(found.parameters) == {"near": Near}
    found = types_of(Callee(), "it", leading=1, checked=None)
    assert found is not None
    assert (dict(found.parameters), found.result) == ({"item": Item}, Receipt)
    found = types_of(real, "it", leading=1, checked=None)  # pyright: ignore[reportUnknownArgumentType]
    assert found is not None
    assert (dict(found.parameters), found.result) == ({"item": Item, "more": Any}, type(None))


# ---------------------------------------------------------------- the extra

WITHOUT = """
import sys
sys.modules["cattrs"] = None
import attrs
from hawser import App
app = App()
app.channel("free", open=True)
@app.procedure("echo")
async def echo(session, *arguments: int) -> list[int]: return arguments
import trio
from hawser import CallError, connect, serve
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, app, "memory://echo")
        async with connect("memory://echo") as client:
            print(await client.call("echo", 1))
            try: await client.call("echo", "1")
            except CallError as error: print(error)
        nursery.cancel_scope.cancel()
trio.run(main)
@attrs.frozen
class Made: pass
for declare in (app.channel("room").event("made"), ):
    try: declare(Made)
    except ModuleNotFoundError as error: print(error)
@app.procedure("made")
async def made(session) -> Made: return Made()
"""


@pytest.mark.slow
def test_without_the_extra_no_class_can_be_declared_and_the_rest_works() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    says = "declared classes need 'cattrs', which is not installed: pip install 'hawser[contract]'"
    wrong = "what 'echo' is called with is not as declared: $[0] (arguments) saw a text, expected an integer (CTR-3)"
    assert run.stdout == f"[1]\nBAD_REQUEST: {wrong}\n{says}\n"
    assert run.stderr.endswith(f"ModuleNotFoundError: {says}\n")


def test_another_module_that_is_missing_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hawser.contract.records")
    monkeypatch.setitem(sys.modules, "hawser.contract.mistakes", None)
    with pytest.raises(ModuleNotFoundError, match=r"hawser\.contract\.mistakes"):
        Conversion().prepare(Item)
    monkeypatch.setitem(sys.modules, "cattrs", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'hawser\[contract\]'"):
        Conversion().prepare(Item)
