"""What holds for the channels of one pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from hawser_engine.channels.overflow import Overflow

from .contract.events import NAME_BYTES_MAX, Events
from .contract.problems import ContractBroken
from .patterns import Rule
from .principals import check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser_engine.channels.entries import Retention

    from .message import Message
    from .rights import Action
    from .server.session import Session

PayloadT = TypeVar("PayloadT")

AuthorizeChannel: TypeAlias = "Callable[[Session, Action, str], Awaitable[bool]]"


@attrs.define(eq=False)
class ChannelRule(Rule["AuthorizeChannel"]):
    """What holds for the channels whose names match one pattern; `App.channel` makes them.

    The actions that ``authorize`` is asked about are ``"publish"`` and ``"subscribe"``, and ``"history"``,
    ``"presence"``, ``"appear"`` or ``"ask"`` where that is declared so.
    """

    retention: Retention
    """How much history is kept."""
    overflow: Overflow
    """What a subscriber gets that was behind."""
    last_value: bool = False
    """Whether whoever subscribes anew gets the last publication first."""
    about: frozenset[str] = frozenset()
    """What publications carry: ``publisher``, ``time``, ``tags``, ``latest_key``."""
    presence: bool = False
    """Whether members are listed, and may be watched."""
    volatile: bool = False
    """Whether publications may be volatile."""

    events: Events | None = attrs.field(default=None, init=False)
    """What is published, where that is declared; see `event`."""

    def event(self, name: str) -> Callable[[type[PayloadT]], type[PayloadT]]:
        """Declare an event of these channels, on the attrs class of its data: ``@orders.event("created")``.

        From then on every publication names one of the channel's events, in its tag ``event``, and its data is as the
        class says; whatever else a client publishes is refused, and told where it is wrong. The application publishes
        an instance of the class.

        Args:
            name: What it is called in the channel, 1 to 64 bytes of UTF-8; to be given as ``tags={"event": name}``.

        Raises:
            ModuleNotFoundError: The extra ``contract`` is not installed.
            TypeError: The name is no string, or the class cannot be that of a payload.
            ValueError: The name is taken or not well-formed, or the class has another one.

        Spec: CTR-1, CTR-3.
        """
        check_name("the name of an event", name, NAME_BYTES_MAX, write='@rule.event("name")')

        def declare(cls: type[PayloadT]) -> type[PayloadT]:
            if self.events is None:
                self.events = Events()
            self.events.add(name, cls)
            self.about |= {"tags"}
            return cls

        return declare

    def read(self, message: Message) -> Any:
        """An instance of the class of the event that a message is, for a subscriber that knows the app.

        Args:
            message: What a subscription to one of these channels yields.

        Raises:
            ValueError: It is none of the events, or not as declared: published before it was.
        """
        try:
            return (Events() if self.events is None else self.events).read(message.data, message.tags)
        except ContractBroken as broken:
            raise ValueError(f"message {message.offset} is not as declared: {broken.text()}") from None

    @property
    def last_value_count(self) -> int | None:
        """How many of the last publications whoever subscribes anew gets first; None: all (SUB-11, LAT-6)."""
        if not self.last_value:
            return 0
        return None if self.overflow is Overflow.KEEP_LATEST else 1
