"""What holds for the agents of one pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from .patterns import Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .server.session import Session

DIRECTORY: Final = "$agents"
"""The procedure that tells who offers what, and the channel that tells what changes (SPEC AGT-11, AGT-12)."""

AgentAction: TypeAlias = Literal["call", "offer", "send"]
AuthorizeAgent: TypeAlias = "Callable[[Session, AgentAction, str], Awaitable[bool]]"
Balance: TypeAlias = Literal["turns", "least"]


def _is_balance(_: object, attribute: attrs.Attribute[Balance], value: Balance) -> None:
    if value not in ("turns", "least"):
        raise ValueError(f"{attribute.name} is {value!r}; it must be 'turns' or 'least'")


@attrs.define(eq=False)
class AgentRule(Rule["AuthorizeAgent"]):
    """What holds for the agents whose names match one pattern; `App.agent` makes them.

    The actions that ``authorize`` is asked about are ``"offer"`` and ``"call"``, as far as they are not declared, and
    ``"send"`` where that is declared so.
    """

    balance: Balance = attrs.field(validator=_is_balance)
    """Whether workers take turns, or the one with the least open calls is preferred."""
