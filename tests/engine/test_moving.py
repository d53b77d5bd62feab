"""The guarantee while a session moves between two links, in every order (SPEC ATT-18, ATT-15, ATT-7)."""

import pytest

from hawser_engine import ClientConnection, ServerConnection
from hawser_engine.outbox import Outbox
from tests.engine.moving import Bounds, Broken, explore


def test_a_move_keeps_every_message_where_no_link_dies() -> None:
    states, moved = explore(Bounds(said=1, told=0, lost=0))
    assert 25 < moved < states


@pytest.mark.slow
def test_a_move_keeps_every_message_where_an_end_is_lost() -> None:
    states, moved = explore(Bounds(said=1, told=1, lost=1))
    assert 600 < moved < states


@pytest.mark.verify
@pytest.mark.parametrize(
    ("bounds", "at_least"), [(Bounds(said=2, told=2, lost=1), 5_000), (Bounds(said=1, told=1, lost=2), 900)]
)
def test_a_move_keeps_every_message_within_wider_bounds(bounds: Bounds, at_least: int) -> None:
    states, moved = explore(bounds)
    assert at_least < moved < states


# What the exploration finds, if it is there to be found.


def nothing(*_: object) -> None:
    pass


def no_replay(*_: object) -> tuple[list[bytes], int]:
    return [], 0


def test_a_client_that_stays_on_the_older_link_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC ATT-15."""
    monkeypatch.setattr(ClientConnection, "retire", nothing)
    with pytest.raises(Broken, match="the client was given"):
        explore(Bounds(said=1, told=1, lost=0))


def test_a_server_that_does_not_fence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC ATT-7."""
    monkeypatch.setattr(ServerConnection, "fence", nothing)
    with pytest.raises(Broken, match="the server"):
        explore(Bounds(said=1, told=1, lost=0))


def test_a_side_that_replays_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC ATT-12."""
    monkeypatch.setattr(Outbox, "replay_from", no_replay)
    with pytest.raises(Broken, match="in the end"):
        explore(Bounds(said=1, told=1, lost=0))
