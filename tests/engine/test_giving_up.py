"""A client that ends its session while no connection carries it."""

from random import Random

from hawser_engine.client import Client
from hawser_engine.codes import ResetReason
from hawser_engine.config import EngineConfig
from hawser_engine.events import AuthenticationRequested, SessionReset
from hawser_engine.server import Server
from hawser_engine.states import State


def opened() -> tuple[Client, Server]:
    """Return a client that has lost its link, and its server."""
    config = EngineConfig()
    server = Server(config, random_bytes=Random(1).randbytes)
    client = Client(config, 0.0)
    near, far = client.connect(0.0), server.connect(0.0)
    far.receive_batch(b"".join(near.data_to_send()), 0.0)
    assert isinstance(far.next_event(), AuthenticationRequested)
    far.accept("somebody", 0.0)
    near.receive_batch(b"".join(far.data_to_send()), 0.0)
    near.receive_eof(0.0)
    while client.next_event() is not None:
        pass
    return client, server


def test_a_session_that_nothing_carries_is_given_up_at_once() -> None:
    client, _ = opened()

    client.session.end(ResetReason.OVERFLOW, 1.0)

    assert isinstance(client.next_event(), SessionReset)
    assert not client.session.opened


def test_the_connection_that_was_resuming_it_closes() -> None:
    client, _ = opened()
    connection = client.connect(1.0)

    client.session.end(ResetReason.OVERFLOW, 1.0)

    assert connection.state is State.CLOSING
    assert client.connection is None
