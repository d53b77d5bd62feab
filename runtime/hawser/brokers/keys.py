"""Which idempotency keys are remembered, and whose are forgotten when there are too many, as state without a clock.

Rule: beyond the bound the oldest key of whoever has the most is forgotten (SPEC PUB-3, MBX-3), so one who floods
pushes out only its own. It is a choice that routers make, too: drop from the longest queue.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from math import inf
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

import attrs

from hawser.principals import key_holder

if TYPE_CHECKING:
    from collections.abc import Iterable

log: Final = logging.getLogger("hawser")

KEY_WINDOW_SECONDS: Final = 300.0
"""How long an idempotency key is remembered, as Centrifugo does for its server API (SPEC PUB-3)."""
KEYS_MAX: Final = 150_000
"""So many are remembered at once: 500 new ones a second for as long as they are good, in 60 to 105 MB.

That is what one connection may publish (`messages_per_second`).
"""

What = TypeVar("What")
Scope: TypeAlias = str | bytes
"""Where a key holds: the name of a channel, or that of a mailbox in UTF-8, so that the two never meet."""
Place: TypeAlias = tuple[Scope, bytes]
"""A key, and where it holds."""


@attrs.define(eq=False, weakref_slot=False)
class _Entry(Generic[What]):
    """One key that is remembered."""

    place: Place
    what: What
    until: float
    """When it is out of date."""
    share: _Share[What]
    later: _Entry[What] | None = None
    """The next of its holder."""


@attrs.define(eq=False, weakref_slot=False)
class _Share(Generic[What]):
    """The keys of one holder."""

    holder: bytes
    count: int = 0
    oldest: _Entry[What] | None = None
    newest: _Entry[What] | None = None


class KeyWindow(Generic[What]):
    """What was stored under keys, for some time.

    Times are in whatever unit the caller counts in, and never go back.

    Args:
        keys_max: Keys kept at once.
        length: How long keys are good.
    """

    __slots__ = ("_due", "_held", "_length", "_quiet", "_ranks", "_shares", "forgotten", "keys_max")

    def __init__(self, keys_max: int, length: float) -> None:
        self.keys_max: int = keys_max
        """May be changed at any time; it holds from the next `shorten` on."""
        self.forgotten: int = 0
        """Keys that were forgotten before their time."""
        self._length = length
        # Oldest first. A dict would look for its first among all that were ever taken from there.
        self._held: OrderedDict[Place, _Entry[What]] = OrderedDict()
        self._shares: dict[bytes, _Share[What]] = {}
        self._due = inf  # nothing is out of date before
        self._ranks: _Ranks[What] | None = None  # once there were too many: until then nobody has to know
        self._quiet = -inf  # what is forgotten before this is no news

    def __len__(self) -> int:
        return len(self._held)

    def get(self, scope: Scope, key: bytes) -> What | None:
        """What was stored under a key, if it is remembered; of those out of date `expire` has to be told first."""
        found = self._held.get((scope, key))
        return None if found is None else found.what

    def add(self, scope: Scope, key: bytes, what: What, until: float) -> None:
        """Remember a key that is not.

        Args:
            scope: Where it holds.
            key: As `scoped_key` makes it.
            what: What was stored under it.
            until: When it is out of date; never sooner than those before it.
        """
        place, holder = (scope, key), key_holder(key)
        share = self._shares.get(holder)
        if share is None:
            share = self._shares[holder] = _Share(holder)
        entry = _Entry(place, what, until, share)
        if share.newest is None:
            share.oldest = entry
        else:
            share.newest.later = entry
        share.newest = entry
        share.count += 1
        if not self._held:
            self._due = until
        self._held[place] = entry
        if self._ranks is not None:
            self._ranks.move(share, share.count - 1)

    def expire(self, now: float) -> What | None:
        """Forget what is out of date; the newest of that, if there was any."""
        newest: What | None = None
        while self._due <= now:
            newest = self._drop(next(iter(self._held.values())))
        return newest

    def shorten(self, now: float) -> list[What]:
        """Forget what is too much, though it is good, and tell the log when that begins."""
        gone: list[What] = []
        while len(self._held) > self.keys_max:
            if self._ranks is None:
                self._ranks = _Ranks(self._shares.values())
            share = self._ranks.first()
            assert share.oldest is not None
            if now >= self._quiet:
                self._warn(share.holder)
            self._quiet = now + self._length
            gone.append(self._drop(share.oldest))
            self.forgotten += 1
        return gone

    def _drop(self, entry: _Entry[What]) -> What:
        """Forget the oldest of a holder, which may be the oldest of all."""
        share = entry.share
        share.oldest = entry.later
        share.count -= 1
        if share.oldest is None:
            share.newest = None
            del self._shares[share.holder]
        if self._ranks is not None:
            self._ranks.move(share, share.count + 1)
        del self._held[entry.place]
        self._due = next(iter(self._held.values())).until if self._held else inf
        return entry.what

    def _warn(self, holder: bytes) -> None:
        log.warning(
            "idempotency keys are forgotten before their %d s, and what is published again under them is stored twice: "
            "there are more than keys_max = %d, or %.3g a second; first it is one of %s, with the most. Raise keys_max "
            "of the broker; for hawser serve that is [store] keys_max",
            KEY_WINDOW_SECONDS,
            self.keys_max,
            self.keys_max / KEY_WINDOW_SECONDS,
            f"principal {holder.decode(errors='replace')!r}" if holder else "the application's own",
        )


class _Ranks(Generic[What]):
    """Holders by how many keys they have, so that whoever has the most is found at once."""

    __slots__ = ("_most", "_peers")

    def __init__(self, shares: Iterable[_Share[What]]) -> None:
        self._peers: defaultdict[int, OrderedDict[bytes, _Share[What]]] = defaultdict(OrderedDict)
        self._most = 0
        for share in shares:
            self.move(share, 0)

    def first(self) -> _Share[What]:
        """Who has the most; of several, who has had so many for longest."""
        return next(iter(self._peers[self._most].values()))

    def move(self, share: _Share[What], before: int) -> None:
        """Somebody has one key more or less than before; or is new here, and had none."""
        if before:
            peers = self._peers[before]
            del peers[share.holder]
            if not peers:
                del self._peers[before]
                if before == self._most:
                    self._most = share.count  # nobody else has so many
        if share.count:
            self._peers[share.count][share.holder] = share
            self._most = max(self._most, share.count)
