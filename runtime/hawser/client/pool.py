"""Sessions that several users of one program share, by server and principal.

Rule: a pool holds at most so many sessions. One that nobody uses waits for the next user, and makes room for another
one when it must; one that is closed is replaced; one that nobody uses and that has lost its link is given up.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import trio

from hawser.background import Background
from hawser.config import Config
from hawser.entering import not_entered
from hawser.errors import PoolFull, SessionClosed
from hawser.members import encode_info
from hawser.principals import check_name
from hawser.subscribing import check_since
from hawser_engine.channels.segments import is_pattern
from hawser_engine.codes import CloseCode

from .connect import connect
from .shared_presence import PresenceShares, SharedPresence
from .shares import SharedSubscription, Shares
from .states import Closed, Connected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from hawser.addressing import Outcome, Sent
    from hawser.brokers import Published
    from hawser.calls import ProcedureHandler
    from hawser.pages import Page
    from hawser.streams import Stream
    from hawser.to import Target
    from hawser_engine.messages import Position
    from hawser_transports import Transport

    from .client import Client
    from .connect import Connect
    from .credentials import FetchCredentials
    from .offering import Offering
    from .operations import Receipt
    from .outbox import Outbox
    from .states import State, StateStream


class Member:
    """One session of a pool."""

    def __init__(self, connection: Connect, credentials: Any) -> None:
        self.credentials: Any = credentials
        """What its first user gave."""
        self.users: int = 0
        self.retired: bool = False
        """Whether it takes no more users."""
        self.ready: trio.Event = trio.Event()
        """Set when there is a session, or an error."""
        self.error: Exception | None = None
        self.client: Client
        self.shares: Shares
        self.presences: PresenceShares
        self._connection = connection
        self._changed = trio.Event()

    def take(self) -> None:
        """One more uses it. A link that nobody has used for a while is asked for life."""
        if self.users == 0:
            self._connection.probe()
        self.users += 1
        self._wake()

    def give_back(self) -> None:
        """One less uses it."""
        self.users -= 1
        self._wake()

    def retire(self) -> None:
        """It takes no more users, and ends with the last one."""
        self.retired = True
        self._wake()

    async def run(self, config: Config, idle_seconds: float) -> None:
        """Hold the session as long as it is of use."""
        try:
            async with self._connection as client, trio.open_nursery() as nursery:
                self.client = client
                self.shares = Shares(client, config, nursery)
                self.presences = PresenceShares(client, nursery)
                self.ready.set()
                nursery.start_soon(self._watch, client.states)
                await self._serve(idle_seconds)
                nursery.cancel_scope.cancel(reason="the session is of no use any more")
        except BaseException as error:
            if self.ready.is_set():
                raise
            if not isinstance(error, Exception):
                self.error = SessionClosed(CloseCode.NORMAL, "the pool is closed")
                raise
            self.error = error  # for whoever waits for it
        finally:
            self.retired = True
            self.ready.set()

    async def _serve(self, idle_seconds: float) -> None:
        while self.users or not self.retired:
            changed = self._changed
            if self.users:
                await changed.wait()
                continue
            with trio.move_on_after(idle_seconds) as patience:
                await changed.wait()
            if patience.cancelled_caught and not self.users:
                self.retired = True

    async def _watch(self, stream: StateStream) -> None:
        """Retire what is closed, and what has lost its link while nobody uses it."""
        async for state in stream:
            if isinstance(state, Closed) or not (self.users or isinstance(state, Connected)):
                self.retire()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class PooledClient:
    """A client that may be shared; its block is `ClientPool.client`. What is like `Client` is documented there."""

    def __init__(self, member: Member) -> None:
        self._member: Member | None = member

    @property
    def state(self) -> State:
        """What the session is doing now."""
        return self._present().client.state

    @property
    def states(self) -> StateStream:
        """A new stream of states, beginning with the present one."""
        return self._present().client.states

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        key: bytes | None = None,
        ttl: float | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
    ) -> Published:
        """Publish and wait until the server has accepted it; as `Client.publish`.

        Args:
            channel: As there.
            data: As there.
            key: As there.
            ttl: As there.
            tags: As there.
            latest_key: As there.
        """
        client = self._present().client
        return await client.publish(channel, data, key=key, ttl=ttl, tags=tags, latest_key=latest_key)

    async def submit(
        self,
        channel: str,
        data: object,
        *,
        key: bytes | None = None,
        ttl: float | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
    ) -> Receipt:
        """Hand a publication over without waiting for its answer; as `Client.submit`.

        Args:
            channel: As there.
            data: As there.
            key: As there.
            ttl: As there.
            tags: As there.
            latest_key: As there.
        """
        client = self._present().client
        return await client.submit(channel, data, key=key, ttl=ttl, tags=tags, latest_key=latest_key)

    async def send(
        self,
        to: Target | Sequence[Target],
        data: object,
        *,
        key: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
    ) -> Sent:
        """Send something to somebody; as `Client.send`.

        Args:
            to: As there.
            data: As there.
            key: As there.
            tags: As there.
            latest_key: As there.
        """
        return await self._present().client.send(to, data, key=key, tags=tags, latest_key=latest_key)

    async def publish_to(
        self,
        channels: Sequence[str],
        data: object,
        *,
        key: bytes | None = None,
        tags: Mapping[str, str] | None = None,
        latest_key: str | None = None,
    ) -> list[Outcome]:
        """Publish to several channels at once; as `Client.publish_to`.

        Args:
            channels: As there.
            data: As there.
            key: As there.
            tags: As there.
            latest_key: As there.
        """
        return await self._present().client.publish_to(channels, data, key=key, tags=tags, latest_key=latest_key)

    async def history(
        self, channel: str, *, limit: int = 100, before: Position | None = None, since: Position | None = None
    ) -> Page:
        """Read what a channel keeps, a page at a time; as `Client.history`.

        Args:
            channel: As there.
            limit: As there.
            before: As there.
            since: As there.
        """
        return await self._present().client.history(channel, limit=limit, before=before, since=since)

    async def call(self, procedure: str, *arguments: object, **named: object) -> Any:
        """Call a procedure of the server and wait for its result; as `Client.call`.

        Args:
            procedure: As there.
            arguments: As there.
            named: As there.
        """
        return await self._present().client.call(procedure, *arguments, **named)

    def stream(self, procedure: str, *arguments: object, inputs: bool = False, **named: object) -> Stream:
        """Call a procedure that answers in items; as `Client.stream`.

        Args:
            procedure: As there.
            arguments: As there.
            inputs: As there.
            named: As there.
        """
        return self._present().client.stream(procedure, *arguments, inputs=inputs, **named)

    def subscribe(self, channel: str, *, since: Position | None = None) -> SharedSubscription:
        """Subscribe to a channel, together with the other users of the session; for the rest as `Client.subscribe`.

        On the wire there is one subscription, as long as anybody reads. Where ``since`` lies before where it stands, it
        begins anew from there, and everybody still gets each message once.

        Args:
            channel: As there, but any number of users may read it, and no pattern.
            since: As there.

        Raises:
            TypeError: ``since`` is no position.
            ValueError: The name is not well-formed, or a pattern; one user of a session would take its channels from
                the others.
        """
        check_name("a channel name", channel)
        check_since(since)
        if is_pattern(channel):
            raise ValueError(f"{channel!r} is a pattern; users of one session cannot share it")
        return SharedSubscription(self._present().shares, channel, since)

    def presence(self, channel: str, *, info: object = None, watch: bool = True) -> SharedPresence:
        """See who is in a channel, be there, or both; as `Client.presence`, together with who else uses the session.

        A session is one member. Of the users that say something of it, it says what the last one said who is there.

        Args:
            channel: As there, but for any number of users.
            info: As there.
            watch: As there.
        """
        check_name("a channel name", channel)
        encode_info(info)
        return SharedPresence(self._present().presences, channel, info, watch=watch)

    def offer(
        self,
        agent: str,
        *procedures: ProcedureHandler,
        worker: str | None = None,
        doc: str = "",
        capabilities: Sequence[str] = (),
    ) -> Offering:
        """Offer procedures to other clients; as `Client.offer`.

        Args:
            agent: As there; one user of a session offers it, the others another one.
            procedures: As there.
            worker: As there.
            doc: As there.
            capabilities: As there.
        """
        client = self._present().client
        return client.offer(agent, *procedures, worker=worker, doc=doc, capabilities=capabilities)

    def leave(self) -> None:
        """Give the session back; for the pool."""
        member, self._member = self._member, None
        if member is not None:
            member.give_back()

    def _present(self) -> Member:
        if self._member is None:
            raise RuntimeError("this client was given back to its pool; take one by pool.client again")
        return self._member


class ClientPool:
    """A pool of sessions: ``async with ClientPool() as pool: async with pool.client(url) as client: ...``.

    Args:
        max: Sessions at once, those that are being opened or closed counted.
        idle_seconds: How long one that nobody uses is kept.
        wait_seconds: How long to wait for one where all are in use; 0 refuses at once.
        config: Limits and times of each.
        outbox: As for `connect`.
        agent: As for `connect`.
        transport: As for `connect`.
        random_bytes: As for `connect`.
    """

    def __init__(
        self,
        *,
        max: int = 20,
        idle_seconds: float = 60.0,
        wait_seconds: float = 10.0,
        config: Config | None = None,
        outbox: Outbox | None = None,
        agent: bool = False,
        transport: Transport | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if max < 1 or not idle_seconds >= 0 or not wait_seconds >= 0:
            raise ValueError("a pool holds one session or more, and no time is below 0")
        self._max = max
        self._idle_seconds = idle_seconds
        self._wait_seconds = wait_seconds
        self._config = Config() if config is None else config
        self._outbox = outbox
        self._agent = agent
        self._transport = transport
        self._random_bytes = random_bytes
        self._background = Background()
        self._nursery: trio.Nursery | None = None
        self._members: dict[tuple[str, str], Member] = {}  # those that take users, longest unused first
        self._count = 0
        self._turn = trio.StrictFIFOLock()
        self._vacancy = trio.Event()

    @property
    def sessions(self) -> int:
        """How many there are, those that are being opened or closed counted."""
        return self._count

    async def __aenter__(self) -> ClientPool:
        self._nursery = await self._background.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._nursery = None
        await self._background.__aexit__(kind, error, traceback)

    def client(
        self,
        url: str,
        *,
        principal: str = "",
        token: str | None = None,
        credentials: Mapping[str, Any] | FetchCredentials | None = None,
    ) -> PooledConnect:
        """Use the session with a server as somebody: ``async with pool.client(url, principal="ada", token=…)``.

        Args:
            url: As for `connect`.
            principal: Who the credentials stand for, in the words of the program. Users of one URL and one principal
                share a session, which was opened with the credentials of the first of them; so only what may act for
                the same principal may name it.
            token: As for `connect`.
            credentials: As for `connect`. Of users who share a session, those who give them as values must give the
                same; new ones come from a function.

        Returns:
            What ``async with`` makes a `PooledClient` of.

        Raises:
            ValueError: Token and credentials are both given.

        Raises (on entering):
            ConnectFailed: As `connect`.
            PoolFull: All sessions are in use, and none became free in time.
            ValueError: The session of this principal was opened with other credentials, or as `connect`.
        """
        if token is not None:
            if credentials is not None:
                raise ValueError("give a token or credentials, not both")
            credentials = {"token": token}
        return PooledConnect(self, (url, principal), credentials)

    async def take(self, key: tuple[str, str], credentials: Any) -> PooledClient:
        """Find or open a session, for `PooledConnect`.

        Args:
            key: URL and principal.
            credentials: What its user gave.

        Raises:
            ConnectFailed: It could not be opened.
            PoolFull: There was no room for it.
            RuntimeError: The pool is not entered.
            ValueError: It was opened with other credentials.
        """
        member = self._find(key)
        if member is None:
            with trio.move_on_after(self._wait_seconds):
                async with self._turn:
                    member = await self._make(key, credentials)
        if member is None:
            raise PoolFull(f"all {self._max} sessions of the pool are in use, and none became free in time")
        if not callable(credentials) and not callable(member.credentials) and credentials != member.credentials:
            raise ValueError("the session of this principal was opened with other credentials")
        member.take()
        try:
            await member.ready.wait()
            if member.error is not None:
                raise member.error
        except BaseException:
            member.give_back()
            raise
        return PooledClient(member)

    def _find(self, key: tuple[str, str]) -> Member | None:
        member = self._members.get(key)
        if member is not None and member.retired:
            del self._members[key]
            member = None
        if member is not None:  # used last
            self._members[key] = self._members.pop(key)
        return member

    async def _make(self, key: tuple[str, str], credentials: Any) -> Member:
        """Find it after all, or make one when there is room; whoever has waited longest comes first."""
        while (member := self._find(key)) is None and self._count >= self._max:
            members = self._members.values()
            idle = next((one for one in members if not one.users), None)
            if idle is not None and not any(one.retired for one in members):
                idle.retire()
            await self._vacancy.wait()
        if member is not None:
            return member
        if self._nursery is None:
            raise not_entered("a pool")
        connection = connect(
            key[0],
            credentials=credentials,
            config=self._config,
            outbox=self._outbox,
            agent=self._agent,
            transport=self._transport,
            random_bytes=self._random_bytes,
        )
        member = self._members[key] = Member(connection, credentials)
        self._count += 1
        self._nursery.start_soon(self._hold, key, member)
        return member

    async def _hold(self, key: tuple[str, str], member: Member) -> None:
        try:
            await member.run(self._config, self._idle_seconds)
        finally:
            if self._members.get(key) is member:
                del self._members[key]
            self._count -= 1
            self.changed()

    def changed(self) -> None:
        """Something has changed on which room depends."""
        self._vacancy.set()
        self._vacancy = trio.Event()


class PooledConnect:
    """What `ClientPool.client` returns: enter it with ``async with``."""

    def __init__(self, pool: ClientPool, key: tuple[str, str], credentials: Any) -> None:
        self._pool = pool
        self._key = key
        self._credentials = credentials
        self._client: PooledClient | None = None

    async def __aenter__(self) -> PooledClient:
        if self._client is not None:
            raise RuntimeError("it is entered only once; call pool.client again")
        self._client = await self._pool.take(self._key, self._credentials)
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._client is not None
        self._client.leave()
        self._pool.changed()
        await trio.lowlevel.checkpoint()
