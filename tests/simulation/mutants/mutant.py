"""What a planted bug is: a name, what is wrong, the clause that it breaks, and the text that makes it so."""

from enum import Enum

from attrs import frozen

__all__ = ["Edit", "Kind", "Mutant"]


class Kind(Enum):
    """What a mutant breaks."""

    SAFETY = "safety"
    """Something happens that must not: loss, a duplicate, a wrong answer, an unbounded buffer."""
    LIVENESS = "liveness"
    """Something that must happen does not, or too late."""


@frozen
class Edit:
    """Whole lines of source: those that stand there, and those that come in their place."""

    before: str
    after: str


@frozen
class Mutant:
    """One planted bug in one module of the engine."""

    name: str
    wrong: str
    """One sentence."""
    clause: str
    module: str
    """Name of the module inside ``hawser_engine``, with dots."""
    edits: tuple[Edit, ...]
    """All are applied; each ``before`` stands exactly once in the module."""
    kind: Kind = Kind.SAFETY
