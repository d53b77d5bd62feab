"""Brokers: who assigns epochs and offsets and keeps history and idempotency keys."""

from __future__ import annotations

from .base import Broker, Entry, History, Published, Retention, Sink
from .memory import MemoryBroker
from .presence import MemoryPresence, PresenceSink, PresenceStore

__all__ = [
    "Broker",
    "Entry",
    "History",
    "MemoryBroker",
    "MemoryPresence",
    "PresenceSink",
    "PresenceStore",
    "Published",
    "Retention",
    "Sink",
]
