"""``hawser serve``: its configuration, which app it serves and where, what it says, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from math import inf
from typing import TYPE_CHECKING

import pytest

from hawser import Config, connect
from hawser.cli import CommandFailed
from hawser.cli.loading import load_app
from hawser.cli.serving import development_app, find_listening_transport, is_loopback, program, what_to_try
from hawser.cli.settings import Settings, Tls, read_settings
from hawser_transports import ListenerSettings
from tests.runtime.cli.helpers import URL, replaceable

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

APP = """
from hawser import App
app = App()
class Inner:
    app = app
number = 7
"""


CLASSY = """
import attrs
from hawser.contract.conversion import Conversion
@attrs.frozen
class Said:
    text: str
Conversion().prepare(Said)
"""


TORN = """
from hawser import App
app = App()
app.channel("*", history=9)
app.mailbox("user:*", dead_letters="dead")
app.channel("dead")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "served_app.py").write_text(APP)
    (tmp_path / "broken_app.py").write_text("x = 1\nraise ValueError('no luck')\n")
    (tmp_path / "needy_app.py").write_text("import surely_not_installed\n")
    (tmp_path / "torn_app.py").write_text(TORN)
    (tmp_path / "wrong_app.py").write_text("x = 1\ny = = 2\n")
    (tmp_path / "zero_app.py").write_bytes(b"x = 1\0")
    (tmp_path / "leaving_app.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "quiet_app.py").write_text("raise SystemExit\n")
    (tmp_path / "twice_app.py").write_text(APP + "app.channel('a')\napp.channel('a')\n")
    (tmp_path / "loud_app.py").write_text(APP + "print('hello')\n")
    return tmp_path


def settings(folder: Path, text: str) -> Settings:
    path = folder / "hawser.toml"
    path.write_text(text)
    return read_settings(path)


def test_a_file_says_what_to_serve_and_within_which_limits(tmp_path: Path) -> None:
    text = 'listen = "ws://[::1]:0"\napp = "a:b"\n[limits]\nresume_period_seconds = 300\noperations = 7\n'
    limits = Config(resume_period_seconds=300, operations=7)
    assert settings(tmp_path, text) == Settings(("ws://[::1]:0",), "a:b", limits=limits)
    assert settings(tmp_path, 'listen = ["ws://a", "ws://b"]').listen == ("ws://a", "ws://b")
    text = 'app = "a:b"\norigins = ["https://a"]\n[tls]\ncertificate = "c"\nkey = "k"\n[listener]\nconnections = inf\n'
    found = settings(tmp_path, text)
    assert (found.origins, found.tls, found.listener.connections) == (("https://a",), Tls("c", "k"), inf)


def test_flags_stand_above_the_file_and_the_file_above_defaults(tmp_path: Path) -> None:
    path = tmp_path / "hawser.toml"
    path.write_text('listen = "ws://a"\napp = "a:b"\n')
    assert read_settings(path, listen=["ws://b"], app="c:d") == Settings(("ws://b",), "c:d")
    assert read_settings(None, app="c:d") == Settings(("http://127.0.0.1:8000",), "c:d")


def test_only_the_development_app_slows_nobody_down(tmp_path: Path) -> None:
    assert read_settings(None).limits.messages_per_second == 1e9
    limits = settings(tmp_path, "[limits]\nmessages_per_second = 5\n").limits
    assert (limits.messages_per_second, limits.resumes_per_minute) == (5, 2**31)
    listener = settings(tmp_path, "[listener]\naccepts_per_second = 5\n").listener
    assert (listener.accepts_per_second, listener.connections_per_address) == (5, inf)
    assert read_settings(None, app="a:b").listener == ListenerSettings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits]\nwindow_messages = 0", "limits.window_messages is 0; it must be from 1 to"),
        ("[limits]\nwindow_messages = '7'", "limits.window_messages is '7'; it must be a whole number"),
        ("[limits]\nwindow_messages = 1.5", "limits.window_messages is 1.5; it must be a whole number"),
        ("[limits]\nack_seconds = true", "limits.ack_seconds is True; it must be a number"),
        ("[limits]\nwindow_mesages = 5", "limits.window_mesages is no field; did you mean window_messages?"),
        ("[limits]\nresume_period_seconds = 5", "limits.resume_period_seconds is 5; it must be at least 112.5"),
        ("limits = 5", "limits"),
        ("[listener]\nconnections = 0", "listener.connections is 0; it must be >= 1"),
        ("[frames]\nfragments = 0", "frames.fragments is 0; it must be >= 1"),
        ("[polls]\npost_seconds = 0", "polls.post_seconds is 0; it must be > 0"),
        ("[listener.head]\nheaders = 0", "listener.head.headers is 0; it must be >= 1"),
        ("[tls]\ncertificate = 'a'", "tls.key is missing"),
        ("origins = 'https://example.org'", "origins is 'https://example.org'; it must be a list of texts"),
        ("origins = [5]", "origins is [5]; it must be a list of texts"),
        ("listen = 5", "listen is 5; it must be a list of texts"),
        ("app = 5", "app is 5; it must be a text"),
        ("port = 5", "port is no field; there are listen, app, origins, tls, limits, listener, frames, polls, store"),
        ("listen = 5\nport = 5", "listen is 5; it must be a list of texts; port is no field"),
        ("[store]\nfile = 5", "store.file is 5; it must be a text"),
        ("[store]\nsynchronous = 'off'", "store.synchronous is 'off'; it must be 'normal' or 'full'"),
        ("[store]\nkeys_max = 0", "store.keys_max is 0; it must be >= 1"),
        ("[store]\nmemory_bytes = 0", "store.memory_bytes is 0; it must be >= 1"),
        ("[store]\nfile_bytes = 5", "store.file_bytes is 5; it must be >= 65536"),
        ("= nonsense", "is no TOML: "),
    ],
)
def test_a_wrong_field_is_refused_with_its_path(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        settings(tmp_path, text)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(str(tmp_path / "hawser.toml"))
    assert says in str(caught.value)


def test_an_app_is_imported_from_the_working_directory(folder: Path) -> None:
    app = load_app("served_app:app")
    assert load_app("served_app:Inner.app") is app


def test_what_an_app_prints_while_it_is_imported_is_no_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_app("loud_app:app")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_missing_library_of_the_app_is_named_with_the_install_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "classy_app.py").write_text(CLASSY)
    monkeypatch.delitem(sys.modules, "hawser.contract.records", raising=False)
    monkeypatch.setitem(sys.modules, "cattrs", None)
    with pytest.raises(CommandFailed) as caught:
        load_app("classy_app:app")
    why = "ModuleNotFoundError: declared classes need 'cattrs', which is not installed: pip install 'hawser[contract]'"
    assert str(caught.value) == f"--app classy_app:app: importing classy_app failed in classy_app.py, line 7: {why}"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("served_app", "write module:name, for example --app chat:app"),
        ("..:app", "write module:name, for example --app chat:app"),
        ("served_app.py:app", "--app served_app.py:app: served_app.py is no module; write served_app:app"),
        ("./served_app:app", "./served_app is no module; write served_app:app"),
        ("src/served.py:Inner.app", "src/served.py is no module; write src.served:Inner.app"),
        (".served_app:app", ".served_app is no module; write served_app:app"),
        ("/x/served_app.py:app", "/x/served_app.py is no module; write served_app:app, in the folder /x"),
        (":app", "write module:name"),
        ("no_such_app:app", "no module 'no_such_app'; modules are looked for in "),
        ("needy_app:app", "no module 'surely_not_installed'"),
        ("broken_app:app", "importing broken_app failed in broken_app.py, line 2: ValueError: no luck"),
        ("wrong_app:app", "importing wrong_app failed in wrong_app.py, line 2: SyntaxError: invalid syntax"),
        ("zero_app:app", "importing zero_app failed: SyntaxError: source code string cannot contain null bytes"),
        ("leaving_app:app", "importing leaving_app failed in leaving_app.py, line 2: SystemExit: 3"),
        ("quiet_app:app", "importing quiet_app failed in quiet_app.py, line 1: SystemExit"),
        ("twice_app:app", "importing twice_app failed in twice_app.py, line 8: ValueError: "),
        ("served_app:other", "other is nothing there, and should be a hawser.App"),
        ("served_app:number", "number is of type int there, and should be a hawser.App"),
        ("served_app:other.app", "other.app is nothing there"),
        ("torn_app:app", "torn_app:app: the mailboxes 'user:*': dead_letters='dead' is a channel that keeps nothing"),
    ],
)
def test_what_is_no_app_is_refused(name: str, says: str, folder: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        load_app(name)
    assert caught.value.exit_code == 2
    assert says in str(caught.value)


def test_a_certificate_is_asked_for_and_checked_before_listening(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="wss://h needs a certificate: name one in the --config file"):
        find_listening_transport(Settings(("http://h", "wss://h")))
    with pytest.raises(CommandFailed, match=r"cannot use none\.pem with key\.pem: No such file"):
        find_listening_transport(Settings(("wss://h",), tls=Tls("none.pem", "key.pem")))
    path = tmp_path / "no.pem"
    path.write_text("no certificate")
    with pytest.raises(CommandFailed, match=r"cannot use .*no\.pem"):
        find_listening_transport(Settings(("wss://h",), tls=Tls(str(path), str(path))))
    assert find_listening_transport(Settings(("memory://h",))) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:0", "ws://[::1]:1", "http://localhost", "memory://x"])
def test_the_development_app_is_for_this_machine(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize("url", ["http://0.0.0.0:0", "ws://[::]:1", "http://example.org", "http://", "x"])
def test_other_places_are_not(url: str) -> None:
    assert not is_loopback(url)


async def test_the_development_app_echoes(autojump_clock: MockClock) -> None:
    async with replaceable(development_app()), connect(URL) as client:
        assert await client.call("echo", {"a": 1}) == {"a": 1}
        assert await client.call("echo", 1, 2) == [1, 2]
        assert await client.call("echo") == []


def test_what_to_try_can_be_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # where it may be otherwise, in an environment that is activated
    monkeypatch.setattr(sys, "argv", ["/somewhere/hawser/__main__.py"])
    assert program() == "python -m hawser"
    monkeypatch.setattr(sys, "argv", [".venv/bin/hawser"])
    assert program() == ".venv/bin/hawser"
    lines = what_to_try("ws://h:1").splitlines()
    assert lines[0] == "This is the development app: every channel is open. In other terminals, try:"
    assert lines[1:] == [
        "  .venv/bin/hawser sub ws://h:1 room:lobby",
        """  .venv/bin/hawser pub ws://h:1 room:lobby '{"text": "hello"}'""",
        "  .venv/bin/hawser call ws://h:1 echo '[1, 2, 3]'",
    ]


def test_a_program_on_the_path_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "hawser"
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(installed)])
    assert program() == "hawser"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_where_it_listens_and_ends_by_a_signal(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hawser", "serve", "--listen", "memory://x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "listening on memory://x\n"
        run.send_signal(number)
        _, err = run.communicate(timeout=30)
    assert run.returncode == code
    assert err.startswith("no store: channels and letters are in memory, and nothing of them survives a restart; ")
    assert "hawser pub memory://x room:lobby" in err
