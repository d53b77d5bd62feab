"""Letters in a file: what a restart, a loss, a full disk and a damaged file leave of them."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, ErrorCode, Mailbox, RequestFailed, connect
from hawser.brokers import DeadLetters, Keeping, Letter, MailboxFull, News, Posting, Retention
from hawser.brokers.sqlite import SqliteBroker, StoreClosed, StoreDamaged, StoreError, StoreFull
from hawser.brokers.sqlite.lock import StoreLock
from hawser.brokers.sqlite.schema import COLUMNS, VERSION
from hawser.server import mailboxes as desk
from hawser_engine.codec import decode_value
from hawser_engine.messages import About, Position
from tests.runtime.helpers import URL, serving
from tests.runtime.test_mailboxes import mail_app
from tests.runtime.test_sqlite_broker import cut, killed, look, running, spoil, spoil_page_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

BOX = "user:ada"
KEEP = Keeping(tries=1, dead=DeadLetters("dead", Retention(messages=100)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def deaf(_mailbox: str, _news: News) -> None:
    """A sink that does nothing."""


async def post(broker: SqliteBroker, *data: bytes, mailbox: str = BOX, **said: Any) -> None:
    for each in data:
        await broker.mailboxes.post(Posting(mailbox, each, KEEP, **said))


async def letters(broker: SqliteBroker, mailbox: str = BOX) -> list[Letter]:
    return [*await broker.mailboxes.read(mailbox, 0, limit=1_000, limit_bytes=10**9)]


async def texts(broker: SqliteBroker, mailbox: str = BOX) -> list[bytes]:
    return [letter.data for letter in await letters(broker, mailbox)]


async def dead(broker: SqliteBroker) -> list[bytes]:
    page = await broker.history("dead", 0, limit=100, limit_bytes=10**6)
    return [decode_value(entry.data, limit=10**6)["data"] for entry in page.entries]


@pytest.mark.parametrize("ended", ["in peace", "killed"])
@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_a_restart_changes_nothing(path: Path, ended: str, synchronous: Any) -> None:
    async with running(SqliteBroker(path, synchronous=synchronous)) as broker:
        await post(broker, b"1", b"2", sender="bob", key=None)
        third = await broker.mailboxes.post(Posting(BOX, b"3", KEEP, key=b"k3"))
        await post(broker, b"x", mailbox="agent:x")
        await broker.mailboxes.hold(BOX, deaf)
        await broker.mailboxes.remove(BOX, deaf, [(await letters(broker))[0].position])
        await broker.mailboxes.fail(BOX, deaf, [third.position], Keeping())
        before = await letters(broker)
        image = killed(path, "image")
    path = path if ended == "in peace" else image
    async with running(SqliteBroker(path)) as broker:
        assert broker.report is not None
        assert (broker.report.letters, broker.report.lost) == (3, False)
        assert await letters(broker) == before
        assert [(letter.data, letter.sender, letter.tries) for letter in before] == [(b"2", "bob", 0), (b"3", None, 1)]
        assert await broker.mailboxes.known(BOX, b"k3") == third.position
        again = await broker.mailboxes.post(Posting(BOX, b"4", KEEP, key=b"k3"))
        assert (again.position, again.duplicate) == (third.position, True)
        await post(broker, b"4")
        assert [letter.position.offset for letter in await letters(broker)] == [2, 3, 4]
        assert await broker.mailboxes.hold(BOX, deaf)  # whoever held it has ended with its server


async def test_letters_that_survive_a_loss_keep_their_ids_and_new_ones_have_others(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await post(broker, b"1")
        await post(broker, b"2", b"3")
        before = await letters(broker)
        image = killed(path, "image")
    cut(image.with_name("store.db-wal"), by=1_000)
    async with running(SqliteBroker(image)) as broker:
        assert broker.report is not None
        assert broker.report.lost
        kept = await letters(broker)
        assert kept == before[: len(kept)]
        assert len(kept) < 3
        await post(broker, b"4")
        assert (await letters(broker))[-1].position not in [letter.position for letter in before]


async def test_what_is_dead_is_taken_out_and_published_in_one_commit(path: Path) -> None:
    async with running(SqliteBroker(path, clock=trio.current_time)) as broker:
        await post(broker, b"1", b"2")
        await post(broker, b"3", seconds=1e-3)
        await broker.mailboxes.hold(BOX, deaf)
        await broker.mailboxes.fail(BOX, deaf, [(await letters(broker))[0].position], KEEP)
        assert (await texts(broker))[0] == b"2"
        [(commits,)] = look(path, "SELECT max(used) FROM channels")
        assert look(path, "SELECT used, letters, bytes FROM mailboxes") == [(commits, 2, 2)]
        await trio.sleep(0.005)
        assert [*await broker.mailboxes.overdue()] == [BOX]
        await broker.mailboxes.bury(BOX, KEEP)
        assert await dead(broker) == [b"1", b"3"]
        assert [*await broker.mailboxes.overdue()] == []
    assert look(path, "SELECT letters, bytes FROM mailboxes") == [(1, 1)]


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="there is no DROP COLUMN to make an old store with")
@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_store_of_before_gets_what_it_lacks(path: Path, version: int) -> None:
    async with running(SqliteBroker(path)) as broker:
        await broker.publish("c", b"1", retention=Retention(messages=9))
    for table in COLUMNS:
        look(path, f"ALTER TABLE {table} DROP COLUMN sum")
    if version < 3:
        look(path, "ALTER TABLE channels DROP COLUMN latest")
    if version < 2:
        look(path, "DROP TABLE letters")
        look(path, "DROP TABLE mailboxes")
    look(path, f"PRAGMA user_version = {version}")
    async with running(SqliteBroker(path)) as broker:
        await post(broker, b"1")
        for data in (b"2", b"3"):
            await broker.publish("d", data, retention=Retention(messages=9, latest=True), about=About(latest_key="k"))
        assert [entry.data for entry in (await broker.history("c", 0, limit=9, limit_bytes=9)).entries] == [b"1"]
        assert [entry.data for entry in (await broker.history("d", 0, limit=9, limit_bytes=9)).entries] == [b"3"]
    assert look(path, "PRAGMA user_version") == [(VERSION,)]


async def test_a_full_store_refuses_letters_and_goes_on_when_there_is_room(path: Path) -> None:
    async with running(SqliteBroker(path, bytes_max=300_000)) as broker:
        with pytest.raises(StoreFull, match="there is no room for more"):
            await post(broker, *[bytes(10_000)] * 100)
        found = await letters(broker)
        stored = len(found)
        assert stored > 5
        await broker.mailboxes.hold(BOX, deaf)
        await broker.mailboxes.remove(BOX, deaf, [letter.position for letter in found[:-1]])
        await post(broker, bytes(10_000))
        assert [letter.position.offset for letter in await letters(broker)] == [stored, stored + 1]


async def test_damage_is_told_to_whoever_meets_it(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await post(broker, *[bytes(4_000)] * 30)
    [(root,)] = look(path, "SELECT rootpage FROM sqlite_master WHERE name = 'letters'")
    spoil(path, (root - 1) * 4_096)
    async with running(SqliteBroker(path)) as broker:
        with pytest.raises(StoreDamaged):
            await letters(broker)
        with pytest.raises(StoreDamaged):
            await post(broker, b"x")
        await broker.publish("c", b"1", retention=Retention(messages=9))
    with pytest.raises(StoreClosed):
        await post(broker, b"x")
    with pytest.raises(StoreClosed):
        await broker.mailboxes.known(BOX, b"k")


@pytest.fixture
async def partly_damaged(path: Path) -> Path:
    """A store with 100 letters in each of two mailboxes; some in the middle of the first one cannot be read."""
    async with running(SqliteBroker(path)) as broker:
        for name in ("ada", "bob"):
            await post(broker, *[f"{name} {n:03}".encode().ljust(300) for n in range(100)], mailbox=f"user:{name}")
    spoil_page_of(path, b"ada 050", b"ada 051")
    return path


async def outcomes_of(**asked: Callable[[], Awaitable[object]]) -> dict[str, str]:
    """What becomes of what is asked for at once, which shares a commit."""
    outcomes: dict[str, str] = {}

    async def ask(name: str, function: Callable[[], Awaitable[object]]) -> None:
        try:
            await function()
        except StoreError as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = "done"

    with trio.CancelScope(shield=True), trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for name, function in asked.items():
                nursery.start_soon(ask, name, function)
    return outcomes


async def removals(broker: SqliteBroker, *offsets: int) -> list[Callable[[], Awaitable[bool]]]:
    """What removes letters of the first mailbox, one each."""
    store = broker.mailboxes
    await store.hold(BOX, deaf)
    [first] = await store.read(BOX, 0, limit=1, limit_bytes=1)
    places = [Position(first.position.epoch, offset) for offset in offsets]
    return [partial(store.remove, BOX, deaf, [place]) for place in places]


async def test_what_is_damaged_is_refused_alone_of_those_that_share_a_commit(
    partly_damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(SqliteBroker(partly_damaged)) as broker:
        whole, damaged = await removals(broker, 1, 51)
        outcomes = await outcomes_of(
            post=partial(post, broker, b"x", mailbox="user:bob"),
            remove=whole,
            damaged=damaged,
            publish=partial(broker.publish, "c", b"x", retention=Retention(messages=9)),
        )
        assert outcomes == {"post": "done", "remove": "done", "damaged": "StoreDamaged", "publish": "done"}
    assert look(partly_damaged, "SELECT name, letters FROM mailboxes") == [("user:ada", 99), ("user:bob", 101)]
    assert len(caplog.records) == 1


async def test_a_fault_beside_damage_leaves_nobody_waiting(
    partly_damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_lock: StoreLock, _mark: int) -> None:
        raise RuntimeError("a bug")

    outcomes: dict[str, str] = {}
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        async with running(SqliteBroker(partly_damaged)) as broker:
            one, two, three, damaged = await removals(broker, 1, 2, 3, 51)
            monkeypatch.setattr(StoreLock, "write", fail)
            outcomes |= await outcomes_of(one=one, two=two, three=three, damaged=damaged)
    assert outcomes.pop("damaged") in ("StoreDamaged", "StoreClosed")
    assert [*outcomes.values()] == ["StoreClosed"] * 3


async def taken(mailbox: Mailbox) -> int:
    """How many letters come before it is said that no more do."""
    with trio.fail_after(30):
        for count in range(101):
            try:
                await mailbox.receive()
            except RequestFailed as error:
                assert error.code == ErrorCode.UNAVAILABLE
                return count
    raise AssertionError("all of them came")


async def test_whoever_holds_a_mailbox_that_is_damaged_is_told_and_so_is_whoever_waits(
    partly_damaged: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "AGAIN_SECONDS", 0.01)
    async with (
        serving(mail_app(SqliteBroker(partly_damaged))),
        connect(URL, token="ada") as phone,
        connect(URL, token="ada") as laptop,
        connect(URL, token="bob") as bob,
    ):
        async with phone.mailbox() as first, laptop.mailbox() as second:
            assert (first.holding, second.holding) == (True, False)
            assert 32 <= await taken(first) <= 50
            assert await taken(second) == 0
        async with laptop.mailbox() as again:
            assert await taken(again) <= 50
        async with bob.mailbox() as letters:
            with trio.fail_after(30):
                for _ in range(100):
                    await letters.receive()
    [record] = caplog.records
    assert "it is damaged; put a copy in its place" in record.getMessage()


async def test_whoever_holds_what_cannot_be_read_for_a_while_waits_for_it(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "AGAIN_SECONDS", 0.01)
    app = mail_app(SqliteBroker(path))
    async with serving(app), connect(URL, token="ada") as ada:
        await app.post(BOX, "one")
        look(path, "ALTER TABLE letters RENAME TO away")
        async with ada.mailbox() as letters:
            while not caplog.records:
                await trio.sleep(0.001)
            look(path, "ALTER TABLE away RENAME TO letters")
            with trio.fail_after(30):
                assert (await letters.receive()).data == "one"
    [record] = caplog.records
    assert record.getMessage().endswith("history and letters are not given until it can be read again")


async def test_the_mailbox_unused_for_longest_makes_room_if_it_is_empty(path: Path) -> None:
    async with running(SqliteBroker(path, mailboxes_max=3)) as broker:
        store = broker.mailboxes
        for name in ("one", "two", "three"):
            await post(broker, b"x", mailbox=f"agent:{name}")
            await store.hold(f"agent:{name}", deaf)
        with pytest.raises(MailboxFull, match="there are 3 mailboxes, and none of them is empty"):
            await post(broker, b"x", mailbox="agent:four")
        for name in ("two", "one"):
            [letter] = await letters(broker, f"agent:{name}")
            await store.remove(f"agent:{name}", deaf, [letter.position])
        await store.release("agent:one", deaf)
        await post(broker, b"x", mailbox="agent:four")
        assert look(path, "SELECT name FROM mailboxes ORDER BY id") == [
            ("agent:two",), ("agent:three",), ("agent:four",),
        ]  # fmt: skip
        assert await texts(broker, "agent:one") == []


async def test_a_full_store_makes_no_room(path: Path) -> None:
    async with running(SqliteBroker(path, mailboxes_max=1, bytes_max=200_000)) as broker:
        await post(broker, b"x", mailbox="agent:one")
        await broker.mailboxes.hold("agent:one", deaf)
        [letter] = await letters(broker, "agent:one")
        await broker.mailboxes.remove("agent:one", deaf, [letter.position])
        await broker.mailboxes.release("agent:one", deaf)
        with pytest.raises(StoreFull):
            await post(broker, bytes(500_000), mailbox="agent:two")
        await post(broker, b"y", mailbox="agent:one")
        assert [one.position.offset for one in await letters(broker, "agent:one")] == [2]


async def test_a_server_that_is_started_again_has_its_letters(path: Path) -> None:
    def make() -> App:
        app = App(broker=SqliteBroker(path))
        app.mailbox("user:*", open=True)
        return app

    with trio.fail_after(30):
        async with serving(make()), connect(URL) as client:
            for number in range(3):
                await client.post("user:anonymous", number)
            async with client.mailbox() as box:
                assert [(await box.receive()).data for _ in range(2)] == [0, 1]
        async with serving(make()), connect(URL) as client, client.mailbox() as box:
            assert [(await box.receive()).data for _ in range(2)] == [1, 2]


async def test_what_is_known_of_a_mailbox_is_forgotten_when_it_makes_room(path: Path) -> None:
    broker = SqliteBroker(path, mailboxes_max=2)
    async with running(broker):
        for number in range(6):
            name = f"agent:{number}"
            posted = await broker.mailboxes.post(Posting(name, b"x", KEEP))
            await broker.mailboxes.hold(name, deaf)
            assert len(await broker.mailboxes.read(name, 0, limit=9, limit_bytes=9)) == 1
            await broker.mailboxes.remove(name, deaf, [posted.position])
            await broker.mailboxes.release(name, deaf)
        store: Any = broker._store  # pyright: ignore[reportPrivateUsage]
        assert 1 <= len(store.file._whole) <= 2
