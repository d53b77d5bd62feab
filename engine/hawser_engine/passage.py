"""The passage: the short way of shared bytes through one connection, past its queue (SPEC CHN-6, PRT-7).

To a driver that brings one batch to a thousand connections, queueing it for each and asking for it again would cost a
third of the time. Where nothing stands before a batch and nothing has to go along with it, it is numbered and written
in one step.

Rule 1: a passage is open only while everything queued has been written, so that order on the link is order of numbers,
and while every delivery has been stated, so that no ACK is left behind (SPEC ACK-3).
Rule 2: it belongs to one connection and one session; when they part it is barred for good.
"""

from collections.abc import Callable
from typing import Protocol

from .batch import Batch
from .liveness import Liveness
from .outbox import Outbox

__all__ = ["Passage", "Writer"]


class Writer(Protocol):
    """What a passage needs of the driver of its connection, beside the link."""

    def refused(self, data: bytes, now: float) -> None:
        """The link takes nothing now: queue these bytes, whose numbers are given, and flush as ever."""
        ...


class Passage:
    """Laid by ``Connection.lay_passage``; the connection opens and closes it, the driver sends through it."""

    __slots__ = ("_carry", "_liveness", "_outbox", "_writer")

    def __init__(self, carry: Callable[[bytes], bool], writer: Writer, liveness: Liveness) -> None:
        """Start closed.

        Args:
            carry: Writes bytes to the link, at once and whole; False if the link takes nothing now. It never raises: a
                link that is lost takes them, and they are lost with it.
            writer: The driver of the connection.
            liveness: That of the connection: what passes is a sign of life, too (SPEC LIV-1).
        """
        self._carry = carry
        self._writer = writer
        self._liveness = liveness
        self._outbox: Outbox | None = None  # of the session; None while closed, so that no number can be given

    @property
    def is_open(self) -> bool:
        """Whether nothing stands before a batch."""
        return self._outbox is not None

    def send(self, batch: Batch, now: float) -> bool:
        """Number shared bytes and write them at once.

        Args:
            batch: Whole messages that other sessions get, too.
            now: Seconds on the caller's monotonic clock.

        Returns:
            Whether they were accepted. False: nothing was; the session's ``send_batch`` knows the rest.

        Spec: CHN-6, PRT-7, WIN-1.
        """
        outbox = self._outbox
        if outbox is None or not outbox.take(batch):
            return False
        self._liveness.last_out = now
        if not self._carry(batch.data):
            self._writer.refused(batch.data, now)
        return True

    def open(self, outbox: Outbox) -> None:
        """Let shared bytes through; for the connection."""
        self._outbox = outbox

    def close(self) -> None:
        """Let nothing through until it is opened again; for the connection."""
        self._outbox = None
