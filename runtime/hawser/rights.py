"""Who may do what with a channel or an agent, declared: by everybody, nobody, claims of the principal, or the hook.

Rule: each action has one decider. What is not declared is for the hook to say, and where there is none for ``open`` of
`App.channel` or `App.agent`; reading history follows subscribing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeGuard

import attrs

from hawser_engine.channels.filters import Filter, Tags, parse_filter

from .patterns import WILDCARD, matches

if TYPE_CHECKING:
    from .principals import Principal

    Action: TypeAlias = Literal["publish", "subscribe", "history", "presence", "appear", "ask", "wildcard"]


@attrs.frozen
class Anybody:
    """Everyone may, or nobody; `EVERYONE` and `NOBODY` are the two."""

    allowed: bool

    def allows(self, principal: Principal, action: str, name: str) -> bool:
        """Whether a principal may do it."""
        return self.allowed


@attrs.frozen
class Asked:
    """The hook says who may; `ASK` is the one."""


@attrs.frozen
class Claimed:
    """Whose claims fulfil an expression; `claims` makes it."""

    expression: Filter

    def allows(self, principal: Principal, action: str, name: str) -> bool:
        """Whether a principal may do it."""
        try:
            return self.expression.matches(Tags(_Claims(principal.attributes)))
        except ValueError:  # a number that no text says: whatever is made of it, with or without ``not``, lets nobody
            return False


@attrs.frozen
class Granted:
    """Who has a claim that names the channel or agent, and the action; `granted` makes it."""

    attribute: str

    def allows(self, principal: Principal, action: str, name: str) -> bool:
        """Whether a principal may do it."""
        grants: Any = principal.attributes.get(self.attribute)  # nobody has checked what came in a token
        return _is_map(grants) and any(
            isinstance(pattern, str) and matches(pattern, name) and _is_list(actions) and _names(actions, action)
            for pattern, actions in grants.items()
        )


Right: TypeAlias = Anybody | Asked | Claimed | Granted

EVERYONE: Final = Anybody(True)
"""Everyone may."""
NOBODY: Final = Anybody(False)
"""Nobody may; the application itself does not ask."""
ASK: Final = Asked()
"""Whoever the ``authorize`` handler lets."""


def claims(expression: str) -> Claimed:
    """Let those whose claims fulfil an expression: ``claims('role == "editor" and not suspended')``.

    The language is that of filters, over `Principal.attributes` in place of tags. A claim that is missing, None or
    False is not there; True is the text ``true``. Numbers compare by value; an expression that looks at one that has
    none, infinite or not a number, lets nobody. ``org.plan`` is the claim ``plan`` inside ``org``, and
    ``roles.editor`` says that the list ``roles`` has ``editor`` in it; a claim that has a dot in its name comes first.

    Args:
        expression: 1 to 1,024 bytes that look at claims at most 32 times, as for ``filter`` of `Client.subscribe`.

    Raises:
        ValueError: It is none.
    """
    return Claimed(parse_filter(expression))


def granted(attribute: str = "channels") -> Granted:
    """Let those who were granted it by name, for example in their token.

    The claim is a map of patterns to actions: ``{"room:lobby": ["subscribe", "publish"], "news:*": ["subscribe"]}``.
    Actions are ``publish``, ``subscribe``, ``history``, ``presence``, ``appear``, ``ask``, ``wildcard``, of agents
    ``offer``, ``call`` and ``send``, of users ``send`` and ``broadcast``, and ``*`` for all of them.

    Args:
        attribute: Which of `Principal.attributes` it is.
    """
    return Granted(attribute)


def _names(actions: Collection[Any], action: str) -> bool:
    return action in actions or WILDCARD in actions


def _is_map(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Collection[Any]]:
    return isinstance(value, (list, tuple, set, frozenset))


def _written_out(value: float) -> str:
    """A number as expressions know them, which have no exponents: it reads as the same number again.

    Raises:
        ValueError: It is infinite, or none.
    """
    if not isfinite(value):
        raise ValueError(f"{value} cannot be compared")
    return format(Decimal(repr(value)), "f")


class _Claims(Mapping[str, str]):
    """The attributes of a principal as the texts that an expression compares; looked up when asked for."""

    __slots__ = ("_attributes",)

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes

    def __getitem__(self, name: str) -> str:
        value: Any = self._attributes.get(name)
        if value is None and "." in name:
            value = self._inside(name.split("."))
        if value is None or value is False:
            raise KeyError(name)
        if value is True:
            return "true"
        if isinstance(value, float):
            return _written_out(value)
        return str(value) if isinstance(value, (str, int)) else ""

    def _inside(self, parts: list[str]) -> Any:
        value: Any = self._attributes
        for place, part in enumerate(parts, 1):
            if _is_map(value):
                value = value.get(part)
            elif _is_list(value):
                return place == len(parts) and part in value
            else:
                return None
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)
