"""What holds for the channels of one pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from .principals import check_handler
from .rights import matches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .brokers import Retention
    from .rights import Action, Right
    from .server.session import Session

    Authorize: TypeAlias = Callable[[Session, Action, str], Awaitable[bool]]


@attrs.define(eq=False)
class ChannelRule:
    """What holds for the channels whose names match one pattern; `App.channel` makes them."""

    pattern: str
    """An exact name, or a beginning and ``*``: ``room:*`` matches ``room:lobby``."""
    retention: Retention
    """How much history is kept."""
    open: bool
    """Whether everyone may publish and subscribe where no `authorize` handler is given."""
    last_value: bool = False
    """Whether whoever subscribes anew gets the last publication first."""
    about: frozenset[str] = frozenset()
    """What publications carry: ``publisher``, ``time``, ``tags``, ``latest_key``."""
    rights: Mapping[Action, Right] = attrs.field(factory=dict["Action", "Right"])
    """Who may do what, where that is declared."""
    handler: Authorize | None = None
    """Asked about everything that is not declared; set by `authorize`."""

    def authorize(self, handler: Authorize) -> Authorize:
        """Register who may do what: ``async def handler(session, action, channel) -> bool``.

        It is asked about whatever the channels do not declare, and about what they declare as `ASK`. ``action`` is
        ``"publish"`` or ``"subscribe"``, and ``"history"`` where that is declared so. Anything but True and False is an
        error, and an error refuses.

        Raises:
            TypeError: The handler is no async function.
            ValueError: These channels have one already.

        Spec: SUB-8.
        """
        check_handler(handler, "authorize")
        if self.handler is not None:
            raise ValueError(f"the channels {self.pattern!r} already have an authorize handler")
        self.handler = handler
        return handler

    def matches(self, channel: str) -> bool:
        """Whether a channel's name fits the pattern."""
        return matches(self.pattern, channel)
