"""The protocol over WebSocket (SPEC 14.2): one binary message is one batch.

Reading order: ``..head`` (the gate), handshake, frames (writing), splitter (reading), connection.
"""

from .connection import Ended, WebSocket
from .frames import Framer, MaskedFrames, SharedFrames
from .handshake import SUBPROTOCOL, ClientHandshake, UpgradeRefused, accept_upgrade, is_upgrade
from .splitter import CLOSE_CODES, FrameLimits

__all__ = [
    "CLOSE_CODES",
    "SUBPROTOCOL",
    "ClientHandshake",
    "Ended",
    "FrameLimits",
    "Framer",
    "MaskedFrames",
    "SharedFrames",
    "UpgradeRefused",
    "WebSocket",
    "accept_upgrade",
    "is_upgrade",
]
