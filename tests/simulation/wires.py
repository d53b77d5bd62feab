"""A link that carries a stream of bytes, or batches one by one, and fails as such links do."""

from random import Random
from typing import TYPE_CHECKING

from hawser_engine.testing import FaultyLink

from .lines import Line

if TYPE_CHECKING:
    from .world import World

__all__ = ["Wire"]


class Wire(Line):
    """One such link."""

    __slots__ = ("link", "scheduled")

    def __init__(self, world: "World", label: str, *, hostile: bool = False, random: Random | None = None) -> None:
        plan = world.plan
        random = world.random if random is None else random
        super().__init__(world, label, whole=random.random() < 0.5, hostile=hostile)
        self.link = FaultyLink(random, whole=self.whole, delay=plan.delay, tear=plan.tear, capacity=plan.capacity)
        self.scheduled = [0.0, 0.0]  # when the reader of each pipe looks next; 0 for never

    def dial(self) -> None:
        self.world.at(self.world.time + self.world.plan.delay[1], self.world.server.accept, self)

    def write(self, side: int, data: bytes) -> int:
        pipe = self.link.pipes[side]
        pipe.write(data, self.world.time)
        self.plan_read(side)
        return pipe.left

    def left(self, side: int) -> int:
        return self.link.pipes[side].left

    def plan_read(self, side: int) -> None:
        """See to it that the reader of what ``side`` writes looks when something is there."""
        due = self.link.pipes[side].due()
        scheduled = self.scheduled[side]
        if due is not None and (not scheduled or due < scheduled):
            due = max(due, self.world.time)
            self.scheduled[side] = due
            self.world.at(due, self._arrive, side, due)

    def _arrive(self, side: int, due: float) -> None:
        """Let the reader of what ``side`` wrote look, if this look was not overtaken."""
        if self.scheduled[side] != due:
            return
        self.scheduled[side] = 0.0
        end = self.ends[1 - side]
        if end is None:
            if self.hostile and side == 1:
                self.world.hostile.arrives(self)
            elif self.victim is not None:
                self.victim.answer(self)
            return  # nobody reads; ``accept`` looks again
        if end.actor.host.asleep_until <= self.world.time:  # else it looks when it wakes up
            self.read(side)

    def read(self, side: int) -> None:
        end = self.ends[1 - side]
        if end is None:
            return
        pipe = self.link.pipes[side]
        full = pipe.left
        chunks, ended = pipe.read(self.world.time)
        if chunks or ended:
            if self.hostile and side == 0:
                self.world.server.blame = self
                end.arrives(chunks, ended)
                self.world.server.blame = None
            else:
                end.arrives(chunks, ended)
            if chunks:
                self._network_moved(side, full)
        self.plan_read(side)

    def _network_moved(self, side: int, full: int) -> None:
        writer = self.ends[side]
        if full and writer is not None and not writer.closed and writer.actor.host.asleep_until <= self.world.time:
            writer.network_took(self.link.pipes[side].left)

    def kinds(self, side: int, chunk: bytes) -> list[int]:
        return self.taps[side].arrived(len(chunk))

    def is_torn(self, side: int) -> bool:
        return self.link.pipes[side].torn

    def settle(self, side: int) -> None:
        """Do nothing: what is written is on its way."""

    def stall(self, until: float, sides: tuple[int, ...] = (0, 1)) -> None:
        self.link.stall(until, sides)

    def slow_down(self, seconds: float) -> None:
        for pipe in self.link.pipes:
            low, high = pipe.delay
            pipe.delay = (low, high + seconds * self.world.draw())

    def calm_down(self) -> None:
        for pipe in self.link.pipes:
            pipe.delay = self.world.plan.delay
            pipe.stalled_until = min(pipe.stalled_until, self.world.time)
        self.plan_read(0)
        self.plan_read(1)

    def cut(self, learnt_at: tuple[float | None, float | None]) -> None:
        self.link.cut(learnt_at)
        self.was_cut = True
        self.plan_read(0)
        self.plan_read(1)

    def close(self, side: int) -> None:
        self.ends[side] = None
        self.link.close(side, self.world.time + self.world.plan.delay[0])
        self.plan_read(side)
