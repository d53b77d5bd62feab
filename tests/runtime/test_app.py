"""Describing an application: patterns, handlers, and what is refused at once."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest

from hawser import App, HttpRequest, HttpResponse, Principal, Session, connect
from hawser.brokers import MemoryBroker
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize(
    ("channel", "pattern"),
    [
        ("room:lobby", "room:lobby"),
        ("room:attic", "room:*"),
        ("room:", "room:*"),
        ("rooms", "*"),
        ("room:lobby:2", "room:lobby:*"),
    ],
)
def test_the_longest_match_decides(channel: str, pattern: str) -> None:
    app = App()
    for declared in ("*", "room:*", "room:lobby", "room:lobby:*"):
        app.channel(declared)
    rule = app.rule_for(channel)
    assert rule is not None
    assert rule.pattern == pattern


def test_an_exact_name_goes_before_a_pattern_of_the_same_length() -> None:
    app = App()
    app.channel("room*")
    exact = app.channel("room")
    assert app.rule_for("room") is exact


def test_a_channel_that_matches_nothing_does_not_exist() -> None:
    app = App()
    app.channel("room:*")
    assert app.rule_for("rooms") is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "1 to 255 bytes"),
        ("x" * 256, "1 to 255 bytes"),
        ("a*b", "only at the end"),
        ("\ud800", "cannot be encoded"),
        ("taken", "already declared"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(pattern: str, message: str) -> None:
    app = App()
    app.channel("taken")
    with pytest.raises(ValueError, match=message):
        app.channel(pattern)


@pytest.mark.parametrize(
    ("kind", "name", "value", "fix"),
    [
        ("channel", "history", -1, "0 or more"),
        ("channel", "history", "10", "a whole number"),
        ("channel", "history", inf, "a whole number"),
        ("channel", "history_bytes", -1, "0 or more"),
        ("channel", "history_bytes", 1.5, "a whole number"),
        ("channel", "history_seconds", 0, "above 0"),
        ("channel", "history_seconds", -1.5, "above 0"),
        ("channel", "history_seconds", nan, "above 0"),
        ("channel", "history_seconds", None, "a number"),
        ("mailbox", "letters", 0, "1 or more"),
        ("mailbox", "letters", True, "a whole number"),
        ("mailbox", "bytes", -1, "0 or more"),
        ("mailbox", "bytes", "64 MiB", "a whole number"),
        ("mailbox", "tries", 0, "1 or more"),
        ("mailbox", "tries", 2.5, "a whole number"),
        ("mailbox", "seconds", 0.0, "above 0"),
        ("mailbox", "seconds", "7 d", "a number"),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_its_name(kind: str, name: str, value: Any, fix: str) -> None:
    app = App()
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; it must be {fix}$"):
        getattr(app, kind)("user:*", **{name: value})
    assert [*app.rules, *app.mailbox_rules] == []


def test_every_handler_has_to_be_async() -> None:
    app = App()
    rule = app.channel("room")

    def handler(*arguments: object) -> Any:
        raise AssertionError(arguments)

    hooks = (app.on_connect, app.on_disconnect, app.middleware)
    for register in (app.authenticate, rule.authorize, app.procedure("x"), *hooks):
        with pytest.raises(TypeError, match="is an async function"):
            register(handler)


async def test_a_decorator_that_was_given_no_name_says_so(autojump_clock: MockClock) -> None:
    """Else it would have taken what stands below it for the name, and put a function in its place."""
    app = App()
    async with serving(app), connect(URL) as client:
        for named, write in (
            (app.procedure, '@app.procedure("name")'),
            (app.mount, '@app.mount("/prefix")'),
            (app.channel("room").event, '@rule.event("name")'),
            (client.procedure, '@client.procedure("name")'),
        ):

            async def handler(*arguments: object) -> None:
                raise AssertionError(arguments)

            with pytest.raises(TypeError) as caught:
                named(handler)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            assert str(caught.value).endswith(f" is a string, not function; write {write}")
            with pytest.raises(TypeError, match=r" is a string, not int$"):
                named(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_an_object_with_an_async_call_is_a_handler() -> None:
    class Add:
        async def __call__(self, session: Session, a: int, b: int) -> int:
            return a + b

    app = App()
    add = app.procedure("add")(Add())
    assert app.procedures["add"].handler is add


def test_what_can_be_given_only_once_is_refused_a_second_time() -> None:
    app = App()
    rule = app.channel("room")

    @app.authenticate
    async def authenticate(credentials: object) -> Principal | None:
        return None

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return True

    @app.procedure("x")
    async def procedure(session: Session) -> None:
        return None

    with pytest.raises(ValueError, match="already has an authenticate handler"):
        app.authenticate(authenticate)
    with pytest.raises(ValueError, match="already have an authorize handler"):
        rule.authorize(authorize)
    with pytest.raises(ValueError, match="'x' is already registered"):
        app.procedure("x")(procedure)


def test_a_pattern_is_a_string() -> None:
    app = App()
    for declare in (app.channel, app.agent, app.mailbox, app.user):
        with pytest.raises(TypeError, match=r"a pattern of .* is a string, not int"):
            declare(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("name", "error"), [("", ValueError), ("x" * 256, ValueError), (7, TypeError)])
def test_a_principal_has_a_name_that_can_travel(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Principal(name)


def test_principals_with_the_same_id_are_the_same_user() -> None:
    assert Principal("ada", {"role": "admin"}) == Principal("ada")


def test_an_app_uses_the_broker_it_is_given() -> None:
    broker = MemoryBroker()
    assert App(broker=broker).broker is broker


async def test_what_is_mounted_answers_beside_the_service(autojump_clock: MockClock) -> None:
    """Over memory there is no place for it, and the app is served all the same."""
    app = App()

    @app.mount("/api")
    async def api(request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=request.path.encode())

    with pytest.raises(ValueError, match="something is mounted at '/api' already"):
        app.mount("/api")(api)
    with pytest.raises(TypeError, match="mount '/x'"):
        app.mount("/x")(lambda request: HttpResponse())  # type: ignore[arg-type,return-value]  # pyright: ignore
    assert await api(HttpRequest(method="GET", path="/api")) == HttpResponse(body=b"/api")
    async with serving(app) as server:
        assert server.sessions == 0
