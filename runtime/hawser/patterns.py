"""Patterns of names, and who may do what with the names that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from .principals import check_handler, check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from .rights import Right

WILDCARD: Final = "*"

HandlerT = TypeVar("HandlerT", bound="Callable[..., Awaitable[Any]]")
RuleT = TypeVar("RuleT", bound="Rule[Any]")


def matches(pattern: str, name: str) -> bool:
    """Whether a name is of a pattern: an exact name, or a beginning and ``*``."""
    if pattern.endswith(WILDCARD):
        return name.startswith(pattern[:-1])
    return name == pattern


@attrs.define(eq=False)
class Rule(Generic[HandlerT]):
    """What holds for the names that match one pattern."""

    pattern: str
    """An exact name, or a beginning and ``*``: ``room:*`` matches ``room:lobby``."""
    open: bool = attrs.field(kw_only=True)
    """Whether everyone may do what is not declared where no `authorize` handler is given; otherwise nobody may."""
    rights: Mapping[str, Right] = attrs.field(factory=dict[str, "Right"], kw_only=True)
    """Who may do what, where that is declared."""
    handler: HandlerT | None = attrs.field(default=None, init=False)
    """Asked about everything that is not declared; set by `authorize`."""

    def authorize(self, handler: HandlerT) -> HandlerT:
        """Register who may do what: ``async def handler(session, action, name) -> bool``.

        It is asked about whatever is not declared, and about what is declared as `ASK`. ``action`` is what the session
        is about to do with the name. Anything but True and False is an error, and an error refuses.

        Raises:
            TypeError: The handler is no async function.
            ValueError: These names have one already.

        Spec: SUB-8, AGT-6.
        """
        check_handler(handler, "authorize")
        if self.handler is not None:
            raise ValueError(f"the names {self.pattern!r} already have an authorize handler")
        self.handler = handler
        return handler

    def matches(self, name: str) -> bool:
        """Whether a name fits the pattern."""
        return matches(self.pattern, name)


def declare(rules: list[RuleT], rule: RuleT, what: str) -> RuleT:
    """Add a rule where it is found in time: an exact name before a pattern of the same length, and longer ones first.

    Raises:
        ValueError: The pattern is not well-formed, or declared twice.
    """
    check_name(f"a pattern of {what}", rule.pattern)
    if WILDCARD in rule.pattern[:-1]:
        raise ValueError(f"{rule.pattern!r}: the wildcard {WILDCARD!r} stands only at the end of a pattern")
    if any(one.pattern == rule.pattern for one in rules):
        raise ValueError(f"the {what} {rule.pattern!r} are already declared")
    rules.append(rule)
    rules.sort(key=lambda one: (-len(one.pattern.removesuffix(WILDCARD)), one.pattern[-1:] == WILDCARD))
    return rule


def find(rules: list[RuleT], name: str) -> RuleT | None:
    """The rule that holds for a name, or None if there is none."""
    for rule in rules:
        if rule.matches(name):
            return rule
    return None
