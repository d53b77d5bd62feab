"""The protocol over long-poll HTTP (SPEC 14.3): a chain of requests to one URL is one connection.

Like WebSocket this is a carriage: batches go in at one end and come out at the other, and the session above is the same
state machine. What HTTP does not keep, order and certainty, is made here from the numbers of the specification, so that
a request or response that is lost, doubled or late costs a retransmission and nothing else.

How the two views meet:

- **Messages** are numbered here as they pass, from the counts of the attach on. Each end keeps what it has passed until
  the other end has stated that it is received, and begins every body behind that. (The session keeps the same bytes
  until they are delivered, so this costs references.)
- **Counts in headers are a PING and its PONG.** What a request or reply states is given to the session as a PING behind
  the packets of the body; the PONG, with counts taken after the application has had them, is what the next header here
  states. The first request gives it the ACK that proves the secret. So PING, PONG and ACK stand in no body.
- **A PING of the server's session ends the hold** of the parked GET, and any request is the life it asks for. So one
  heartbeat, with its jitter and its forgiveness of sleep, serves all carriages.
- **RESET and CLOSE choose the status**; the packet is the body. A server tells the end again to whoever asks, for a
  while, in case the reply was lost.

Nothing here reads a clock. Whoever drives it passes requests and batches in and writes what comes out.

Reading order: fields (headers), bodies (packets in a row), outflow (what is kept), server (one connection), service
(all of them, and who is who), browsers, client.
"""

from .browsers import Browsers
from .client import ClientPoll, Retry
from .fields import BODY_BYTES, CONTENT_TYPE, Fields
from .server import Exchange, ServerPoll
from .service import PollLimits, PollService, overloaded

__all__ = [
    "BODY_BYTES",
    "CONTENT_TYPE",
    "Browsers",
    "ClientPoll",
    "Exchange",
    "Fields",
    "PollLimits",
    "PollService",
    "Retry",
    "ServerPoll",
    "overloaded",
]
