"""Presence: who is in a channel, as a view that keeps itself up to date.

Rule: what is told replaces what was known; the changes that a consumer iterates over are found by comparing what it
has seen with what is so. So nothing queues for a slow one, lists after a reset look like any other change, and what
has changed back by the time it looks is no change.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs
import trio

from hawser.entering import not_entered
from hawser.errors import RequestFailed, RequestLost
from hawser.members import Member, decode_member, encode_info
from hawser_engine.codes import ErrorCode
from hawser_engine.errors import HawserError
from hawser_engine.messages import PRESENCE, encode_body
from hawser_engine.presence import Changes, Members, Present
from hawser_engine.presence import Presence as PresenceMessage

from .operations import Kind, Pending, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from hawser_engine.presence import Member as Entry

    from .dialogue import Dialogue

What: TypeAlias = Literal["join", "update", "leave", "count"]


@attrs.frozen
class PresenceChange:
    """Something that has changed in a channel."""

    what: What
    """``join``, ``update`` or ``leave``; ``count`` where only the number of members is told, and it has changed."""
    member: Member | None
    """Whom it is about, as it is now, or was before it left; None with ``count``."""


class Look:
    """What one consumer has seen of a presence, and what has become of it since."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._seen: dict[bytes, Entry] = dict(presence.entries)
        self._seen_total = presence.total
        self._unseen: OrderedDict[bytes, None] = OrderedDict()

    @property
    def behind(self) -> bool:
        """Whether there is anything that it has not seen."""
        return bool(self._unseen)

    def concerns(self, names: Iterable[bytes]) -> None:
        """Something may have changed about these."""
        self._unseen.update(dict.fromkeys(names))

    def replaced(self) -> None:
        """Everything may have changed."""
        self.concerns([*self._seen, *self._presence.entries])

    def next(self) -> PresenceChange | None:
        """The next change; None if there is none."""
        presence = self._presence
        while presence.listed and self._unseen:
            name, _ = self._unseen.popitem(last=False)
            before, now = self._seen.get(name), presence.entries.get(name)
            if now is None:
                if before is not None:
                    del self._seen[name]
                    return PresenceChange("leave", decode_member(before))
            elif now != before:
                self._seen[name] = now
                return PresenceChange("join" if before is None else "update", decode_member(now))
        if not presence.listed and presence.total != self._seen_total:
            self._seen_total = presence.total
            return PresenceChange("count", None)
        return None

    async def wait(self) -> PresenceChange:
        """The next change, as soon as there is one.

        Raises:
            StopAsyncIteration: There will be none.
            RequestFailed: The server has ended it.
            SessionClosed: The client was closed by the server.
        """
        await trio.lowlevel.checkpoint()
        while (change := self.next()) is None:
            await self._presence.news()
        return change


class Presence:
    """Who is in one channel; `Client.presence` makes it.

    Enter it with ``async with``; inside, `members` is who is there, and iterating brings what changes from then on. It
    lives through broken links and resets of the session: what it missed meanwhile looks like any other change.

    Raises (on entering):
        RequestFailed: The server refused, for example DENIED, or BAD_REQUEST where the channel has no presence.
        SessionClosed: The client is closed.
    """

    def __init__(self, dialogue: Dialogue, channel: str, info: bytes | None, *, watch: bool) -> None:
        self.channel: str = channel
        """The channel's name."""
        self.total: int = 0
        """How many members there are."""
        self.listed: bool = True
        """Whether they are listed; False where there are too many."""
        self.requested: bool = False
        """Whether the server was asked for it; kept by the client."""
        self._dialogue = dialogue
        self.info: bytes | None = info
        """What it says of itself; None: it is no member."""
        self.watch: bool = watch
        """Whether it wants to be told who is there."""
        self._version = -1
        self._member: bytes | None = None
        self.entries: dict[bytes, Entry] = {}
        """Who is there, as it travelled."""
        self.looks: list[Look] = []
        """Those that are told when something changes."""
        self._collected: dict[bytes, Entry] | None = None
        self._entered = False
        self._ready = trio.Event()
        self._arrival = trio.Event()
        self._over = False
        self._error: Exception | None = None

    @property
    def members(self) -> list[Member]:
        """Who is there now; empty where they are not listed."""
        return [decode_member(entry) for entry in self.entries.values()]

    @property
    def me(self) -> Member | None:
        """This session among the members; None as long as it is not listed as one."""
        entry = None if self._member is None else self.entries.get(self._member)
        return None if entry is None else decode_member(entry)

    async def __aenter__(self) -> Presence:
        if self._entered:
            raise RuntimeError("a presence is entered only once; make another one")
        self._entered = True
        try:
            await self._dialogue.presences.enter(self)
            await self._ready.wait()
        except BaseException:
            self._dialogue.presences.leave(self)
            raise
        if self._error is not None:
            self._dialogue.presences.leave(self)
            raise self._error
        self.looks.append(Look(self))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dialogue.presences.leave(self)
        self.finish(None)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> Presence:
        return self

    async def __anext__(self) -> PresenceChange:
        if not self._entered:
            raise not_entered("a presence")
        return await self.looks[0].wait()

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._over

    async def known(self) -> None:
        """Wait until it is known who is there.

        Raises:
            RequestFailed: The server has ended it.
            SessionClosed: The client was closed by the server.
        """
        while self._version < 0 and not self._over:
            await self._arrival.wait()
        if self._error is not None:
            raise self._error

    async def news(self) -> None:
        """Wait until something has come.

        Raises:
            StopAsyncIteration: Nothing will.
            RequestFailed: The server has ended it.
            SessionClosed: The client was closed by the server.
        """
        if self._over:
            raise self._error or StopAsyncIteration()
        await self._arrival.wait()

    async def update(self, info: object) -> None:
        """Say something else of oneself, or be a member from now on.

        Where the session is reset before the answer has come, the next one says it.

        Args:
            info: The same kinds of values as for `Client.publish`, of at most 1,024 bytes when encoded; None: be no
                member any more.

        Raises:
            PayloadError: The info cannot travel, or is too long.
            RequestFailed: The server refused.
            RuntimeError: Its block has not begun.
            SessionClosed: The client is closed.
        """
        if not self._entered:
            raise not_entered("a presence")
        await self.want(encode_info(info), self.watch)

    async def want(self, info: bytes | None, watch: bool) -> None:
        """Want something else from now on; as `update`.

        Args:
            info: What it says of itself, as it travels; None to be no member.
            watch: Whether to be told who is there.
        """
        before = self.info, self.watch
        self.info, self.watch = info, watch
        if self.watch != before[1]:
            self.begin_anew()
        pending, encode = self.request()
        pending.presence = None
        try:
            await self._dialogue.request(pending, encode)
            with suppress(RequestLost):  # `opened` has said it again
                await pending.wait()
        except RequestFailed:
            self.info, self.watch = before
            raise

    # ------------------------------------------------------------ for the client

    def request(self, *, anew: bool = False) -> tuple[Pending, Callable[[int], bytes]]:
        """What to ask the server for."""
        pending = Pending(Kind.PRESENCE, self.channel, request_bytes(self.channel) + len(self.info or b""))
        pending.presence = self

        def encode(id: int) -> bytes:
            self.requested = True
            watch = 0 if not self.watch else 2 if anew else 1
            return encode_body(PresenceMessage(id, self.channel, watch, self.info))

        return pending, encode

    def begin_anew(self) -> None:
        """What comes begins with a list; one of which only a part has come will never be whole."""
        self._version = -1

    def answered(self, message: Present) -> None:
        """The server has done what was asked for."""
        self._member = message.member
        if not self.watch:
            self._ready.set()

    def listing(self, message: Members) -> None:
        """A list, or a piece of one (PRS-4)."""
        if message.members is None:
            self._replace({}, message, listed=False)
            return
        if self._collected is None or self._version != message.version:
            self._collected = {}
        self._version = message.version
        self._collected |= {entry.member: entry for entry in message.members}
        if not message.more:
            self._replace(self._collected, message, listed=True)

    def changed(self, message: Changes) -> None:
        """A step; one that does not follow is answered by asking for a list (PRS-7)."""
        if message.version != self._version + 1 or self._collected is not None:
            if self._version >= 0:
                self.begin_anew()
                self._dialogue.presences.ask_anew(self)
            return
        self._version, self.total = message.version, message.total
        for entry in message.here:
            self.entries[entry.member] = entry
        for name in message.gone:
            self.entries.pop(name, None)
        for look in self.looks:
            look.concerns([*(entry.member for entry in message.here), *message.gone])
        self._arrived()

    def _replace(self, members: dict[bytes, Entry], message: Members, *, listed: bool) -> None:
        self.entries, self._collected, self.listed = members, None, listed
        for look in self.looks:
            look.replaced()
        self._version, self.total = message.version, message.total
        self._ready.set()
        self._arrived()

    def _arrived(self) -> None:
        self._arrival.set()
        self._arrival = trio.Event()

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if not self._over:
            self._over, self._error = True, error
            self._ready.set()
            self._arrived()


class Presences:
    """All that a client wants of presence, by channel."""

    def __init__(self, dialogue: Dialogue, nursery: trio.Nursery) -> None:
        self._dialogue = dialogue
        self._nursery = nursery
        self._open: dict[str, Presence] = {}
        self._leaving: dict[str, trio.Event] = {}

    async def enter(self, presence: Presence) -> None:
        """Ask for it; the answer comes later.

        Raises:
            RuntimeError: The client has the presence of this channel.
            RequestFailed: The server has no presence.
            SessionClosed: The client is closed.
        """
        channel = presence.channel
        if channel in self._open:
            raise RuntimeError(f"this client has the presence of {channel!r} already; share that")
        self._open[channel] = presence
        while channel in self._leaving:
            await self._leaving[channel].wait()
        pending, encode = presence.request()

        def make() -> None:  # there is a session now, so it is known what its server speaks
            if not self._speaks:
                raise RequestFailed(ErrorCode.NOT_FOUND, "the server has no presence")
            self._dialogue.hand_over(pending, encode)

        await self._dialogue.in_turn(pending, make)

    def leave(self, presence: Presence) -> None:
        """Give it up, whatever became of it."""
        channel = presence.channel
        if self._open.get(channel) is presence:
            del self._open[channel]
            if presence.requested and self._dialogue.line.over is None:
                self._leaving[channel] = trio.Event()
                self._nursery.start_soon(self._leave, channel)

    async def _leave(self, channel: str) -> None:
        pending = Pending(Kind.PRESENCE, channel, request_bytes(channel))
        try:
            await self._dialogue.request(pending, lambda id: encode_body(PresenceMessage(id, channel, 0, None)))
            await pending.wait()
        except HawserError:
            pass  # the session is over, and with it what it wanted
        finally:
            self._leaving.pop(channel).set()

    @property
    def _speaks(self) -> bool:
        return PRESENCE in self._dialogue.line.features

    def ask_anew(self, presence: Presence) -> None:
        """Ask for a new list."""
        self._nursery.start_soon(self._ask_anew, presence)

    async def _ask_anew(self, presence: Presence) -> None:
        pending, encode = presence.request(anew=True)

        def make() -> None:
            if self._open.get(presence.channel) is presence:  # else it was given up meanwhile
                self._dialogue.hand_over(pending, encode)

        with suppress(HawserError):  # as above; a new session begins with a list
            await self._dialogue.in_turn(pending, make)

    def opened(self) -> None:
        """A new session: say everything again."""
        for presence in list(self._open.values()):
            presence.begin_anew()
            if presence.requested and self._speaks:
                self._dialogue.ask_again(partial(self._again, presence))
            elif presence.requested:
                presence.finish(RequestFailed(ErrorCode.NOT_FOUND, "the server has no presence"))

    def _again(self, presence: Presence) -> tuple[Pending, Callable[[int], bytes]] | None:
        wanted = presence.requested and self._open.get(presence.channel) is presence
        return presence.request() if wanted else None

    def end(self, error: Exception | None) -> None:
        """The client is closed."""
        for presence in list(self._open.values()):
            presence.finish(error)

    def take(self, message: Present | Members | Changes) -> None:
        """The server tells something of a channel."""
        presence = self._open.get(message.channel)
        if presence is None:
            return  # under way from before it was given up
        match message:
            case Members():
                presence.listing(message)
            case Changes():
                presence.changed(message)
            case Present(id=None):
                presence.requested = False
                presence.finish(RequestFailed(message.code, message.reason))
            case Present():
                if presence.requested:  # else it answers how the one before was given up
                    presence.answered(message)
