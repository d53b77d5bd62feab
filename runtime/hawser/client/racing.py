"""One attempt over two carriages: a better one, and a sure one beside it (SPEC ATT-18).

The better one is opened and probed; the sure one follows after a head start, or at once where the better one has
failed before. The session attaches on whichever is there first. While it goes on over the sure one, the better one is
tried in the background, and the session moves when that has answered its probe: the RESUME leaves on it in the same
step in which the other link is dropped, so nothing waits longer than for the one round trip of the attach.

A move back is no business of this module: a link that dies ends the attempt, and the next one begins with what the
policy has learned.

A server that asks on one carriage to be left alone means all of them (SPEC REC-4): it ends the attempt, unless the
session is attached beside it, or an attach is under way, which is answered first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from hawser.background import Background
from hawser_transports import TurnedAway, pump

from .comeback import Ended

if TYPE_CHECKING:
    from hawser.config import Config
    from hawser_transports import Link, Receiver, Transport

    from .carriages import CarriagePolicy
    from .line import ClientDriver


class Rider(Protocol):
    """Whose session rides on the links."""

    config: Config

    async def dial(self, transport: Transport) -> Link:
        """Open a link.

        Raises:
            OSError: There is none.
        """
        ...

    def begin(self, link: Link) -> ClientDriver:
        """Make the driver of a link, on which nothing is attached yet."""
        ...

    def attach(self, driver: ClientDriver) -> None:
        """Send OPEN or RESUME on a link, and drop the one before it."""
        ...

    async def leave(self, driver: ClientDriver) -> Ended:
        """Close a link that has ended, and say how it went."""
        ...

    def touch(self, driver: ClientDriver) -> None:
        """Send what its connection has to say."""
        ...


class Race:
    """One attempt; `run` it once."""

    def __init__(self, rider: Rider, better: Transport, sure: Transport, policy: CarriagePolicy) -> None:
        self._rider = rider
        self._better = better
        self._sure = sure
        self._policy = policy
        self._present: ClientDriver | None = None  # that of the link on which the session is, or is being attached
        self._winner: ClientDriver | None = None  # the same, once it is one of the better carriage
        self._won_at = 0.0
        self._better_scope = trio.CancelScope()
        self._sure_scope = trio.CancelScope()
        self._better_open = True  # whether it may still come about in this attempt, whatever becomes of the sure one
        self._sure_open = True
        self._better_failed = trio.Event()
        self._sure_begun = trio.Event()
        self._sure_failed = trio.Event()
        self._errors: dict[Transport, Exception] = {}
        self._attached = self._progressed = False
        self._away: Ended | None = None  # the server has asked to be left alone
        self._outcome: Ended | None = None
        self._over = trio.Event()

    async def run(self) -> Ended:
        """Attach, stay as long as there is a link, and say how it ended."""
        async with Background() as self._nursery:
            self._nursery.start_soon(self._start_sure)
            self._nursery.start_soon(self._try_better)
            await self._over.wait()
        outcome = self._outcome or self._away
        if outcome is not None:
            return attrs.evolve(outcome, attached=self._attached, progressed=self._progressed)
        if not self._errors:
            return Ended("closed by this side")
        reason = "; ".join(map(str, self._errors.values()))
        return Ended(reason, error=ConnectionError(reason))

    def cancel(self, *, reason: str | None = None) -> None:
        """Try nothing more; a link on which the session is goes on."""
        self._better_scope.cancel(reason=reason)
        self._sure_scope.cancel(reason=reason)
        self._better_open = self._sure_open = False
        self._check()

    def _check(self) -> None:
        """End the attempt if nobody carries and nobody may."""
        if self._present is None and not self._better_open and not self._sure_open:
            self._over.set()

    def _leave_alone(self, ended: Ended) -> None:
        """Begin nothing more; end the attempt, or leave it to the attach that is under way."""
        self._away = ended
        self._better_open = False
        if self._present is None:
            self._over.set()

    # ------------------------------------------------------------ the sure one

    async def _start_sure(self) -> None:
        link: Link | None = None
        with self._sure_scope as scope:
            with trio.move_on_after(self._policy.head_start(trio.current_time())):
                await self._better_failed.wait()
            try:
                link = await self._rider.dial(self._sure)
            except TurnedAway as error:
                self._leave_alone(Ended(str(error), error=error))
            except OSError as error:
                self._errors[self._sure] = error
        if link is None or scope.cancel_called:
            if link is not None:  # it came when it was not wanted any more
                await trio.aclose_forcefully(link)
            self._sure_lost()
            return
        driver = self._present = self._rider.begin(link)
        self._rider.attach(driver)
        self._sure_begun.set()
        await self._carry(driver, driver)

    def _sure_lost(self) -> None:
        self._sure_open = False
        self._sure_failed.set()
        self._check()

    # ------------------------------------------------------------ the better one

    async def _try_better(self) -> None:
        with self._better_scope:
            while True:
                await self._wait_for_turn()
                tried = await self._probe()
                if isinstance(tried, Ended):
                    await self._wait_beside(tried)
                elif tried is None:
                    await self._fall_back()
                    self._policy.blocked(trio.current_time())
                elif await self._promote(tried):
                    return
                elif (ended := _tried(tried)).away_seconds is not None:
                    await self._wait_beside(ended)
                else:
                    self._policy.ended(trio.current_time(), lasted=0.0, parted=False)
                    await self._fall_back()

    async def _wait_for_turn(self) -> None:
        """Wait until the better one is due, or the sure one fails: then it is needed, if the server wants it now."""
        with trio.move_on_at(self._policy.due):
            await self._sure_failed.wait()
        if trio.current_time() < self._policy.turn:
            with trio.move_on_at(self._policy.turn):
                await self._sure_failed.wait()
                self._better_open = False
                self._check()
                await trio.sleep_forever()  # the attempt is about to end

    async def _probe(self) -> ClientDriver | Ended | None:
        """Open a link and ask whether it carries both ways.

        Returns:
            Its driver if it does; how it ended if the server asks to be left alone; None if it does not.
        """
        try:
            link = await self._rider.dial(self._better)
        except TurnedAway as error:
            return Ended(str(error), error=error)
        except OSError as error:
            self._errors[self._better] = error
            return None
        driver = self._rider.begin(link)
        asked = Asked(driver)
        self._nursery.start_soon(self._carry, driver, asked)
        driver.connection.ping(trio.current_time())
        self._rider.touch(driver)
        try:
            with trio.move_on_after(self._rider.config.upgrade_probe_seconds):
                await asked.known.wait()
        except trio.Cancelled:
            driver.abandon()
            raise
        if driver.connection.answered and not driver.over:
            return driver
        driver.abandon()
        ended = _tried(driver)
        if ended.away_seconds is not None:
            return ended
        self._errors[self._better] = ConnectionError(ended.reason)
        return None

    async def _promote(self, driver: ClientDriver) -> bool:
        """Attach on a link that has answered, as soon as no OPEN waits; False if it is gone by then."""
        try:
            while (present := self._present) is not None and not present.attached and not present.over:
                await present.arrived.wait()
            if present is not None and present.over and present.parted:
                await trio.sleep_forever()  # the server has spoken, and the attempt is about to end
        except trio.Cancelled:
            driver.abandon()
            raise
        if driver.over:
            return False
        self._present = self._winner = driver
        self._won_at = trio.current_time()
        self._sure_scope.cancel(reason="the better carriage was there first")
        self._rider.attach(driver)
        return True

    async def _fall_back(self) -> None:
        """Leave it to the sure one, and wait until the session is on it: only then it is known to get through."""
        self._better_failed.set()
        self._better_open = False
        self._check()
        await self._attached_beside()

    async def _wait_beside(self, ended: Ended) -> None:
        """Leave the server alone; if the session is attached for all that, try again when it is asked for."""
        self._leave_alone(ended)
        await self._attached_beside()
        self._away = None
        away_seconds = ended.away_seconds
        assert away_seconds is not None, "that is why nothing was begun"
        self._policy.turned_away(trio.current_time(), away_seconds)

    async def _attached_beside(self) -> None:
        """Wait until the session is on the sure one."""
        await self._sure_begun.wait()
        while self._present is None or not self._present.attached:
            if self._present is None or self._present.over:
                await trio.sleep_forever()  # the attempt is about to end
            await self._present.arrived.wait()

    # ------------------------------------------------------------ both

    async def _carry(self, driver: ClientDriver, receiver: Receiver) -> None:
        """Stay with a link until it ends."""
        await pump(driver.link, receiver)
        driver.arrived.set()  # or never will
        ended = await self._rider.leave(driver)
        self._attached |= ended.attached
        self._progressed |= ended.progressed
        if driver is not self._present:
            return  # it was only tried, or has made way
        self._present = None
        if driver is self._winner:
            now = trio.current_time()
            self._policy.ended(now, lasted=now - self._won_at, parted=ended.parted)
        elif not ended.attached and not ended.parted:
            self._errors[self._sure] = ConnectionError(ended.reason)
            self._sure_lost()
            return
        self._outcome = ended
        self._over.set()


def _tried(driver: ClientDriver) -> Ended:
    """How a link has ended that was only tried."""
    termination = driver.termination
    if termination is None or not driver.parted:
        return Ended(f"{driver.link.description} opened and did not answer", termination=termination)
    return Ended(termination.reason, termination=termination)


class Asked:
    """Receives on a link that is probed."""

    def __init__(self, driver: ClientDriver) -> None:
        self.known: trio.Event = trio.Event()
        """Set when the probe came back, or never will."""
        self._driver = driver

    def received(self, batches: list[bytes]) -> None:
        """See `hawser_transports.Receiver`."""
        self._driver.received(batches)
        if self._driver.connection.answered:
            self.known.set()

    def ended(self, error: Exception | None) -> None:
        """See `hawser_transports.Receiver`."""
        self._driver.ended(error)
        self.known.set()
