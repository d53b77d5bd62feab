"""What people are told of a subscription or a target that is refused, beside the code (SPEC MSG-10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import EVERYONE, NOBODY, App, ErrorCode, Principal, RequestFailed, Session, connect, to
from hawser.addressing import Told, read, written
from hawser_engine.codes import SendStatus
from hawser_engine.messages import ChannelRequest, SendOutcome, Sent, Subscribe, Subscribed, SubscribeOptions
from tests.runtime.helpers import FAST, URL, RawClient, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser.middleware import Proceed, Request

LIMITS = attrs.evolve(FAST, channels_per_session=2, filters_per_channel=1, wildcards_per_session=1)


def app_that_refuses() -> App:
    app = App()
    app.channel("*", history=10, open=True)
    app.channel("past", history=10, read_history=NOBODY, open=True)
    app.channel("closed", subscribe=NOBODY)
    app.channel("tagged", about=["tags"], open=True)
    app.channel("faulty").authorize(_fail)
    app.mailbox("user:eve", letters=1, open=True)
    app.user("*", send=EVERYONE, broadcast=NOBODY)
    app.user("closed", send=NOBODY)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials.get("token", "somebody"))

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        if request.kind == "subscribe" and request.channel in SAID:
            code, why = SAID[request.channel]
            raise RequestFailed(code, why)
        return await proceed()

    return app


async def _fail(session: Session, action: str, channel: str) -> bool:
    raise OSError("a secret")


SAID = {"full": (100, "come back on Monday"), "silent": (ErrorCode.DENIED, ""), "long": (ErrorCode.LIMIT, "é" * 200)}


@pytest.mark.parametrize(
    ("channel", "options", "text"),
    [
        ("untagged", {"filter": 'a == "b"'}, "BAD_REQUEST: a filter looks at tags, and publications of 'untagged'"),
        ("past", {"rewind": 1}, "DENIED: rewind 'past': its history may not be read"),
        ("closed", {}, "DENIED: subscribe 'closed'"),
        ("faulty", {}, "INTERNAL: incident [0-9a-f]{8}$"),
        ("full", {}, "DENIED: come back on Monday$"),
        ("silent", {}, "DENIED: subscribe 'silent'$"),
        ("long", {}, "LIMIT: é{127}$"),
        ("tagged", {"filter": 'a == "b"'}, "LIMIT: 'tagged' has 1 different filters, and takes no more"),
        ("b:1:*", {}, "BAD_REQUEST: 'b:1:.' has channels in common with 'b:.:2'"),
        ("c:*", {}, "LIMIT: a session has at most 1 patterns"),
        ("more", {}, "LIMIT: a session has at most 2 channels"),
    ],
)
async def test_a_refused_subscription_says_why(
    autojump_clock: MockClock, channel: str, options: dict[str, Any], text: str
) -> None:
    async with (
        serving(app_that_refuses(), config=LIMITS),
        connect(URL) as client,
        connect(URL) as other,
        client.subscribe("b:*:2"),
        client.subscribe("tagged" if channel == "more" else "mine"),
        other.subscribe("tagged", filter='a == "a"'),
        trio.open_nursery() as nursery,
    ):
        if channel == "more":
            await nursery.start(_stay, client.subscribe("mine"))
        with pytest.raises(RequestFailed, match=f"^{text}"):
            async with client.subscribe(channel, **options):
                pass
        nursery.cancel_scope.cancel()


async def _stay(subscription: Any, *, task_status: trio.TaskStatus[None]) -> None:
    async with subscription:
        task_status.started()
        await trio.sleep_forever()


async def test_one_text_for_each_channel_that_is_refused_and_none_for_the_others(autojump_clock: MockClock) -> None:
    async with serving(app_that_refuses()), RawClient().connected() as client:
        await client.opened.wait()
        options = SubscribeOptions(filter='a == "b"')
        names = ("closed", "room", "full", "silent")
        channels = (*(ChannelRequest(name, None) for name in names), ChannelRequest("room:1", None, options))
        client.say(
            Subscribe(1, channels),
            Subscribe(2, (ChannelRequest("aisle", None), ChannelRequest("room", None))),
            Subscribe(3, (ChannelRequest("nave", None),)),
        )
        answers = [await client.hear() for _ in range(3)]
        remarks = [answer.remarks for answer in answers if isinstance(answer, Subscribed)]
        untagged = "a filter looks at tags, and publications of 'room:1' carry none"
        assert remarks == [
            ("subscribe 'closed'", "come back on Monday", "", untagged),
            ("the session is subscribed to 'room' already",),
            None,
        ]


async def test_a_refused_target_says_why(autojump_clock: MockClock) -> None:
    async with (
        serving(app_that_refuses()),
        connect(URL) as client,
        connect(URL, token="bob") as bob,
        bob.directs(),
    ):
        targets = [to.channel("closed"), to.user("bob"), to.user("closed"), to.everybody, to.user("eve")]
        first, second = [await client.send(targets, "x") for _ in range(2)]
        assert [one.error and str(one.error) for one in first.outcomes] == [
            "DENIED: publish 'closed'",
            None,
            "DENIED: send 'closed'",
            "DENIED: broadcast '*'",
            None,
        ]
        full = second.outcomes[-1].error
        assert str(full) == "BUSY: mailbox 'user:eve' is full"
        assert full is not None
        assert full.temporary


REFUSED, DELIVERED, UNKNOWN = (
    SendOutcome(status, 0, 0, 0, None, reason)
    for status, reason in ((SendStatus.REFUSED, "DENIED"), (SendStatus.DELIVERED, ""), (99, "SOMETHING"))
)


@pytest.mark.parametrize(
    ("remarks", "read_as"),
    [
        (("a", "b"), ["a", "", "b"]),
        (("a", "b", "of nobody"), ["a", "", "b"]),
        (("a",), ["a", "", ""]),
        (None, ["", "", ""]),
    ],
)
def test_texts_stand_for_what_is_refused_or_unknown_in_order(remarks: Any, read_as: list[str]) -> None:
    told = read(Sent(1, (REFUSED, DELIVERED, UNKNOWN), remarks))
    assert [one.remark for one in told] == read_as
    if remarks == ("a", "b"):
        assert written(1, told).remarks == remarks


def test_where_nothing_is_refused_there_are_no_texts() -> None:
    assert written(1, [Told(DELIVERED)]) == Sent(1, (DELIVERED,))
