"""All limits and times, in one validated place with units in their names (SPEC 18)."""

from __future__ import annotations

from typing import Any

import attrs

from hawser_engine.config import EngineConfig


def _at_least(least: float) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if isinstance(value, bool) or not value >= least:
            raise ValueError(f"{attribute.name} is {value!r}; it must be {least:g} or more")

    return check


@attrs.frozen(kw_only=True)
class Config(EngineConfig):
    """The configuration of a server or a client; a wrong value is refused with the name of the field."""

    calls_per_session: int = attrs.field(default=64, validator=_at_least(1))
    """Calls of one session that run at once; one more is answered BUSY (SPEC CAL-6)."""
    channels_per_session: int = attrs.field(default=128, validator=_at_least(1))
    """Channels that one session subscribes to; one more is refused LIMIT (SPEC SUB-5)."""
    cleanup_seconds: float = attrs.field(default=5.0, validator=_at_least(0))
    """How long `App.on_disconnect` handlers have when a session has ended."""
    connect_seconds: float = attrs.field(default=10.0, validator=_at_least(0.001))
    """How long `connect` tries before it gives up, where no session was reached yet."""
    drain_seconds: float = attrs.field(default=30.0, validator=_at_least(0))
    """How long a server that drains waits for what is running and for what its clients have not taken yet."""
    returns_per_second: float = attrs.field(default=160.0, validator=_at_least(0.001))
    """How many clients a second a server that drains asks to come back (SPEC CLS-9): 80 % of 200 accepts."""
    subscription_messages: int = attrs.field(default=1_000, validator=_at_least(1))
    """Messages that wait in one subscription of a client before it asks for a pause (SPEC CHN-10)."""
    subscription_bytes: int = attrs.field(default=262_144, validator=_at_least(1))
    """Sum of their payloads."""
