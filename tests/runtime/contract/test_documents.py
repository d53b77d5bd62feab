"""The contract as a document: one by the rules of its format, that tells what is declared and is always the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser import App, Inputs, takes_inputs
from hawser.cli import main
from hawser.contract import asyncapi, json_schema
from hawser.contract.conversion import conversion
from hawser.contract.problems import ContractBroken
from tests.runtime.contract import shop
from tests.runtime.contract.shop import Item

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ROOT = Path(__file__).parents[3]
SPECS = ROOT / "tests" / "interop" / "javascript" / "node_modules" / "@asyncapi" / "specs" / "schemas"

ASYNCAPI = asyncapi(shop.app, title="Shop", version="1.2.0")
JSON_SCHEMA = json_schema(shop.app, title="Shop")


v: Any = attrs.validators


@attrs.frozen
class Line:
    """With validators of every kind."""

    name: str = attrs.field(validator=[v.min_len(1), v.max_len(5), v.matches_re("[a-z]+")])
    count: int = attrs.field(validator=v.and_(v.ge(1), v.lt(10), v.not_(v.in_([7]))))
    share: float = attrs.field(default=0.5, validator=[v.gt(0), v.le(1)])
    size: shop.Size | None = attrs.field(default=None, validator=v.optional(v.in_([shop.Size.LARGE])))


@attrs.frozen
class Basket:
    lines: list[Line] = attrs.field(validator=[v.min_len(1), v.max_len(2), v.deep_iterable(v.instance_of(Line))])
    paid: shop.Card | shop.Cash | None = None
    notes: dict[str, str] | None = attrs.field(
        default=None,
        validator=v.optional(v.deep_mapping(v.max_len(2), v.or_(v.in_(["x"]), v.min_len(3)), v.max_len(1))),
    )
    code: int | str = attrs.field(default=0, validator=v.instance_of(int))


def strange_app() -> App:
    """Names that are nobody's friends."""
    app = App()
    for pattern in ("*", "a b", "a.b", "a/b", "a~b*", "{x}", "{y}*", "ü:*"):
        app.channel(pattern, open=True)
    rule = app.channel("odd")
    for number, name in enumerate(("a/b", "ü x", "c~d")):
        rule.event(name)(attrs.make_class(f"Odd{number}", []))
    rule.event("basket")(Basket)

    @app.procedure("a.b", checked=True)
    async def places(session: Any, a: int, b: str = "x", /) -> None: ...

    @app.procedure("a/b", checked=True)
    async def names(session: Any, *, a: int, b: str = "x", **rest: bool) -> None: ...

    @app.procedure("a_b", checked=True)
    async def neither(session: Any, a: int, /, *, b: int) -> None: ...

    @app.procedure("none", checked=True)
    async def none(session: Any) -> None: ...

    return app


STRANGE = asyncapi(strange_app(), title="It", version="1")
STRANGE_SCHEMA = json_schema(strange_app(), title="It")


def pointed(document: Any, pointer: str) -> Any:
    """What a reference leads to."""
    for part in unquote(pointer.removeprefix("#/")).split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return [members["$ref"]] if "$ref" in members else references(list(members.values()))
    if isinstance(value, list):
        elements = cast("Sequence[Any]", value)
        return [pointer for inner in elements for pointer in references(inner)]
    return []


# ---------------------------------------------------------------- AsyncAPI


@pytest.fixture(scope="module")
def official() -> Any:
    """The schema that AsyncAPI publishes for its own documents."""
    path = SPECS / "3.0.0-without-$id.json"
    if not path.is_file():
        message = "tests/interop/javascript/node_modules is missing: `make install` brings it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return jsonschema.Draft7Validator(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("app", [shop.app, strange_app(), App()], ids=["shop", "strange", "empty"])
def test_it_is_a_document_of_asyncapi_3_0(app: App, official: Any) -> None:
    document = asyncapi(app, title="It", version="1")
    assert [f"{error.json_path}: {error.message[:200]}" for error in official.iter_errors(document)] == []
    document["channels"]["wrong"] = {"address": 5}
    assert not official.is_valid(document)


@pytest.mark.parametrize("app", [shop.app, strange_app(), App()], ids=["shop", "strange", "empty"])
def test_every_reference_leads_somewhere(app: App) -> None:
    for document in (asyncapi(app, title="It", version="1"), json_schema(app, title="It")):
        for pointer in references(document):
            assert pointed(document, pointer) is not None


def test_channels_are_told_with_their_events() -> None:
    assert list(ASYNCAPI["channels"]) == [
        "chat", "news_any", "orders_any", "call_echo", "call_orders_collect", "call_orders_follow", "call_orders_place",
    ]  # fmt: skip
    orders = ASYNCAPI["channels"]["orders_any"]
    assert (orders["address"], list(orders["parameters"]), orders["x-hawser-pattern"]) == (
        "orders:{rest}", ["rest"], "orders:*",
    )  # fmt: skip
    assert orders["messages"]["placed"] == {
        "name": "placed",
        "contentType": "application/cbor",
        "payload": {"$ref": "#/components/schemas/Placed"},
        "headers": {"type": "object", "properties": {"event": {"const": "placed"}}, "required": ["event"]},
    }
    assert ASYNCAPI["channels"]["chat"]["messages"]["publication"]["payload"] == {}
    operations = {name: one["action"] for name, one in ASYNCAPI["operations"].items()}
    assert operations == {
        "chat.publish": "receive",
        "chat.subscribe": "send",
        "news_any.subscribe": "send",  # nobody may publish there
        "orders_any.publish": "receive",
        "orders_any.subscribe": "send",
        "call_echo": "receive",
        "call_orders_collect": "receive",
        "call_orders_collect.input": "receive",
        "call_orders_follow": "receive",
        "call_orders_place": "receive",
    }


def test_a_procedure_is_a_request_with_a_reply() -> None:
    operation = ASYNCAPI["operations"]["call_orders_place"]
    channel = "#/channels/call_orders_place"
    assert operation["messages"] == [{"$ref": f"{channel}/messages/request"}]
    assert operation["reply"] == {
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/reply"}, {"$ref": f"{channel}/messages/error"}],
    }
    described = pointed(ASYNCAPI, channel)
    assert (described["address"], described["x-hawser-procedure"]) == (None, "orders.place")
    assert described["description"] == "Place an order."
    assert described["messages"]["reply"]["payload"] == {"$ref": "#/components/schemas/Receipt"}
    named, listed = described["messages"]["request"]["payload"]["anyOf"]
    assert named == {
        "type": "object",
        "properties": {
            "order": {"$ref": "#/components/schemas/Placed"},
            "express": {"type": "boolean", "default": False},
        },
        "required": ["order"],
        "additionalProperties": False,
    }
    assert listed == {
        "type": "array",
        "items": [{"$ref": "#/components/schemas/Placed"}, {"type": "boolean"}],
        "minItems": 1,
        "maxItems": 2,
    }
    follow = ASYNCAPI["channels"]["call_orders_follow"]["messages"]
    assert list(follow) == ["request", "item", "error"]
    # AsyncAPI's schemas are of draft 7, where a list of anything stands under "items".
    assert follow["request"]["payload"]["anyOf"][1] == {"type": "array", "items": {"type": "string"}, "minItems": 0}


def test_items_that_a_procedure_takes_are_messages_of_their_own() -> None:
    collect = ASYNCAPI["channels"]["call_orders_collect"]["messages"]
    assert list(collect) == ["request", "reply", "error", "input"]
    assert collect["input"]["payload"] == {"$ref": "#/components/schemas/Item"}
    channel = "#/channels/call_orders_collect"
    assert ASYNCAPI["operations"]["call_orders_collect.input"] == {
        "action": "receive",
        "channel": {"$ref": channel},
        "summary": "Clients send items to orders.collect",
        "messages": [{"$ref": f"{channel}/messages/input"}],
    }
    app = App()

    @app.procedure("double")
    @takes_inputs
    async def double(session: Any, inputs: Inputs) -> AsyncIterator[int]:
        async for number in inputs:
            yield 2 * number

    messages = asyncapi(app, title="It", version="1")["channels"]["call_double"]["messages"]
    assert {name: message.get("payload") for name, message in messages.items()} == {
        "request": {"anyOf": [
            {"type": "object", "properties": {}, "additionalProperties": False},
            {"type": "array", "minItems": 0, "maxItems": 0},
        ]},
        "item": {},
        "error": None,
        "input": {},
    }  # fmt: skip


def test_classes_are_told_with_their_words_and_defaults() -> None:
    schemas = ASYNCAPI["components"]["schemas"]
    assert list(schemas) == ["Card", "Cash", "Item", "Placed", "Receipt", "Shipped"]
    assert schemas["Item"] == {
        "title": "Item",
        "description": "One line of an order.",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "price": {"type": "integer", "minimum": 0},
            "size": {"enum": ["small", "large"], "default": "small"},
        },
        "required": ["name", "price"],
        "additionalProperties": False,
    }
    assert schemas["Cash"]["properties"]["kind"] == {"const": "cash"}
    assert schemas["Placed"]["properties"]["at"]["anyOf"][0] == {"type": "string", "format": "date-time"}


def test_names_that_would_be_taken_apart_are_replaced_and_stand_beside() -> None:
    channels = asyncapi(strange_app(), title="It", version="1")["channels"]
    told = {id: (one["address"], one.get("x-hawser-pattern")) for id, one in channels.items() if "call" not in id}
    assert told == {
        "any": ("{rest}", "*"),
        "a_b": ("a b", "a b"),
        "a_b_2": ("a.b", "a.b"),
        "a_b_3": ("a/b", "a/b"),
        "a_bany": ("a~b{rest}", "a~b*"),
        "odd": ("odd", "odd"),
        "x": (None, "{x}"),
        "y_any": (None, "{y}*"),
        "any_2": ("ü:{rest}", "ü:*"),
    }
    procedures = {id: one["x-hawser-procedure"] for id, one in channels.items() if "call" in id}
    assert procedures == {"call_a_b": "a.b", "call_a_b_2": "a/b", "call_a_b_3": "a_b", "call_none": "none"}


# ---------------------------------------------------------------- JSON Schema


def valid(instance: Any, document: Any = JSON_SCHEMA) -> bool:
    validator: Any = jsonschema.Draft202012Validator(document)
    return bool(validator.is_valid(instance))


ORDER = {"id": "1", "items": [{"name": "rope", "price": 1, "size": "large"}], "paid": {"kind": "cash"}}


def mostly(*good: Any, but: list[Any]) -> st.SearchStrategy[Any]:
    """Values that are right, and now and then one that is not."""
    return st.sampled_from([*good * 12, *but])


lines = st.fixed_dictionaries(
    {"name": mostly("a", "abc", but=["", "abcdef", "A", 5]), "count": mostly(1, 9, but=[0, 7, 10, "1"])},
    optional={
        "share": mostly(1, 0.5, but=[0, 1.5, None]),
        "size": mostly("large", None, but=["small", "huge"]),
    },
)
baskets = st.fixed_dictionaries(
    {"lines": st.one_of(st.lists(lines, min_size=1, max_size=2), st.lists(lines, max_size=3))},
    optional={
        "paid": mostly(None, {"kind": "cash"}, {"kind": "card", "number": "1"}, but=[{"kind": "card"}, {}]),
        "notes": st.dictionaries(mostly("", "ab", but=["abc"]), mostly("x", "abc", but=["ab", 1]), max_size=2),
        "code": mostly(1, but=["1"]),
    },
)


@given(basket=baskets)
def test_what_the_service_takes_is_what_both_documents_take(basket: Any) -> None:
    """All of `Basket` can be told exactly, so it holds the other way round, too."""
    try:
        conversion().structure(basket, Basket)
    except ContractBroken:
        taken = False
    else:
        taken = True
    assert valid({"channel": "odd", "event": "basket", "data": basket}, STRANGE_SCHEMA) is taken
    payload = STRANGE["channels"]["odd"]["messages"]["basket"]["payload"]
    seventh: Any = jsonschema.Draft7Validator({"allOf": [payload], "components": STRANGE["components"]})
    assert seventh.is_valid(basket) is taken


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        ({"channel": "orders:1", "event": "placed", "data": ORDER}, True),
        ({"channel": "orders:1", "event": "shipped", "data": ORDER}, False),
        ({"channel": "orders", "event": "placed", "data": ORDER}, False),
        ({"channel": "my orders:1", "event": "placed", "data": ORDER}, False),
        ({"channel": "orders:1", "event": "placed", "data": {**ORDER, "paid": {"kind": "card"}}}, False),
        ({"channel": "orders:1", "data": ORDER}, False),
        ({"channel": "chat", "data": [1]}, True),
        ({"procedure": "orders.place", "arguments": [ORDER]}, True),
        ({"procedure": "orders.place", "arguments": [ORDER, True], "result": {"id": "1", "total": 1}}, True),
        ({"procedure": "orders.place", "arguments": {"order": ORDER}, "result": {"id": 1, "total": 1}}, False),
        ({"procedure": "orders.place", "arguments": [ORDER, 1]}, False),
        ({"procedure": "orders.place", "arguments": []}, False),
        ({"procedure": "orders.place", "arguments": [ORDER, True, True]}, False),
        ({"procedure": "orders.follow", "arguments": ["1", "2"], "item": {"id": "1"}}, True),
        ({"procedure": "orders.follow", "arguments": ["1", 2]}, False),
        ({"procedure": "orders.collect", "arguments": ["1"], "input": {"name": "rope", "price": 1}}, True),
        ({"procedure": "orders.collect", "arguments": ["1"], "input": {"name": "rope"}}, False),
        ({"procedure": "orders.follow", "arguments": ["1"], "input": {"name": "rope", "price": 1}}, False),
        ({"procedure": "echo", "arguments": [1, "a", None]}, True),
        ({"procedure": "echo", "arguments": {"a": 1}}, True),
        ({"procedure": "$agents", "arguments": []}, False),
    ],
    ids=repr,
)
def test_an_instance_is_a_publication_or_a_call(instance: Any, expected: bool) -> None:
    assert valid(instance) is expected


def test_arguments_are_as_python_takes_them() -> None:
    document = json_schema(strange_app(), title="It")

    def call(name: str, arguments: Any) -> bool:
        return valid({"procedure": name, "arguments": arguments}, document)

    places: list[Any] = [[1], [1, "b"], {"a": 1}, []]
    assert [call("a.b", arguments) for arguments in places] == [True, True, False, False]
    named: list[Any] = [{"a": 1}, {"a": 1, "b": "x", "c": True}, {"a": 1, "c": 3}, [1]]
    assert [call("a/b", arguments) for arguments in named] == [True, True, False, False]
    both: list[Any] = [[1], {"b": 1}, [1, 2]]
    assert [call("a_b", arguments) for arguments in both] == [False, False, False]
    none: list[Any] = [[], {}, [1]]
    assert [call("none", arguments) for arguments in none] == [True, True, False]


def test_patterns_mean_the_names_that_the_server_means() -> None:
    document = json_schema(strange_app(), title="It")
    # ECMA 262, which JSON Schema goes by, knows no other escapes under its flag "u".
    assert [one["properties"]["channel"]["pattern"] for one in document["anyOf"] if "*" in str(one)] == []
    patterns = [one["properties"]["channel"].get("pattern") for one in document["anyOf"][:12]]
    assert [pattern for pattern in patterns if pattern] == ["^", "^a~b", "^\\{y\\}", "^ü:"]


def test_both_are_the_same_each_time_and_in_any_order_of_declaration() -> None:
    forward, backward = App(), App()
    for app, names in ((forward, ("a", "b")), (backward, ("b", "a"))):
        for name in names:
            rule = app.channel(f"{name}:*")
            events = (("x", Item), ("y", shop.Card))
            for event, cls in events if name == "a" else reversed(events):
                rule.event(event)(cls)
    told = [json.dumps(asyncapi(app, title="It", version="1")) for app in (forward, backward)]
    assert told[0] == told[1]
    told = [json.dumps(json_schema(app, title="It")) for app in (forward, backward)]
    assert told[0] == told[1]
    assert list(json_schema(App(), title="It")) == ["$schema", "title", "$defs"]


def test_two_classes_of_one_name_are_told_apart() -> None:
    @attrs.frozen
    class Receipt:
        number: int

    Receipt.__annotations__["number"] = int
    app = App()
    rule = app.channel("room")
    rule.event("one")(Receipt)
    rule.event("other")(shop.Receipt)
    assert list(json_schema(app, title="It")["$defs"]) == [
        "tests.runtime.contract.shop.Receipt",
        "tests.runtime.contract.test_documents.test_two_classes_of_one_name_are_told_apart.locals.Receipt",
    ]


# ---------------------------------------------------------------- the command

NAME = "tests.runtime.contract.shop:app"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", NAME, "--title", "Shop", "--release", "1.2.0"]) == 0
    assert json.loads(capsys.readouterr().out) == ASYNCAPI
    assert main(["contract", NAME, "--title", "Shop", "--format", "json-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == JSON_SCHEMA
    assert main(["contract", NAME]) == 0
    assert json.loads(capsys.readouterr().out)["info"] == {"title": NAME, "version": "0.0.0"}


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.json"
    assert main(["contract", NAME, "--title", "Shop", "--release", "1.2.0", "--output", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == json.dumps(ASYNCAPI, indent=2, ensure_ascii=False) + "\n"
    assert capsys.readouterr().out == ""
    assert main(["contract", NAME, "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"hawser: cannot write {tmp_path}: Is a directory\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["shop"], "shop: write module:name, for example chat:app"),
        (["no_such_module:app"], "no_such_module:app: no module 'no_such_module'"),
        (["tests.runtime.contract.shop:orders"], "orders is of type ChannelRule there, and should be a hawser.App"),
        ([NAME, "--format", "json-schema", "--release", "1"], "--release: a JSON Schema has no version"),
        ([NAME, "--format", "yaml"], "Try: hawser --help"),
        ([], "Try: hawser --help"),
    ],
    ids=repr,
)
def test_the_command_says_what_is_wrong(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err


@pytest.mark.slow
def test_it_is_the_same_in_every_process() -> None:
    texts = set[str]()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "hawser", "contract", NAME]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
        texts.add(run.stdout)
    assert len(texts) == 1
    assert "One line of an order." in texts.pop()
