"""The presence of one channel as watchers are told it: a list, then numbered steps (SPEC PRS-4 to PRS-10).

Rule: a list and the steps behind it say what was *told*, which is what is so, or was so at the last step. So whoever
begins between two steps holds the same as everybody else, and what changes back before the next step is never told.

Everything is encoded once for all watchers. A watcher is a version, and its place in a list that it is being sent; no
queue waits for it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from math import inf
from typing import Final

from attrs import frozen

from hawser_engine.messages import encode_body
from hawser_engine.presence import Changes, Member, Members

PIECE_ENTRIES: Final = 128
"""Members in one message (SPEC 15.1)."""
PIECE_BYTES: Final = 32_768
"""What they and their info have at most, so that a piece is one part, and leaves room in a window for others."""
ENTRY_BYTES: Final = 32
"""What a member has beside user and info, at most: its id and heads."""


@frozen
class Manner:
    """How the presence of channels is told."""

    step_seconds: float = 1.0
    """At least so much between two steps (SPEC PRS-8)."""
    listed_max: int = 1_000
    """Of more members only the number is told (SPEC PRS-10)."""
    listed_again: int = 800
    """From so few members on they are listed again."""
    steps_max: int = 64
    """Steps that are kept for those who could not take them at once."""
    steps_bytes: int = 65_536
    """Sum of their bytes; the newest step is always kept."""


class Watcher:
    """How far one watcher has come."""

    __slots__ = ("pieces", "place", "version")

    def __init__(self) -> None:
        self.version: int = -1
        """Of the list that it got, or gets, and the steps since; -1: it needs one."""
        self.pieces: tuple[bytes, ...] = ()
        """The list that it is being sent."""
        self.place: int = 0
        """Which piece of it is next."""

    def restart(self) -> None:
        """Begin with a new list (SPEC PRS-7)."""
        self.version, self.pieces, self.place = -1, (), 0


class Roll:
    """Who is in one channel, and what its watchers know of it."""

    def __init__(self, channel: str, manner: Manner) -> None:
        self.channel = channel
        self.version: int = 0
        self.members: dict[bytes, Member] = {}
        """Who is there; changed by `replace`, `enter` and `leave` only."""
        self._manner = manner
        self._told: dict[bytes, Member] = {}
        self._total = 0  # as told
        self._listed = True
        self._changed: dict[bytes, None] = {}  # whose entry differs from what was told
        self._step_at = -inf
        self._steps: deque[bytes] = deque()  # those that led to this version, the newest last
        self._steps_bytes = 0
        self._list: tuple[bytes, ...] = ()  # of this version, once somebody wanted it

    @property
    def load(self) -> tuple[int, int]:
        """How many steps are kept, and how many changes wait to be told."""
        return len(self._steps), len(self._changed)

    # ------------------------------------------------------------ who is there

    def replace(self, members: Iterable[Member]) -> None:
        """Exactly these are there."""
        wanted = {entry.member: entry for entry in members}
        for member in [member for member in self.members if member not in wanted]:
            self.leave(member)
        for entry in wanted.values():
            self.enter(entry)

    def enter(self, entry: Member) -> None:
        """A member is there, or says something else of itself."""
        self.members[entry.member] = entry
        self._compare(entry.member)

    def leave(self, member: bytes) -> None:
        """A member is not there any more."""
        self.members.pop(member, None)
        self._compare(member)

    def _compare(self, member: bytes) -> None:
        if self._listed and self.members.get(member) != self._told.get(member):
            self._changed[member] = None
        else:
            self._changed.pop(member, None)

    # ------------------------------------------------------------ steps

    def next_step(self) -> float | None:
        """When to call `step`, perhaps long ago; None: there is nothing to be told."""
        return self._step_at if self._changed or len(self.members) != self._total else None

    def step(self, now: float) -> bool:
        """Tell what has changed, if it is time (SPEC PRS-8).

        Returns:
            Whether there is something for the watchers.
        """
        due = self.next_step()
        if due is None or now < due:
            return False
        self._step_at = now + self._manner.step_seconds
        total = len(self.members)
        if self._listed != (total <= (self._manner.listed_max if self._listed else self._manner.listed_again)):
            self._listed = not self._listed
            self._told = dict(self.members) if self._listed else {}
            self._keep(())
        elif self._listed:
            self._keep(list(self._changes()))
        else:
            self._keep([encode_body(Changes(self.channel, self.version + 1, total, (), ()))])
        self._changed.clear()
        self._total = total
        self._list = ()
        return True

    def _changes(self) -> Iterator[bytes]:
        """What differs from what was told, which it then is."""
        here: list[Member] = []
        gone: list[bytes] = []
        size, version = 0, self.version
        for member in self._changed:
            entry = self.members.get(member)
            more = 0 if entry is None else _size(entry)
            if len(here) + len(gone) == PIECE_ENTRIES or (here and size + more > PIECE_BYTES):
                version += 1
                yield encode_body(Changes(self.channel, version, len(self._told), tuple(here), tuple(gone)))
                here, gone, size = [], [], 0
            if entry is None:
                gone.append(member)
                del self._told[member]
            else:
                here.append(entry)
                size += more
                self._told[member] = entry
        yield encode_body(Changes(self.channel, version + 1, len(self._told), tuple(here), tuple(gone)))

    def _keep(self, steps: Iterable[bytes]) -> None:
        """Make these the newest steps; none of them: whoever watches needs a list."""
        new = list(steps)
        size = sum(map(len, new))
        while self._steps and (
            not new
            or len(self._steps) + len(new) > self._manner.steps_max
            or self._steps_bytes + size > self._manner.steps_bytes
        ):
            self._steps_bytes -= len(self._steps.popleft())
        self._steps.extend(new)
        self._steps_bytes += size
        self.version += len(new) or 1

    # ------------------------------------------------------------ watchers

    def upcoming(self, watcher: Watcher) -> bytes | None:
        """What a watcher is to be sent next; None: it has everything."""
        if not watcher.pieces:
            missing = self.version - watcher.version
            if not missing:
                return None
            if watcher.version >= 0 and missing <= len(self._steps):
                return self._steps[-missing]
            watcher.pieces, watcher.place, watcher.version = self._listing(), 0, self.version
        return watcher.pieces[watcher.place]

    def sent(self, watcher: Watcher) -> None:
        """A watcher was sent what is upcoming."""
        if not watcher.pieces:
            watcher.version += 1
            return
        watcher.place += 1
        if watcher.place == len(watcher.pieces):
            watcher.pieces = ()

    def refused(self, watcher: Watcher) -> None:
        """A watcher could not be sent what is upcoming: a list that has not begun is not kept for it, but made anew."""
        if watcher.place == 0 and watcher.pieces:
            watcher.restart()

    def _listing(self) -> tuple[bytes, ...]:
        """The list of this version (SPEC PRS-4)."""
        if not self._list:
            pieces = list(_pieces(self._told.values())) if self._listed else [None]
            last = len(pieces) - 1
            self._list = tuple(
                encode_body(Members(self.channel, self.version, self._total, place < last, piece))
                for place, piece in enumerate(pieces)
            )
        return self._list


def _size(entry: Member) -> int:
    return ENTRY_BYTES + len(entry.user.encode()) + len(entry.info)


def _pieces(entries: Iterable[Member]) -> Iterator[tuple[Member, ...]]:
    piece: list[Member] = []
    size = 0
    for entry in entries:
        more = _size(entry)
        if len(piece) == PIECE_ENTRIES or (piece and size + more > PIECE_BYTES):
            yield tuple(piece)
            piece, size = [], 0
        piece.append(entry)
        size += more
    yield tuple(piece)
