"""The client side: `connect` and what it gives."""

from __future__ import annotations

from . import states
from .client import Client
from .connect import Connect, connect
from .credentials import Credentials
from .directory import AgentWorker, Directory
from .directs import Direct, Directs
from .mailboxes import Letter, Mailbox
from .offering import Offering
from .operations import Receipt
from .outbox import Outbox
from .pool import ClientPool, PooledClient, PooledConnect
from .presence import Presence, PresenceChange
from .shared_presence import SharedPresence
from .shares import SharedSubscription
from .states import State, StateStream
from .subscription import Subscription

__all__ = [
    "AgentWorker",
    "Client",
    "ClientPool",
    "Connect",
    "Credentials",
    "Direct",
    "Directory",
    "Directs",
    "Letter",
    "Mailbox",
    "Offering",
    "Outbox",
    "PooledClient",
    "PooledConnect",
    "Presence",
    "PresenceChange",
    "Receipt",
    "SharedPresence",
    "SharedSubscription",
    "State",
    "StateStream",
    "Subscription",
    "connect",
    "states",
]
