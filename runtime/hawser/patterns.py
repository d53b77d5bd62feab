"""Patterns of names, and who may do what with the names that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from .principals import check_handler, check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

WILDCARD: Final = "*"

HandlerT = TypeVar("HandlerT", bound="Callable[..., Awaitable[Any]]")
RuleT = TypeVar("RuleT", bound="Rule[Any]")


@attrs.define(eq=False)
class Rule(Generic[HandlerT]):
    """What holds for the names that match one pattern."""

    pattern: str
    """An exact name, or a beginning and ``*``: ``room:*`` matches ``room:lobby``."""
    open: bool
    """Whether everyone may do everything where no `authorize` handler is given; otherwise nobody may."""
    handler: HandlerT | None = attrs.field(default=None, init=False)
    """Asked each time; set by `authorize`."""

    def authorize(self, handler: HandlerT) -> HandlerT:
        """Register who may do what: ``async def handler(session, action, name) -> bool``.

        ``action`` is what the session is about to do with the name. Anything but True and False is an error, and an
        error refuses.

        Raises:
            TypeError: The handler is no async function.
            ValueError: These names have one already.

        Spec: AGT-6.
        """
        check_handler(handler, "authorize")
        if self.handler is not None:
            raise ValueError(f"the names {self.pattern!r} already have an authorize handler")
        self.handler = handler
        return handler

    def matches(self, name: str) -> bool:
        """Whether a name fits the pattern."""
        if self.pattern.endswith(WILDCARD):
            return name.startswith(self.pattern[:-1])
        return name == self.pattern


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
