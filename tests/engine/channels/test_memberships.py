"""Where a member of a channel stands, whatever its client claims (SPEC CHN-8, CHN-9, SUB-14)."""

import pytest

from hawser_engine.channels.channel import Channel
from hawser_engine.channels.entries import Retention
from hawser_engine.channels.memberships import Membership, Mode
from hawser_engine.messages import Position
from tests.engine.channels.outlets import EPOCH, OTHER, Declared, Reader

THIRD = b"third  !"


def member_at(offset: int) -> Membership:
    channel = Channel("room", Declared(Retention(10)), Retention(100))
    member = Membership(channel, Reader(room=0), Position(EPOCH, 2), Mode.LIVE)
    member.offset = offset
    return member


def test_a_member_goes_back_to_where_its_client_stands() -> None:
    member = member_at(10)
    member.rewind(Position(EPOCH, 4))
    assert member.position == Position(EPOCH, 4)


@pytest.mark.parametrize("claim", [Position(EPOCH, 1), Position(OTHER, 7)])
def test_nobody_goes_back_to_before_the_subscription_began(claim: Position) -> None:
    """SPEC SUB-14: who may not read history does not read it by a pause."""
    member = member_at(10)
    member.rewind(claim)
    assert member.position == Position(EPOCH, 2)


def test_nobody_stands_ahead_of_what_was_given() -> None:
    member = member_at(10)
    member.rewind(Position(EPOCH, 99))
    assert member.position == Position(EPOCH, 10)


def test_a_client_may_have_queued_what_was_under_way_when_it_went_back() -> None:
    member = member_at(10)
    member.rewind(Position(EPOCH, 4))
    member.rewind(Position(EPOCH, 8))
    assert member.position == Position(EPOCH, 8)
    member.rewind(Position(EPOCH, 11))
    assert member.position == Position(EPOCH, 10)
    member.offset = 20  # it was fed
    member.rewind(Position(EPOCH, 21))
    assert member.position == Position(EPOCH, 20)


def test_who_has_not_heard_of_the_new_epoch_stands_in_the_old_one_until_it_is_told_again() -> None:
    member = member_at(10)
    member.moved(Position(OTHER, 0))
    member.offset = 3
    member.rewind(Position(EPOCH, 7))
    assert member.position == Position(EPOCH, 7)
    member.rewind(Position(OTHER, 99))
    assert member.position == Position(OTHER, 3)
    member.rewind(Position(EPOCH, 7))
    member.moved(Position(OTHER, 1))
    member.rewind(Position(OTHER, 99))
    assert member.position == Position(OTHER, 3)


def test_nobody_stands_in_an_epoch_of_which_nothing_was_given() -> None:
    """It may have heard of it elsewhere; the gap between the epochs has to be told all the same."""
    member = member_at(10)
    member.moved(Position(OTHER, 0))
    member.offset = 3
    member.channel.visit(Position(THIRD, 8))
    for claim in (Position(THIRD, 5), Position(THIRD, 0)):
        member.rewind(claim)
        assert member.position == Position(OTHER, 3)


def test_what_was_given_of_an_epoch_that_is_over_says_nothing_of_the_next_one() -> None:
    member = member_at(10)
    member.rewind(Position(EPOCH, 4))
    member.moved(Position(OTHER, 0))
    member.offset = 3
    member.rewind(Position(OTHER, 9))
    assert member.position == Position(OTHER, 3)
