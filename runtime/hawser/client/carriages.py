"""Which carriage a client takes: the better one, or the one that gets through everywhere.

Pure: it is told what became of each try of the better one (a WebSocket, where polls are the other) and answers when
to try it, and how long the other one waits for it at the beginning.

A try ends in one of three ways. It *carried*: it stood for a while, or the server spoke its last word on it. It *died*:
it opened and answered its probe, and was gone soon after, whatever it had moved; only several of these in a row speak
against a carriage, for every link dies some day. Or it was *blocked*: refused, too slow, or open and without an answer,
while the other one went through; once is enough, for that does not change from one minute to the next.

A server that asks to be left alone (SPEC REC-4) says nothing about carriages: such a try has not been made, and the
next one waits for its turn.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from hawser.randomness import uniform

from .reconnect import draw_turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.config import Config


class CarriagePolicy:
    """Decides for one client, as long as it lives."""

    def __init__(self, config: Config, random_bytes: Callable[[int], bytes]) -> None:
        """Start in favour of the better carriage.

        Args:
            config: Its fields ``upgrade_…``.
            random_bytes: Where jitter comes from: not all clients of a network try again at once.
        """
        self._config = config
        self._random_bytes = random_bytes
        self._failures = 0  # in a row; a blocked one counts for as many as it takes
        self.due: float = -inf
        """When the better carriage is tried next if the other one does it: at the earliest."""
        self.turn: float = -inf
        """When it is tried next whatever the other one does: the server has asked for nothing sooner."""

    def head_start(self, now: float) -> float:
        """Seconds that the other carriage waits for the better one when an attempt begins."""
        return 0.0 if self._failures or now < self.turn else self._config.upgrade_head_start_seconds

    def ended(self, now: float, *, lasted: float, parted: bool) -> None:
        """Note that a link of the better carriage has ended, which had answered its probe.

        Args:
            now: Seconds.
            lasted: Seconds since the attach.
            parted: Whether the server had said why.
        """
        if parted or lasted >= self._config.upgrade_steady_seconds:
            self._failures = 0
            self.due = -inf
        else:
            self._fail(self._failures + 1, now)

    def blocked(self, now: float) -> None:
        """Note that the better carriage did not come about where the other one did."""
        self._fail(max(self._failures + 1, self._config.upgrade_strikes), now)

    def turned_away(self, now: float, away_seconds: tuple[float, float]) -> None:
        """Note that the server wants no other link now; what is known of the carriages stays as it was.

        Args:
            now: Seconds.
            away_seconds: When it may be asked again, at the earliest and at the latest; zeros if it names no time.
        """
        self.turn = now + draw_turn(self._random_bytes, self._config, away_seconds)

    def _fail(self, failures: int, now: float) -> None:
        self._failures = failures
        beyond = failures - self._config.upgrade_strikes
        if beyond >= 0:
            config = self._config
            pause = min(config.upgrade_pause_cap_seconds, config.upgrade_pause_seconds * float(2 ** min(beyond, 16)))
            self.due = now + uniform(self._random_bytes, pause / 2, pause)
