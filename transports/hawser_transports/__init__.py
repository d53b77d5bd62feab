"""Carriages for Hawser sessions: what moves batches of packets between two programs.

A transport is found by the scheme of a URL (`find_transport`). Third parties add one by implementing
`Transport`, registering it in the entry-point group ``hawser.transports`` and passing
`hawser_transports.check.check_transport`.
"""

from __future__ import annotations

from .contract import BATCH_BYTES_MAX, UNREAD_BYTES_MIN, Link, Listener, Receiver, Transport, TurnedAway, pump
from .listener import HttpListener
from .longpoll import PollSettings
from .memory import MemoryLink, MemoryListener, MemoryTransport, memory_pair
from .mounts import HttpHandler, HttpRequest, HttpResponse
from .registry import ENTRY_POINT_GROUP, UnknownSchemeError, find_transport, transport_schemes
from .settings import ListenerSettings, MountSettings
from .web import LongPollTransport, WebSocketTransport
from .websocket import WebSocketLink
from .wires import SocketWire, StreamWire, Wire, WireSettings

__all__ = [
    "BATCH_BYTES_MAX",
    "ENTRY_POINT_GROUP",
    "UNREAD_BYTES_MIN",
    "HttpHandler",
    "HttpListener",
    "HttpRequest",
    "HttpResponse",
    "Link",
    "Listener",
    "ListenerSettings",
    "LongPollTransport",
    "MemoryLink",
    "MemoryListener",
    "MemoryTransport",
    "MountSettings",
    "PollSettings",
    "Receiver",
    "SocketWire",
    "StreamWire",
    "Transport",
    "TurnedAway",
    "UnknownSchemeError",
    "WebSocketLink",
    "WebSocketTransport",
    "Wire",
    "WireSettings",
    "find_transport",
    "memory_pair",
    "pump",
    "transport_schemes",
]
