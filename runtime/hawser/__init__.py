"""Hawser: real-time messaging in which a session survives every broken connection.

A service is an `App` that `serve` brings to life; a client is what `connect` gives.
"""

from __future__ import annotations

from hawser_engine.codes import CloseCode, ErrorCode, ResetReason
from hawser_engine.errors import HawserError
from hawser_engine.messages import Position
from hawser_transports import HttpRequest, HttpResponse

from .agents import AgentRule
from .app import App
from .brokers import Published
from .client import (
    AgentWorker,
    Client,
    ClientPool,
    Credentials,
    Directory,
    Message,
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
)
from .exchange import Inputs, takes_inputs
from .members import Member
from .middleware import CallRequest, PresenceRequest, Proceed, PublishRequest, Request, SubscribeRequest
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
    "App",
    "CallError",
    "CallRequest",
    "ChannelRule",
    "Client",
    "ClientPool",
    "CloseCode",
    "Config",
    "ConnectFailed",
    "Credentials",
    "Directory",
    "ErrorCode",
    "Expired",
    "Gap",
    "HawserError",
    "HttpRequest",
    "HttpResponse",
    "Inputs",
    "Member",
    "Message",
    "NotSent",
    "Offering",
    "Outbox",
    "OutboxFull",
    "OutcomeUnknown",
    "PayloadError",
    "PoolFull",
    "PooledClient",
    "Position",
    "Presence",
    "PresenceChange",
    "PresenceRequest",
    "Principal",
    "Proceed",
    "PublishRequest",
    "Published",
    "Receipt",
    "Request",
    "RequestFailed",
    "RequestLost",
    "ResetReason",
    "Right",
    "Server",
    "Session",
    "SessionClosed",
    "SharedPresence",
    "SharedSubscription",
    "Stream",
    "SubscribeRequest",
    "Subscription",
    "claims",
    "connect",
    "granted",
    "serve",
    "states",
    "takes_inputs",
]
