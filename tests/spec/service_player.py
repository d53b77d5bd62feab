"""Plays the scenarios of the open service against the runtime: bytes over the memory transport, nothing else.

What is served is the real thing, `serve` with an `App`; the player is every client, and has none of the library's.
Time is Trio's virtual clock, so a turn is over when every task of the server waits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator  # noqa: TC003 - types of a procedure are there when the program runs
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import (
    ASK,
    EVERYONE,
    NOBODY,
    App,
    CallError,
    Config,
    Inputs,
    Principal,
    RequestFailed,
    Session,
    serve,
    takes_inputs,
)
from hawser.brokers import MemoryBroker
from hawser_engine import codec
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.messages import PositionNotice, decode_message
from hawser_engine.packets import Ack, Close, Message, Ping
from hawser_transports import MemoryTransport
from tests.runtime.helpers import counting_bytes
from tests.spec.scenario_patterns import Names, expected_bytes, settings, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hawser_transports import MemoryLink

RATES: Final[dict[str, Any]] = {"joins_per_second": 1e9, "joins_burst": 2**31}
"""A rate that no scenario could meet."""

EPOCH_SECONDS: Final = 1_700_000_000
"""The wall clock of the service when a scenario begins; it goes on with the virtual one."""


@attrs.frozen
class Placed:
    id: str
    count: int = attrs.field(validator=attrs.validators.ge(0))


@attrs.frozen
class Gone:
    id: str


class ForgetfulBroker(MemoryBroker):
    """A broker that loses a channel's past when it is told to."""

    def forget(self, channel: str) -> None:
        stream = self._stream(channel)
        stream.epoch, stream.top, stream.past = self._random_bytes(8), 0, None


def open_service(random_bytes: Callable[[int], bytes]) -> App:
    """The service that vectors/README.md describes."""
    broker = ForgetfulBroker(random_bytes=random_bytes, clock=lambda: EPOCH_SECONDS + trio.current_time())
    app = App(broker=broker)
    app.channel("*", history=100, open=True)
    app.channel("live:*", open=True)
    app.channel("short:*", history=2, open=True)
    app.channel("last:*", last_value=True, open=True)
    app.channel("fresh:*", history=100, last_value=True, read_history=NOBODY, open=True)
    app.channel("told:*", history=100, about=["publisher", "tags", "latest_key"], open=True)
    app.channel("timed:*", history=100, about=["time"], open=True)
    app.channel("presence:*", presence=True, open=True)
    app.channel("ask:*", history=100, ask=EVERYONE, open=True)
    app.channel("wide:*", history=100, about=["tags"], wildcard=EVERYONE, open=True)
    app.channel("wide:apart", history=100, open=True)
    guild = app.channel("guild:*", wildcard=ASK)
    app.channel("board:*", history=100, overflow="keep-latest", about=["tags"], open=True)
    app.channel("brief:*", history=2, overflow="keep-latest", open=True)
    app.channel("states:*", history=100, overflow="keep-latest", last_value=True, open=True)
    app.channel("newest:*", history=100, overflow="drop-oldest", open=True)
    app.channel("pad:*", history=100, volatile=True, open=True)
    declared = app.channel("declared:*", history=100, open=True)
    declared.event("placed")(Placed)
    declared.event("gone")(Gone)
    slow = app.channel("slow:*", history=100)
    members = app.channel("members:*", history=100, presence=True)

    app.agent("*", open=True)
    club = app.agent("members")
    app.user("*", open=True)
    circle = app.user("members")
    app.directory()
    app.mailbox("user:*", letters=3, tries=2, dead_letters="dead", open=True)
    app.mailbox("agent:*", letters=3, tries=2, dead_letters="dead", open=True)
    app.mailbox("user:shut", post=NOBODY)
    app.mailbox("agent:small", bytes=10, open=True)
    letters = app.mailbox("agent:members")

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"], credentials)

    @slow.authorize
    async def take_a_second(session: Session, action: str, channel: str) -> bool:
        await trio.sleep(1 if action == "publish" else 0)
        return True

    @guild.authorize
    @members.authorize
    async def members_only(session: Session, action: str, channel: str) -> bool:
        return session.principal.attributes.get("member") is True

    @club.authorize
    async def members_of_the_club_only(session: Session, action: str, agent: str) -> bool:
        return session.principal.attributes.get("member") is True

    @letters.authorize
    async def letters_of_members_only(session: Session, action: str, mailbox: str) -> bool:
        return session.principal.attributes.get("member") is True

    @circle.authorize
    async def members_of_the_circle_only(session: Session, action: str, user: str) -> bool:
        return session.principal.attributes.get("member") is True

    @app.procedure("echo")
    async def echo(session: Session, *arguments: object) -> list[object]:
        return list(arguments)

    @app.procedure("slow")
    async def echo_slowly(session: Session, *arguments: object) -> list[object]:
        await trio.sleep(1)
        return list(arguments)

    @app.procedure("never")
    async def never(session: Session) -> None:
        await trio.sleep_forever()

    @app.procedure("fails")
    async def fails(session: Session) -> None:
        raise RuntimeError("as it was asked to")

    @app.procedure("count")
    async def count(session: Session, top: int) -> AsyncGenerator[int]:
        for number in range(1, top + 1):
            yield number

    @app.procedure("double")
    @takes_inputs
    async def double(session: Session, inputs: Inputs) -> AsyncGenerator[int]:
        async for number in inputs:
            yield 2 * number

    @app.procedure("order")
    async def order(session: Session, line: Placed) -> int:
        await app.publish(f"declared:{line.id}", line)
        return line.count

    @app.procedure("tally")
    @takes_inputs
    async def tally(session: Session, inputs: Inputs[Placed]) -> AsyncGenerator[int]:
        total = 0
        async for line in inputs:
            total += line.count
            yield total

    @app.procedure("assign")
    async def assign(session: Session, channel: str, rewind: int | None = None) -> None:
        try:
            await session.subscribe(channel, rewind=rewind)
        except RequestFailed as error:
            raise CallError(error.code) from None

    @app.procedure("dismiss")
    async def dismiss(session: Session, channel: str) -> None:
        await session.unsubscribe(channel)

    @app.procedure("renew")
    async def renew(session: Session, channel: str) -> None:
        broker.forget(channel)

    return app


async def play(scenario: dict[str, Any], steps: list[dict[str, Any]] | None = None) -> None:
    """Play a scenario, or other steps in its place; raise AssertionError where the server does anything else."""
    config = Config(**RATES | settings(scenario["config"], server=True))
    random_bytes = counting_bytes()
    failure: AssertionError | None = None
    async with trio.open_nursery() as nursery:
        service = partial(serve, open_service(random_bytes), "memory://", config=config, random_bytes=random_bytes)
        server = await nursery.start(service)
        try:
            await ServicePlayer(server.url, nursery).play(scenario["steps"] if steps is None else steps)
        except AssertionError as error:
            failure = error  # so that it is not raised as a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class ServicePlayer:
    """All clients of one scenario."""

    def __init__(self, url: str, nursery: trio.Nursery) -> None:
        self.url = url
        self.nursery = nursery
        self.links: dict[str, MemoryLink] = {}
        self.names = Names()
        self.sent: dict[str, bytes] = {}
        self.ended: list[str] = []

    async def play(self, steps: list[dict[str, Any]]) -> None:
        """Give each input and compare what comes out of it with the outputs up to the next."""
        for number, (kind, value, expected) in enumerate(turns(steps)):
            where = f"after input {number}, {kind} {str(value)[:200]}"
            match kind:
                case "connect":
                    link = self.links[value] = await MemoryTransport().connect(self.url)
                    self.nursery.start_soon(self.read, value, link)
                case "receive":
                    await self.links[value["on"]].send_batches([self.names.written_out(value["hex"])])
                case "drop":
                    self.links.pop(value).cut()
                case "advance":
                    await trio.sleep(value)
                case _:
                    raise AssertionError(f"{where}: a service takes no {kind}")
            await wait_all_tasks_blocked()
            self.compare(expected, where)
        self.names.check_different()

    async def read(self, name: str, link: MemoryLink) -> None:
        try:
            while True:
                for batch in await link.receive_batches():
                    self.sent[name] = self.sent.get(name, b"") + batch
        except (trio.EndOfChannel, trio.BrokenResourceError):
            if name in self.links:
                self.ended.append(name)

    def compare(self, expected: list[dict[str, Any]], where: str) -> None:
        """Compare packets, and the links that ended without a CLOSE: one on which CLOSE came is over anyway (CLS-3)."""
        patterns = expected_bytes(expected)
        for link in dict.fromkeys([*patterns, *self.sent]):
            compared, closed = without_upkeep(self.sent.pop(link, b""))
            self.names.match(patterns.get(link, []), compared, f"{where}, on {link}")
            if closed:
                self.links.pop(link).close()
                self.ended = [name for name in self.ended if name != link]
        ended, self.ended = self.ended, []
        assert ended == [step["closed"] for step in expected if "closed" in step], where


def without_upkeep(data: bytes) -> tuple[bytes, bool]:
    """Leave out the packets that are not compared: ACK, PING and POSITION; say whether CLOSE was among the others."""
    compared, position, within, closed = b"", 0, False, False
    while position < len(data):
        taken = codec.next_packet(data, position)
        assert taken is not None, f"the server sent {data[position:].hex()}, which ends inside a packet"
        packet, end = taken
        upkeep = isinstance(packet, (Ack, Ping))
        if isinstance(packet, Message):
            upkeep = not within and not packet.more and is_position(packet.body)
            within = packet.more
        compared += b"" if upkeep else data[position:end]
        closed = closed or isinstance(packet, Close)
        position = end
    return compared, closed


def is_position(body: bytes) -> bool:
    try:
        return isinstance(decode_message(body), PositionNotice)
    except RemoteProtocolError:
        return False
