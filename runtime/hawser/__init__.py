"""Hawser: real-time messaging in which a session survives every broken connection.

A service is an `App` that `serve` brings to life; a client is what `connect` gives.
"""

from __future__ import annotations

from hawser_engine.codes import CloseCode, ErrorCode, ResetReason
from hawser_engine.errors import HawserError
from hawser_engine.messages import Position

from .app import App, ChannelRule
from .brokers import Published
from .client import Client, Credentials, Message, Outbox, Receipt, Subscription, connect, states
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
    RequestFailed,
    RequestLost,
    SessionClosed,
)
from .middleware import CallRequest, Proceed, PublishRequest, Request, SubscribeRequest
from .principals import ANONYMOUS, Principal
from .server import Server, Session, serve

__all__ = [
    "ANONYMOUS",
    "App",
    "CallError",
    "CallRequest",
    "ChannelRule",
    "Client",
    "CloseCode",
    "Config",
    "ConnectFailed",
    "Credentials",
    "ErrorCode",
    "Expired",
    "Gap",
    "HawserError",
    "Message",
    "NotSent",
    "Outbox",
    "OutboxFull",
    "OutcomeUnknown",
    "PayloadError",
    "Position",
    "Principal",
    "Proceed",
    "PublishRequest",
    "Published",
    "Receipt",
    "Request",
    "RequestFailed",
    "RequestLost",
    "ResetReason",
    "Server",
    "Session",
    "SessionClosed",
    "SubscribeRequest",
    "Subscription",
    "connect",
    "serve",
    "states",
]
