"""The words of a command line: what they mean, and what is refused with the fix in the message."""

from __future__ import annotations

import pytest

from hawser.cli import CommandFailed, main
from hawser.cli.arguments import Choice, Place, Since, choose_transport, parse_since, split_url, within
from hawser_transports import LongPollTransport

EPOCH = "53ca9759e46e0d25"


def test_the_url_is_the_first_word_or_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert split_url(["ws://a", "c", "d"], "auto", usage="") == (Place("ws://a"), ["c", "d"])
    monkeypatch.setenv("HAWSER_URL", "ws://b")
    assert split_url(["c", "d"], "auto", usage="") == (Place("ws://b"), ["c", "d"])
    assert split_url(["ws://a", "c"], "auto", usage="") == (Place("ws://a"), ["c"])


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_url_both_ways_to_give_one_are_named(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HAWSER_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("HAWSER_URL", value)
    with pytest.raises(CommandFailed, match=r"no URL: write hawser x URL, .*, or set HAWSER_URL"):
        split_url(["c"], "auto", usage="hawser x URL")


@pytest.mark.parametrize(
    ("url", "choice", "chosen"),
    [
        ("http://h:1/p?q", "auto", Place("http://h:1/p?q")),
        ("http://h:1/p?q", "ws", Place("ws://h:1/p?q")),
        ("https://h", "ws", Place("wss://h")),
        ("wss://h", "ws", Place("wss://h")),
        ("http://h:1/p?q", "poll", Place("http://h:1/p?q", polled=True)),
        ("wss://h", "poll", Place("https://h", polled=True)),
        ("memory://m", "auto", Place("memory://m")),
    ],
)
def test_the_transport_is_chosen_by_the_scheme(url: str, choice: Choice, chosen: Place) -> None:
    assert choose_transport(url, choice) == chosen
    assert isinstance(chosen.transport(), LongPollTransport) == (choice == "poll")


@pytest.mark.parametrize(
    ("url", "choice", "says"),
    [("memory://m", "ws", "leave --transport out"), ("memory://m", "poll", "leave --transport out")],
)
def test_a_transport_that_does_not_fit_is_refused(url: str, choice: Choice, says: str) -> None:
    with pytest.raises(CommandFailed, match=says):
        choose_transport(url, choice)


def test_a_position_is_an_offset_with_or_without_an_epoch() -> None:
    assert parse_since("0", 3) == Since(0)
    assert parse_since(f"{EPOCH}:12", 1) == Since(12, bytes.fromhex(EPOCH))
    assert parse_since(f"{EPOCH.upper()}:12", 1).position(b"x" * 8).epoch == bytes.fromhex(EPOCH)
    assert Since(7).position(b"x" * 8).epoch == b"x" * 8


@pytest.mark.parametrize(
    "text", ["", "-1", "x", "1.5", f"{EPOCH}:", f"{EPOCH[1:]}:1", "9007199254740993", "٣", "1:2:3"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed, match=r"write OFFSET or EPOCH:OFFSET.*--since 0 begins with the oldest"):
        parse_since(text, 1)


def test_one_epoch_is_for_one_channel() -> None:
    with pytest.raises(CommandFailed, match="each channel has its own epoch"):
        parse_since(f"{EPOCH}:1", 2)


def test_a_number_out_of_bounds_is_refused_with_its_bounds() -> None:
    within("--n", 5, 1, 5)
    with pytest.raises(CommandFailed, match="--n is 6; it must be from 1 to 5"):
        within("--n", 6, 1, 5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sub"], "no URL: write hawser sub URL CHANNEL..."),
        (["sub", "http://h"], "no channel: write hawser sub URL CHANNEL..."),
        (["sub", "http://h", "a", "a"], "a channel is named twice"),
        (["sub", "http://h", "a", "--count", "0"], "--count is 0; it must be from 1"),
        (["sub", "http://h", "a", "--count", "some"], "Try: hawser --help"),
        (["sub", "http://h", "a", "--since", "x"], "--since 'x'"),
        (["sub", "http://h", "a", "--transport", "pigeon"], "Try: hawser --help"),
        (["sub", "gopher://h", "a"], "the URL scheme 'gopher' has no transport"),
        (["pub", "http://ada:secret@h", "a", "1"], "credentials do not stand in a URL"),
        (["pub", "http://h"], "0 words behind the URL: write hawser pub URL CHANNEL [DATA]"),
        (["pub", "http://h", "c", "a", "b"], "3 words behind the URL"),
        (["pub", "http://h", "c", "hello"], "DATA: not JSON"),
        (["pub", "memory://h", "c", "1", "--transport", "poll"], "--transport poll: memory://h is no http or ws URL"),
        (["pub", "http://h", "", "1"], "a channel name has 1 to 255 bytes of UTF-8, this one has 0"),
        (["pub", "http://h", "ü" * 128], "a channel name has 1 to 255 bytes of UTF-8, this one has 256"),
        (["sub", "http://h", "a", "b" * 256], "a channel name has 1 to 255 bytes of UTF-8, this one has 256"),
        (["sub", "http://h", "\udcff"], "a channel name '\\udcff' cannot be encoded as UTF-8"),
        (["post", "http://h"], "0 words behind the URL: write hawser post URL MAILBOX [DATA]"),
        (["post", "http://h", "user:a", "a", "b"], "3 words behind the URL"),
        (["post", "http://h", "user:a", "hello"], "DATA: not JSON"),
        (["post", "http://h", "", "1"], "the name of a mailbox has 1 to 255 bytes of UTF-8, this one has 0"),
        (["post", "http://h", "user:a", "1", "--ttl", "0"], "--ttl is 0; it must be from 0.001 to"),
        (["mailbox"], "no URL: write hawser mailbox URL [MAILBOX]"),
        (["mailbox", "http://h", "a", "b"], "2 words behind the URL: write hawser mailbox URL [MAILBOX]"),
        (["mailbox", "http://h", ""], "the name of a mailbox has 1 to 255 bytes of UTF-8, this one has 0"),
        (["mailbox", "http://h", "--count", "0"], "--count is 0; it must be from 1"),
        (["call", "http://h", ""], "a procedure name has 1 to 255 bytes of UTF-8, this one has 0"),
        (["sub", "http://h", "a", "--count", str(2**53 + 1)], "it must be from 1 to 9007199254740992"),
        (["call", "http://h", "p", "1e400"], "argument 1, '1e400': no payload: the number 1e400 is beyond"),
        (["call", "http://a..b", "p"], "'http://a..b' is no URL of a service (nothing has such a name)"),
        (["call", "http://h"], "no procedure: write hawser call URL PROCEDURE [ARG...]"),
        (["call", "memory://h", "p", "1", "a"], "argument 2, 'a': not JSON"),
        (["serve", "--listen", "http://0.0.0.0:0"], "it listens on loopback only"),
        (["serve", "--listen", "gopher://127.0.0.1"], "the URL scheme 'gopher' has no transport"),
        (["serve", "--listen", "127.0.0.1:8000"], "that is no URL; one looks like http://127.0.0.1:8000"),
        (["serve", "--listen", "localhost:8000"], "that is no URL; one looks like"),
        (["serve", "--listen", "http://[::1"], "cannot listen on 'http://[::1': that is no URL"),
        (["serve", "--listen", ""], "cannot listen on '': that is no URL"),
        (["serve", "--config", "no-such-file"], "cannot read no-such-file: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], says: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWSER_URL", raising=False)
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("hawser: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize("command", ["serve", "sub", "pub", "post", "mailbox", "call"])
def test_each_command_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: hawser {command}" in shown
    assert f"Try:\n  hawser {command}" in shown
