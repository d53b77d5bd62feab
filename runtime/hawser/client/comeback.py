"""What comes after an attempt: how long to wait, where to go next, or the end (SPEC CLS-1, CLS-8, REC-1 to REC-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from hawser_engine.codes import CloseCode
from hawser_transports import TurnedAway

from .breaker import Circuit
from .reconnect import ReconnectPolicy
from .states import CircuitOpen, Closed, Connecting, HalfOpen, Resuming, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.config import Config
    from hawser_engine.events import ConnectionTerminated

    from .credentials import Wallet
    from .places import Places


@attrs.frozen
class Ended:
    """How one attempt ended."""

    reason: str
    made: bool = True
    """False if something was missing for it on this side."""
    attached: bool = False
    progressed: bool = False
    termination: ConnectionTerminated | None = None
    error: Exception | None = None

    @property
    def parted(self) -> bool:
        """Whether the server said why: then it was not the carriage that failed."""
        return self.termination is not None and self.termination.initiator == "remote"

    @property
    def away_seconds(self) -> tuple[float, float] | None:
        """When the server asks to be visited again, at the earliest and at the latest: zeros if it names no time.

        None if it does not ask to be left alone (SPEC REC-4).
        """
        if isinstance(self.error, TurnedAway):
            soonest = self.error.retry_seconds
            return (soonest, soonest + 1) if soonest else (0.0, 0.0)
        if self.termination is not None and self.parted and self.termination.after_seconds[1]:
            return self.termination.after_seconds
        return None


class Comeback:
    """Decides after each attempt of one client."""

    def __init__(self, config: Config, random_bytes: Callable[[int], bytes], places: Places, wallet: Wallet) -> None:
        self._policy = ReconnectPolicy(random_bytes, config)
        self._places = places
        self._wallet = wallet
        self._attempt = 0

    def begun(self, *, resuming: bool) -> Connecting | Resuming | HalfOpen:
        """An attempt begins.

        Args:
            resuming: Whether there is a session to go on with.
        """
        self._attempt += 1
        self._policy.begun()
        if self._policy.circuit is Circuit.HALF_OPEN:
            return HalfOpen(self._attempt)
        return Resuming(self._attempt) if resuming else Connecting(self._attempt)

    def reached(self) -> None:
        """It has attached."""
        self._attempt = 0
        self._policy.reached()

    def after(self, ended: Ended) -> Waiting | CircuitOpen | Closed:
        """It has ended."""
        termination = ended.termination
        self._places.ended(attached=ended.attached, progressed=ended.progressed)
        if not ended.made:
            return self._wait(self._policy.withdrawn(), ended.reason)
        away = ended.away_seconds
        if termination is None or not ended.parted:
            pause = self._policy.pause_after(
                attached=ended.attached,
                progressed=ended.progressed,
                closed_by_server=away is not None,  # what a CLOSE with a spread is on a link
                spread_seconds=away or (0.0, 0.0),
            )
            return self._wait(pause, ended.reason)
        if not self._may_return(termination):
            return Closed(termination.code, termination.reason)
        why = ended.reason
        if termination.url is not None:
            refusal = self._places.advised(termination.url)
            why = f"{why} (it names another place, which is not followed: {refusal})" if refusal else why
        pause = self._policy.pause_after(
            attached=ended.attached,
            progressed=ended.progressed,
            closed_by_server=termination.code != CloseCode.UNAUTHORIZED,  # its time is that of other credentials
            spread_seconds=away or (0.0, 0.0),
        )
        return self._wait(pause, why)

    def _may_return(self, termination: ConnectionTerminated) -> bool:
        if termination.code == CloseCode.UNAUTHORIZED and self._wallet.fetches:
            return self._wallet.refused()
        # ATT-9, ATT-10: superseded by an attempt of our own is no end, and by another holder it was a reset.
        return termination.reconnect or termination.code == CloseCode.SUPERSEDED

    def _wait(self, pause: float, why: str) -> Waiting | CircuitOpen:
        kind = CircuitOpen if self._policy.circuit is Circuit.OPEN else Waiting
        return kind(trio.current_time() + pause, pause, why)
