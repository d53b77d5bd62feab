"""Whether a session may do something: what is declared decides, and else the application is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from hawser.calls import Refused
from hawser.rights import Asked
from hawser_engine.codes import ErrorCode

if TYPE_CHECKING:
    from hawser.patterns import Rule

    from .node import Node
    from .sessions import ServerSession

T = TypeVar("T")


async def permit(node: Node, rule: Rule[Any], session: ServerSession, action: str, name: str) -> None:
    """Let a session do something if the rule of the name allows it.

    Raises:
        Refused: It may not, or nobody could say.
    """
    right = rule.rights.get(action)
    if right is not None and not isinstance(right, Asked):
        allowed = right.allows(session.handle.principal, action, name)
    elif right is None and action == "wildcard":  # whoever says who may subscribe has to say it of this, too (WLD-3)
        allowed = rule.open and rule.handler is None and "subscribe" not in rule.rights
    elif rule.handler is None:
        allowed = rule.open
    else:
        try:
            allowed = checked(await rule.handler(session.handle, action, name), (bool,), "authorize")
        except Exception as error:
            incident = node.incident(f"authorize {rule.pattern!r}", error)
            raise Refused(ErrorCode.INTERNAL, f"incident {incident}") from None
    if not allowed:
        raise Refused(ErrorCode.DENIED, f"{action} {name!r}")


def checked(value: T, kinds: tuple[type, ...], what: str) -> T:
    """What a handler returned, if it is what it should be: a handler that forgets to answer must not let anyone in."""
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{what} returned {value!r}; expected {expected}")
    return value
