"""Brokers: who assigns epochs and offsets and keeps history and idempotency keys."""

from __future__ import annotations

from .base import Broker, BrokerUnavailable, Entry, History, Published, Retention, Sink, Submission
from .memory import MemoryBroker
from .presence import MemoryPresence, PresenceSink, PresenceStore

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "Entry",
    "History",
    "MemoryBroker",
    "MemoryPresence",
    "PresenceSink",
    "PresenceStore",
    "Published",
    "Retention",
    "Sink",
    "Submission",
]
