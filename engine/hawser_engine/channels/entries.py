"""Publications as a broker keeps them, and what of them travels to subscribers (SPEC CHN-2, CHN-13)."""

from math import inf
from typing import Final

from attrs import evolve, frozen

from hawser_engine.cbor import BYTES, encode_head
from hawser_engine.messages import About, Kept, Position, encode_publication

from .filters import NO_TAGS, Tags

_NOTHING: Final = About()


@frozen
class Retention:
    """How much of a channel's past is kept; whichever bound is reached first counts."""

    messages: int = 0
    """At most so many publications; 0 keeps none."""
    bytes: int = 16 * 1024 * 1024
    """At most so many bytes of payload."""
    seconds: float = inf
    """Nothing that is older, by the broker's clock."""
    latest: bool = False
    """Whether of those with the same ``latest_key`` only the newest is kept (SPEC LAT-1): an older one goes at once,
    and is not missing. A channel for which this changes begins anew: nothing from before is kept."""


@frozen
class Entry:
    """One publication as the broker keeps it."""

    offset: int
    """Its place in the channel's epoch, from 1 on."""
    data: bytes
    """The payload, unseen."""
    time_ms: int
    """When it got its offset, by the broker's clock: milliseconds since the beginning of 1970 (UTC). In an epoch it
    never falls from one offset to the next."""
    about: About | None = None
    """What it carries beside the payload, as it was given; without a time, which is the broker's to say."""
    volatile: bool = False
    """Whether it is kept nowhere, and ``offset`` is that of the last one before it (SPEC VOL-2). Only in reports."""


@frozen
class History:
    """A stretch of a channel's past."""

    top: Position
    """The newest publication of the channel when this was read."""
    first: int
    """From this offset on nothing is missing; ``top.offset + 1`` if nothing is kept. It never falls in an epoch. Where
    only the latest by key is kept, what was replaced is not missing, and ``first`` itself may have been (LAT-4)."""
    entries: tuple[Entry, ...]
    """Publications with rising offsets from the asked one (or ``first``, if that is higher) on: consecutive ones, but
    for what was replaced."""


def told(carried: frozenset[str], entry: Entry) -> About | None:
    """What a PUBLICATION carries where its channel does: what was kept with it, and its time; None: nothing."""
    if not carried:
        return None
    about = entry.about
    if isinstance(about, Kept):  # whom it spares is nobody's business
        about = About(about.publisher, None, about.tags, about.latest_key)
    if "time" in carried:
        return evolve(_NOTHING if about is None else about, time_ms=entry.time_ms)
    return None if about == _NOTHING else about


def spared(entry: Entry) -> tuple[str, ...]:
    """The names of the sessions that do not get a publication (ADR-8); hardly ever any."""
    about = entry.about
    return about.spared or () if isinstance(about, Kept) else ()


def tags_of(entry: Entry) -> Tags:
    """The tags of a publication, for filters; ask once for all that look at it."""
    about = entry.about
    return NO_TAGS if about is None or about.tags is None else Tags(about.tags)


def publication_bytes(channel: str, offset: int, data: bytes, about: About | None = None) -> int:
    """How long a PUBLICATION is."""
    without_data = encode_publication(channel, bytes(8), offset, b"", about)
    return len(without_data) - 1 + len(encode_head(BYTES, len(data))) + len(data)
