"""``hawser call`` and what every command says of its line, in words that name the fix."""

from __future__ import annotations

import pytest

from hawser import ConnectFailed, RequestFailed, SessionClosed, states
from hawser.cli import CommandFailed, main
from hawser.cli.calling import read_arguments
from hawser.cli.running import explain, reset_text


def test_each_argument_is_json() -> None:
    assert read_arguments(["1", '"a"', "[null, true]", "-2"]) == [1, "a", [None, True], -2]
    with pytest.raises(CommandFailed, match=r"argument 2, 'a': not JSON: .*; a text is written"):
        read_arguments(["1", "a"])


def test_a_server_that_does_not_answer_is_one_line_and_code_1(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawser.cli.calling.run_command", refuse)
    assert main(["call", "memory://nobody", "p"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("hawser: cannot connect to memory://nobody: no session. Is a server there? `hawser serve`")
    assert err.count("\n") == 1


def refuse(command: object) -> int:
    raise BaseExceptionGroup("", [ExceptionGroup("", [ConnectFailed("memory://nobody", "no session")])])


@pytest.mark.parametrize(
    ("token", "error", "says"),
    [
        (None, ConnectFailed("u", "refused", code=302), "Set HAWSER_TOKEN to a token that the server accepts"),
        ("t", ConnectFailed("u", "refused", code=302), "Set HAWSER_TOKEN to another token that the server accepts"),
        ("t", SessionClosed(302, "expired"), "UNAUTHORIZED (expired). Set HAWSER_TOKEN to another"),
        ("t", SessionClosed(303, ""), "the session is closed: VERSION"),
        ("t", RequestFailed(4, "full", temporary=True), "BUSY: full (trying again later may help)"),
    ],
)
def test_an_error_names_its_fix(
    token: str | None, error: ConnectFailed, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWSER_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("HAWSER_TOKEN", token)
    assert says in str(explain(error))


def test_an_error_that_stays_is_not_worth_another_try() -> None:
    assert str(explain(RequestFailed(9, "the store cannot do this"))) == "UNAVAILABLE: the store cannot do this"


def test_a_reset_is_said_with_its_counts() -> None:
    assert reset_text(states.Reset(1, 2, 3, 4)) == (
        "reset UNKNOWN_SESSION: 2 known delivered, 3 unknown, 4 not sent; a new session goes on"
    )
    assert reset_text(states.Reset(999, 0, 0, 0)).startswith("reset 999: ")
