"""A broker in memory that begins channels anew and loses reports, when it is told to."""

from __future__ import annotations

from math import inf

from tests.runtime.helpers import counting_bytes
from tests.runtime.test_comparing import Lossy


class FickleBroker(Lossy):
    """Its clock is that of the loop."""

    compare_seconds = 0.5
    enough = inf

    def __init__(self) -> None:
        super().__init__(random_bytes=counting_bytes())

    def epoch(self, channel: str) -> bytes:
        """The present one of a channel."""
        return self._stream(channel).epoch
