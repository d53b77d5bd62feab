"""What a story about channels is played on: a real server, its broker, clients that say anything, and the lists."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import trio
import trio.lowlevel

from hawser import EVERYONE, App, Principal, Server, Session, claims, serve
from hawser.payloads import encode_payload
from hawser.testing import FaultyNetwork
from hawser_engine.messages import PublishOptions
from hawser_engine.server_connection import ServerConnection
from tests.runtime.channel_listener import Listener
from tests.runtime.channel_lists import Declared, Item, Log
from tests.runtime.fickle_broker import FickleBroker
from tests.runtime.helpers import FAST, URL, counting_bytes
from tests.runtime.stepping import Stepper, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hawser.server.sessions import ServerSession
    from tests.runtime.channel_dues import Dues
    from tests.runtime.channel_ears import Ear
    from tests.runtime.channel_listener import Traits

RING: Final = 4
RING_BYTES: Final = 120
KINDS: Final = {
    "catch-up": Declared(history=6),
    "by-bytes": Declared(history=6, bytes=120),
    "by-age": Declared(history=6, seconds=5),
    "drop-oldest": Declared(ring=RING, ring_bytes=RING_BYTES),
    "both": Declared(history=6, overflow="drop-oldest", ring=RING, ring_bytes=RING_BYTES),
    "keep-latest": Declared(history=4, overflow="keep-latest"),
    "keep-little": Declared(history=4, overflow="keep-latest", bytes=100, seconds=5),
}
"""Of each there are channels ``kind:1``, ``kind:2`` … and the pattern ``kind:*``."""
CONFIG: Final = attrs.evolve(
    FAST, ring_messages=RING, ring_bytes=RING_BYTES, wildcards_behind=1, resumes_per_minute=1_000_000
)
ARRIVES: Final = 0.1
"""Seconds after which whatever is on a link has arrived."""
IN_PARTS: Final = 65_536
"""A longer publication is one of several parts, and all else is behind while it is sent (PRT-7)."""
VOLATILE: Final = 2_000
"""What is volatile has no more that says nothing: it goes in one piece (VOL-3)."""
STAYS_AWAY: Final = 60.0
"""Seconds, of the 120 that a session lives without a link."""
SHORT: Final = 500
"""Every client takes what is no longer than this."""


@attrs.frozen
class Act:
    """Something that is published, or the like."""

    kind: Literal["publish", "lose", "volatile", "forget"] = "publish"
    """``lose``: the server is not told of it. ``forget``: the broker has lost the channel, which begins anew."""
    tag: str = "a"
    key: str | None = None
    pad: int = 0
    """Bytes of the payload that say nothing."""
    spares: int | None = None
    """Which client does not get it."""


@attrs.frozen
class Burst:
    """Acts one after the other."""

    acts: Sequence[Act] = ()
    more: int = 0
    """So many ordinary publications behind them."""
    passes: int = 0
    """Passes of the loop between one and the next: with none, nobody else has a turn in between."""


class Stage:
    """All that there is."""

    def __init__(self) -> None:
        self.broker = FickleBroker()
        self.app = App(broker=self.broker)
        for kind, declared in KINDS.items():
            self.app.channel(
                f"{kind}:*",
                history=declared.history,
                history_bytes=declared.bytes,
                history_seconds=declared.seconds,
                overflow=declared.overflow,
                last_value=declared.keeps_latest,
                about=["tags"],
                volatile=True,
                read_history=claims("reads"),
                wildcard=EVERYONE,
                open=True,
            )

        @self.app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal:
            return Principal(credentials["name"], credentials)

        @self.app.on_connect
        async def note(session: Session) -> None:
            self._handles[session.principal.attributes["number"]] = session

        self._handles: dict[int, Session] = {}
        """The sessions that live, by the numbers of their clients."""
        self.logs: list[Log] = []
        self.clients: list[Listener] = []
        self.published = 0
        self.sessions = 0
        self._steady: dict[str, tuple[int, int]] = {}
        self.disturbed = False
        """Whether somebody has left who did not keep up."""
        self.stepper = Stepper()

    # ------------------------------------------------------------ who is there

    def open(self, names: Sequence[str], clients: Sequence[Traits], delay_seconds: float) -> None:
        """Begin: declare channels to the lists, and let clients in."""
        self.logs = [Log(name, KINDS[name.partition(":")[0]], trio.current_time) for name in names]
        self.stepper.start(partial(self._live, delay_seconds))
        for log in self.logs:
            log.begin(self.broker.epoch(log.name))
        for traits in clients:
            self.stepper.do(self._make, traits)
            self.come(self.clients[-1])

    async def _live(self, delay_seconds: float, *, task_status: trio.TaskStatus[None]) -> None:
        async with (
            trio.open_nursery() as self._nursery,
            FaultyNetwork(delay_seconds=(0.0, delay_seconds)) as self._network,
        ):
            start = partial(serve, config=CONFIG, random_bytes=counting_bytes())
            self._server: Server = await self._nursery.start(start, self.app, URL)
            task_status.started()
            await trio.sleep_forever()

    async def _make(self, traits: Traits) -> None:
        self.clients.append(Listener(self._session(), traits))

    def _session(self) -> int:
        self.sessions += 1
        return self.sessions - 1

    def come(self, client: Listener) -> None:
        """A client attaches."""

        async def come() -> None:
            await self._nursery.start(partial(client.stay, self._network))
            while client.number not in self._handles:
                await trio.sleep(0.01)

        self.stepper.do(come)
        client.away_seconds = 0

    def go(self, client: Listener) -> None:
        """Its link is cut."""
        for dues in self._of(client):
            dues.end()
        self.stepper.do(client.go)

    def withhold(self, client: Listener) -> None:
        """It does not say what it takes any more."""
        client.deliver = False
        for dues in self._of(client):
            dues.end()

    def begin_anew(self, client: Listener) -> None:
        """It comes as somebody new."""

        async def begin() -> None:
            client.begin_anew(self._session())

        self.stepper.do(begin)
        self.come(client)

    def say_goodbye(self, client: Listener) -> None:
        """It ends its session."""

        async def say_goodbye() -> None:
            client.say_goodbye()

        self.stepper.do(say_goodbye)

    def forget_session(self, client: Listener) -> bool:
        """Its session is no more; returns whether the server does not know that, for its goodbye has not arrived."""
        self.disturbed = True
        handle = self._handles.pop(client.number)
        self.stepper.do(trio.sleep, ARRIVES)
        return bool(self._served(handle))

    def _served(self, handle: Session | None) -> list[ServerSession]:
        """What the server has of a session: one, or none."""
        node = self._server._node  # pyright: ignore[reportPrivateUsage]
        return [session for session in node.sessions.values() if session.handle is handle]

    def all_has_come(self, client: Listener) -> bool:
        """Whether nothing is under way to a client from before it last said something; only after a rest.

        To one that withholds its window the server may have given what it cannot send yet: a long publication, which
        waits without a number (NUM-1) or is left with its first part only (PRT-6). A PAUSE takes none of that back, and
        it comes when there is window, however late that is, to be discarded (CHN-8).
        """
        if not (client.here and client.was_heard):
            return False
        return not any(session.engine.outbox.queue for session in self._served(self._handles.get(client.number)))

    def subscriptions(self) -> list[tuple[Listener, Ear]]:
        """All subscriptions to channels."""
        return [(client, ear) for client in self.clients for ear in client.ears.values()]

    def _of(self, client: Listener) -> Iterator[Dues]:
        yield from client.ears.values()
        for pattern in client.patterns.values():
            yield from pattern.places.values()

    def _all(self) -> Iterator[Dues]:
        for client in self.clients:
            yield from self._of(client)

    # ------------------------------------------------------------ what is published

    def play(self, log: Log, burst: Burst) -> None:
        """Do what a burst says, and no more."""
        self.stepper.do(self.perform, log, burst)

    async def perform(self, log: Log, burst: Burst) -> None:
        """The same, within a step."""
        some = [
            Act(tag="abc"[number % 3], key=("x", "y", None, "x")[number % 4])
            for number in range(self.published, self.published + burst.more)
        ]
        for act in (*burst.acts, *some):
            self._act(log, act)
            for _ in range(burst.passes):
                await trio.lowlevel.checkpoint()

    def _act(self, log: Log, act: Act) -> None:
        """Here and now: nobody else has a turn."""
        match act.kind:
            case "volatile":
                self._pass(log, act)
            case "forget":
                self._forget(log)
            case _:
                self._publish(log, act)

    def _forget(self, log: Log) -> None:
        self.broker.forget(log.name)
        log.begin(self.broker.epoch(log.name))
        log.troubles += 1
        for dues in self._all():
            if dues.log is log:
                dues.end()

    def _publish(self, log: Log, act: Act) -> None:
        spared = None if act.spares is None else self.clients[act.spares % len(self.clients)]
        handle = None if spared is None else self._handles.get(spared.number)
        payload = self._payload(act)
        key = act.key if log.declared.keeps_latest else None
        reported, token = act.kind != "lose", None if spared is None or handle is None else spared.session
        item = Item(self.published, act.tag, key, token, len(payload), log.now_ms, reported)
        self.note(log, item)
        options = PublishOptions(tags={"tag": act.tag}, latest_key=item.latest_key)
        names = () if handle is None else (handle.id,)
        self.broker.losing = not reported
        published = at_once(self.app.publish_payload(log.name, payload, options=options, spared=names))
        self.broker.losing = False
        assert published.position == log.end

    def note(self, log: Log, item: Item) -> None:
        """Something is about to be published."""
        in_parts = item.size > IN_PARTS
        log.troubles += not item.reported or item.size > SHORT
        log.era.add(item)
        for dues in self._all():
            if dues.log is log:
                dues.published(item, in_parts=in_parts)
            elif in_parts:
                dues.end()

    def count(self) -> int:
        """The number of the next publication."""
        self.published += 1
        return self.published

    def _payload(self, act: Act) -> bytes:
        return encode_payload([self.count(), act.tag, bytes(act.pad)])

    def _pass(self, log: Log, act: Act) -> None:
        """Publish something volatile."""
        payload = self._payload(attrs.evolve(act, pad=min(act.pad, VOLATILE)))
        for dues in self._all():
            if dues.log is log:
                dues.passed(self.published, act.tag, len(payload))
        options = PublishOptions(tags={"tag": act.tag}, volatile=True)
        assert at_once(self.app.publish_payload(log.name, payload, options=options)).position == log.end

    # ------------------------------------------------------------ when everything has come about

    def spend(self, seconds: float) -> None:
        """So much time is about to pass: whoever would be away for too long comes back."""
        for client in self.clients:
            if not client.here and client.number in self._handles:
                client.away_seconds += seconds
                if client.away_seconds > STAYS_AWAY:
                    self.come(client)

    def rest(self, seconds: float) -> None:
        """Let everything come about that is under way; nobody stays away for so long that the session is over."""
        self.spend(seconds)
        self.stepper.do(trio.sleep, seconds)
        self.check()
        self._check_written()
        self._check_behind()
        for client in self.clients:
            for ear in client.ears.values():
                ear.quiet = ear.paused and (ear.quiet or self.all_has_come(client))
                self._look(client, ear, settled=ear.settled and not ear.beyond)
                waits = ear.paused or not (ear.honest and client.at_ease)
                assert ear.settled or waits, f"it does not get what it has window for: {ear}"
            for pattern in client.patterns.values():
                for place in pattern.places.values():
                    self._look(client, place, settled=pattern.began and place.settled)

    def _look(self, client: Listener, dues: Dues, *, settled: bool) -> None:
        dues.check()
        if settled and client.at_ease:
            dues.begin()

    def _check_written(self) -> None:
        """Whether all that the server had to say to somebody who is here is written: nobody else will see to it."""
        for client in self.clients:
            for session in self._served(self._handles.get(client.number)):
                carrier = session.engine.carrier
                if client.here and isinstance(carrier, ServerConnection):
                    assert not carrier.unwritten_bytes, f"not all that client {client.number} is to get was written"

    def _check_behind(self) -> None:
        """Whether nobody was counted as behind where all have kept up since this was last looked at (CHN-6, OVF-2)."""
        for kind in KINDS:
            logs = [log for log in self.logs if log.name.startswith(f"{kind}:")]
            counts, troubles = self._server.overflow.get(f"{kind}:*"), sum(log.troubles for log in logs)
            behind = 0 if counts is None else counts.behind
            here = [dues for dues in self._all() if dues.log in logs and dues.served]
            if not self.disturbed and self._steady.get(kind, (0, 0))[1] == troubles:
                kept_up = all(dues.keeps_up for dues in here)
                assert not kept_up or behind == self._steady.get(kind, (0, 0))[0], f"{kind}: behind, with all window"
            self._steady[kind] = behind, troubles
        self.disturbed = False

    def check(self) -> None:
        """Whether everybody was told what the lists say."""
        for client in self.clients:
            for failure in client.failures:
                raise failure
            assert client.terminations == []
