"""A link that fails like real ones: late, in pieces, half-open, or cut in the middle of a byte string.

Pure: time is an argument, and every choice comes from the random source that the caller seeds. A link loses only the
end of what was written (SPEC CAR-1); it never reorders, repeats or changes anything.
"""

from collections import deque
from typing import Protocol

__all__ = ["FaultyLink", "Pipe", "Random"]


class Random(Protocol):
    """What a link needs of ``random.Random``."""

    def random(self) -> float:
        """Return a number drawn evenly from [0, 1)."""
        ...


class Pipe:
    """One direction of a link."""

    __slots__ = (
        "_draw",
        "_queue",
        "_tear",
        "_whole",
        "capacity",
        "dead",
        "delay",
        "ends_at",
        "held",
        "stalled_until",
        "torn",
    )

    def __init__(self, draw: Random, *, whole: bool, delay: tuple[float, float], tear: float, capacity: int) -> None:
        """Start empty.

        Args:
            draw: Source of every choice.
            whole: Batches stay whole; else this is a stream of bytes, handed over in pieces.
            delay: Seconds between which a write is under way.
            tear: How often a read of a stream ends at any byte, from 0 to 1.
            capacity: Bytes that the network takes before a writer has to wait.
        """
        self._draw = draw.random
        self._queue: deque[tuple[float, bytes]] = deque()
        self._whole = whole
        self._tear = tear
        self.capacity: int = capacity
        self.delay: tuple[float, float] = delay
        self.held: int = 0
        """Bytes written and not read."""
        self.dead: bool = False
        """Nothing that is written arrives any more."""
        self.stalled_until: float = 0.0
        self.ends_at: float | None = None
        """When the reader learns that nothing more comes; None: it does not."""
        self.torn: bool = False
        """The last read ended at a byte that the random source chose."""

    @property
    def left(self) -> int:
        """How many of the written bytes the network has not taken."""
        return max(0, self.held - self.capacity)

    def write(self, data: bytes, now: float) -> None:
        """Put one batch on its way; on a dead pipe it is only held, as a kernel does."""
        self.held += len(data)
        if not self.dead:
            low, high = self.delay
            ready = now + low + (high - low) * self._draw()
            if self._queue:
                ready = max(ready, self._queue[-1][0])
            self._queue.append((ready, data))

    def due(self) -> float | None:
        """Return when something can be read, or the end is learnt; None if never."""
        if self._queue:
            return max(self._queue[0][0], self.stalled_until)
        return None if self.ends_at is None else max(self.ends_at, self.stalled_until)

    def read(self, now: float) -> tuple[list[bytes], bool]:
        """Return what has arrived, and whether that was the end."""
        arrived: list[bytes] = []
        self.torn = False
        queue = self._queue
        if now < self.stalled_until:
            return arrived, False
        while queue and queue[0][0] <= now:
            arrived.append(queue.popleft()[1])
        if arrived and not self._whole:
            data = arrived[0] if len(arrived) == 1 else b"".join(arrived)
            if self._draw() < self._tear:
                kept = int(len(data) * self._draw())
                low, high = self.delay
                queue.appendleft((now + low + (high - low) * self._draw() / 4, data[kept:]))
                data = data[:kept]
                self.torn = True
            arrived = [data]
        for data in arrived:
            self.held -= len(data)
        ended = not queue and self.ends_at is not None and self.ends_at <= now
        return arrived, ended

    def cut(self, learnt_at: float | None) -> None:
        """Lose the end of what is under way, from any byte of a stream or any batch on; nothing more follows."""
        queue = self._queue
        keep = int((len(queue) + 1) * self._draw())
        while len(queue) > keep:
            last, data = queue.pop()
            if len(queue) == keep and not self._whole:
                queue.append((last, data[: int(len(data) * self._draw())]))
                break
        self.dead = True
        self.held = sum(len(data) for _, data in queue)
        self.ends_at = learnt_at

    def finish(self, at: float) -> None:
        """End the pipe in order: what is under way arrives, then the end."""
        if not self.dead:
            self.dead = True
            self.ends_at = max(at, self._queue[-1][0]) if self._queue else at


class FaultyLink:
    """Two pipes, one for what each side writes; sides are 0 and 1."""

    __slots__ = ("pipes",)

    def __init__(
        self,
        draw: Random,
        *,
        whole: bool = False,
        delay: tuple[float, float] = (0.0, 0.0),
        tear: float = 0.0,
        capacity: int = 65_536,
    ) -> None:
        """Start whole and empty; see ``Pipe`` for the arguments."""
        self.pipes: tuple[Pipe, Pipe] = (
            Pipe(draw, whole=whole, delay=delay, tear=tear, capacity=capacity),
            Pipe(draw, whole=whole, delay=delay, tear=tear, capacity=capacity),
        )

    def cut(self, learnt_at: tuple[float | None, float | None]) -> None:
        """Break the link; say when each side learns it, None for never (half-open)."""
        self.pipes[1].cut(learnt_at[0])
        self.pipes[0].cut(learnt_at[1])

    def close(self, side: int, at: float) -> None:
        """End the link as its side ``side`` does: it reads no more, the other side reads what was written first."""
        self.pipes[side].finish(at)
        self.pipes[1 - side].cut(None)

    def stall(self, until: float, sides: tuple[int, ...] = (0, 1)) -> None:
        """Let nothing arrive of what the given sides write before ``until``."""
        for side in sides:
            self.pipes[side].stalled_until = max(self.pipes[side].stalled_until, until)
