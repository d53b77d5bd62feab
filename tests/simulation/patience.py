"""A limit to the processor time of one seed: what spins for ever is a finding, and does not hold up a long run."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Endless", "limited"]


class Endless(BaseException):
    """A seed has used more processor time than any seed needs.

    No `Exception`, for what contains those of an application must not contain this one.
    """


@contextmanager
def limited(seconds: float) -> Generator[None]:
    """Interrupt the block when it has used so much processor time; only in the main thread of a process.

    Raises:
        Endless: It has; or a group with one of them, where tasks run.
    """
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"
    raise Endless(f"signal {number} at {place}")
