"""What a reader of a world may see, checked as it comes: rising offsets, and holes that are announced."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hawser import Gap, Message
from hawser_engine.codes import GapReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser import Position
    from tests.runtime.world import World


class Broken(AssertionError):
    """Something that is promised does not hold.

    Args:
        what: What.
        story: Everything that happened before, in order.
    """

    def __init__(self, what: str, story: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.story = story


class Reader:
    """What one reader has seen, checked as it comes."""

    def __init__(self, world: World, name: str) -> None:
        self.here: Position | None = None
        """Behind the last thing it was told."""
        self.told = 0
        self._world = world
        self._name = name

    def see(self, item: Message | Gap) -> None:
        """Take the next item."""
        self.told += 1
        here, world = self.here, self._world
        world.note(self._name, f"{type(item).__name__} {item.position.offset}")
        if here is not None and here.epoch != item.position.epoch:
            raise Broken(f"{self._name}: another epoch, and the broker has only one")
        if isinstance(item, Gap):
            world.gaps += 1
            self._check_gap(item)
        else:
            if here is not None and item.offset != here.offset + 1:
                raise Broken(f"{self._name}: {item.offset} follows {here.offset}, and nobody said so")
            world.read.append((item.position, item.data))
        self.here = item.position

    def _check_gap(self, gap: Gap) -> None:
        here, world = self.here, self._world
        if world.history >= world.total and not (world.hurries and gap.reason == GapReason.OVERFLOW):
            raise Broken(f"{self._name}: {gap}, though history reaches everything")
        if here is not None and (gap.since != here or gap.position.offset <= here.offset):
            raise Broken(f"{self._name}: {gap}, but it stands at {here.offset}")


def leaf(error: BaseException) -> BaseException:
    """The first real cause in what nurseries make of it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return leaf(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
