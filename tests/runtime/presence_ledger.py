"""The store of a world's presence: where everything really is, and what one node sees of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hawser.brokers import MemoryPresence
from hawser.members import decode_member
from tests.runtime.slow_presence import SlowPresence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser.brokers.presence import _Lease  # pyright: ignore[reportPrivateUsage]
    from hawser_engine.channels.attendance import Writing
    from hawser_engine.presence import Member


class Ledger(MemoryPresence):
    """Where everything really is.

    Args:
        written: Told of each thing that a node writes, and what was there before.
        random_bytes: Where the names of leases come from.
    """

    def __init__(self, written: Callable[[Writing, Member | None], None], random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes=random_bytes)
        self._written = written
        self._dropping = False

    def _write(self, lease: bytes, held: _Lease, writing: Writing) -> None:
        entry, _ = self._channels.get(writing.channel, {}).get(writing.member, (None, b""))
        if not self._dropping:
            self._written(writing, entry)
        super()._write(lease, held, writing)

    def _drop(self, name: bytes) -> None:
        self._dropping = True
        super()._drop(name)
        self._dropping = False

    def users(self, channel: str) -> list[tuple[str, Any]]:
        """Who is there, and what everybody says."""
        entries = [decode_member(entry) for entry, _ in self._channels.get(channel, {}).values()]
        return sorted((entry.user, entry.info) for entry in entries)

    @property
    def sinks(self) -> int:
        """How many are told of changes."""
        return sum(len(sinks) for sinks in self._sinks.values())


class Reach(SlowPresence):
    """What one node sees of it."""

    def __init__(self, ledger: Ledger, seed: int, complain: Callable[[str], None]) -> None:
        super().__init__(ledger, seed)
        self._complain = complain
        self.failed = False
        """Whether it was ever out of reach: then a lease may run out."""

    async def renew(self, lease: bytes, seconds: float) -> bool:
        """See `PresenceStore.renew`."""
        return self._look(await super().renew(lease, seconds))

    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        """See `PresenceStore.write`."""
        return self._look(await super().write(lease, writings))

    def _look(self, kept: bool) -> bool:
        if not kept and not self.failed:
            self._complain("a lease runs out though its node lives")
        return kept
