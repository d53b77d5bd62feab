"""Hawser: real-time messaging in which a session survives every broken connection.

A service is an `App` that `serve` brings to life; a client is what `connect` gives.
"""

from __future__ import annotations

from hawser_engine.channels.overflow import OverflowCounts
from hawser_engine.codes import CloseCode, ErrorCode, ResetReason
from hawser_engine.errors import HawserError
from hawser_engine.messages import Position
from hawser_transports import HttpRequest, HttpResponse

from . import to
from .addressing import Outcome, Reach, Sent, UserRule
from .agents import AgentRule
from .answers import Answer, Collected, Question
from .app import App
from .brokers import LetterTooLarge, MailboxFull, PositionMoved, Published
from .client import (
    AgentWorker,
    Client,
    ClientPool,
    Credentials,
    Direct,
    Directory,
    Directs,
    Letter,
    Mailbox,
    Offering,
    Outbox,
    PooledClient,
    Presence,
    PresenceChange,
    Receipt,
    SharedPresence,
    SharedSubscription,
    Subscription,
    connect,
    states,
)
from .config import Config
from .errors import (
    CallError,
    ConnectFailed,
    Expired,
    Gap,
    NotSent,
    OutboxFull,
    OutcomeUnknown,
    PayloadError,
    PoolFull,
    RequestFailed,
    RequestLost,
    SessionClosed,
    SubscriptionLost,
)
from .exchange import Inputs, takes_inputs
from .mailboxes import DeadLetterCounts, MailboxRule
from .members import Member
from .message import Message
from .middleware import (
    CallRequest,
    ConnectRequest,
    OfferRequest,
    PostRequest,
    PresenceRequest,
    Proceed,
    PublishRequest,
    ReadRequest,
    Request,
    SendRequest,
    SubscribeRequest,
)
from .pages import Page
from .principals import ANONYMOUS, Principal
from .rights import ASK, EVERYONE, NOBODY, Right, claims, granted
from .rules import ChannelRule
from .server import Server, Session, serve
from .streams import Stream

__all__ = [
    "ANONYMOUS",
    "ASK",
    "EVERYONE",
    "NOBODY",
    "AgentRule",
    "AgentWorker",
    "Answer",
    "App",
    "CallError",
    "CallRequest",
    "ChannelRule",
    "Client",
    "ClientPool",
    "CloseCode",
    "Collected",
    "Config",
    "ConnectFailed",
    "ConnectRequest",
    "Credentials",
    "DeadLetterCounts",
    "Direct",
    "Directory",
    "Directs",
    "ErrorCode",
    "Expired",
    "Gap",
    "HawserError",
    "HttpRequest",
    "HttpResponse",
    "Inputs",
    "Letter",
    "LetterTooLarge",
    "Mailbox",
    "MailboxFull",
    "MailboxRule",
    "Member",
    "Message",
    "NotSent",
    "OfferRequest",
    "Offering",
    "Outbox",
    "OutboxFull",
    "Outcome",
    "OutcomeUnknown",
    "OverflowCounts",
    "Page",
    "PayloadError",
    "PoolFull",
    "PooledClient",
    "Position",
    "PositionMoved",
    "PostRequest",
    "Presence",
    "PresenceChange",
    "PresenceRequest",
    "Principal",
    "Proceed",
    "PublishRequest",
    "Published",
    "Question",
    "Reach",
    "ReadRequest",
    "Receipt",
    "Request",
    "RequestFailed",
    "RequestLost",
    "ResetReason",
    "Right",
    "SendRequest",
    "Sent",
    "Server",
    "Session",
    "SessionClosed",
    "SharedPresence",
    "SharedSubscription",
    "Stream",
    "SubscribeRequest",
    "Subscription",
    "SubscriptionLost",
    "UserRule",
    "claims",
    "connect",
    "granted",
    "serve",
    "states",
    "takes_inputs",
    "to",
]
