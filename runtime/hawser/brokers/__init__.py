"""Brokers: who assigns epochs and offsets and keeps history and idempotency keys."""

from __future__ import annotations

from hawser.principals import key_holder
from hawser_engine.channels.entries import Entry, History, Retention

from .base import Broker, BrokerUnavailable, LossSink, PositionMoved, Published, Sink, Submission
from .mailboxes import DeadLetters, Keeping, Letter, LetterTooLarge, MailboxFull, MailboxStore, MailSink, News, Posting
from .memory import MemoryBroker
from .memory_keys import MemoryKeys
from .memory_mailboxes import MemoryMailboxes
from .memory_sessions import MemorySessions
from .presence import MemoryPresence, PresenceSink, PresenceStore
from .sessions import Moving, NoAnswer, Place, QuestionSink, SessionDirectory

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "DeadLetters",
    "Entry",
    "History",
    "Keeping",
    "Letter",
    "LetterTooLarge",
    "LossSink",
    "MailSink",
    "MailboxFull",
    "MailboxStore",
    "MemoryBroker",
    "MemoryKeys",
    "MemoryMailboxes",
    "MemoryPresence",
    "MemorySessions",
    "Moving",
    "News",
    "NoAnswer",
    "Place",
    "PositionMoved",
    "Posting",
    "PresenceSink",
    "PresenceStore",
    "Published",
    "QuestionSink",
    "Retention",
    "SessionDirectory",
    "Sink",
    "Submission",
    "key_holder",
]
