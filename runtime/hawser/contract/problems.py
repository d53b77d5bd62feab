"""What is wrong with a value that was to be of a declared type, for whoever has sent it (SPEC CTR-3).

Rule: a problem tells where it is and what was declared there; nothing of the program behind it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

Code: TypeAlias = Literal["missing", "unknown", "type", "value"]
"""What kind of problem it is: something is missing, is not declared, is of another type, or is a wrong value."""

PROBLEMS_MAX: Final = 16
"""Problems that one answer tells; of a value that has more, others are left out."""

TEXT_MAX: Final = 200
"""The longest text of a problem, in characters."""

KEY_MAX: Final = 64
"""The longest name that a path shows in full."""

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen
class Problem:
    """One thing that is wrong."""

    path: str
    """Where, as a JSONPath (RFC 9535) into what was sent: ``$.items[0].price``."""
    code: Code
    message: str
    """For people."""


class ContractBroken(Exception):
    """A value is not as declared; never leaves this library.

    Args:
        problems: What was found; beyond `PROBLEMS_MAX` it is not told.
        more: Whether there are others that were not looked for.
    """

    def __init__(self, problems: Sequence[Problem], *, more: bool = False) -> None:
        self.problems: Sequence[Problem] = problems[:PROBLEMS_MAX]
        self.more: bool = more or len(problems) > PROBLEMS_MAX
        """Whether there are others."""
        super().__init__()

    def __str__(self) -> str:
        return self.text()

    def under(self, key: str | int) -> list[Problem]:
        """The same, of a value that has this one at a key or a place."""
        return [attrs.evolve(one, path=step("$", key) + one.path[1:]) for one in self.problems]

    def said_of(self, name: str) -> list[Problem]:
        """The same, of a parameter that is told by its place; people know it by its name."""
        return [attrs.evolve(one, message=f"({name}) {one.message}") for one in self.problems]

    def text(self) -> str:
        """In one line for people: the first three."""
        shown = [f"{problem.path} {problem.message}" for problem in self.problems[:3]]
        if self.more or len(self.problems) > len(shown):
            shown.append("and more")
        return "; ".join(shown)

    def data(self) -> dict[str, Any]:
        """For programs: the data of an ERROR (SPEC CTR-3)."""
        return {"problems": [attrs.asdict(problem) for problem in self.problems], "more": self.more}


def step(path: str, key: str | int) -> str:
    """The path of a member or an element of what is at a path."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if len(key) > KEY_MAX:
        key = key[: KEY_MAX - 1] + "…"
    if _PLAIN_NAME.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
