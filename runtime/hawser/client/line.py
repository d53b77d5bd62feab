"""The line to the server: the engine's client, the present link, and coming back.

The same rule as on the server: whoever changes the engine drains it in the same synchronous step. What the engine
tells goes straight to the client object; nothing here waits for an application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import trio

from hawser.driver import Driver
from hawser.timekeeper import Age, Timekeeper
from hawser_engine.client import Client as EngineClient
from hawser_engine.client_connection import ClientConnection
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
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
from hawser_transports import pump

from .carriages import CarriagePolicy
from .comeback import Comeback, Ended
from .credentials import CredentialsMissing
from .racing import Race
from .states import Closed, Connected, Reset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hawser.config import Config
    from hawser_engine.gaps import Gap
    from hawser_transports import Link, Transport

    from .conversation import Conversation
    from .credentials import Wallet
    from .places import Places


class ClientDriver(Driver[ClientConnection]):
    """A driver of the client, with how its attempt went."""

    def __init__(self, line: Line, connection: ClientConnection, link: Any, *, close_seconds: float) -> None:
        super().__init__(line, connection, link, close_seconds=close_seconds)
        self.attached = False
        self.counts: tuple[int, int, int, int] = (0, 0, 0, 0)
        """Where the session stood when it was attached."""
        self.progressed = False
        self.credentials: int = line.credentials
        """The credentials that its last OPEN, RESUME or AUTH carried."""
        self.judging = False
        """Whether an AUTH has no answer yet."""
        self.termination: ConnectionTerminated | None = None
        self.arrived: trio.Event = trio.Event()
        """Set when it is attached, or never will be."""

    @property
    def parted(self) -> bool:
        """Whether the server has ended it with CLOSE."""
        return self.termination is not None and self.termination.initiator == "remote"


class Line:
    """One client's line; `run` keeps it up."""

    def __init__(
        self,
        conversation: Conversation,
        places: Places,
        transport: Transport,
        wallet: Wallet,
        config: Config,
        random_bytes: Callable[[int], bytes],
        nursery: trio.Nursery,
        features: tuple[str, ...],
    ) -> None:
        self.config = config
        self.engine: EngineClient = EngineClient(
            config,
            trio.current_time(),
            credentials=wallet.values,
            features=features,
            resume_period_seconds=config.session_seconds,
        )
        self.credentials: int = 1
        """Counts the credentials that were to be used, from those of `connect` on."""
        self.accepted_credentials: int = 0
        """The last of them that the server has accepted."""
        self.failures: list[Exception] = []
        """What attempts before the first session ended with; at most the last 16."""
        self.over: Closed | None = None
        """Set when the line will not come back."""
        self._conversation = conversation
        self._places = places
        self._wallet = wallet
        self._transport = transport
        self._carriages = CarriagePolicy(config, random_bytes)
        self._comeback = Comeback(config, random_bytes, places, wallet)
        self._nursery = nursery
        self._driver: ClientDriver | None = None
        self._touched: dict[ClientDriver, None] = {}
        self._draining = False
        self._closing = False
        self._waiting: trio.CancelScope | Race | None = None  # for a link, or for the time to try again
        self._rest: tuple[Age, float] | None = None  # since when there is a pause, and how long it is to be
        self._delivered = 0
        self._scope = trio.CancelScope(shield=True)
        self.ended: trio.Event = trio.Event()
        """Set when `run` has ended: the last words have left, or nobody hears them."""
        self.timekeeper: Timekeeper = Timekeeper(config.gap_seconds, self._gap, look_seconds=config.look_seconds)

    # ------------------------------------------------------------ commands

    @property
    def session_ready(self) -> bool:
        """Whether there is a session, attached or not."""
        return self.engine.session.opened

    @property
    def operations(self) -> tuple[int, int]:
        """How many requests, of how many bytes, the server takes unanswered (SPEC OPS-1)."""
        session = self.engine.session
        return session.operations, session.operation_bytes

    @property
    def features(self) -> tuple[str, ...]:
        """The features in force (SPEC VER-2)."""
        return self.engine.session.features

    @property
    def attached(self) -> bool:
        """Whether there is a link on which the session is attached."""
        return self._driver is not None and self._driver.attached

    @property
    def holds_back(self) -> bool:
        """Whether something that was handed over waits: for the window, or for a link on which the session goes on."""
        outbox = self.engine.session.outbox
        return self.session_ready and bool(outbox.queue or (outbox.replay and not self.attached))

    @property
    def late_seconds(self) -> float:
        """How long after it was sent a message of this session may still arrive: as long as the session may live."""
        session = self.engine.session
        return session.silence_limit + session.resume_period

    @property
    def period_seconds(self) -> float:
        """How long the session lives without a link (SPEC EXP-1)."""
        return self.engine.session.resume_period

    def want_period(self, seconds: float | None) -> None:
        """Have sessions that are opened from now on live so long; None leaves it to the server (SPEC EXP-1)."""
        self.engine.resume_period_seconds = seconds

    def time_ms(self) -> int:
        """The session's time (SPEC CAL-3)."""
        return self.engine.session.time_ms(trio.current_time())

    def has_room(self, length: int) -> bool:
        """Whether a message of this length can be sent now."""
        return self.session_ready and self.engine.session.has_room(length)

    def send(self, body: bytes, *, urgent: bool = False) -> int:
        """Hand a message over; returns its ordinal in the session.

        Raises:
            BacklogFull: There is no room.
            MessageTooLarge: The server does not take so long a message.
        """
        try:
            return self.engine.session.send(body, trio.current_time(), urgent=urgent)
        finally:
            self._touch_present()  # also where an urgent message that found no room has ended the session (LIM-4)

    def authenticate(self, credentials: Mapping[str, Any]) -> int:
        """Use other credentials from now on; returns their number, for `accepted_credentials`."""
        self._wallet.put(credentials)
        return self._renew()

    def _renew(self) -> int:
        self.engine.credentials = dict(self._wallet.values)
        self.credentials += 1
        self._tell_credentials()
        self._touch_present()
        return self.credentials

    def _tell_credentials(self) -> None:
        """Send AUTH if the server does not know the present credentials; one at a time (SPEC AUT-5)."""
        driver = self._driver
        if driver is not None and driver.attached and not driver.judging and driver.credentials < self.credentials:
            driver.judging = True
            driver.credentials = self.credentials
            self.engine.authenticate(self.engine.credentials, trio.current_time())

    def _accepted(self, driver: ClientDriver) -> None:
        self.accepted_credentials = driver.credentials
        driver.judging = False
        if driver.credentials == self.credentials:
            self._wallet.accepted()
        self._tell_credentials()
        self._conversation.judged()

    def probe(self) -> None:
        """Ask the server for life now, if there is a link: one that is dead is found so within the pong wait."""
        if self._driver is not None:
            self._driver.connection.probe(trio.current_time())
            self._touch_present()

    def close(self) -> None:
        """Say goodbye: the session ends here and, if the link still stands, there."""
        if self.over is None:
            self._closing = True
            self.engine.close(trio.current_time())
            self._touch_present()
            self._close(CloseCode.NORMAL, "closed by this side")
            if self._waiting is not None:
                self._waiting.cancel(reason="closed by this side")

    def _close(self, code: int, reason: str) -> None:
        if self.over is None:
            self.over = Closed(code, reason)
            self._conversation.changed(self.over)

    def _touch_present(self) -> None:
        if self._driver is not None:
            self.touch(self._driver)

    # ------------------------------------------------------------ coming back

    async def run(self) -> None:
        """Connect again and again until the line is over, or `stop`.

        Shielded: whoever is cancelled still says goodbye before it stops the line.
        """
        with self._scope:
            await self._keep_up()
        self.ended.set()

    def stop(self) -> None:
        """End `run`, whatever it is doing."""
        self._scope.cancel(reason="the client is left")

    async def _keep_up(self) -> None:
        self._comeback.begun(resuming=False)  # the state in which a conversation begins
        while True:
            ended = await self._fetch_credentials() or await self._attempt()
            if not self.engine.session.opened:
                self.failures = [*self.failures[-15:], ended.error or ConnectionError(ended.reason)]
            if self.over is not None:
                break
            after = self._comeback.after(ended)
            if isinstance(after, Closed):
                self._close(after.code, after.reason)
                break
            self._conversation.changed(after)
            self._rest = Age(), after.seconds
            with trio.CancelScope() as self._waiting:
                await trio.sleep_until(after.until)
            self._rest = None
            if self.over is not None:
                break
            self._conversation.changed(self._comeback.begun(resuming=self.session_ready))

    async def _fetch_credentials(self) -> Ended | None:
        """Have credentials for the next attempt; what prevents it, if anything does."""
        try:
            with trio.CancelScope() as self._waiting:
                while not self._wallet.good:
                    await self._wallet.fetch()
                    self._renew()
        except CredentialsMissing as error:
            return Ended(str(error), made=False, error=error)
        return None if self.over is None else Ended("closed by this side", made=False)

    async def _answer_reauth(self, within_seconds: float) -> None:
        """Fetch what the server has asked for, again and again while it waits (SPEC AUT-1)."""
        pause = self.config.backoff_base_seconds
        with trio.move_on_after(within_seconds):
            while not self._wallet.good:
                try:
                    await self._wallet.fetch()
                    self._renew()
                except CredentialsMissing:
                    await trio.sleep(pause)
                    pause *= 2

    async def _attempt(self) -> Ended:
        """Open a link, attach, and stay until it ends; where there are two carriages, on the better one that works."""
        sure = self._transport.fallback(self._places.here)
        if sure is not None:
            race = self._waiting = Race(self, self._transport, sure, self._carriages)
            return await race.run()
        link: Link | None = None
        try:
            with trio.CancelScope() as self._waiting:
                link = await self.dial(self._transport)
        except OSError as error:
            return Ended(str(error), error=error)
        if link is None or self.over is not None:
            if link is not None:  # it came as the line was closed
                await trio.aclose_forcefully(link)
            return Ended("closed by this side")
        driver = self.begin(link)
        self.attach(driver)
        await pump(link, driver)
        return await self.leave(driver)

    async def dial(self, transport: Transport) -> Link:
        """See `hawser.client.racing.Rider`."""
        try:
            with trio.fail_after(self.config.handshake_seconds):
                return await transport.connect(self._places.here)
        except trio.TooSlowError as error:
            raise TimeoutError(f"no link after {self.config.handshake_seconds:g} s") from error

    def begin(self, link: Link) -> ClientDriver:
        """See `hawser.client.racing.Rider`."""
        connection = self.engine.connect(trio.current_time(), attach=False)
        return ClientDriver(self, connection, link, close_seconds=self.config.write_seconds)

    def attach(self, driver: ClientDriver) -> None:
        """See `hawser.client.racing.Rider`."""
        before, self._driver = self._driver, driver
        driver.credentials = self.credentials
        driver.connection.attach(trio.current_time())
        self.touch(driver)
        if before is not None:
            before.link.drop()  # ATT-15
            before.abandon()

    async def leave(self, driver: ClientDriver) -> Ended:
        """See `hawser.client.racing.Rider`."""
        await driver.link.aclose()  # the last words of a carriage may be on their way still, in a request of their own
        if self._driver is driver:
            self._driver = None
        termination = driver.termination
        reason = "the link broke" if termination is None else termination.reason
        return Ended(reason, True, driver.attached, driver.progressed, termination)

    # ------------------------------------------------------------ draining

    def start_writer(self, driver: Driver[Any]) -> None:
        """See `hawser.driver.Owner`."""
        self._nursery.start_soon(driver.write)

    def contain(self, driver: Driver[Any], error: Exception) -> None:
        """See `hawser.driver.Owner`: a fault in this side's own code is for the program to see."""
        raise error

    def touch(self, driver: Driver[Any]) -> None:
        """See `hawser.driver.Owner`."""
        assert isinstance(driver, ClientDriver)
        self._touched[driver] = None
        if self._draining:
            return
        self._draining = True
        try:
            while self._touched:
                one = next(iter(self._touched))
                del self._touched[one]
                self._drain(one)
        finally:
            self._draining = False

    def _drain(self, driver: ClientDriver) -> None:
        connection = driver.connection
        while (event := connection.next_event()) is not None:
            self._handle(driver, event)
        self._note_progress(driver)
        driver.flush()
        self.timekeeper.arm(driver, connection.next_timeout())

    def _note_progress(self, driver: ClientDriver) -> None:
        session = self.engine.session
        if driver.attached and session.progress() != driver.counts:
            driver.progressed = True
        if session.outbox.delivered != self._delivered:
            self._delivered = session.outbox.delivered
            self._conversation.room()

    def _handle(self, driver: ClientDriver, event: Event) -> None:
        match event:
            case MessageReceived():
                self._message(driver, event)
            case SessionOpened():
                self._attached(driver, resumed=False, replayed=0)
            case SessionResumed():
                self._attached(driver, resumed=True, replayed=event.replayed)
            case SessionReset():
                report = Reset(event.reason, event.known_delivered, event.unknown, event.not_sent)
                driver.attached = driver.judging = False
                driver.arrived.set()  # whoever waits looks again, and waits for the OPEN that has just left
                driver.arrived = trio.Event()
                driver.credentials = self.credentials  # of the OPEN that has just left on the same link (RST-5)
                if not self._closing:
                    self._conversation.changed(report)
                self._conversation.lost(event)
            case ConnectionTerminated():
                driver.termination = event
                driver.finish(event.code)
            case RoomAvailable():
                self._conversation.room()
            case VolatileReceived():
                self._conversation.volatile(event.body)
            case SessionDetached() | MessageDropped():
                pass  # the loop of attempts knows; nothing has a policy
            case CredentialsAccepted():
                self._accepted(driver)
            case CredentialsRequested():
                self._wallet.expire()
                if self._wallet.good:  # AUT-1: the same ones again, unless the application comes with others
                    self._renew()
                else:
                    self._nursery.start_soon(self._answer_reauth, event.within_seconds)
            case AuthenticationRequested():
                raise AssertionError(f"{event!r} is not for a client's connection")
            case _:
                assert_never(event)

    def _attached(self, driver: ClientDriver, *, resumed: bool, replayed: int) -> None:
        driver.attached = True
        driver.arrived.set()
        self._comeback.reached()
        self._accepted(driver)
        driver.counts = self.engine.session.progress()
        self._conversation.changed(Connected(resumed, replayed, driver.link.carriage))
        if not resumed:
            self._conversation.opened()
        self._conversation.room()

    def _message(self, driver: ClientDriver, event: MessageReceived) -> None:
        now = trio.current_time()
        session = self.engine.session
        try:
            at_once = self._conversation.message(event.body)
        except RemoteProtocolError as error:  # MSG-4
            session.delivered(event.number, now)  # a malformed message has done nothing, so the session lives
            driver.connection.close(CloseCode.PROTOCOL_ERROR, str(error), now)
        else:
            if session.ended is None:
                session.delivered(event.number, now, at_once=at_once)

    def _gap(self, now: float, found: Gap) -> None:
        if self._driver is not None:
            self._driver.gap(now, found)
        elif self._rest is not None and self._waiting is not None:
            age, seconds = self._rest
            if age.seconds >= seconds:  # a sleep is time too, whatever the clock of the deadlines says
                self._waiting.cancel(reason="the machine has slept")
