"""Annotations of procedures hold, whatever stands in them, and whoever carries them out (SPEC CTR-2, CTR-3)."""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003 - types of procedures are there when the program runs
from contextlib import asynccontextmanager
from datetime import datetime  # noqa: TC003 - likewise
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
import trio

from hawser import App, CallError, ErrorCode, Inputs, Session, connect, takes_inputs
from hawser.contract import json_schema
from hawser.contract.signatures import types_of
from hawser.describing import describe
from hawser.testing import make_session
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from trio.testing import MockClock

    from tests.runtime.contract.shop import Item

WAYS = ("to the server", "to a client", "between clients", "to a session that was made")


class Tone(Enum):
    HIGH = "high"
    LOW = "low"


def annotated(kind: Any, *, session: bool) -> Any:
    """A procedure that gives back what it gets, and of what class that is."""

    async def it(value: Any) -> Any:
        return [type(value).__name__, value]

    async def of_session(session: Session, value: Any) -> Any:
        return await it(value)

    handler: Any = of_session if session else it
    handler.__annotations__["value"] = kind
    return handler


@asynccontextmanager
async def calling(way: str, kind: Any) -> AsyncGenerator[Callable[..., Any]]:
    """What calls such a procedure."""
    app = App()
    app.agent("agent", open=True)
    app.procedure("it")(annotated(kind, session=True))
    handler = annotated(kind, session=False)
    sessions: list[Session] = []

    @app.on_connect
    async def connected(session: Session) -> None:
        sessions.append(session)

    with trio.fail_after(PATIENCE):
        if way == "to a session that was made":
            session = make_session(procedures={"it": handler})
            yield lambda *values, **named: session.call("it", *values, **named)
            return
        offered = {"it": handler}
        async with (
            serving(app),
            connect(URL, procedures=offered, agent=True) as client,
            client.offer("agent", handler),
        ):
            name = "agent.it" if way == "between clients" else "it"
            one = sessions[0] if way == "to a client" else client
            yield lambda *values, **named: one.call(name, *values, **named)


# annotation, what is taken: (what travels, class, what comes back); what is refused: (what travels, what is said)
ANNOTATIONS: list[tuple[Any, list[tuple[Any, str]], list[tuple[Any, str]]]] = [
    (int, [(3, "int"), (-(2**53), "int")], [
        ("5", "saw a text, expected an integer"), (True, "saw a truth value, expected an integer"),
        (3.0, "saw a number, expected an integer"), (None, "saw null, expected an integer"),
    ]),
    (float, [(1.5, "float"), (3, "float")], [
        ("1.5", "saw a text, expected a number"), (False, "saw a truth value, expected a number"),
    ]),
    (int | float, [(3, "int"), (1.5, "float")], [("3", "saw a text, expected a number")]),
    (str, [("", "str"), ("5", "str")], [(5, "saw a number, expected a text"), (b"a", "saw bytes, expected a text")]),
    (bool, [(True, "bool"), (False, "bool")], [
        (1, "saw a number, expected a truth value"), ("true", "saw a text, expected a truth value"),
    ]),
    (bytes, [(b"a", "bytes")], [("a", "saw a text, expected bytes"), ([97], "saw a list, expected bytes")]),
    (None, [(None, "NoneType")], [(0, "saw a number, expected null")]),
    (int | None, [(None, "NoneType"), (3, "int")], [("a", "saw a text, expected null or a number")]),
    (int | str | None, [("a", "str"), (3, "int")], [(True, "saw a truth value, expected null or a number or a text")]),
    (list[int], [([1, 2], "list"), ([], "list")], [
        ("12", "saw a text, expected a list"), ({"a": 1}, "saw a map, expected a list"),
    ]),
    (dict[str, int], [({"a": 1}, "dict")], [([1], "saw a list, expected a map")]),
    (tuple[int, str], [([1, "a"], "tuple")], [([1], "saw 1 elements, expected 2")]),
    (Literal["a", 1], [("a", "str"), (1, "int")], [("b", "expected 'a' or 1"), (True, "expected 'a' or 1")]),
    (Any, [("5", "str"), (None, "NoneType")], []),
    (object, [("5", "str"), ([1], "list")], []),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "taken", "refused"), ANNOTATIONS, ids=[str(kind) for kind, *_ in ANNOTATIONS])
async def test_what_is_annotated_is_what_a_procedure_gets(
    way: str, kind: Any, taken: Any, refused: Any, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with calling(way, kind) as call:
        for value, name in taken:
            assert await call(value) == await call(value=value) == [name, value]
        for value, said in refused:
            for places, names, path, who in (((value,), {}, "$[0]", "(value) "), ((), {"value": value}, "$.value", "")):
                with pytest.raises(CallError) as caught:
                    await call(*places, **names)
                data: Any = caught.value.data
                assert (caught.value.code, caught.value.temporary) == (ErrorCode.BAD_REQUEST, False)
                assert f" is not as declared: {path} {who}{said} (CTR-3)" in caught.value.message
                assert [(one["path"], one["message"]) for one in data["problems"]] == [(path, who + said)]
    assert caplog.text == ""  # nobody's incident


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("places", "names", "says"),
    [
        ((), {}, "missing a required argument: 'value'"),
        ((1, 2), {}, "too many positional arguments"),
        ((), {"value": 1, "more": 2}, "got an unexpected keyword argument 'more'"),
    ],
    ids=["missing", "surplus", "unknown"],
)
async def test_arguments_that_a_procedure_does_not_have_are_the_fault_of_the_caller(
    way: str, places: Any, names: Any, says: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (int, Any):
        async with calling(way, kind) as call:
            with pytest.raises(CallError, match=says) as caught:
                await call(*places, **names)
            assert caught.value.code == ErrorCode.BAD_REQUEST
    assert caplog.text == ""


def app_with(handler: Any, *, checked: bool | None = None) -> App:
    app = App()
    app.procedure("it", checked=checked)(handler)
    return app


async def test_each_wrong_argument_is_told_with_the_name_of_its_parameter(autojump_clock: MockClock) -> None:
    async def it(session: Session, a: int, /, tone: Tone, free: Any, *rest: list[str]) -> str:
        return f"{a} {tone.name} {free} {rest}"

    async with serving(app_with(it)), connect(URL) as client:
        assert await client.call("it", 1, "high", b"x", ["a"]) == "1 HIGH b'x' (['a'],)"
        with pytest.raises(CallError) as caught:
            await client.call("it", "1", "mid", b"x", [], ["a", 2], "b")
        data: Any = caught.value.data
        assert [(one["path"], one["message"]) for one in data["problems"]] == [
            ("$[0]", "(a) saw a text, expected an integer"),
            ("$[1]", "(tone) expected 'high' or 'low'"),
            ("$[4][1]", "(rest) saw a number, expected a text"),
            ("$[5]", "(rest) saw a text, expected a list"),
        ]

    async def named(session: Session, *, a: int = 1, **rest: float) -> float:
        return a + sum(rest.values(), 0.0)

    async with serving(app_with(named)), connect(URL) as client:
        assert await client.call("it") == 1
        assert await client.call("it", a=2, b=0.5) == 2.5
        with pytest.raises(
            CallError, match=r"\$\.a saw null, expected an integer; \$\.b saw a text, expected a number"
        ):
            await client.call("it", a=None, b="c")


async def test_an_agreed_procedure_gets_what_travels_as_a_text(autojump_clock: MockClock) -> None:
    async def later(session: Session, at: datetime, seconds: int) -> datetime:
        return at.replace(second=seconds)

    async with serving(app_with(later)), connect(URL) as client:
        assert await client.call("it", "2026-05-17T12:30:01Z", 5) == "2026-05-17T12:30:05+00:00"
        with pytest.raises(CallError, match=r"\(at\) saw another text, expected a date and time of RFC 3339"):
            await client.call("it", "tomorrow", 5)


async def test_items_that_a_procedure_takes_are_held_to_it_too(autojump_clock: MockClock) -> None:
    @takes_inputs
    async def total(session: Session, inputs: Inputs[int], start: int = 0) -> AsyncIterator[int]:
        async for number in inputs:
            start += number
            yield start

    async with serving(app_with(total)), connect(URL) as client:
        async with client.stream("it", 5, inputs=True) as stream:
            await stream.send(3)
            assert await stream.receive() == 8
            await stream.send("3")
            with pytest.raises(CallError, match=r"item 2 of what 'it' takes .* \$ saw a text, expected an integer"):
                await stream.receive()
        with pytest.raises(CallError, match=r"\(start\) saw a text, expected an integer"):
            async with client.stream("it", "5", inputs=True) as stream:
                await stream.receive()


async def test_what_a_procedure_returns_is_held_to_it_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(session: Session, right: bool) -> int:
        one: Any = "one"
        return 1 if right else cast("int", one)

    async with serving(app_with(wrong)), connect(URL) as client:
        assert await client.call("it", True) == 1
        with pytest.raises(CallError, match="incident") as caught:
            await client.call("it", False)
        assert caught.value.code == ErrorCode.INTERNAL
    assert "$ saw a text, expected an integer" in caplog.text


async def free(session: Session, a: Any, b: Any = 3, *rest: Any, **others: Any) -> Any:
    return [a, b, *rest]


free.__annotations__ = {"a": Any}


async def hidden_result(session: Session, a: int) -> Iterable[int]:
    return [a]


async def strange_result(session: Session, a: int) -> complex:
    return complex(a)


async def only_a_hidden_result(session: Session, a: Any) -> Iterable[int]:
    return [a]


async def hidden(session: Session, item: Item) -> None:
    pass


async def strange(session: Session, numbers: set[int]) -> None:
    pass


@takes_inputs
async def hidden_items(session: Session, inputs: Inputs[Item]) -> None:
    pass


async def test_what_is_not_annotated_is_taken_as_it_comes(autojump_clock: MockClock) -> None:
    async with serving(app_with(free)), connect(URL) as client:
        assert await client.call("it", "a", None, 1.5) == ["a", None, 1.5]
    async with serving(app_with(annotated(int, session=True), checked=False)), connect(URL) as client:
        assert await client.call("it", "5") == ["str", "5"]


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (hidden, "procedure 'it', parameter 'item': the annotation 'Item' cannot be looked up"),
        (strange, r"procedure 'it', parameter 'numbers': set\[int\] cannot be declared"),
        (hidden_items, r"procedure 'it', parameter 'inputs': the annotation 'Inputs\[Item\]' cannot be looked up"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_annotation_that_cannot_be_held_is_refused_unless_nothing_is_to_be_checked(handler: Any, says: str) -> None:
    for checked in (None, True):
        with pytest.raises(TypeError, match=f"{says}.*; write Any for what is not to be checked$"):
            app_with(handler, checked=checked)
    assert app_with(handler, checked=False).procedures["it"].types is None


@pytest.mark.parametrize(
    ("handler", "expected"),
    [(free, None), (hidden_result, {"a": int}), (strange_result, {"a": int}), (only_a_hidden_result, None)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_result_of_which_nothing_can_be_said_is_left_alone(handler: Any, expected: Any) -> None:
    """Whoever calls has nothing to do with it; and what annotates items stands often for type checkers alone."""
    types = types_of(handler, "it", leading=1, checked=None)
    assert (types and (dict(types.parameters), types.result)) == (expected and (expected, Any))
    if expected is not None:
        with pytest.raises(TypeError, match=r"what it returns: .*; write Any for what is not to be checked"):
            types_of(handler, "it", leading=1, checked=True)


def test_the_contract_and_the_directory_say_what_is_held() -> None:
    async def it(session: Session, a: int, b: float = 0.5, *, tone: Tone | None = None) -> list[str]:
        return []

    app = app_with(it)
    app.procedure("untyped", checked=False)(it)
    [held, left] = json_schema(app, title="It")["anyOf"]
    assert held["properties"]["arguments"]["anyOf"] == [
        {
            "type": "object",
            "properties": {
                "a": {"type": "integer"},
                "b": {"type": "number", "default": 0.5},
                "tone": {"anyOf": [{"enum": ["high", "low"]}, {"type": "null"}], "default": None},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}], "minItems": 1, "maxItems": 2},
    ]
    assert held["properties"]["result"] == {"type": "array", "items": {"type": "string"}}
    assert left["properties"]["arguments"]["anyOf"][0]["properties"]["a"] == {}
    assert left["properties"]["result"] == {}

    async def offered(a: int, b: float = 0.5) -> list[str]:
        return []

    types = types_of(offered, "it", leading=0, checked=None)
    assert types is not None
    assert types.parameters == {"a": int, "b": float}
    assert [(one["name"], one["type"]) for one in describe(offered)["parameters"]] == [("a", "int"), ("b", "float")]
