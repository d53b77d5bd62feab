"""The states of one connection, as data (SPEC 16).

Rule 1: every transition stands in TRANSITIONS. Only ``ConnectionState.fire`` changes a state.
Rule 2: this module does not know which side it plays. SENT_* is us, RCVD_* is the peer.

Effects are not in the table: the connection does them once ``fire`` has allowed the input. A pair that is not in the
table is a protocol error (SPEC PKT-10) and leaves the state as it was. The table in SPEC 16 is generated from this one.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from .codes import CloseCode
from .errors import LocalProtocolError, RemoteProtocolError

__all__ = ["TRANSITIONS", "ConnectionState", "Input", "State"]


class State(Enum):
    """Where a connection stands between its first byte and its last."""

    IDLE = "idle"
    """The link is up, nothing is attached (SPEC ATT-1)."""
    OPENING = "opening"
    """OPEN is waiting for its answer (SPEC ATT-2)."""
    RESUMING = "resuming"
    """RESUME is waiting for its answer (SPEC ATT-2)."""
    PROVING = "proving"
    """The server has answered and waits for the ACK that proves the secret (SPEC ATT-3)."""
    ANSWERED = "answered"
    """The client has its answer and owes the ACK (SPEC ATT-3)."""
    ATTACHED = "attached"
    """Messages flow both ways."""
    DISCARDING = "discarding"
    """A RESET ended the session; what is still under way is discarded (SPEC RST-4)."""
    REOPENING = "reopening"
    """The client has sent OPEN after a RESET and discards until OPENED (SPEC RST-4)."""
    CLOSING = "closing"
    """CLOSE was sent; nothing that arrives counts any more (SPEC CLS-3)."""
    CLOSED = "closed"
    """The link is over."""


class Input(Enum):
    """What can happen to a connection: a packet in either direction, or the end of the link."""

    SENT_OPEN = "sent OPEN"
    SENT_OPENED = "sent OPENED"
    SENT_RESUME = "sent RESUME"
    SENT_RESUMED = "sent RESUMED"
    SENT_RESET = "sent RESET"
    SENT_MESSAGE = "sent MESSAGE"
    SENT_VOLATILE = "sent VOLATILE"
    SENT_ACK = "sent ACK"
    SENT_PING = "sent PING"
    SENT_PONG = "sent PONG"
    SENT_AUTH = "sent AUTH"
    SENT_REAUTH = "sent REAUTH"
    SENT_CLOSE = "sent CLOSE"
    RCVD_OPEN = "rcvd OPEN"
    RCVD_OPENED = "rcvd OPENED"
    RCVD_RESUME = "rcvd RESUME"
    RCVD_RESUMED = "rcvd RESUMED"
    RCVD_RESET = "rcvd RESET"
    RCVD_MESSAGE = "rcvd MESSAGE"
    RCVD_VOLATILE = "rcvd VOLATILE"
    RCVD_ACK = "rcvd ACK"
    RCVD_PING = "rcvd PING"
    RCVD_PONG = "rcvd PONG"
    RCVD_AUTH = "rcvd AUTH"
    RCVD_REAUTH = "rcvd REAUTH"
    RCVD_CLOSE = "rcvd CLOSE"
    LINK_LOST = "link lost"


_END: Final[Mapping[Input, State]] = {
    Input.SENT_CLOSE: State.CLOSING,  # CLS-3
    Input.RCVD_CLOSE: State.CLOSED,  # CLS-3
    Input.LINK_LOST: State.CLOSED,  # EXP-2
}

_OLD_SESSION: Final = (
    Input.RCVD_OPENED,
    Input.RCVD_RESUME,
    Input.RCVD_RESUMED,
    Input.RCVD_RESET,
    Input.RCVD_MESSAGE,
    Input.RCVD_VOLATILE,
    Input.RCVD_ACK,
    Input.RCVD_PING,
    Input.RCVD_PONG,
    Input.RCVD_AUTH,
    Input.RCVD_REAUTH,
)

# A pair that is not in this table is a protocol error (SPEC PKT-10).
TRANSITIONS: Final[Mapping[State, Mapping[Input, State]]] = {
    State.IDLE: {
        Input.SENT_PING: State.IDLE,  # LIV-7
        Input.RCVD_PING: State.IDLE,  # LIV-7
        Input.SENT_PONG: State.IDLE,  # LIV-7
        Input.RCVD_PONG: State.IDLE,  # LIV-7
        Input.SENT_OPEN: State.OPENING,  # ATT-1
        Input.RCVD_OPEN: State.OPENING,  # ATT-1
        Input.SENT_RESUME: State.RESUMING,  # ATT-1
        Input.RCVD_RESUME: State.RESUMING,  # ATT-1
        **_END,
    },
    State.OPENING: {
        Input.RCVD_PONG: State.OPENING,  # ATT-1: it answers a probe that left before OPEN
        Input.SENT_OPENED: State.PROVING,  # ATT-3
        Input.RCVD_OPENED: State.ANSWERED,  # ATT-3
        **_END,
    },
    State.RESUMING: {
        Input.RCVD_PONG: State.RESUMING,  # ATT-1
        Input.SENT_RESUMED: State.PROVING,  # ATT-3
        Input.RCVD_RESUMED: State.ANSWERED,  # ATT-3
        Input.SENT_RESET: State.DISCARDING,  # ATT-14
        Input.RCVD_RESET: State.DISCARDING,  # ATT-14
        **_END,
    },
    State.PROVING: {
        Input.SENT_MESSAGE: State.PROVING,  # ATT-12
        Input.SENT_VOLATILE: State.PROVING,  # ATT-12
        Input.SENT_ACK: State.PROVING,  # ACK-1
        Input.SENT_PING: State.PROVING,  # LIV-1
        Input.SENT_REAUTH: State.PROVING,  # AUT-1
        Input.RCVD_ACK: State.ATTACHED,  # ATT-3, SEC-3
        Input.SENT_RESET: State.DISCARDING,  # RST-1
        Input.RCVD_RESET: State.DISCARDING,  # ATT-11
        **_END,
    },
    State.ANSWERED: {
        Input.SENT_ACK: State.ATTACHED,  # ATT-3
        Input.SENT_RESET: State.DISCARDING,  # ATT-11
        **_END,
    },
    State.ATTACHED: {
        Input.SENT_MESSAGE: State.ATTACHED,  # CNT-1
        Input.RCVD_MESSAGE: State.ATTACHED,  # CNT-1
        Input.SENT_VOLATILE: State.ATTACHED,  # CNT-7
        Input.RCVD_VOLATILE: State.ATTACHED,  # CNT-7
        Input.SENT_ACK: State.ATTACHED,  # ACK-1
        Input.RCVD_ACK: State.ATTACHED,  # ACK-1
        Input.SENT_PING: State.ATTACHED,  # LIV-1
        Input.RCVD_PING: State.ATTACHED,  # LIV-3
        Input.SENT_PONG: State.ATTACHED,  # LIV-3
        Input.RCVD_PONG: State.ATTACHED,  # LIV-8
        Input.SENT_AUTH: State.ATTACHED,  # AUT-2
        Input.RCVD_AUTH: State.ATTACHED,  # AUT-2
        Input.SENT_REAUTH: State.ATTACHED,  # AUT-1
        Input.RCVD_REAUTH: State.ATTACHED,  # AUT-1
        Input.SENT_RESET: State.DISCARDING,  # RST-1
        Input.RCVD_RESET: State.DISCARDING,  # RST-1
        **_END,
    },
    State.DISCARDING: {
        Input.SENT_OPEN: State.REOPENING,  # RST-5
        Input.RCVD_OPEN: State.OPENING,  # RST-5
        **dict.fromkeys(_OLD_SESSION, State.DISCARDING),  # RST-4
        **_END,
    },
    State.REOPENING: {
        **dict.fromkeys(_OLD_SESSION, State.REOPENING),  # RST-4
        Input.RCVD_OPENED: State.ANSWERED,  # RST-4
        **_END,
    },
    State.CLOSING: {
        Input.LINK_LOST: State.CLOSED,  # CLS-3
    },
    State.CLOSED: {},
}


class ConnectionState:
    """The state of one connection, and the only way to change it."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        """Start unattached."""
        self.current: State = State.IDLE

    def allows(self, event: Input) -> bool:
        """Say whether ``event`` has a row in the current state."""
        return event in TRANSITIONS[self.current]

    def fire(self, event: Input) -> State:
        """Move to the state that ``event`` leads to, and return it.

        Raises:
            RemoteProtocolError: The peer sent what it may not send now; the state is unchanged.
            LocalProtocolError: This side was about to; the state is unchanged.

        Spec: PKT-10.
        """
        target = TRANSITIONS[self.current].get(event)
        if target is None:
            error = RemoteProtocolError if event.value.startswith("rcvd") else LocalProtocolError
            detail = f"saw it while {self.current.name}, which has no row for it"
            raise error(CloseCode.PROTOCOL_ERROR, "PKT-10", detail, event.value)
        self.current = target
        return target
