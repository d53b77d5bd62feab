"""One session in one channel: where it stands, and how it is served."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import TYPE_CHECKING

from hawser_engine.batch import Batch
from hawser_engine.messages import Position, PositionNotice, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hawser.brokers import Entry
    from hawser_engine.channels.filters import Filter
    from hawser_engine.passage import Passage

    from .channels import Channel


class Outlet(ABC):
    """What a channel needs of a session."""

    __slots__ = ()

    passage: Passage | None = None
    """The short way to its client, once something was delivered on its present connection."""

    @property
    @abstractmethod
    def message_bytes(self) -> int:
        """The longest message that its client takes."""

    @abstractmethod
    def deliver(self, batch: Batch, now: float) -> bool:
        """Send a prepared batch at once; False if there is no window, and nothing was taken."""

    @abstractmethod
    def deliver_volatile(self, packet: bytes, now: float) -> bool:
        """Send a VOLATILE at once; False if the link has no room, and it is lost (VOL-4)."""

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


class Membership:
    """One session in one channel."""

    __slots__ = (
        "_began", "_rewound_from", "active", "channel", "epoch", "longest", "marker", "mode", "offset", "outlet",
        "place", "recovering",
    )  # fmt: skip

    def __init__(self, channel: Channel, outlet: Outlet, position: Position, mode: Mode, place: int = 0) -> None:
        self.channel: Channel = channel
        self.outlet: Outlet = outlet
        self.longest: int = outlet.message_bytes  # which its session was told once for all when it was opened
        self.epoch: bytes = position.epoch
        self.offset: int = position.offset
        self.mode: Mode = mode
        self.active: bool = True
        self.place: int = place
        """Where it is in `Channel.members`, which alone looks at it."""
        self.marker: bool = False
        """Whether POSITION has to come before anything else: the client discards what does not follow it (CHN-9)."""
        self.recovering: bool = mode is not Mode.LIVE
        """Whether it has not had everything yet since it subscribed: that is no overflow, and comes from history."""
        self._rewound_from: Position | None = None
        self._began: Position | None = position  # None in a later epoch, of which it may have everything

    @property
    def position(self) -> Position:
        """What the session has been given of this channel, and has not thrown away."""
        return Position(self.epoch, self.offset)

    def rewind(self, claim: Position) -> None:
        """Go on from where the client says it stands: it throws away what comes while its queue is full (CHN-8).

        Nobody stands ahead of what was given. But that may be ahead of `position`: what was under way from before a
        PAUSE is queued after the CONTINUE if it happens to come next. Once there was a new epoch, one that is not the
        present one is an earlier one, whose news has not arrived yet, or made up; the feeder answers either with a gap.

        Nor does anybody go back to before the subscription began: who may not read history would read it so (SUB-14).
        Of a later epoch there is nothing from before (CHN-9).
        """
        began, reached = self._began, self.position
        if began is not None and (claim.epoch != began.epoch or claim.offset < began.offset):
            claim = began
        before = self._rewound_from
        if before is not None and (before.epoch != reached.epoch or before.offset > reached.offset):
            reached = before
        self._rewound_from = reached
        if claim.epoch == reached.epoch and claim.offset > reached.offset:
            claim = reached
        self.epoch, self.offset = claim.epoch, claim.offset

    def moved(self, position: Position) -> None:
        """The session was told to go on from here, over a gap."""
        if position.epoch != self.epoch:
            self._began = None
        if self._rewound_from is not None and self._rewound_from.epoch != position.epoch:
            self._rewound_from = None
        self.epoch, self.offset = position.epoch, position.offset

    def fall_behind(self) -> None:
        """It cannot be given what comes now: from here on it is fed."""
        self.mode = Mode.BEHIND
        self.channel.counts.behind += 1
        self.outlet.feed()

    @property
    def filter(self) -> Filter | None:
        """What has to hold for a publication to be given to it; None: nothing."""
        return None

    def passing(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that are for it."""
        return entries

    def notice(self) -> Batch:
        """POSITION, with where it stands (CHN-4)."""
        return Batch.of([encode_body(PositionNotice(self.channel.name, self.epoch, self.offset))])

    def spare(self, offset: int, send: Callable[[Batch], bool]) -> bool:
        """Pass it over with a publication that is not for it, and say so (ADR-8).

        Args:
            offset: Of the publication, which is the next one for it.
            send: Sends a batch, if the session takes that now.

        Returns:
            Whether it did; else it stands where it stood.
        """
        before, self.offset = self.offset, offset
        if not send(self.notice()):
            self.offset = before
            return False
        self.informed()
        return True

    @property
    def uninformed(self) -> bool:
        """Whether it was passed over since it last heard of a position."""
        return False

    def informed(self) -> None:
        """It was told where it stands."""
        self.marker = False

    def given(self, offset: int) -> None:
        """It was given a publication by itself, which tells it as much."""


def tags_of(entry: Entry) -> Mapping[str, str] | None:
    """The tags of a publication, if it carries any."""
    return None if entry.about is None else entry.about.tags
