"""Whoever is behind in a channel is fed: given a stretch of history, as far as it takes it (SPEC CHN-3, CHN-6, LAT-2).

Rule: what is fed is shared. History is read in pages that begin at multiples of `PAGE`, so that members far behind,
each at a place of its own, soon ask for the same publications, and get the same bytes.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Final, TypeAlias

from hawser_engine.batch import Batch
from hawser_engine.codes import GapReason
from hawser_engine.messages import GapNotice, Position, PositionNotice, encode_body

from .chunks import CHUNK_BYTES
from .entries import Entry, History, publication_bytes, spared
from .filters import Filter
from .memberships import Membership
from .overflow import Overflow, left_out

PAGE: Final = 16
PAGE_BYTES: Final = 65_536
SHARED_PAGES: Final = 256

_Page: TypeAlias = tuple[str, bytes, tuple[int, ...], Filter | None]


class Feeder:
    """Feeds the members of all channels of a node, and keeps the pages that it gave last."""

    def __init__(self) -> None:
        self._pages: OrderedDict[_Page, Batch] = OrderedDict()

    def feed(self, member: Membership, history: History, now: float, *, from_history: bool) -> bool:
        """Give a member one page.

        Args:
            member: One that is behind.
            history: Read after the offset where it stands.
            now: The time.
            from_history: Whether the broker has kept it; else it is what waits here for slow members.

        Returns:
            Whether it may go on: False if it takes nothing more, or has everything.
        """
        going = self._feed(member, history, now, from_history=from_history)
        # Also where something was not taken: what was taken before it may be what the client waits for.
        member.outlet.flush(now)
        return going

    def _feed(self, member: Membership, history: History, now: float, *, from_history: bool) -> bool:
        if member.marker and not member.tell_position(now):  # it may have paused while this was read
            return False
        channel, before = member.channel, member.offset
        if history.top.epoch != member.epoch or history.first > before + 1:
            return self._feed_gap(member, history, now, from_history=from_history)
        going = self._feed_entries(member, history.entries, now)
        if channel.policy.overflow is Overflow.KEEP_LATEST:
            offsets = [entry.offset for entry in history.entries]
            channel.counts.replaced += left_out(before, member.offset, offsets)
        if going and member.uninformed:
            going = member.tell_position(now)
        if not going or channel.catch_up(member):
            return False
        return bool(history.entries)

    def _feed_gap(self, member: Membership, history: History, now: float, *, from_history: bool) -> bool:
        """Tell a member that what it is fed from no longer reaches its position (CHN-3, CHN-11)."""
        position = Position(history.top.epoch, history.first - 1)
        reason = GapReason.HISTORY_TOO_SHORT if from_history else GapReason.OVERFLOW
        if position.epoch != member.epoch:
            reason = GapReason.EPOCH_CHANGED
        return self._offer_gap(member, position, reason, now)

    def _offer_gap(self, member: Membership, position: Position, reason: int, now: float) -> bool:
        gap = GapNotice(member.channel.name, member.position, position, reason)
        if not member.outlet.offer(Batch.of([encode_body(gap)]), now):
            return False
        counts = member.channel.counts
        counts.gaps += 1
        counts.lost += position.offset - member.offset if position.epoch == member.epoch else 0
        member.moved(position)
        return True

    def _feed_entries(self, member: Membership, entries: Sequence[Entry], now: float) -> bool:
        """Give a member publications: all at once if its window takes them, else one by one as far as it goes.

        Of a channel that keeps the latest by key they are those that are kept (LAT-2).
        """
        name = member.outlet.name
        if name is not None and any(name in spared(entry) for entry in entries):
            return all(self._feed_around(member, entry, name, now) for entry in entries)
        wanted = member.passing(entries)
        if wanted and not self._bridge(member, wanted[0].offset, now):
            return False
        shared = self._shared(member, wanted) if len(wanted) > 1 else None
        together = shared is not None and member.outlet.offer(shared, now)
        if not together and not all(self._feed_entry(member, entry, now) for entry in wanted):
            return False
        if wanted:
            member.given(wanted[-1].offset)
        if entries:
            member.offset = entries[-1].offset
        return True

    def _feed_around(self, member: Membership, entry: Entry, name: str, now: float) -> bool:
        """Give a member a publication, or pass it over with one that is not for it (ADR-8)."""
        if name not in spared(entry):
            return self._feed_entries(member, [entry], now)
        return member.spare(entry.offset, partial(member.outlet.offer, now=now))

    def _feed_entry(self, member: Membership, entry: Entry, now: float) -> bool:
        channel, offset = member.channel, entry.offset
        if not self._bridge(member, offset, now):
            return False
        length = publication_bytes(channel.name, offset, entry.data, channel.about(entry))
        if length > member.longest:  # CHN-12
            return self._offer_gap(member, Position(member.epoch, offset), GapReason.OVERFLOW, now)
        if length <= CHUNK_BYTES:
            batch = self._shared(member, [entry])
            taken = batch is not None and member.outlet.offer(batch, now)
        else:
            taken = member.outlet.queue(channel.encode(member.epoch, entry))
        if taken:
            member.offset = offset
        return taken

    def _bridge(self, member: Membership, offset: int, now: float) -> bool:
        """Tell a member that nothing but replaced publications lies before an offset that it is to get (LAT-3)."""
        if member.filter is not None or offset == member.offset + 1:
            return True
        notice = PositionNotice(member.channel.name, member.epoch, offset - 1)
        if not member.outlet.offer(Batch.of([encode_body(notice)]), now):
            return False
        member.offset = offset - 1
        return True

    def _shared(self, member: Membership, entries: Sequence[Entry]) -> Batch | None:
        """The prepared batch of these publications, the same object for everyone; None if they are too long."""
        if sum(len(entry.data) for entry in entries) > PAGE_BYTES:
            return None
        # Each offset counts: what lies between may be replaced by now, and may have been for all but this member.
        key = (member.channel.name, member.epoch, tuple(entry.offset for entry in entries), member.filter)
        batch = self._pages.get(key)
        if batch is None:
            batch = self._pages[key] = Batch.of(member.channel.bodies(member.epoch, entries, member.filter))
            if len(self._pages) > SHARED_PAGES:
                self._pages.popitem(last=False)
        return batch


def page_of(member: Membership) -> int:
    """How much is read for a member at once, so that members at other places share the next pages."""
    keeps_latest = member.channel.policy.overflow is Overflow.KEEP_LATEST
    return PAGE if keeps_latest else PAGE - member.offset % PAGE
