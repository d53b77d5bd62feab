"""One channel on this node, as pure state: who is where in it, and what waits to be delivered.

Publications arrive in offset order from the broker and wait in chunks, each prepared once for all. A member is
*live* (gets every chunk), *behind* (only its position is kept; the feeder brings it up from history) or *paused*.

Rule 1: a member's position says what its session has been given; nothing is given that does not follow it (SUB-9).
Rule 2: membership changes only between chunks: what waits is sealed first, so no chunk holds both what a member has
and what it has not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs

from hawser.about import told
from hawser.brokers import History
from hawser_engine.batch import Batch
from hawser_engine.messages import Position, encode_publication

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.brokers import Entry, Retention
    from hawser.rules import ChannelRule
    from hawser_engine.messages import About

CHUNK_MESSAGES: Final = 64
CHUNK_BYTES: Final = 65_536
"""A chunk is small enough that a member with most of its window free can take it whole."""


class Outlet(ABC):
    """What a channel needs of a session."""

    __slots__ = ()

    @property
    @abstractmethod
    def message_bytes(self) -> int:
        """The longest message that its client takes."""

    @abstractmethod
    def deliver(self, batch: Batch, now: float) -> bool:
        """Send a prepared batch at once; False if there is no window, and nothing was taken."""

    @abstractmethod
    def feed(self) -> None:
        """Begin to bring up what is behind, as soon as it can be."""


class Mode(Enum):
    """How a member is served."""

    LIVE = auto()
    """It gets what is published, as it is published."""
    BEHIND = auto()
    """It is fed from history when its session has window."""
    PAUSED = auto()
    """Its client asked for nothing more for now."""


_LIVE: Final = Mode.LIVE  # by names of their own, for they are asked for with every delivery (``hawser_engine.link``)
_BEHIND: Final = Mode.BEHIND


class Membership:
    """One session in one channel."""

    __slots__ = ("_rewound_from", "active", "channel", "epoch", "longest", "mode", "offset", "outlet")

    def __init__(self, channel: Channel, outlet: Outlet, position: Position, mode: Mode) -> None:
        self.channel: Channel = channel
        self.outlet: Outlet = outlet
        self.longest: int = outlet.message_bytes  # which its session was told once for all when it was opened
        self.epoch: bytes = position.epoch
        self.offset: int = position.offset
        self.mode: Mode = mode
        self.active: bool = True
        self._rewound_from: Position | None = None

    @property
    def position(self) -> Position:
        """What the session has been given of this channel, and has not thrown away."""
        return Position(self.epoch, self.offset)

    def rewind(self, claim: Position) -> None:
        """Go on from where the client says it stands: it throws away what comes while its queue is full (CHN-8).

        Nobody stands ahead of what was given. But that may be ahead of `position`: what was under way from before a
        PAUSE is queued after the CONTINUE if it happens to come next. An epoch that is not the present one is an
        earlier one, whose news has not arrived yet; the feeder answers it with a gap.
        """
        reached = self.position
        before = self._rewound_from
        if before is not None and (before.epoch != reached.epoch or before.offset > reached.offset):
            reached = before
        self._rewound_from = reached
        if claim.epoch == reached.epoch and claim.offset > reached.offset:
            claim = reached
        self.epoch, self.offset = claim.epoch, claim.offset

    def moved(self, position: Position) -> None:
        """The session was told to go on from here, over a gap."""
        if self._rewound_from is not None and self._rewound_from.epoch != position.epoch:
            self._rewound_from = None
        self.epoch, self.offset = position.epoch, position.offset


@attrs.frozen
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


class Channel:
    """One channel that somebody on this node subscribes to."""

    def __init__(self, name: str, rule: ChannelRule, ring: Retention) -> None:
        self.name = name
        self.rule = rule
        self._ring_limits = ring
        self.members: dict[Outlet, Membership] = {}
        self.position: Position = Position(bytes(8), 0)
        """How far the broker has reported."""
        self.chunks: deque[Chunk] = deque()
        self._early: list[tuple[bytes, Sequence[Entry]]] | None = []  # reported before the join was answered
        self.ring: deque[Entry] = deque()
        """The newest publications of a channel without history, for members that are behind: the queue of one
        subscriber, shared by all. The oldest go first (CHN-7)."""
        self._ring_bytes = 0
        self._bodies: list[bytes] = []
        self._bytes = 0

    @property
    def dirty(self) -> bool:
        """Whether something waits to be delivered."""
        return bool(self.chunks or self._bodies)

    def joined(self, position: Position) -> None:
        """The broker reports from here on."""
        self.position = position
        early, self._early = self._early or [], None
        for epoch, entries in early:
            known = position.offset if epoch == position.epoch else 0
            self.report(epoch, [entry for entry in entries if entry.offset > known])

    def report(self, epoch: bytes, entries: Sequence[Entry]) -> None:
        """Take what the broker reports; it waits until it is delivered."""
        if self._early is not None:
            self._early.append((epoch, entries))
            return
        if epoch != self.position.epoch:
            # CHN-11: the feeder tells everyone of the new epoch before its first publication.
            self.seal()
            for member in self.members.values():
                if member.mode is Mode.LIVE:
                    member.mode = Mode.BEHIND
            self.ring.clear()
            self._ring_bytes = 0
        for entry in entries:
            body = self.encode(epoch, entry)
            if len(self._bodies) >= CHUNK_MESSAGES or self._bytes + len(body) > CHUNK_BYTES:
                self.seal()
            self._bodies.append(body)
            self._bytes += len(body)
            self.position = Position(epoch, entry.offset)
            if not self.rule.retention.messages:
                self._keep(entry)

    def about(self, entry: Entry) -> About | None:
        """What the publication carries beside its payload."""
        return told(self.rule.about, entry) if self.rule.about else None

    def encode(self, epoch: bytes, entry: Entry) -> bytes:
        """The PUBLICATION, the same bytes for everyone (CHN-2)."""
        return encode_publication(self.name, epoch, entry.offset, entry.data, self.about(entry))

    def seal(self) -> None:
        """Make a chunk of what has been reported since the last one."""
        if not self._bodies:
            return
        epoch, last = self.position.epoch, self.position.offset
        batch = None if self._bytes > CHUNK_BYTES else Batch.of(self._bodies)
        self.chunks.append(Chunk(batch, epoch, last - len(self._bodies) + 1, last, max(map(len, self._bodies))))
        self._bodies = []
        self._bytes = 0

    def enter(self, outlet: Outlet, position: Position) -> Membership:
        """Add a member that has everything up to ``position``."""
        self.seal()
        mode = Mode.LIVE if self._has_everything(position) else Mode.BEHIND
        member = self.members[outlet] = Membership(self, outlet, position, mode)
        return member

    def leave(self, outlet: Outlet) -> None:
        """Take a member away; nothing more is delivered to it."""
        member = self.members.pop(outlet, None)
        if member is not None:
            member.active = False

    def catch_up(self, member: Membership) -> bool:
        """Make a member live again if it has everything that was reported."""
        if not self._has_everything(member.position):
            return False
        self.seal()
        member.mode = Mode.LIVE
        return True

    def deliver(self, members: Sequence[Membership], chunk: Chunk, now: float) -> None:
        """Give a chunk to members; whoever cannot take it becomes behind, and is fed.

        The hottest loop of a server: what is the same for all is asked for once, the time among it.
        """
        batch, epoch, last, longest = chunk.batch, chunk.epoch, chunk.last, chunk.longest
        before = chunk.first - 1
        for member in members:
            if member.mode is not _LIVE or not member.active:
                if member.mode is _BEHIND:
                    member.outlet.feed()
                continue
            offset = member.offset
            if member.epoch != epoch or offset >= last:
                continue
            if (
                offset == before
                and longest <= member.longest
                and batch is not None
                and member.outlet.deliver(batch, now)
            ):
                member.offset = last
            else:
                member.mode = _BEHIND
                member.outlet.feed()

    def ring_history(self, after: int, limit: int) -> History:
        """What a channel without history still has after an offset, in the shape of a broker's answer."""
        first = self.ring[0].offset if self.ring else self.position.offset + 1
        return History(self.position, first, tuple(islice(self.ring, max(0, after + 1 - first), None))[:limit])

    def _has_everything(self, position: Position) -> bool:
        # A broker's history may be ahead of its reports: what is then reported again is skipped or fed (deliver).
        return position.epoch == self.position.epoch and position.offset >= self.position.offset

    def _keep(self, entry: Entry) -> None:
        self.ring.append(entry)
        self._ring_bytes += len(entry.data)
        limits = self._ring_limits
        while len(self.ring) > limits.messages or (self._ring_bytes > limits.bytes and len(self.ring) > 1):
            self._ring_bytes -= len(self.ring.popleft().data)
