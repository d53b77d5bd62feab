"""Declared rights: everyone, nobody, claims, grants, the hook; and history as a right of its own."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel

from hawser import (
    ASK,
    EVERYONE,
    NOBODY,
    App,
    ErrorCode,
    Principal,
    RequestFailed,
    Right,
    Session,
    claims,
    connect,
    granted,
)
from hawser_engine.codes import GapReason
from tests.runtime.helpers import URL, collect, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser import Client

CLAIMS: dict[str, Any] = {
    "role": "editor",
    "level": 7,
    "share": 2.5,
    "paid": True,
    "suspended": False,
    "nothing": None,
    "roles": ["reader", "editor", 3],
    "tuple": ("x",),
    "org": {"plan": "pro", "admin": True, "teams": ["a"]},
    "https://example.org/role": "auditor",
    "a.b": "dotted",
    "a": {"b": "nested"},
    "": "empty",
}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ('role == "editor"', True),
        ('role == "reader"', False),
        ("level >= 7 and share < 3", True),
        ("level > 7", False),
        ("paid", True),
        ('paid == "true"', True),
        ("suspended or nothing or missing", False),
        ('suspended == "false"', False),
        ("roles", True),
        ("roles.editor", True),
        ("roles.admin", False),
        ("roles.editor.more", False),
        ("tuple.x", True),
        ('org.plan == "pro" and org.admin', True),
        ("org.teams.a and not org.teams.b", True),
        ("org.missing.deeper", False),
        ("role.inside", False),
        ('"https://example.org/role" == "auditor"', True),
        ('a.b == "dotted"', True),
        ('org == ""', True),
    ],
)
def test_claims_are_compared_as_texts_and_looked_up_inside(expression: str, allowed: bool) -> None:
    right = claims(expression)
    assert right.allows(Principal("ada", CLAIMS), "publish", "room") is allowed
    assert not claims("paid").allows(Principal("bob"), "publish", "room")


@pytest.mark.parametrize(
    ("level", "expression", "allowed"),
    [
        (5e20, "level > 3", True),
        (5e20, "not level > 3", False),
        (5e20, "level == 500000000000000000000.0", True),
        (-1e-7, "level < 0 and level > -0.0000002", True),
        (1e16, 'level == 10000000000000000 and level == "10000000000000000"', True),
        (10**30, "level == 1000000000000000000000000000000", True),
        (3.0, 'level == 3 and level == "3.0"', True),
        # What no text says is in no order, and lets nobody: not even where it is turned round.
        *((level, expression, False) for level in (inf, -inf, nan) for expression in ("level", "not level > 3")),
        (nan, "role or level > 3", True),
    ],
)
def test_numbers_are_compared_by_value_however_large_or_small(level: float, expression: str, allowed: bool) -> None:
    assert claims(expression).allows(Principal("ada", {"level": level, "role": "x"}), "publish", "room") is allowed


def test_a_number_too_long_to_be_written_lets_nobody() -> None:
    assert not claims("not level < 3").allows(Principal("ada", {"level": 10**5_000}), "publish", "room")


def test_an_expression_that_is_none_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="expected a tag"):
        claims("role == 1 and")
    with pytest.raises(ValueError, match="at most 32 times"):
        claims(" or ".join(["role"] * 33))


GRANTS: list[tuple[Any, set[str]]] = [
    ({"room:1": ["publish"]}, {"publish"}),
    ({"room:*": ["subscribe"], "room:1": ("history",)}, {"subscribe", "history"}),
    ({"*": ["*"]}, {"publish", "subscribe", "history"}),
    ({"room:2": ["*"], "news:*": ["*"], "room": ["*"]}, set()),
    ({"room:1": "publish"}, set()),
    ({"room:1": 7, "room:*": None, 5: ["*"]}, set()),
    ({}, set()),
    (["room:1"], set()),
    (None, set()),
]


@pytest.mark.parametrize(("grants", "may"), GRANTS)
def test_grants_name_patterns_and_actions(grants: Any, may: set[str]) -> None:
    principal = Principal("ada", {"channels": grants, "other": {"*": ["*"]}})
    actions: Any = ("publish", "subscribe", "history")
    assert {action for action in actions if granted().allows(principal, action, "room:1")} == may
    assert granted("other").allows(principal, "publish", "room:1")
    assert not granted("missing").allows(principal, "publish", "room:1")


def app_of(**rights: Any) -> App:
    app = App()
    app.channel("*", history=10, **rights)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal("ada", credentials)

    return app


async def may(client: Client, action: str, channel: str = "room") -> bool:
    try:
        if action == "publish":
            await client.publish(channel, 1)
        else:
            async with client.subscribe(channel, rewind=1 if action == "history" else None):
                pass
    except RequestFailed as error:
        assert error.code == ErrorCode.DENIED
        return False
    return True


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, (False, False, False)),
        ({"open": True}, (True, True, True)),
        ({"open": True, "publish": NOBODY}, (False, True, True)),
        ({"open": True, "read_history": NOBODY}, (True, True, False)),
        ({"publish": EVERYONE}, (True, False, False)),
        ({"subscribe": EVERYONE}, (False, True, True)),
        ({"publish": claims("role"), "subscribe": claims("not role")}, (True, False, False)),
        ({"open": True, "read_history": claims("paid")}, (True, True, False)),
        ({"open": True, "publish": ASK, "read_history": ASK}, (True, True, True)),
        ({"publish": granted(), "subscribe": granted(), "read_history": granted()}, (False, True, False)),
    ],
)
async def test_each_action_has_one_decider(
    autojump_clock: MockClock, declared: dict[str, Right | bool], expected: tuple[bool, ...]
) -> None:
    """SPEC SUB-8, SUB-14, PUB-1."""
    app = app_of(**declared)
    who = {"role": "x", "channels": {"room": ["subscribe"]}}
    async with serving(app), connect(URL, credentials=who) as client:
        await app.publish("room", 0)
        assert tuple([await may(client, action) for action in ("publish", "subscribe", "history")]) == expected


async def test_the_hook_is_asked_about_what_is_not_declared(autojump_clock: MockClock) -> None:
    """And about history only where that is declared."""
    asked: list[str] = []
    for history, expected in ((None, ["subscribe"]), (ASK, ["subscribe", "history"])):
        app = app_of(publish=EVERYONE, read_history=history)

        @app.rules[0].authorize
        async def authorize(session: Session, action: str, channel: str) -> bool:
            asked.append(action)
            return action != "history"

        async with serving(app), connect(URL) as client:
            assert await may(client, "publish")
            assert await may(client, "subscribe")
            assert await may(client, "history") is (history is None)
        assert asked == ["subscribe", *expected]
        asked.clear()


async def test_who_may_not_read_history_gets_nothing_from_before(autojump_clock: MockClock) -> None:
    """SPEC SUB-14: and is brought up from history all the same once it has subscribed."""
    app = App()
    app.channel("*", history=10, last_value=True, read_history=NOBODY, open=True)
    async with serving(app), connect(URL) as client:
        await app.publish("room", 1)
        await app.publish("room", 2)
        async with client.subscribe("room") as messages:
            start = messages.position
            await app.publish("room", 3)
            assert await collect(messages, 1) == [3]
        async with client.subscribe("room", since=start) as messages:
            await app.publish("room", 4)
            assert await collect(messages, 2) == [(2, 3, GapReason.HISTORY_TOO_SHORT), 4]
            end = messages.position
        async with client.subscribe("room", since=end) as messages:
            await app.publish("room", 5)
            assert await collect(messages, 1) == [5]


async def test_a_hook_that_fails_about_history_is_no_answer(autojump_clock: MockClock) -> None:
    app = app_of(subscribe=EVERYONE, read_history=ASK)

    @app.rules[0].authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        raise RuntimeError("the database is away")

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed) as caught:
            async with client.subscribe("room", rewind=1):
                pass
        assert caught.value.code == ErrorCode.INTERNAL


async def test_declared_rights_are_looked_at_again_with_new_credentials(autojump_clock: MockClock) -> None:
    """SPEC SUB-8."""
    app = app_of(subscribe=claims("paid"))
    async with serving(app), connect(URL, credentials={"paid": True}) as client:
        async with client.subscribe("room") as messages:
            await client.authenticate(credentials={"paid": False})
            with pytest.raises(RequestFailed) as caught:
                await messages.receive()
            assert caught.value.code == ErrorCode.DENIED
        await trio.lowlevel.checkpoint()
        assert not await may(client, "subscribe")
