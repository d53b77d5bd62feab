"""What holds for the channels of one pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from .patterns import Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .brokers import Retention
    from .rights import Action
    from .server.session import Session

AuthorizeChannel: TypeAlias = "Callable[[Session, Action, str], Awaitable[bool]]"


@attrs.define(eq=False)
class ChannelRule(Rule["AuthorizeChannel"]):
    """What holds for the channels whose names match one pattern; `App.channel` makes them.

    The actions that ``authorize`` is asked about are ``"publish"`` and ``"subscribe"``, and ``"history"``,
    ``"presence"``, ``"appear"`` or ``"ask"`` where that is declared so.
    """

    retention: Retention
    """How much history is kept."""
    last_value: bool = False
    """Whether whoever subscribes anew gets the last publication first."""
    about: frozenset[str] = frozenset()
    """What publications carry: ``publisher``, ``time``, ``tags``, ``latest_key``."""
    presence: bool = False
    """Whether members are listed, and may be watched."""
