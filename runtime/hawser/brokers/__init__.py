"""Brokers: who assigns epochs and offsets and keeps history and idempotency keys."""

from __future__ import annotations

from .base import Broker, BrokerUnavailable, Entry, History, Published, Retention, Sink, Submission
from .memory import MemoryBroker

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "Entry",
    "History",
    "MemoryBroker",
    "Published",
    "Retention",
    "Sink",
    "Submission",
]
