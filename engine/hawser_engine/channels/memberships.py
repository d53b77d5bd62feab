"""One session in one channel: where it stands, and how it is served."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from hawser_engine.batch import Batch
from hawser_engine.messages import Position, PositionNotice, encode_body
from hawser_engine.passage import Passage

from .entries import Entry
from .filters import Filter

if TYPE_CHECKING:
    from .channel import Channel


class Outlet(ABC):
    """What a channel needs of a session."""

    __slots__ = ()

    passage: Passage | None = None
    """The short way to its client, once something was delivered on its present connection."""

    @property
    @abstractmethod
    def message_bytes(self) -> int:
        """The longest message that its client takes."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """What names it to others, if anybody was ever told (SPEC ADR-2)."""

    @abstractmethod
    def deliver(self, batch: Batch, now: float) -> bool:
        """Send a prepared batch at once; False if there is no window, and nothing was taken."""

    @abstractmethod
    def offer(self, batch: Batch, now: float) -> bool:
        """Take a prepared batch, to be written by `flush`; False if there is no window, and nothing was taken."""

    @abstractmethod
    def queue(self, body: bytes) -> bool:
        """Take a message that may be too long for a batch; False if something else waits already."""

    @abstractmethod
    def flush(self, now: float) -> None:
        """Write what was offered."""

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
        "place", "recovers_to",
    )  # fmt: skip

    def __init__(self, channel: "Channel", outlet: Outlet, position: Position, mode: Mode, place: int = 0) -> None:
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
        self.recovers_to: float = inf if mode is not Mode.LIVE else 0
        """Up to which offset it is fed what it began with: that is no overflow, and comes from history (OVF-1)."""
        self._rewound_from: Position | None = None
        self._began: Position | None = position  # None in a later epoch, of which it may have everything

    @property
    def recovering(self) -> bool:
        """Whether it has not had everything yet since it subscribed, or goes back to what it had then."""
        return self.offset < self.recovers_to

    @property
    def position(self) -> Position:
        """What the session has been given of this channel, and has not thrown away."""
        return Position(self.epoch, self.offset)

    def pause(self, claim: Position) -> None:
        """The client wants nothing more for now, from the position that it has queued (CHN-8)."""
        self.channel.counts.paused += self.mode is not Mode.PAUSED
        self.mode = Mode.PAUSED
        self.rewind(claim)

    def go_on(self, claim: Position, now: float) -> None:
        """The client goes on after the position that it has queued; without a pause this means nothing (CHN-9)."""
        if self.mode is Mode.PAUSED:
            self.mode = Mode.BEHIND
            self.rewind(claim)
            # CHN-9: whatever of the channel came before this was under way from before the PAUSE.
            self.marker = True
            self.tell_position(now)
            self.outlet.feed()

    def rewind(self, claim: Position) -> None:
        """Go on from where the client says it stands: it throws away what comes while its queue is full (CHN-8).

        Nobody stands ahead of what was given. But that may be ahead of `position`: what was under way from before a
        PAUSE is queued after the CONTINUE if it happens to come next. Once there was a new epoch, one that is not the
        present one is an earlier one, whose news has not arrived yet, or made up; the feeder answers either with a gap.
        So it does where the present one is claimed by whom it has not told of it.

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
        if claim.epoch == reached.epoch:
            made_up = claim.offset > reached.offset
        else:
            made_up = claim.epoch == self.channel.position.epoch  # of which it was given nothing
        if made_up:
            claim = reached
        self.epoch, self.offset = claim.epoch, claim.offset

    def moved(self, position: Position) -> None:
        """The session was told to go on from here, over a gap."""
        if position.epoch != self.epoch:
            self._began = None
            if self.recovers_to < inf:
                self.recovers_to = 0
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

    def tell_position(self, now: float) -> bool:
        """Say how far it has been considered, if its session takes that now (CHN-4)."""
        if not self.outlet.offer(self.notice(), now):
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
