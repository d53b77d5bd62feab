"""One presence on the wire for any number of users of a pooled client, each of whom sees the changes for itself.

Rule: a session is one member. It says what that one of its users said who was the last to say something, of those who
are there; the channel is watched as long as one of them watches.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from hawser.entering import not_entered
from hawser.errors import RequestFailed, SessionClosed
from hawser.members import encode_info

from .presence import Look

if TYPE_CHECKING:
    from types import TracebackType

    from hawser.members import Member

    from .client import Client
    from .presence import Presence, PresenceChange


class SharedPresence:
    """Who is in one channel, for one user of a pooled client; enter it with ``async with``.

    It is like a `Presence`, but for this: the users of one session are one member, which says what the last of them
    said.

    Raises (on entering):
        RequestFailed: The server refused, for example DENIED, or BAD_REQUEST where the channel has no presence.
        SessionClosed: The session is closed.
    """

    def __init__(self, shares: PresenceShares, channel: str, info: object, *, watch: bool) -> None:
        self.channel: str = channel
        """The channel's name."""
        self.info: object = info
        """What it wants to say; for the share."""
        self.watch: bool = watch
        """Whether it wants to be told who is there; for the share."""
        self._shares = shares
        self._share: PresenceShare | None = None
        self._wire: Presence | None = None
        self._look: Look
        self._left = False

    @property
    def members(self) -> list[Member]:
        """Who is there now; empty where they are not listed."""
        return self._entered().members

    @property
    def me(self) -> Member | None:
        """The session among the members; None as long as it is not listed as one."""
        return self._entered().me

    @property
    def total(self) -> int:
        """How many members there are."""
        return self._entered().total

    @property
    def listed(self) -> bool:
        """Whether they are listed; False where there are too many."""
        return self._entered().listed

    async def __aenter__(self) -> SharedPresence:
        if self._share is not None:
            raise RuntimeError("a presence is entered only once; make another one")
        self._share = self._shares.share(self.channel)
        self._wire = wire = await self._share.join(self)
        self._look = Look(wire)
        wire.looks.append(self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._share is not None
        self._left = True
        self._entered().looks.remove(self._look)
        self._share.leave(self)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> SharedPresence:
        return self

    async def __anext__(self) -> PresenceChange:
        self._entered()
        if self._left:
            raise StopAsyncIteration
        return await self._look.wait()

    async def update(self, info: object) -> None:
        """Say something else, for all who use the session; as `Presence.update`.

        Args:
            info: As there.

        Raises:
            RuntimeError: Its block has not begun.
        """
        if self._share is None:
            raise not_entered("a presence")
        await self._share.say(self, info)

    def _entered(self) -> Presence:
        if self._wire is None:
            raise not_entered("a presence")
        return self._wire


class PresenceShare:
    """The presence of one channel and who uses it."""

    def __init__(self, shares: PresenceShares, client: Client, channel: str, nursery: trio.Nursery) -> None:
        self.channel: str = channel
        """The channel's name."""
        self._shares = shares
        self._client = client
        self._nursery = nursery
        self._users: dict[SharedPresence, None] = {}  # whoever has said something last is the last one
        self._wire: Presence | None = None
        self._turn = trio.Lock()

    async def join(self, user: SharedPresence) -> Presence:
        """One more uses it.

        Raises:
            RequestFailed: The server refused.
            SessionClosed: The client is closed.
        """
        try:
            async with self._turn:
                self._users[user] = None
                await self._want()
                wire = self._wire
                assert wire is not None
                if user.watch:
                    await wire.known()
                return wire
        except BaseException:
            self.leave(user)
            raise

    async def say(self, user: SharedPresence, info: object) -> None:
        """One says something else.

        Raises:
            PayloadError: The info cannot travel, or is too long.
            RequestFailed: The server refused.
            SessionClosed: The client is closed.
        """
        encode_info(info)
        async with self._turn:
            before, user.info = user.info, info
            self._users[user] = self._users.pop(user)
            try:
                await self._want()
            except RequestFailed:
                user.info = before
                raise

    def leave(self, user: SharedPresence) -> None:
        """One less uses it; what the others want is what it wants from then on."""
        self._users.pop(user, None)
        self._nursery.start_soon(self._settle)

    async def _settle(self) -> None:
        with suppress(RequestFailed, SessionClosed):  # whoever is left is told by the presence itself
            async with self._turn:
                await self._want()
        if not (self._users or self._turn.locked()):  # who asks for it has its turn at once, or waits for one
            self._shares.forget(self)

    async def _want(self) -> None:
        """Let the presence on the wire be what its users want."""
        infos = [user.info for user in self._users if user.info is not None]
        info, watch = infos[-1] if infos else None, any(user.watch for user in self._users)
        wire = self._wire
        if wire is not None and (wire.over or not self._users):
            self._wire = None
            await wire.__aexit__(None, None, None)
            wire = None
        if not self._users:
            return
        if wire is None:
            wire = self._client.presence(self.channel, info=info, watch=watch)
            await wire.__aenter__()
            self._wire = wire
        elif (wanted := (encode_info(info), watch)) != (wire.info, wire.watch):
            await wire.want(*wanted)


class PresenceShares:
    """The shared presences of one session."""

    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self._client = client
        self._nursery = nursery
        self._shares: dict[str, PresenceShare] = {}

    def __len__(self) -> int:
        return len(self._shares)

    def share(self, channel: str) -> PresenceShare:
        """That of one channel."""
        share = self._shares.get(channel)
        if share is None:
            share = self._shares[channel] = PresenceShare(self, self._client, channel, self._nursery)
        return share

    def forget(self, share: PresenceShare) -> None:
        """Nobody uses one any more."""
        if self._shares.get(share.channel) is share:
            del self._shares[share.channel]
