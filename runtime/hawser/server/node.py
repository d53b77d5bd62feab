"""A node: the engine's sessions, the application and the channels, held together.

Rule: every input (a batch, a timer, a command of a handler) changes the engine and is drained in the same synchronous
step: events are handled, bytes are flushed, timers are armed. No event handler awaits; what has to wait becomes a task
of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, assert_never

import trio

from hawser.calls import Refused
from hawser.driver import Driver
from hawser.errors import RequestFailed
from hawser.incidents import record_incident
from hawser.principals import ANONYMOUS, Principal
from hawser.timekeeper import Timekeeper
from hawser_engine.channels.segments import is_pattern
from hawser_engine.codes import CloseCode, ErrorCode, ResetReason
from hawser_engine.errors import LocalProtocolError, RemoteProtocolError
from hawser_engine.events import (
    AuthenticationRequested,
    ConnectionTerminated,
    CredentialsAccepted,
    CredentialsRequested,
    Event,
    MessageDropped,
    MessageReceived,
    RoomAvailable,
    SessionDetached,
    SessionOpened,
    SessionReset,
    SessionResumed,
    VolatileReceived,
)
from hawser_engine.gaps import Gap
from hawser_engine.messages import ASSIGNED, FEATURES
from hawser_engine.server import Server as EngineServer
from hawser_engine.server_connection import ServerConnection
from hawser_engine.session import ServerSession as EngineServerSession
from hawser_transports.admission import Admission

from .addressing import Addressing
from .asking import Asking
from .hub import Hub
from .judging import recognise
from .mailboxes import MailboxDesk
from .peers import Peers
from .permits import permit
from .presence import PresenceDesk
from .routing import Router
from .sessions import ServerSession
from .users import Users

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser.app import App
    from hawser.config import Config
    from hawser.rights import Action
    from hawser.rules import ChannelRule
    from hawser_engine.passage import Passage
    from hawser_engine.session import Session as EngineSession
    from hawser_transports import Link

COME_BACK_SECONDS: Final = (1.0, 5.0)
"""When a client for whose connection there is no room tries again."""


class ServerDriver(Driver[ServerConnection]):
    """A driver of the server, with what the node keeps of it."""

    __slots__ = ("delivered", "principal", "session")

    def __init__(self, node: Node, connection: ServerConnection, link: Link, *, close_seconds: float) -> None:
        super().__init__(node, connection, link, close_seconds=close_seconds)
        self.principal: Principal = ANONYMOUS
        """Who was recognised last on this connection."""
        self.session: EngineSession | None = None
        """The session that was attached last; its last events are drained here."""
        self.delivered: int = 0
        """What its client had acknowledged when it was last looked at."""


class Node:
    """One server's part of everything."""

    def __init__(
        self,
        app: App,
        config: Config,
        random_bytes: Callable[[int], bytes],
        connections: trio.Nursery,
        sessions: trio.Nursery,
        services: trio.Nursery,
    ) -> None:
        self.app = app
        self.config = config
        self.random_bytes = random_bytes
        self.armed = inf
        self.sessions: dict[EngineSession, ServerSession] = {}
        self.session_count: int = 0
        self.resumes: int = 0
        self.replayed: int = 0
        self.drain_asked: trio.Event = trio.Event()
        """Set when the server is to end in peace; see `hawser.server.draining`."""
        self.successor: str | None = None
        """Where its clients are sent then; None for where they came from."""
        self.peers: Peers = Peers(self)
        self.addressing: Addressing = Addressing(self)
        self.hub: Hub = Hub(self)
        self.router: Router = Router(self)
        self.asking: Asking = Asking(self)
        self.presence: PresenceDesk = PresenceDesk(self)
        self.mailboxes: MailboxDesk = MailboxDesk(self)
        self.timekeeper: Timekeeper = Timekeeper(config.gap_seconds, self._gap)
        self._engine = EngineServer(config, features=FEATURES, random_bytes=random_bytes)
        self._users: Users[ServerSession] = Users(config.connections_per_user, config.detached_per_user)
        self._admission = Admission(config.attaches_per_second, random_bytes, config.resume_period_seconds / 2)
        self._drivers: dict[Any, ServerDriver] = {}
        self._touched: OrderedDict[ServerDriver, None] = OrderedDict()
        self._draining = False
        self._connections = connections
        self._sessions = sessions
        self._services = services

    # ------------------------------------------------------------ tasks

    def attach(self, link: Link) -> ServerDriver:
        """Take a new link; what it brings goes to the returned receiver."""
        connection = self._engine.connect(trio.current_time() if link.began is None else link.began)
        connection.pong_wait = max(connection.pong_wait, link.pong_wait_seconds)
        link.bound(self.config.preattach_bytes)
        driver = ServerDriver(self, connection, link, close_seconds=self.config.write_seconds)
        self._drivers[connection] = driver
        self.touch(driver)
        return driver

    def start_writer(self, driver: Driver[Any]) -> None:
        """See `hawser.driver.Owner`."""
        self._connections.start_soon(driver.write)

    def start_session_task(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run something that lives as long as sessions do."""
        self._sessions.start_soon(function, *arguments)

    def start_service(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run something for the node; what it raises is an incident."""
        self._services.start_soon(self._contained, function, arguments)

    async def _contained(self, function: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
        try:
            await function(*arguments)
        except Exception as error:
            self.incident(function.__qualname__, error)

    def incident(self, what: str, error: Exception) -> str:
        """Log a failure; returns its incident id."""
        return record_incident(self.random_bytes, what, error)

    # ------------------------------------------------------------ draining

    def touch(self, driver: Driver[Any]) -> None:
        """See `hawser.driver.Owner`."""
        assert isinstance(driver, ServerDriver)
        if not driver.abandoned:
            self._touched[driver] = None
            if not self._draining:
                self._drain()

    def touch_session(self, session: EngineSession) -> None:
        """A command has changed a session: drain its connection, if it has one."""
        driver = self._drivers.get(session.carrier)
        if driver is not None:
            self.touch(driver)
        elif not self._draining:
            self._drain()

    def flush(self, session: EngineSession, now: float) -> None:
        """Write what a session was offered; nothing else has changed."""
        driver = self._drivers.get(session.carrier)
        if driver is not None and not driver.flush(now):
            self.timekeeper.arm(driver, driver.connection.next_timeout())

    def lay_passage(self, session: EngineSession) -> Passage | None:
        """The way for shared batches past the engine's queue, if the session is attached."""
        driver = self._drivers.get(session.carrier)
        return None if driver is None else driver.lay_passage()

    def send_away(self, seconds: float) -> None:
        """Close every connection; their clients come back at some moment in these seconds (CLS-1, CLS-9)."""
        now = trio.current_time()
        for driver in list(self._drivers.values()):
            driver.connection.close(
                CloseCode.GOING_AWAY, "the server is drained", now, after_seconds=(0.0, seconds), url=self.successor
            )
            self.touch(driver)

    def contain(self, driver: Driver[Any], error: Exception) -> None:
        """See `hawser.driver.Owner`."""
        incident = self.incident(f"connection {driver.link.description}", error)
        if driver.failed:  # even closing it fails
            self._drivers.pop(driver.connection, None)
            driver.abandon()
            return
        driver.failed = True
        driver.connection.close(CloseCode.INTERNAL, f"incident {incident}", trio.current_time())
        self.touch(driver)

    def _drain(self) -> None:
        self._draining = True
        try:
            while True:
                if self._touched:
                    driver, _ = self._touched.popitem(last=False)
                    try:
                        self._drain_driver(driver)
                    except Exception as error:
                        self.contain(driver, error)
                elif dirty := self._engine.dirty():
                    self._touched.update((self._drivers[one], None) for one in dirty if one in self._drivers)
                elif (report := self._engine.next_event()) is not None:
                    self._session_over(report)
                else:
                    break
        finally:
            self._draining = False
        self.timekeeper.arm(self, self._engine.next_timeout())

    def _drain_driver(self, driver: ServerDriver) -> None:
        connection = driver.connection
        while (event := connection.next_event()) is not None:
            self._handle(driver, connection.session, event)
        session = connection.session
        if session is None:
            former, driver.session = driver.session, None
            while former is not None and former.carrier is None and (event := former.next_event()) is not None:
                self._handle(driver, former, event)
        else:
            if driver.session is not session or session.outbox.delivered != driver.delivered:
                self._session_of(session, ServerSession.made_room)
            driver.session, driver.delivered = session, session.outbox.delivered
        driver.flush()
        self.timekeeper.arm(driver, connection.next_timeout())

    def _session_of(self, engine: EngineSession, command: Callable[[ServerSession], None]) -> None:
        """Do something to a session that is proved; one that is not has nothing to be done to."""
        session = self.sessions.get(engine)
        if session is not None:
            command(session)

    # ------------------------------------------------------------ events

    def _handle(self, driver: ServerDriver, session: EngineSession | None, event: Event) -> None:
        match event:
            case MessageReceived():
                assert session is not None
                self._message(driver, session, event)
            case AuthenticationRequested():
                self._judge(driver, event)
            case SessionOpened():
                self._open(driver, event.session)
            case SessionResumed():
                self._resumed(driver, event)
            case RoomAvailable():
                self._session_of(event.session, ServerSession.feed_again)
            case ConnectionTerminated():
                self._drivers.pop(driver.connection, None)
                driver.finish(event.code)
            case SessionDetached():
                self._session_of(event.session, self._left)
            case VolatileReceived() | MessageDropped():
                pass  # MSG-7: nothing volatile is a client's to send; nothing has a policy
            case CredentialsRequested() | CredentialsAccepted() | SessionReset():
                raise AssertionError(f"{event!r} is not for a server's connection")
            case _:
                assert_never(event)

    def _message(self, driver: ServerDriver, session: EngineSession, event: MessageReceived) -> None:
        try:
            self.sessions[session].requests.take(event.body)
        except RemoteProtocolError as error:  # MSG-4
            self._delivered(session, event.number)
            driver.connection.close(CloseCode.PROTOCOL_ERROR, str(error), trio.current_time())
        except Exception:
            self._delivered(session, event.number)
            raise
        else:
            self._delivered(session, event.number)

    def _delivered(self, session: EngineSession, number: int) -> None:
        if session.ended is None:
            session.delivered(number, trio.current_time())

    def _open(self, driver: ServerDriver, engine: EngineSession) -> None:
        assert isinstance(engine, EngineServerSession)
        self.session_count += 1
        session = ServerSession(self, engine, driver.principal, self.session_count)
        self.sessions[engine] = session
        if ASSIGNED in engine.features:
            self.peers.appear_soon()  # ASG-7
        session.spawn(self._greet, session)
        self._arrived(driver, session)

    def _resumed(self, driver: ServerDriver, event: SessionResumed) -> None:
        self.resumes += 1
        self.replayed += event.replayed
        session = self.sessions.get(event.session)
        if session is not None:  # else it is proved by this very resume, and SessionOpened comes next
            session.belongs_to(driver.principal)
            session.feed_again()
            self._arrived(driver, session)

    def _arrived(self, driver: ServerDriver, session: ServerSession) -> None:
        session.passage = None  # the one that it had is barred
        self.router.seen(session)
        self.presence.attached(session)
        if not self._users.arrived(session):
            self._send_back(driver)

    def _left(self, session: ServerSession) -> None:
        session.detached()
        self.router.seen(session)
        self.presence.detached(session)
        given_up = self._users.left(session)
        if given_up is not None:
            self._engine.end(given_up.engine, ResetReason.EVICTED, trio.current_time())

    def _send_back(self, driver: ServerDriver) -> None:
        """Refuse one connection too many of its user; it may come back soon (LIM-3)."""
        why = f"a user has at most {self.config.connections_per_user} connections"
        driver.connection.close(CloseCode.OVERLOADED, why, trio.current_time(), after_seconds=COME_BACK_SECONDS)

    def _session_over(self, report: SessionReset) -> None:
        session = self.sessions.pop(report.session, None)
        if session is not None:
            self._users.over(session)
            session.end()
            self._sessions.start_soon(self._farewell, session)

    async def _greet(self, session: ServerSession) -> None:
        """Tell the application of a new session."""
        session.greeted = True
        for hook in self.app.connect_hooks:
            await self._contained(hook, (session.handle,))

    async def _farewell(self, session: ServerSession) -> None:
        """Let the tasks of a session end, then tell the application; at most ``cleanup_seconds`` in all."""
        if not session.greeted:
            return  # it was over before anybody heard of it
        with trio.move_on_after(self.config.cleanup_seconds, shield=True):
            await session.idle()
            for hook in self.app.disconnect_hooks:
                await self._contained(hook, (session.handle,))

    async def shut_down(self) -> None:
        """End every session of this process; their clients find another incarnation when they come back."""
        sessions = list(self.sessions.values())
        self.sessions.clear()
        with trio.move_on_after(self.config.cleanup_seconds, shield=True):
            async with trio.open_nursery() as nursery:
                for session in sessions:
                    session.end()
                    nursery.start_soon(self._farewell, session)
                nursery.start_soon(self._contained, self.mailboxes.close, ())

    # ------------------------------------------------------------ application

    def _judge(self, driver: ServerDriver, event: AuthenticationRequested) -> None:
        """Have credentials judged, unless it is an attach above the rate: those cost the application most (LIM-3)."""
        now = trio.current_time()
        attaches = driver.connection.session is None
        if not attaches or self._admission.enters(now, last=event.principal is None):  # who resumes comes first
            self._connections.start_soon(self._authenticate, driver, event)
            return
        turn = self._admission.turn(now)
        why = "too many clients attach at once"
        driver.connection.close(CloseCode.OVERLOADED, why, now, after_seconds=(turn, turn + 1))

    async def _authenticate(self, driver: ServerDriver, event: AuthenticationRequested) -> None:
        principal: Principal | None = ANONYMOUS
        failed, reason = False, "credentials refused"
        if self.app.authenticator is not None or self.app.connect_middlewares:
            # Nobody waits longer than this, so no handler may: hanging ones would pile up.
            with trio.move_on_after(self.config.handshake_seconds) as patience:
                try:
                    principal = await recognise(self.app, event.credentials, event.principal)
                except RequestFailed as error:
                    principal, failed, reason = None, error.temporary, error.message or reason
                except Exception as error:
                    self.incident("authenticate", error)
                    failed = True
            failed = failed or patience.cancelled_caught
        now = trio.current_time()
        try:
            if failed:
                driver.connection.unavailable(now)
            elif principal is None:
                driver.connection.refuse(now, reason)
            elif self._too_many(driver, event, principal):
                self._send_back(driver)
            else:
                renewed = driver.connection.session  # AUT-6: the credentials of a session that is attached already
                driver.principal = principal
                driver.connection.accept(principal.id, now, principal.expires_seconds)
                driver.link.bound(None)
                if renewed is not None and driver.connection.session is renewed:  # else they were another principal's
                    self._session_of(renewed, partial(ServerSession.belongs_to, principal=principal))
        except LocalProtocolError:
            return  # nobody waits for the verdict any more: the client has gone on to something else
        self.touch(driver)

    def _too_many(self, driver: ServerDriver, event: AuthenticationRequested, principal: Principal) -> bool:
        """Whether a new session would be one too many of its user; a resume is judged once it has its predecessor's."""
        new = driver.connection.session is None and event.principal != principal.id
        return new and not self._users.has_room(principal)

    async def allow(self, session: ServerSession, action: Action, channel: str) -> ChannelRule:
        """The rule of a channel, if the session may do this to it.

        Raises:
            Refused: There is no such channel, it may not, or nobody could say.
        """
        if "*" in channel and action != "wildcard" and is_pattern(channel):
            raise Refused(ErrorCode.BAD_REQUEST, f"{channel!r} is a pattern, and no channel")  # WLD-1
        rule = self.app.rule_for(channel)
        if rule is None:
            raise Refused(ErrorCode.NOT_FOUND, f"no channel {channel!r}")
        if action in rule.rights or action != "history":  # else history is as to subscribe
            await permit(self, rule, session, action, channel)
        return rule

    # ------------------------------------------------------------ time

    def handle_timeout(self, now: float) -> None:
        """See `hawser.timekeeper.Timed`."""
        self._engine.handle_timeout(now)
        if not self._draining:
            self._drain()

    def _gap(self, now: float, found: Gap) -> None:
        if found is Gap.LATE_PASS:
            self._engine.handle_gap(now)
        for driver in list(self._drivers.values()):
            driver.gap(now, found)
