"""Items that a procedure takes, as it has declared them (SPEC CTR-4, CTR-5)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator  # noqa: TC003 - types of procedures
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import pytest
import trio

from hawser import App, CallError, Config, ErrorCode, Inputs, Session, connect, takes_inputs
from hawser.contract.signatures import types_of
from tests.runtime.contract.shop import Card, Cash, Item
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from hawser import Client

    Caller = Client | Session

ROPE = {"name": "rope", "price": 3}
WAYS = ("to the server", "to a client", "between clients")


@takes_inputs
async def total(inputs: Inputs[Item]) -> AsyncGenerator[int]:
    """The sum of all prices so far, for each item."""
    sum = 0
    async for item in inputs:
        sum += item.price
        yield sum


@takes_inputs
async def sift(inputs: Inputs[Item]) -> list[Any]:
    """The names of all items, and what was wrong with those that were none."""
    found: list[Any] = []
    while True:
        try:
            found.append((await inputs.receive()).name)
        except CallError as error:
            found.append(error.data)
        except trio.EndOfChannel:
            return found


@takes_inputs
async def aside(inputs: Inputs[Item]) -> int:
    """How many there are; they are taken in a task of their own."""
    count = 0

    async def take() -> None:
        nonlocal count
        async for _ in inputs:
            count += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
    return count


@takes_inputs
async def both(inputs: Inputs[Item]) -> None:
    """Take them in a task of their own, beside one that fails, too."""

    async def take() -> None:
        async for _ in inputs:
            pass

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise RuntimeError("as it was asked to")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        nursery.start_soon(fail)


def without_session(handler: Callable[..., Any]) -> Any:
    """The same procedure, for a server."""

    @takes_inputs
    async def items(session: Session, inputs: Inputs[Item]) -> AsyncIterator[int]:
        async for item in handler(inputs):
            yield item

    @takes_inputs
    async def value(session: Session, inputs: Inputs[Item]) -> Any:
        return await handler(inputs)

    return items if handler is total else value


@asynccontextmanager
async def caller(way: str, handler: Any) -> AsyncGenerator[Caller]:
    """Whoever calls ``agent.`` and the name of the handler."""
    app = App()
    app.agent("*", open=True)
    sessions: list[Session] = []
    arrived = trio.Event()

    @app.on_connect
    async def connected(session: Session) -> None:
        sessions.append(session)
        arrived.set()

    name = f"agent.{handler.__name__}"
    if way == "to the server":
        app.procedure(name)(without_session(handler))
    offered = {name: handler} if way == "to a client" else {}
    with trio.fail_after(PATIENCE):
        async with serving(app, config=Config()), connect(URL, procedures=offered) as client:
            if way == "to the server":
                yield client
            elif way == "to a client":
                await arrived.wait()
                yield sessions[0]
            else:
                async with client.offer("agent", handler), connect(URL) as other:
                    yield other


@pytest.mark.parametrize("way", WAYS)
async def test_each_item_is_an_instance_and_a_wrong_one_ends_its_stream_alone(
    way: str, autojump_clock: MockClock
) -> None:
    async with caller(way, total) as calling, calling.stream("agent.total", inputs=True) as other:
        await other.send(ROPE)
        assert await other.receive() == 3
        async with calling.stream("agent.total", inputs=True) as stream:
            await stream.send(ROPE)
            await stream.send({"name": "rope", "price": "much"})
            assert await stream.receive() == 3
            with pytest.raises(CallError) as caught:
                await stream.receive()
            with pytest.raises(trio.BrokenResourceError):
                await stream.send(ROPE)
        assert caught.value.code == ErrorCode.BAD_REQUEST
        assert caught.value.message == (
            "item 2 of what 'agent.total' takes is not as declared: $.price saw a text, expected an integer (CTR-5)"
        )
        assert caught.value.data == {
            "problems": [{"path": "$.price", "code": "type", "message": "saw a text, expected an integer"}],
            "more": False,
            "item": 2,
        }
        await other.send({"name": "rope", "price": 4, "size": "large"})
        await other.finish()
        assert [item async for item in other] == [7]


@pytest.mark.parametrize("way", WAYS)
async def test_a_procedure_may_go_on_without_what_is_wrong(way: str, autojump_clock: MockClock) -> None:
    async with caller(way, sift) as calling, calling.stream("agent.sift", inputs=True) as stream:
        for item in (ROPE, 5, {"name": "boat", "price": -1}, {**ROPE, "name": "sail"}):
            await stream.send(item)
        await stream.finish()
        assert [item async for item in stream] == []
        told = [one if isinstance(one, str) else (one["item"], one["problems"][0]["path"]) for one in stream.result]
        assert told == ["rope", (2, "$"), (3, "$.price"), "sail"]


@pytest.mark.parametrize("way", WAYS)
async def test_what_ends_a_task_of_the_procedure_alone_is_told_like_what_ends_the_procedure(
    way: str, autojump_clock: MockClock
) -> None:
    async with caller(way, aside) as calling, calling.stream("agent.aside", inputs=True) as stream:
        await stream.send(ROPE)
        await stream.send(None)
        with pytest.raises(CallError) as caught:
            await stream.receive()
        assert caught.value.code == ErrorCode.BAD_REQUEST
        data: Any = caught.value.data
        assert data["item"] == 2


async def test_what_else_has_failed_is_not_hidden_by_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with caller("to the server", both) as calling, calling.stream("agent.both", inputs=True) as stream:
        await stream.send(None)
        with pytest.raises(CallError) as caught:
            await stream.receive()
        assert caught.value.code == ErrorCode.INTERNAL
    assert "as it was asked to" in caplog.text


async def test_items_of_several_classes_are_told_apart(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("pay")
    @takes_inputs
    async def pay(session: Session, inputs: Inputs[Card | Cash | None]) -> AsyncIterator[str]:
        async for payment in inputs:
            yield type(payment).__name__

    async with serving(app), connect(URL) as client, client.stream("pay", inputs=True) as stream:
        for payment in ({"kind": "cash"}, None, {"kind": "card", "number": "1"}):
            await stream.send(payment)
            await stream.receive()
        await stream.send({"kind": "coin"})
        with pytest.raises(CallError, match=r"item 4 of what 'pay' takes is not as declared: \$ expected its kind"):
            await stream.receive()


async def test_items_that_are_not_declared_come_as_they_were_sent(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("names")
    @takes_inputs
    async def names(session: Session, inputs: Inputs, first: Item) -> list[Any]:
        return [first.name, *[item async for item in inputs]]

    @app.procedure("numbers")
    @takes_inputs
    async def numbers(session: Session, inputs: Inputs[int]) -> list[Any]:
        return [item async for item in inputs]

    @app.procedure("unchecked", checked=False)
    @takes_inputs
    async def unchecked(session: Session, inputs: Inputs[Item]) -> list[Any]:
        return [item async for item in inputs]

    async def sent(name: str, *arguments: object) -> Any:
        async with client.stream(name, *arguments, inputs=True) as stream:
            for item in (1, "a", {"b": None}):
                await stream.send(item)
            await stream.finish()
            assert [item async for item in stream] == []
            return stream.result

    async with serving(app), connect(URL) as client:
        assert await sent("names", ROPE) == ["rope", 1, "a", {"b": None}]
        assert await sent("unchecked") == [1, "a", {"b": None}]
        async with client.stream("numbers", inputs=True) as stream:
            await stream.send("a")
            with pytest.raises(CallError, match=r"item 1 .* \$ saw a text, expected an integer"):
                await stream.receive()


async def test_a_validator_that_fails_otherwise_is_a_fault_of_the_program(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    def broken(_: object, __: object, value: int) -> None:
        raise RuntimeError(f"never mind {value}")

    Broken: Any = attrs.make_class("Broken", {"x": attrs.field(type=int, validator=broken)})

    @takes_inputs
    async def it(session: Session, inputs: Inputs[Any]) -> None:
        await inputs.receive()

    it.__annotations__["inputs"] = Inputs[Broken]
    app.procedure("it")(it)
    async with serving(app), connect(URL) as client, client.stream("it", inputs=True) as stream:
        await stream.send({"x": 1})
        with pytest.raises(CallError) as caught:
            await stream.receive()
        assert caught.value.code == ErrorCode.INTERNAL
    assert "never mind 1" in caplog.text


Anything = Any


@takes_inputs
async def bare(inputs: Any, item: Item) -> None: ...


del bare.__annotations__["inputs"]


@takes_inputs
async def all_of_it(*inputs: Any, item: Item) -> None: ...


@takes_inputs
async def iterable(inputs: AsyncIterable[Item]) -> None: ...


@takes_inputs
async def iterator(inputs: AsyncIterator[Item | None]) -> None: ...


@takes_inputs
async def annotated(inputs: Annotated[Inputs[Item], "of a shop"]) -> None: ...


@takes_inputs
async def plain(inputs: Inputs, item: Item) -> None: ...


@takes_inputs
async def free(inputs: Anything, item: Item) -> None: ...


KINDS: list[tuple[Any, Any]] = [
    (total, Item),
    (iterable, Item),
    (iterator, Item | None),
    (annotated, Item),
    (bare, Any),
    (all_of_it, Any),
    (plain, Any),
    (free, Any),
]


@pytest.mark.parametrize(("handler", "kind"), KINDS, ids=[handler.__name__ for handler, _ in KINDS])
def test_the_annotation_of_inputs_may_be_whatever_brings_items(handler: Any, kind: Any) -> None:
    types = types_of(handler, "it", leading=0, checked=None)
    assert types is not None
    assert types.input == kind
