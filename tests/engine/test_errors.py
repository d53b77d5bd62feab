"""errors.py: the text of an error, and that errors survive copying."""

import pickle

import pytest

from hawser_engine import errors
from hawser_engine.codes import CloseCode
from hawser_engine.errors import (
    BacklogFull,
    HawserError,
    LocalProtocolError,
    MessageTooLarge,
    ProtocolError,
    RemoteProtocolError,
)

CONCRETE = (LocalProtocolError, BacklogFull, MessageTooLarge, RemoteProtocolError)


def test_the_text_says_code_who_where_what_and_clause() -> None:
    error = RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "ACK-4", "saw received=41, expected at most 40", "ACK")
    assert str(error) == "PROTOCOL_ERROR (remote) in ACK: saw received=41, expected at most 40 (SPEC ACK-4)"
    assert (error.code, error.clause, error.where) == (CloseCode.PROTOCOL_ERROR, "ACK-4", "ACK")
    assert error.detail == "saw received=41, expected at most 40"


def test_the_place_may_be_unknown_and_told_later() -> None:
    error = MessageTooLarge(CloseCode.TOO_LARGE, "PRT-5", "saw 2 bytes, expected at most 1")
    assert str(error) == "TOO_LARGE (local): saw 2 bytes, expected at most 1 (SPEC PRT-5)"
    placed = error.at("send")
    assert type(placed) is MessageTooLarge
    assert str(placed) == "TOO_LARGE (local) in send: saw 2 bytes, expected at most 1 (SPEC PRT-5)"


@pytest.mark.parametrize("cls", CONCRETE)
def test_errors_can_be_copied_between_processes(cls: type[ProtocolError]) -> None:
    error = cls(CloseCode.FLOW, "WIN-3", "saw much", "MESSAGE")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code) == (cls, str(error), CloseCode.FLOW)


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    assert all(name in drawn for name in errors.__all__)
    assert [cls.who for cls in CONCRETE] == ["local", "local", "local", "remote"]
    assert issubclass(ProtocolError, HawserError)
    assert issubclass(BacklogFull, LocalProtocolError)
    assert issubclass(MessageTooLarge, LocalProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
