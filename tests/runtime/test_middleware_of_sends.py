"""Middleware around what clients send to somebody: it sees to whom, refuses, changes, and learns what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import (
    NOBODY,
    App,
    ErrorCode,
    PostRequest,
    PublishRequest,
    Request,
    RequestFailed,
    SendRequest,
    Sent,
    to,
)
from hawser_engine.messages import ADDRESSING, PublishOptions, Send, Target
from hawser_engine.messages import Sent as SentMessage
from tests.runtime.helpers import PATIENCE, RawClient, serving
from tests.runtime.test_queueing import post_app, served

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Proceed

EVERYWHERE = [to.user("eve"), to.channel("a"), to.user("bob"), to.agent("clerk"), to.everybody, to.channel("b")]


def watched(app: App) -> list[Any]:
    """What the middleware of an app sees, and what each became."""
    seen: list[Any] = []

    @app.middleware
    async def watch(request: Request, proceed: Proceed) -> Any:
        where = getattr(request, "targets", None) or getattr(request, "channel", None) or getattr(request, "mailbox", 0)
        seen.append((request.kind, where))
        result = await proceed()
        seen.append((request.kind, [one.status for one in result.outcomes] if isinstance(result, Sent) else "done"))
        return result

    return seen


async def test_targets_are_one_request_and_channels_and_letters_their_own(autojump_clock: MockClock) -> None:
    app = post_app()
    seen = watched(app)
    async with served(app, "ada", "eve") as (ada, eve), eve.directs():
        sent = await ada.send(EVERYWHERE, 1)
        assert [one.status for one in sent.outcomes] == [
            *("delivered", "published", "queued", "queued", "delivered", "published")
        ]
        together = (to.user("eve"), to.user("bob"), to.agent("clerk"), to.everybody)
        begun, rest = seen[:1], seen[1:]
        assert begun == [("send", together)]
        letters = rest[:4]
        assert sorted(letters[:2]) == [("post", "agent:clerk"), ("post", "user:bob")]
        assert letters[2:] == [("post", "done")] * 2
        assert rest[4:] == [
            ("send", ["delivered", "queued", "queued", "delivered"]),
            *(("publish", "a"), ("publish", "done"), ("publish", "b"), ("publish", "done")),
        ]
        seen.clear()
        await ada.publish_to(["a", "b"], 2)
        assert seen == [("publish", "a"), ("publish", "done"), ("publish", "b"), ("publish", "done")]
        seen.clear()
        await app.send(to.user("eve"), 3)  # the application is asked nothing
        assert seen == []


async def test_it_sees_who_sends_what_and_how(autojump_clock: MockClock) -> None:
    app = post_app()
    requests: list[SendRequest] = []

    @app.middleware
    async def note(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, SendRequest)
        requests.append(request)
        return await proceed()

    async with served(app, "ada", "eve") as (ada, eve), eve.directs():
        await ada.send(to.user("eve"), {"text": "hello"}, key=b"once")
        await ada.send(to.everybody, 2, except_me=True)
        await ada.send(to.user("nobody"), 3, volatile=True)
    first, second, third = requests
    assert (first.session.principal.id, first.data, first.key) == ("ada", {"text": "hello"}, b"once")
    assert [(one.except_me, one.volatile) for one in requests] == [(False, False), (True, False), (False, True)]
    assert (second.targets, third.key) == ((to.everybody,), None)
    assert "hello" not in repr(first)


async def test_what_it_changes_is_what_sessions_and_mailboxes_get(autojump_clock: MockClock) -> None:
    app = post_app()
    letters: list[Any] = []

    @app.middleware
    async def sign(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, SendRequest):
            return await proceed(request.with_data([request.data, request.session.principal.id]))
        if isinstance(request, PostRequest):
            letters.append((request.data, request.key))
        return await proceed()

    async with served(app, "ada", "eve", "bob") as (ada, eve, bob), eve.directs() as directs:
        await ada.send([to.user("eve"), to.user("bob"), to.channel("a")], 1, key=b"k")
        with trio.fail_after(PATIENCE):
            assert (await directs.receive()).data == [1, "ada"]
            async with bob.mailbox() as mailbox:
                assert (await mailbox.receive()).data == [1, "ada"]
        assert letters == [([1, "ada"], b"k")]
        history = await app.broker.history("a", 0, limit=9, limit_bytes=99)
        assert [entry.data for entry in history.entries] == [b"\x01"]  # a publication is a request of its own


@pytest.mark.parametrize(
    ("error", "arrives"),
    [
        (RequestFailed(ErrorCode.BUSY, "later", temporary=True), ErrorCode.BUSY),
        (RequestFailed(120, "not to her"), ErrorCode.DENIED),
        (ValueError("secret"), ErrorCode.INTERNAL),
    ],
    ids=["a code of the protocol", "a code of one's own", "a fault"],
)
async def test_refused_it_is_sent_to_nobody_but_the_channels(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, error: Exception, arrives: ErrorCode
) -> None:
    """SPEC ADR-1: what became of one target does not touch the others."""
    app = post_app()

    @app.middleware
    async def refuse(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest):
            return await proceed()
        raise error

    async with served(app, "ada", "eve") as (ada, eve), eve.directs() as directs:
        outcomes = (await ada.send([to.user("eve"), to.channel("a"), to.user("bob")], 1)).outcomes
        assert [one.status for one in outcomes] == ["refused", "published", "refused"]
        assert [one.error.code for one in outcomes if one.error is not None] == [arrives] * 2
        await app.send(to.user("eve"), 2)
        with trio.fail_after(PATIENCE):
            assert (await directs.receive()).data == 2
    assert len(caplog.records) == (arrives == ErrorCode.INTERNAL)


async def test_it_learns_what_was_refused_and_answers_with_what_proceed_returned(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = post_app()
    app.user("closed", send=NOBODY)
    results: list[Any] = []

    @app.middleware
    async def meddle(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, SendRequest)
        sent = await proceed()
        results.append(sent)
        match request.data:
            case "nothing":
                return None
            case "fewer":
                return Sent(sent.outcomes[1:])
            case "another":
                return await proceed(attrs.evolve(request, targets=(to.everybody,)))
            case _:
                return sent

    async with served(app, "ada", "eve") as (ada, eve), eve.directs():
        sent = await ada.send([to.user("closed"), to.user("eve")], 1)
        assert sent == results[0]
        assert [one.status for one in sent.outcomes] == ["refused", "delivered"]
        assert sent.outcomes[0].error is not None
        assert sent.outcomes[0].error.code == ErrorCode.DENIED
        for data in ("nothing", "fewer", "another"):
            outcome = (await ada.send(to.user("eve"), data)).outcome
            assert outcome.error is not None
            assert outcome.error.code == ErrorCode.INTERNAL
    assert len(caplog.records) == 3


async def test_what_is_no_target_does_not_come_to_it(autojump_clock: MockClock) -> None:
    """SPEC ADR-2, ADR-7."""
    app = post_app()
    seen = watched(app)
    wrong = (Target(9, "x"), Target(1, None), Target(3, "x"), Target(4, None))
    raw_client = RawClient(credentials={"token": "ada"}, features=(ADDRESSING,))
    async with serving(app), raw_client.connected() as raw:
        await raw.opened.wait()
        raw.say(Send(1, wrong, b"\x01", None))
        raw.say(Send(2, (Target(1, "eve"),), b"\x01", None, PublishOptions({"a": "b"}, None)))
        for count in (4, 1):
            answer = await raw.hear()
            assert isinstance(answer, SentMessage)
            assert [one.reason for one in answer.outcomes] == ["BAD_REQUEST"] * count
    assert seen == []
