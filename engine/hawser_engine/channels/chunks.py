"""What was reported of a channel and is not delivered yet: publications prepared once, for all who get them."""

from collections import deque
from typing import Final

from attrs import evolve, frozen

from hawser_engine.batch import Batch
from hawser_engine.messages import Position

from .filters import Filter, Tags

CHUNK_MESSAGES: Final = 64
CHUNK_BYTES: Final = 65_536
"""A chunk is small enough that a member with most of its window free can take it whole."""


@frozen
class Chunk:
    """Publications that are delivered together."""

    batch: Batch | None
    """Prepared once, shared by all; None if it is one publication of several parts, which only the feeder gives."""
    epoch: bytes
    """The epoch of all of them."""
    first: int
    """The lowest offset in it."""
    last: int
    """The highest."""
    longest: int
    """The length of the longest message in it."""
    before: int
    """Up to here it was known before what there is: one less than the first, unless something is missing."""
    bodies: tuple[bytes, ...] = ()
    """Each of them, where they carry tags."""
    tags: tuple[Tags, ...] = ()
    """What each carries; as many as ``bodies``."""
    last_body: int = 0
    """The offset of the last message in it."""
    spared: tuple[str, ...] = ()
    """The names of sessions that do not get it, which then is one publication."""

    def passing(self, filter: Filter) -> "Chunk | None":
        """The chunk as those get it who have a filter; None if nothing passes."""
        places = [place for place, tags in enumerate(self.tags) if filter.matches(tags)]
        if not places:
            return None
        if len(places) == len(self.bodies):
            return self
        bodies = [self.bodies[place] for place in places]
        last_body = self.first + places[-1]
        return evolve(self, batch=Batch.of(bodies), longest=max(map(len, bodies)), last_body=last_body)


@frozen
class Fleeting:
    """One volatile publication, in its place among the chunks (VOL-5)."""

    packet: bytes
    """The VOLATILE with the PUBLICATION, the same bytes for all."""
    length: int
    """The length of the PUBLICATION."""
    position: Position
    """Where the channel stood: it is for those who stand there, too."""
    in_place: bool
    """Whether everything up to there was reported."""
    tags: Tags
    """What it carries, for filters."""
    spared: tuple[str, ...] = ()
    """The names of sessions that do not get it."""


class Waiting:
    """What waits in one channel: chunks, and behind them what is not one yet.

    Args:
        tagged: Whether its publications carry what filters look at.
    """

    __slots__ = ("_bodies", "_bytes", "_tags", "chunks", "lacking")

    def __init__(self, *, tagged: bool) -> None:
        self.chunks: deque[Chunk | Fleeting] = deque()
        self.lacking: bool = False
        """Whether something is missing behind it, so that members become behind when it was given."""
        self._bodies: list[bytes] = []
        self._bytes = 0
        self._tags: list[Tags] | None = [] if tagged else None  # of each body

    @property
    def empty(self) -> bool:
        """Whether nothing waits any more."""
        return not (self.chunks or self._bodies)

    @property
    def open(self) -> bool:
        """Whether there is something that is not a chunk yet."""
        return bool(self._bodies)

    def has_room(self, body: bytes) -> bool:
        """Whether there is room for a publication in what is not a chunk yet."""
        return len(self._bodies) < CHUNK_MESSAGES and self._bytes + len(body) <= CHUNK_BYTES

    def add(self, body: bytes, tags: Tags) -> None:
        """Add a publication, prepared, and what it carries."""
        self._bodies.append(body)
        self._bytes += len(body)
        if self._tags is not None:
            self._tags.append(tags)

    def seal(self, last: Position, before: Position | None, spared: tuple[str, ...]) -> None:
        """Make a chunk of what is not one yet; there is something, see `open`.

        Args:
            last: Where the last of it stands.
            before: How far it was known before what there is; None: nowhere, so nothing can be missing.
            spared: See `Chunk.spared`.
        """
        bodies = self._bodies
        batch = None if self._bytes > CHUNK_BYTES else Batch.of(bodies)
        first, longest = last.offset - len(bodies) + 1, max(map(len, bodies))
        known = first - 1 if before is None else min(before.offset, first - 1) if before.epoch == last.epoch else 0
        kept, tags = ((), ()) if self._tags is None else (tuple(bodies), tuple(self._tags))
        chunk = Chunk(batch, last.epoch, first, last.offset, longest, known, kept, tags, last.offset, spared)
        self.chunks.append(chunk)
        self._bodies, self._bytes = [], 0
        if self._tags is not None:
            self._tags = []
