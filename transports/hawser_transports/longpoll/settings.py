"""The limits and times of long-poll links."""

from __future__ import annotations

import attrs
from attrs import field, validators

from hawser_engine.bindings.longpoll import PollLimits


@attrs.frozen(kw_only=True)
class PollSettings:
    """Limits and times of long-poll links; a wrong value is refused with the name of the field."""

    limits: PollLimits = field(factory=PollLimits)
    """What a server keeps."""
    held_bytes: int = field(default=1_048_576, validator=validators.ge(131_072))
    """Bytes that one end keeps for the other; more make its sender wait (SPEC LIM-4)."""
    body_seconds: float = field(default=10.0, validator=validators.gt(0))
    """From the head of a request to the end of its body."""
    patience_seconds: float = field(default=30.0, validator=validators.gt(0))
    """A server waits so long for a request once a hold is over (SPEC CAR-26)."""
    post_seconds: float = field(default=10.0, validator=validators.gt(0))
    """A client gives up a POST after this and makes it again: one pong wait (SPEC CAR-26)."""
    get_seconds: float = field(default=40.0, validator=validators.gt(0))
    """A client gives up a GET after this, and with it the link; more than hold and pong wait (SPEC CAR-26)."""
    retry_seconds: float = field(default=5.0, validator=validators.gt(0))
    """The longest pause before a request that has failed is made again."""
    close_seconds: float = field(default=2.0, validator=validators.ge(0))
    """How long whoever closes a link waits for the peer to take what was sent."""
    linger_seconds: float = field(default=30.0, validator=validators.ge(0))
    """How long the peer may go on taking it when nobody waits any more."""
