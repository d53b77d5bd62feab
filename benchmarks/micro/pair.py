"""A client and a server end that talk without a network."""

import random

from hawser_engine import (
    AuthenticationRequested,
    Client,
    ClientConnection,
    EngineConfig,
    Server,
    ServerConnection,
    ServerSession,
)

__all__ = ["CONFIG", "attached", "clear", "new_server", "server_session", "settle"]

CONFIG = EngineConfig(unconfirmed_sessions=10_000, controls_per_second=1e9, controls_burst=2**31)
"""The defaults, but for two limits that a benchmark on a clock that stands still would run into."""


def new_server() -> Server:
    """Make a server without sessions; each draws the same, whatever ran before it."""
    return Server(CONFIG, random_bytes=random.Random(1).randbytes)


def attached(server: Server, now: float = 0.0) -> tuple[ClientConnection, ServerConnection]:
    """Attach a new client; both ends have nothing left to say."""
    client = Client(CONFIG, now)
    ends = client.connect(now), server.connect(now)
    settle(*ends, now=now)
    return ends


def server_session(connection: ServerConnection) -> ServerSession:
    """Return the session of an attached connection."""
    session = connection.session
    assert isinstance(session, ServerSession)
    return session


def clear(connection: ServerConnection) -> None:
    """Let the network and the client have taken everything."""
    connection.data_to_send()
    connection.written(0.0)
    outbox = server_session(connection).outbox
    outbox.acknowledge(outbox.sent, outbox.sent)


def settle(client: ClientConnection, server: ServerConnection, now: float = 0.0) -> None:
    """Carry bytes both ways and take events out until nothing moves."""
    moved = True
    while moved:
        moved = False
        while (event := server.next_event()) is not None:
            moved = True
            if isinstance(event, AuthenticationRequested):
                server.accept("somebody", now)
        while client.next_event() is not None:
            moved = True
        for data in client.data_to_send():
            moved = True
            server.receive_batch(data, now)
        client.written(now)
        for data in server.data_to_send():
            moved = True
            client.receive_batch(data, now)
        server.written(now)
