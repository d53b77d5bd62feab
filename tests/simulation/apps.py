"""What applications do with a session: they send in bursts, they read, sometimes slowly."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hawser_engine.codec import MAX_BODY
from hawser_engine.errors import BacklogFull, MessageTooLarge
from hawser_engine.events import MessageReceived
from hawser_engine.session import Session

from .books import Direction, Violation
from .plan import LONGEST

if TYPE_CHECKING:
    from .world import World

__all__ = ["Application", "body_of"]

_FILLER: Final = bytes(range(256)) * 1_024


def body_of(serial: int, size: int) -> bytes:
    """Return a body of that size that no other serial has, if it is long enough to tell."""
    return (serial.to_bytes(4, "big")[::-1] + _FILLER[serial % 251 : serial % 251 + size])[:size]


def _giant(draw: Callable[[], float]) -> int:
    return 60_000 + int(120_000 * draw())


class Application:
    """The habits of one application; it works on whatever session it is given."""

    __slots__ = ("_side", "_world", "lag")

    def __init__(self, world: "World", side: int) -> None:
        self._world = world
        self._side = side  # 0: it takes what comes up; 1: what comes down
        self.lag = world.plan.lag * world.draw()

    def send_some(self, session: Session, out: Direction, now: float) -> None:
        """Send a burst: plain messages, some with a policy, some that are not counted."""
        world, plan = self._world, self._world.plan
        draw = world.draw
        for _ in range(1 + int(plan.burst * draw())):
            if session.ended is not None:
                return
            size = int(plan.longest * draw()) if draw() < 0.9 else int(8 * draw())
            if plan.giant and draw() < plan.giants:
                size = _giant(draw)
            world.serial += 1
            body = body_of(world.serial, size)
            ttl = key = None
            urgent = False
            if draw() < plan.policies:
                choice = draw()
                if choice < 0.45:
                    ttl = 2.0 * draw()
                elif choice < 0.9:
                    key = "abc"[int(3 * draw())]
                else:
                    urgent = True
            try:
                ordinal = session.send(body, now, ttl_seconds=ttl, key=key, urgent=urgent)
            except (BacklogFull, MessageTooLarge):
                pair = world.pairs.get(session.session_id)
                if urgent and pair is not None:
                    pair.causes.add("OVERFLOW")
                return
            out.accept(body, ordinal, droppable=ttl is not None or key is not None)
        if draw() < plan.volatile:
            session.send_volatile(body_of(0, int(40 * draw())), now)

    def send_run(self, session: Session, out: Direction, now: float) -> None:
        """Send a message of several parts, and short ones behind it; some of them may expire."""
        draw = self._world.draw
        for size in (MAX_BODY + _giant(draw), int(100 * draw()), int(100 * draw())):
            ttl = 0.5 * draw() if draw() < 0.3 else None
            self._world.serial += 1
            body = body_of(self._world.serial, min(size, LONGEST))
            try:
                ordinal = session.send(body, now, ttl_seconds=ttl)
            except (BacklogFull, MessageTooLarge):
                return
            out.accept(body, ordinal, droppable=ttl is not None)

    def received(self, session: Session, into: Direction | None, event: MessageReceived, now: float) -> float | None:
        """Take a message at once, or return when a slow reader comes for it, unless it is to come anyway."""
        if into is None:
            raise Violation("I1", "a message arrived on a session that nobody opened")
        into.hand(event.body, event.number)
        if self.lag:
            if into.reading:
                return None
            into.reading = True
            return now + self.lag
        self.take(session, into, event.number, now)
        return None

    def take_all(self, session: Session, into: Direction, now: float) -> None:
        """Take everything that was handed out."""
        into.reading = False
        if into.handed:
            self.take(session, into, into.handed[-1][0], now)

    def take(self, session: Session, into: Direction, number: int, now: float) -> None:
        """Tell the engine that the application's queue has everything up to ``number``."""
        if session.ended is None:
            before = into.taken
            into.take(number)
            self._world.taken[self._side] += into.taken - before
            session.delivered(number, now)
