"""Presence on one node: what sessions want of it, and who is told what (SPEC PRS-1 to PRS-11).

The engine's `Attendance` and `Roll` say what is so and what is told; here are the rights, the store and the windows.
What this node's own sessions are comes back from the store like everybody else's.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from hawser.calls import Refused, chosen_error_body
from hawser.errors import RequestFailed
from hawser_engine.batch import Batch
from hawser_engine.channels.attendance import Attendance
from hawser_engine.channels.roll import Manner, Watcher
from hawser_engine.codes import ErrorCode
from hawser_engine.messages import encode_body
from hawser_engine.presence import Member, Present

from .consent import allow_presence, consent
from .leased import AGAIN_SECONDS, Leased
from .watching import Watched

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hawser_engine.presence import Presence

    from .node import Node
    from .sessions import ServerSession

WRITE_MAX: Final = 256
"""Members that are written to the store in one step."""
TELL_SOCKETS: Final = 500
"""Watchers served between two checkpoints."""


class _Entries(Leased):
    """The members of a node in the store."""

    def __init__(self, node: Node, attendance: Attendance) -> None:
        super().__init__(node, "presence")
        self._store = node.app.broker.presence
        self._attendance = attendance

    @property
    def due(self) -> bool:
        """See `Leased.due`."""
        return self._attendance.due

    async def begin(self, seconds: float) -> bytes:
        """See `Leased.begin`."""
        return await self._store.begin(seconds)

    async def renew(self, lease: bytes, seconds: float) -> bool:
        """See `Leased.renew`."""
        return await self._store.renew(lease, seconds)

    async def end(self, lease: bytes) -> None:
        """See `Leased.end`."""
        await self._store.end(lease)

    async def write(self, lease: bytes) -> bool:
        """See `Leased.write`."""
        writings = self._attendance.take(WRITE_MAX)
        try:
            return not writings or await self._store.write(lease, writings)
        except BaseException:
            self._attendance.failed(writings)
            raise

    def lost(self) -> None:
        """See `Leased.lost`: everybody enters anew (PRS-11)."""
        self._attendance.expired()


class _Holder:
    """What one session wants."""

    __slots__ = ("channels", "member")

    def __init__(self, member: bytes) -> None:
        self.member = member
        self.channels: dict[str, None] = {}
        """Where it is a watcher, a member, or both."""


class PresenceDesk:
    """The presence of all channels of one node."""

    def __init__(self, node: Node) -> None:
        config = node.config
        self.armed = inf
        self._node = node
        self._store = node.app.broker.presence
        self._attendance = Attendance(config.leave_grace_seconds)
        self._entries = _Entries(node, self._attendance)
        listed = config.presence_listed
        self._manner = Manner(config.presence_step_seconds, listed, listed * 4 // 5)
        self._holders: dict[ServerSession, _Holder] = {}
        self._watched: dict[str, Watched] = {}
        self._batch = Batch.of([b""])
        self._body = b""

    # ------------------------------------------------------------ what sessions want

    async def carry_out(self, session: ServerSession, request: Presence) -> None:
        """Carry out a PRESENCE and answer it (PRS-1, PRS-3, PRS-4).

        Raises:
            Refused: It is answered with an error.
        """
        name = request.channel
        try:
            request = await consent(self._node, session, request)
        except RequestFailed as error:
            await session.send(chosen_error_body(request.id, error))
            return
        async with self._pinned(name) as watched:
            if request.watch:
                await self._open(watched)
            await session.room()
            if session.ended:
                return
            holder = self._hold(session, name, wanted=bool(request.watch) or request.info is not None)
            if not request.watch:
                watched.watchers.pop(session, None)
            member = None if holder is None or request.info is None else holder.member
            if member is None or request.info is None:
                self._be_none(session, name)
            else:
                self._attendance.enter(name, Member(member, session.handle.principal.id, request.info))
            if self._attendance.due:
                await self._entries.tried()  # so that the list that follows has it, if the store answers
                await session.room()
                if session.ended:
                    return
            session.put(encode_body(Present(request.id, name, member, 0, "")))
            if request.watch:
                self._watch(session, watched, anew=request.watch == 2)

    def _hold(self, session: ServerSession, name: str, *, wanted: bool) -> _Holder | None:
        holder = self._holders.get(session)
        if not wanted:
            if holder is not None:
                holder.channels.pop(name, None)
            return holder
        if holder is None:
            holder = self._holders[session] = _Holder(self._node.addressing.id(session))
            if not session.attached:  # its link has gone since it asked, and nobody has told the attendance
                self._attendance.detached(holder.member, trio.current_time())
                self._changed()
        elif name not in holder.channels and len(holder.channels) >= self._node.config.channels_per_session:
            raise Refused(ErrorCode.LIMIT, f"presence in more than {len(holder.channels)} channels")
        holder.channels[name] = None
        return holder

    def _be_none(self, session: ServerSession, name: str) -> None:
        holder = self._holders.get(session)
        if holder is not None:
            self._attendance.leave(name, holder.member)
            self._changed()

    def _watch(self, session: ServerSession, watched: Watched, *, anew: bool) -> None:
        watcher = watched.watchers.setdefault(session, Watcher())
        if anew:
            watcher.restart()
        watched.handle_timeout(trio.current_time())  # whoever came just now is told first of all, if it is time
        self._feed(session, watched, watcher)

    async def recheck(self, session: ServerSession) -> None:
        """Ask again for the rights; end what lost its own (PRS-2)."""
        holder = self._holders.get(session)
        for name in [] if holder is None else list(holder.channels):
            watched = self._watched.get(name)
            try:
                if watched is not None and session in watched.watchers:
                    await allow_presence(self._node, session, "presence", name)
                if holder is not None and self._attendance.entry(name, holder.member) is not None:
                    await allow_presence(self._node, session, "appear", name)
            except Refused:
                await session.room()
                self._drop(session, name)
                code = ErrorCode.DENIED
                session.put(encode_body(Present(None, name, None, code, code.name)))

    def _drop(self, session: ServerSession, name: str) -> None:
        self._hold(session, name, wanted=False)
        self._be_none(session, name)
        watched = self._watched.get(name)
        if watched is not None and watched.watchers.pop(session, None) is not None:
            self._release(watched)

    # ------------------------------------------------------------ what becomes of sessions

    def ended(self, session: ServerSession) -> None:
        """A session is over."""
        holder = self._holders.get(session)
        if holder is not None:
            for name in list(holder.channels):
                self._drop(session, name)
            self._attendance.ended(holder.member)
            del self._holders[session]

    def detached(self, session: ServerSession) -> None:
        """The link of a session is gone (PRS-9)."""
        holder = self._holders.get(session)
        if holder is not None:
            self._attendance.detached(holder.member, trio.current_time())
            self._changed()

    def attached(self, session: ServerSession) -> None:
        """A session has a link again."""
        holder = self._holders.get(session)
        if holder is not None:
            self._attendance.attached(holder.member)
            self._changed()

    def feed(self, session: ServerSession) -> None:
        """There is window again: what it missed follows (PRS-6)."""
        holder = self._holders.get(session)
        for name in () if holder is None else holder.channels:
            watched = self._watched.get(name)
            if watched is not None and (watcher := watched.watchers.get(session)) is not None:
                self._feed(session, watched, watcher)

    def handle_timeout(self, now: float) -> None:
        """See `hawser.timekeeper.Timed`: the grace of somebody is over."""
        self._attendance.handle_timeout(now)
        self._changed()

    def _changed(self) -> None:
        self._node.timekeeper.arm(self, self._attendance.next_timeout())
        if self._attendance.due:
            self._entries.wake()

    # ------------------------------------------------------------ watchers

    def arm(self, watched: Watched) -> None:
        """See that the next step of a channel is told when it is time."""
        self._node.timekeeper.arm(watched, watched.roll.next_step())

    def tell(self, watched: Watched) -> None:
        """There is something for those who watch a channel."""
        if not watched.telling:
            watched.telling = True
            self._node.start_service(self._tell, watched)

    async def _tell(self, watched: Watched) -> None:
        watched.telling = False
        for place, (session, watcher) in enumerate(list(watched.watchers.items()), 1):
            if watched.watchers.get(session) is watcher:
                self._feed(session, watched, watcher)
            if place % TELL_SOCKETS == 0:
                await trio.lowlevel.checkpoint()

    def _feed(self, session: ServerSession, watched: Watched, watcher: Watcher) -> None:
        now = trio.current_time()
        body = watched.roll.upcoming(watcher)
        while body is not None and session.offer(self._shared(body), now):
            watched.roll.sent(watcher)
            body = watched.roll.upcoming(watcher)
        if body is not None:
            watched.roll.refused(watcher)
        session.flush(now)

    def _shared(self, body: bytes) -> Batch:
        """The same batch for all who are sent the same, one after the other."""
        if body is not self._body:
            self._body, self._batch = body, Batch.of([body])
        return self._batch

    # ------------------------------------------------------------ channels

    @asynccontextmanager
    async def _pinned(self, name: str) -> AsyncGenerator[Watched]:
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = Watched(self, name, self._manner)
        watched.pins += 1
        try:
            yield watched
        finally:
            watched.pins -= 1
            self._release(watched)

    async def _open(self, watched: Watched) -> None:
        async with watched.lock:
            if not watched.ready:
                await self._stop(watched)
                watched.begin()
                watched.begun(await self._store.watch(watched.roll.channel, watched.report))

    async def _stop(self, watched: Watched) -> None:
        """Let the store report no more of a channel, if it may."""
        if watched.open:
            await self._store.unwatch(watched.roll.channel, watched.report)
            watched.open = False

    def _release(self, watched: Watched) -> None:
        """Close a channel that nobody watches any more."""
        if watched.deserted():
            if watched.open:
                self._node.start_service(self._close, watched)
            else:
                self._forget(watched)

    async def _close(self, watched: Watched) -> None:
        while True:
            async with watched.lock:
                if not (watched.open and watched.deserted()):
                    return
                watched.end()
                try:
                    await self._stop(watched)
                except Exception as error:
                    self._node.incident("presence", error)
                else:
                    if watched.deserted():
                        self._forget(watched)
                    return
            await trio.sleep(AGAIN_SECONDS)

    def _forget(self, watched: Watched) -> None:
        if self._watched.get(watched.roll.channel) is watched:
            del self._watched[watched.roll.channel]

    # ------------------------------------------------------------ the store

    async def run(self) -> None:
        """Write what is due, and keep the lease, until cancelled; then give it up."""
        try:
            await self._entries.run()
        finally:
            with trio.move_on_after(self._node.config.cleanup_seconds, shield=True):
                await self._leave_store()

    async def _leave_store(self) -> None:
        """The node ends: nobody is to wait until its lease has run out. Side by side, for there is not much time."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._entries.give_up)
            for watched in list(self._watched.values()):
                nursery.start_soon(self._let_go, watched)

    async def _let_go(self, watched: Watched) -> None:
        try:
            await self._stop(watched)
        except Exception as error:
            self._node.incident("presence", error)
