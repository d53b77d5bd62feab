"""Names by segment: patterns such as ``orders:*:status``, and which of many a channel belongs to (SPEC WLD-1).

A ``*`` stands for exactly one segment, whatever it is, and only as a whole one. So two patterns can be told to have a
channel in common or none, and a name finds its patterns in steps that do not depend on how many there are.
"""

from __future__ import annotations

from typing import Final

from attrs import define, field

__all__ = ["SEGMENTS_MAX", "PatternIndex", "is_pattern", "overlap"]

SEPARATOR: Final = ":"
ANY: Final = "*"
SEGMENTS_MAX: Final = 16
"""Segments of a pattern, at most."""


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern, and no channel (SPEC WLD-1)."""
    return ANY in name and ANY in name.split(SEPARATOR)


def overlap(one: str, other: str) -> bool:
    """Whether two names, patterns or channels, have a channel in common (SPEC WLD-4)."""
    segments, others = one.split(SEPARATOR), other.split(SEPARATOR)
    return len(segments) == len(others) and all(a == b or ANY in (a, b) for a, b in zip(segments, others, strict=True))


@define(eq=False)
class _Node:
    """What follows one beginning of patterns."""

    here: str | None = None
    """The pattern that ends here."""
    next: dict[str, _Node] = field(factory=dict[str, "_Node"])


class PatternIndex:
    """Patterns by their segments.

    A name is compared segment by segment, at each with the same one and with ``*``: as many steps as there are
    patterns that begin like it, and no more than two to the number of its segments.
    """

    def __init__(self) -> None:
        self._root = _Node()

    def __bool__(self) -> bool:
        return bool(self._root.next)

    def add(self, pattern: str) -> None:
        """Add a pattern; one that is there stays."""
        node = self._root
        for segment in pattern.split(SEPARATOR):
            node = node.next.setdefault(segment, _Node())
        node.here = pattern

    def remove(self, pattern: str) -> None:
        """Take a pattern out, if it is there."""
        segments = pattern.split(SEPARATOR)
        path = [self._root]
        for segment in segments:
            following = path[-1].next.get(segment)
            if following is None:
                return
            path.append(following)
        path[-1].here = None
        for segment, parent, node in zip(reversed(segments), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.next or node.here is not None:
                break
            del parent.next[segment]

    def find(self, name: str) -> list[str]:
        """The patterns that a channel belongs to, those with the earlier ``*`` last."""
        nodes = [self._root]
        for segment in name.split(SEPARATOR):
            nodes = [found for node in nodes for key in (segment, ANY) if (found := node.next.get(key)) is not None]
            if not nodes:
                break
        return [node.here for node in nodes if node.here is not None]
