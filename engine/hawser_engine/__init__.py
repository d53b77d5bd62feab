"""Hawser's protocol engine: pure state machines, no input or output.

Time and randomness are arguments, here and in every module (SPEC IMP-1).

Reading order (an hour): codes, errors, packets, codec, states, outbox, inbox, session, connection, server, client.

The pipe, seen from one side:

    application      send, send_batch, delivered            MessageReceived, SessionReset, …
                               │                                        ▲
    session          outbox: queue → numbers → replay        inbox: receiver rule → reassembly
                               │                                        ▲
    connection       packets → batches, heartbeat, end       bytes → packets, state table
                               │ data_to_send                           │ receive_data, receive_batch
    carriage         ──────────▼────────────────────────────────────────┴───────────────
"""

from .batch import Batch
from .client import Client
from .client_connection import ClientConnection
from .codec import MAX_BATCH, MAX_BODY, decode_batch, decode_value, encode_value
from .codes import (
    CloseCode,
    ErrorCode,
    GapReason,
    HoldState,
    ResetReason,
    SendStatus,
    SubscribeStatus,
    TargetKind,
)
from .config import EngineConfig
from .connection import Connection
from .errors import (
    BacklogFull,
    HawserError,
    LocalProtocolError,
    MessageTooLarge,
    ProtocolError,
    RemoteProtocolError,
)
from .events import (
    AuthenticationRequested,
    ConnectionTerminated,
    CredentialsAccepted,
    CredentialsRequested,
    Event,
    MessageDropped,
    MessageReceived,
    RoomAvailable,
    SessionDetached,
    SessionOpened,
    SessionReset,
    SessionResumed,
    VolatileReceived,
)
from .gaps import Gap, GapDetector
from .server import Server
from .server_connection import ServerConnection
from .session import ClientSession, ServerSession, Session
from .states import State

__all__ = [
    "MAX_BATCH",
    "MAX_BODY",
    "AuthenticationRequested",
    "BacklogFull",
    "Batch",
    "Client",
    "ClientConnection",
    "ClientSession",
    "CloseCode",
    "Connection",
    "ConnectionTerminated",
    "CredentialsAccepted",
    "CredentialsRequested",
    "EngineConfig",
    "ErrorCode",
    "Event",
    "Gap",
    "GapDetector",
    "GapReason",
    "HawserError",
    "HoldState",
    "LocalProtocolError",
    "MessageDropped",
    "MessageReceived",
    "MessageTooLarge",
    "ProtocolError",
    "RemoteProtocolError",
    "ResetReason",
    "RoomAvailable",
    "SendStatus",
    "Server",
    "ServerConnection",
    "ServerSession",
    "Session",
    "SessionDetached",
    "SessionOpened",
    "SessionReset",
    "SessionResumed",
    "State",
    "SubscribeStatus",
    "TargetKind",
    "VolatileReceived",
    "decode_batch",
    "decode_value",
    "encode_value",
]
