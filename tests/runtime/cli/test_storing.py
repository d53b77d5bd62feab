"""``hawser serve --store``: which broker an app gets, and what is said of the store."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, MailboxFull, connect
from hawser.brokers import MemoryBroker
from hawser.brokers.sqlite import SqliteBroker
from hawser.brokers.sqlite.lock import StoreLock
from hawser.cli import CommandFailed, main
from hawser.cli.serving import development_app
from hawser.cli.settings import Store, read_settings
from hawser.cli.storing import keep_in_store, what_is_kept
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Own(SqliteBroker):
    pass


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Of a store, as it is told."""
    return os.path.realpath(tmp_path / "s.db")


async def kept(store: Store, *texts: str) -> tuple[list[str], list[str]]:
    """What is said of a store when it is served, and what its channel holds after some more texts."""
    app = development_app()
    keep_in_store(app, store)
    async with serving(app), connect(URL) as client:
        said = what_is_kept(app)
        for text in texts:
            await client.publish("room", text)
        page = await app.broker.history("room", 0, limit=100, limit_bytes=10_000)
    return said, [entry.data.decode(errors="replace")[1:] for entry in page.entries]


async def test_a_store_is_there_again_and_says_which_loss_it_survives(path: str) -> None:
    said, held = await kept(Store(path), "one")
    assert said == [
        f"store {path}: 0 channels; what is acknowledged survives kill -9; a power cut may take the last of it, and "
        "begins new epochs (synchronous = normal)"
    ]
    said, held = await kept(Store(path, "full"), "two")
    assert held == ["one", "two"]
    assert said == [
        # The directory of agents would be another one, had there been an agent.
        f"store {path}: 1 channel; what is acknowledged survives kill -9, and a power cut (synchronous = full)"
    ]


async def test_a_store_that_has_lost_something_says_so_first(path: str) -> None:
    await kept(Store(path), "one")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE store SET unsynced = 'another boot'")
    connection.close()
    said, held = await kept(Store(path))
    assert held == ["one"]
    assert len(said) == 2
    assert said[0].startswith(f"store {path} has lost its last commits, to a power cut or to whoever put an older copy")


def refusal(path: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `hawser serve` says of a store that it cannot use."""
    assert main(["serve", "--listen", "memory://nowhere", "--store", path]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_a_store_that_another_process_has_is_one_line(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    held = StoreLock(path)
    said = refusal(path, capsys)
    held.release()
    assert said == f"hawser: store {path}: process {os.getpid()} has it already; give each server a file of its own\n"


def test_a_damaged_store_is_one_line(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    trio.run(kept, Store(path), *["x" * 5_000] * 20)
    os.truncate(path, 50_000)
    said = refusal(path, capsys)
    assert said.startswith(f"hawser: store {path}: it is damaged; put a copy in its place, or begin with another file")
    assert said.count("\n") == 1


def test_without_a_store_it_is_said_that_nothing_is_kept() -> None:
    app = App()
    keep_in_store(app, Store())
    assert isinstance(app.broker, MemoryBroker)
    assert what_is_kept(app) == [
        "no store: channels and letters are in memory, and nothing of them survives a restart; --store FILE keeps them"
    ]


@pytest.mark.parametrize("name", ["", ":memory:", "file:x.db"])
def test_what_names_no_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "hawser.toml"
    written.write_text(f"[store]\nfile = '{name}'\n")
    for store in (["--store", name], ["--config", str(written)]):
        assert main(["serve", "--listen", "memory://nowhere", *store]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"hawser: --store: path is {name!r}; it must name a file")
        assert said.count("\n") == 1


@pytest.mark.parametrize("table", ["", "synchronous = 'full'", "keys_max = 5\nchannels_max = 5"])
@pytest.mark.parametrize("app", [None, "chat:app"])
def test_a_store_without_a_file_is_refused(table: str, app: str | None, tmp_path: Path) -> None:
    path = tmp_path / "hawser.toml"
    path.write_text(f"[store]\n{table}\n")
    with pytest.raises(CommandFailed) as caught:
        read_settings(path, app=app)
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f"{path}: store.file is missing, and without it only keys_max and memory_bytes hold; "
        "name one under [store], or give --store FILE"
    )
    assert read_settings(path, app=app, store="s.db").store.file == "s.db"


def test_what_bounds_memory_is_refused_where_there_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hawser.toml"
    path.write_text("[store]\nmemory_bytes = 1_000\n")
    assert read_settings(path).store.memory_bytes == 1_000
    with pytest.raises(CommandFailed, match=r"store.memory_bytes holds only without a file") as caught:
        read_settings(path, store="s.db")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("field", "of_broker", "least"),
    [
        ("channels_max", "channels_max", 1),
        ("keys_max", "keys_max", 1),
        ("mailboxes_max", "mailboxes_max", 1),
        ("file_bytes", "bytes_max", 65_536),
    ],
)
def test_its_limits_have_the_bounds_of_those_of_the_broker(field: str, of_broker: str, least: int) -> None:
    kinds: list[tuple[Callable[..., object], str]] = [(Store, field), (SqliteBroker, of_broker)]
    for make, name in kinds:
        make("x", **{name: least})
        with pytest.raises(ValueError, match=name):
            make("x", **{name: least - 1})


@pytest.mark.parametrize(("field", "of_broker"), [("keys_max", "keys_max"), ("memory_bytes", "bytes_max")])
async def test_without_a_file_memory_has_the_bounds_that_are_named(field: str, of_broker: str, tmp_path: Path) -> None:
    path = tmp_path / "hawser.toml"
    path.write_text(f"[store]\n{field} = 7\n")
    own, named = (App(broker=MemoryBroker(keys_max=5, bytes_max=5)) for _ in range(2))
    keep_in_store(own, Store())
    keep_in_store(named, read_settings(path).store)
    assert [getattr(app.broker, of_broker) for app in (own, named)] == [5, 7]
    with pytest.raises(CommandFailed, match=rf"store.{field} = 7: the app keeps its channels in a Own of its own"):
        keep_in_store(App(broker=Own(tmp_path / "own.db")), read_settings(path).store)


async def test_the_limits_of_the_file_are_those_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "hawser.toml"
    path.write_text(f"[store]\nfile = '{tmp_path / 's.db'}'\nmailboxes_max = 1\nkeys_max = 1\n")
    app = App()
    app.mailbox("user:*")
    keep_in_store(app, read_settings(path).store)
    async with serving(app):
        await app.post("user:a", 1, key=b"a")
        with pytest.raises(MailboxFull, match="there are 1 mailboxes, and none of them is empty"):
            await app.post("user:b", 1)
        await app.post("user:a", 2, key=b"b")
        assert not (await app.post("user:a", 3, key=b"a")).duplicate
    path.write_text("[store]\nmailboxes_max = 0\n")
    with pytest.raises(CommandFailed, match="mailboxes_max"):
        read_settings(path)


def test_an_app_with_a_broker_of_its_own_keeps_it(tmp_path: Path) -> None:
    app = App(broker=Own(tmp_path / "own.db"))
    assert what_is_kept(app) == []  # it does not run
    with pytest.raises(CommandFailed, match="the app keeps its channels in a Own of its own") as caught:
        keep_in_store(app, Store("s.db"))
    assert caught.value.exit_code == 2


def test_a_flag_stands_above_the_file_and_leaves_the_rest_of_it(tmp_path: Path) -> None:
    path = tmp_path / "hawser.toml"
    path.write_text('[store]\nfile = "a.db"\nsynchronous = "full"\nfile_bytes = 1_000_000\n')
    assert read_settings(path).store == Store("a.db", "full", file_bytes=1_000_000)
    assert read_settings(path, store="b.db").store == Store("b.db", "full", file_bytes=1_000_000)
    assert read_settings(None, store="b.db").store == Store("b.db")
    path.write_text("store = 5\n")
    with pytest.raises(CommandFailed, match="store"):
        read_settings(path, store="b.db")
