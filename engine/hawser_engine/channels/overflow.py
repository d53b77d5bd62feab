"""What becomes of a subscriber that cannot take what is published, and how often that happens (SPEC OVF-1, OVF-2)."""

from collections.abc import Sequence
from enum import Enum

from attrs import define


class Overflow(Enum):
    """What a subscriber gets that was behind, once it can take something again."""

    CATCH_UP = "catch-up"
    """All that it missed, from history; GAP only where history no longer reaches."""
    DROP_OLDEST = "drop-oldest"
    """The newest that wait for it, behind a GAP that tells of the older ones."""
    KEEP_LATEST = "keep-latest"
    """The newest publication of each key that it has not had, for only those are kept."""


@define
class OverflowCounts:
    """What the subscribers of some channels on one node could not take, since the node began."""

    behind: int = 0
    """How often one fell behind: it was given nothing more, and its position was kept."""
    caught_up: int = 0
    """How often one that had fallen behind, or had paused, had everything again."""
    paused: int = 0
    """How often a client asked for a pause, because a queue of its own was full."""
    gaps: int = 0
    """How many GAPs were sent."""
    lost: int = 0
    """How many publications they told of, as far as that is known."""
    replaced: int = 0
    """How many publications were left out because a newer one of their key replaced them."""
    volatile_sent: int = 0
    """How many volatile publications were sent, counted for each subscriber."""
    volatile_dropped: int = 0
    """How many were not: the subscriber was behind, had paused, or its link had no room."""


def left_out(before: int, reached: int, offsets: Sequence[int]) -> int:
    """How many offsets were passed over because they are not kept any more.

    Args:
        before: The offset before those that were looked at.
        reached: The last that was looked at.
        offsets: Those that are kept behind ``before``, rising.
    """
    return reached - before - sum(offset <= reached for offset in offsets)
