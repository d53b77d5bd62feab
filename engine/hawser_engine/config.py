"""The limits and times of one engine, in one validated place.

Rule: every queue, buffer, table and wait of the engine has its bound here, with its unit in its name. A wrong value is
refused when the configuration is built, with the name of the field.
"""

from typing import Any, Final

import attrs
from attrs import field, frozen

from .codec import MAX_BATCH

__all__ = ["BACKOFF_CAP_SECONDS", "PROTOCOL_VERSION", "EngineConfig"]

PROTOCOL_VERSION: Final = 1
"""The only version so far (SPEC VER-1)."""

BACKOFF_CAP_SECONDS: Final = 30.0
"""Longest wait of a client between two attempts (SPEC REC-1); part of the time in which both sides converge."""

CONVERGENCE_MARGIN: Final = 1.5
"""A resume period is at least this many times the time in which both sides converge (SPEC EXP-6)."""


def _between(low: float, high: float) -> Any:
    def check(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{attribute.name} is {value!r}; it must be from {low:g} to {high:g}")

    return check


def _seconds(default: float, low: float = 0.001, high: float = 86_400.0) -> Any:
    return field(default=default, validator=_between(low, high))


def _amount(default: int, low: int = 1, high: int = 2**31) -> Any:
    return field(default=default, validator=[attrs.validators.instance_of(int), _between(low, high)])


@frozen(kw_only=True)
class EngineConfig:
    """Times and limits of one side; the defaults are those of SPEC 18."""

    handshake_seconds: float = _seconds(10.0)
    """From the start of a connection to its attach, authentication included (SPEC ATT-13)."""
    ping_interval_seconds: float = _seconds(25.0)
    """A server pings after at most this much silence (SPEC LIV-1)."""
    pong_wait_seconds: float = _seconds(10.0)
    """How long a PING may stay without any byte in return (SPEC LIV-2)."""
    resume_period_seconds: float = _seconds(120.0)
    """How long a detached session lives; a client may ask for less (SPEC EXP-1)."""
    backoff_cap_seconds: float = _seconds(BACKOFF_CAP_SECONDS)
    """Longest backoff of the clients, for the check of the resume period (SPEC EXP-6)."""
    write_seconds: float = _seconds(10.0)
    """How long handed-over bytes may wait for the network without any progress (SPEC LIM-6)."""
    reauth_seconds: float = _seconds(30.0)
    """How long before credentials expire the server asks for new ones (SPEC AUT-1)."""
    gap_seconds: float = _seconds(2.0)
    """A pass later than this, or a step of the wall clock larger than this, is a gap (SPEC LIV-5)."""
    ack_messages: int = _amount(64)
    """An ACK leaves after this many deliveries (SPEC ACK-1)."""
    ack_seconds: float = _seconds(0.25)
    """An ACK leaves this long after the first unstated delivery (SPEC ACK-2)."""
    ack_slow_seconds: float = _seconds(1.0)
    """The same while less than an eighth of the window is unstated (SPEC ACK-2)."""
    window_messages: int = _amount(1_000)
    """MESSAGE packets that the peer may have undelivered (SPEC WIN-1)."""
    window_bytes: int = _amount(262_144)
    """Sum of the bodies of those (SPEC WIN-1)."""
    queue_messages: int = _amount(1_000)
    """Messages that may wait for a number (SPEC NUM-1)."""
    queue_bytes: int = _amount(262_144)
    """Sum of their lengths; one message is always taken when none waits."""
    reserve_bytes: int = _amount(1_048_576, low=0)
    """What an urgent message that cannot wait may use beyond the queue (SPEC LIM-4)."""
    message_bytes: int = _amount(1_048_576)
    """Longest message that this side accepts from its peer, all parts together (SPEC PRT-5)."""
    volatile_messages: int = _amount(100)
    """Uncounted messages that wait for the application; the oldest are dropped first (SPEC CNT-7)."""
    volatile_backlog_bytes: int = _amount(65_536)
    """Outbound bytes above which an uncounted message is dropped instead of sent (SPEC CNT-7)."""
    outbound_bytes: int = _amount(1_048_576, low=MAX_BATCH)
    """Bytes that one connection may hold for the network (SPEC LIM-6)."""
    messages_per_second: float = field(default=500.0, validator=_between(0.1, 1e9))
    """Rate at which a server's inbox hands messages out (SPEC LIM-1)."""
    messages_burst: int = _amount(1_000)
    """Messages that may be handed out at once after a pause (SPEC LIM-1)."""
    controls_per_second: float = field(default=500.0, validator=_between(0.1, 1e9))
    """Rate of the packets that no window slows (SPEC LIM-2)."""
    controls_burst: int = _amount(2_000)
    """Such packets at once after a pause (SPEC LIM-2)."""
    preattach_bytes: int = _amount(8_192, low=512)
    """Bytes that a server takes from a connection before it has accepted credentials (SPEC PKT-14)."""
    preattach_pings: int = _amount(4, low=0)
    """Probes before an attach (SPEC LIV-7)."""
    operations: int = _amount(256)
    """Requests of the message layer that may be unanswered (SPEC OPS-1)."""
    operation_bytes: int = _amount(1_048_576)
    """Sum of the bodies of those requests (SPEC OPS-1)."""
    sessions: int = _amount(100_000)
    """Sessions of one server; beyond them the one that is detached longest is given up (SPEC LIM-4)."""
    unconfirmed_sessions: int = _amount(1_000)
    """Sessions without a proved secret; the oldest are dropped first (SPEC UNC-2)."""
    tombstones: int = _amount(20_000)
    """Ended sessions that are remembered; the oldest are forgotten first (SPEC RST-2)."""
    resumes_per_minute: int = _amount(10)
    """Resumes of one session without progress (SPEC LIM-5)."""

    def __attrs_post_init__(self) -> None:
        """Check what only holds between fields (SPEC EXP-6)."""
        least = CONVERGENCE_MARGIN * self.convergence_seconds
        if self.resume_period_seconds < least:
            raise ValueError(
                f"resume_period_seconds is {self.resume_period_seconds:g}; it must be at least {least:g}, "
                f"{CONVERGENCE_MARGIN:g} times the time in which both sides converge"
            )
        if self.outbound_bytes < self.window_bytes + self.volatile_backlog_bytes:
            raise ValueError(
                f"outbound_bytes is {self.outbound_bytes}; it must hold window_bytes and volatile_backlog_bytes, "
                f"{self.window_bytes + self.volatile_backlog_bytes} together, or every replay ends its connection"
            )
        if self.ack_slow_seconds < self.ack_seconds:
            raise ValueError(f"ack_slow_seconds is {self.ack_slow_seconds:g}; it must not be below ack_seconds")

    @property
    def convergence_seconds(self) -> float:
        """Longest time, once faults stop, until both sides have everything (the guarantee's sentence 6)."""
        return self.ping_interval_seconds + self.pong_wait_seconds + self.handshake_seconds + self.backoff_cap_seconds
