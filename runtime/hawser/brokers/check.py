"""The public contract suite for brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hawser.principals import Principal, scoped_key
from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.channels.entries import Entry, Retention
from hawser_engine.messages import About, Kept
from hawser_transports.cancelling import cancel_at_checkpoint

from .base import Broker, BrokerUnavailable, Published, Submission
from .check_conditions import CONDITION_CHECKS
from .check_latest import LATEST_CHECKS, check_ages_of_the_latest
from .check_mailboxes import MAILBOX_CHECKS, check_times
from .check_presence import PRESENCE_CHECKS, check_leases
from .check_sessions import SESSION_CHECKS, check_leases_of_nodes
from .expecting import BrokerContractError, expect, patiently
from .mailboxes import Keeping, Posting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["BrokerContractError", "check_broker"]

KEEP: Final = Retention(messages=5)


class _Reports:
    """A sink that remembers, and complains about disorder."""

    def __init__(self) -> None:
        self.epochs: list[bytes] = []
        self.entries: list[Entry] = []
        self.arrived = trio.Event()

    def __call__(self, channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
        self.epochs.append(epoch)
        self.entries += entries
        self.arrived.set()
        self.arrived = trio.Event()

    async def until(self, count: int) -> list[tuple[int, bytes]]:
        await patiently(lambda: len(self.entries) >= count, lambda: self.arrived)
        return [(entry.offset, entry.data) for entry in self.entries]


async def check_broker(
    broker: Broker,
    *,
    key_window_seconds: float | None = None,
    keys_max: int | None = None,
    age_seconds: float | None = None,
    lease_seconds: float | None = None,
) -> None:
    """Check that a broker keeps the contract of `Broker`.

    Args:
        broker: A broker that nothing else uses; channels whose names begin with ``check:`` are created.
        key_window_seconds: If given, waits so long and checks that keys are forgotten (use an autojump clock).
        keys_max: If given, it is so many keys that are remembered at once, by this broker and whatever shares its keys;
            a principal uses twice as many, and it is checked that it is its own that are forgotten, and counted.
        age_seconds: If given, keeps history for so long, waits more than four times as long, and checks that what is
            older is gone; then likewise with letters (use an autojump clock if the broker's clock goes by Trio's).
        lease_seconds: If given, holds leases of presence for so long, waits nearly three times as long, and checks that
            they expire; then likewise with those of the directory of sessions (use an autojump clock).

    Raises:
        BrokerContractError: The contract is broken.
    """
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        for check in (*_CHECKS, *CONDITION_CHECKS, *LATEST_CHECKS):
            await check(broker)
        if key_window_seconds is not None:
            await _check_keys_are_forgotten(broker, key_window_seconds)
        if age_seconds is not None:
            await _check_ages(broker, age_seconds)
            await check_ages_of_the_latest(broker, age_seconds)
        nursery.start_soon(broker.mailboxes.run)
        for check_mailboxes in MAILBOX_CHECKS:
            await check_mailboxes(broker)
        if keys_max is not None:
            await _check_bound_of_keys(broker, keys_max)
        if age_seconds is not None:
            await check_times(broker, age_seconds)
        # Last, for it renews leases from now on: a virtual clock would jump there whenever a thread writes.
        nursery.start_soon(broker.presence.run)
        for check_presence in PRESENCE_CHECKS:
            await check_presence(broker.presence)
        if lease_seconds is not None:
            await check_leases(broker.presence, lease_seconds)
        nursery.start_soon(broker.sessions.run)
        for check_sessions in SESSION_CHECKS:
            await check_sessions(broker.sessions)
        if lease_seconds is not None:
            await check_leases_of_nodes(broker.sessions, lease_seconds)
        nursery.cancel_scope.cancel()


async def _check_offsets_count_from_one(broker: Broker) -> None:
    results = [await broker.publish("check:offsets", b"x", retention=KEEP) for _ in range(3)]
    expect("offsets", [result.position.offset for result in results], [1, 2, 3])
    expect("duplicates", [result.duplicate for result in results], [False] * 3)
    expect("one epoch", len({result.position.epoch for result in results}), 1)
    expect("length of an epoch", len(results[0].position.epoch), 8)


async def _check_history_keeps_the_newest(broker: Broker) -> None:
    for number in range(1, 9):
        await broker.publish("check:history", b"%d" % number, retention=KEEP)
    kept = [(number, b"%d" % number) for number in range(4, 9)]
    for after in range(10):
        page = await broker.history("check:history", after, limit=100, limit_bytes=100)
        expect("first offset kept", page.first, 4)
        expect("top", page.top.offset, 8)
        seen = [(entry.offset, entry.data) for entry in page.entries]
        expect(f"entries after {after}", seen, [item for item in kept if item[0] > after])
    page = await broker.history("check:history", 5, limit=2, limit_bytes=100)
    expect("limited entries", [entry.offset for entry in page.entries], [6, 7])
    page = await broker.history("check:history", 5, limit=9, limit_bytes=2)
    expect("entries limited by bytes", [entry.offset for entry in page.entries], [6, 7])
    page = await broker.history("check:history", 5, limit=9, limit_bytes=0)
    expect("one entry always", [entry.offset for entry in page.entries], [6])


async def _check_history_is_read_back(broker: Broker) -> None:
    for number in range(1, 9):
        await broker.publish("check:back", b"%d" % number, retention=KEEP)
    kept = [(number, b"%d" % number) for number in range(4, 9)]
    for before in (0, 1, 4, 6, 8, 9, 10, MAX_INTEGER + 1):
        page = await broker.history_before("check:back", before, limit=100, limit_bytes=100)
        expect("first offset and top of what is read back", (page.first, page.top.offset), (4, 8))
        seen = [(entry.offset, entry.data) for entry in page.entries]
        expect(f"entries before {before}", seen, [item for item in kept if item[0] < before])
    for limit, limit_bytes, offsets in ((2, 100, [6, 7]), (9, 2, [6, 7]), (9, 0, [7]), (0, 100, [])):
        page = await broker.history_before("check:back", 8, limit=limit, limit_bytes=limit_bytes)
        expect("limited entries read back", [entry.offset for entry in page.entries], offsets)
    page = await broker.history_before("check:nothing", 9, limit=9, limit_bytes=100)
    expect("nothing to be read back", (page.first, page.top.offset, page.entries), (1, 0, ()))


async def _check_bounds_of_history(broker: Broker) -> None:
    for _ in range(4):
        await broker.publish("check:bytes", b"1234", retention=Retention(messages=100, bytes=9))
    page = await broker.history("check:bytes", 0, limit=9, limit_bytes=100)
    expect("history bounded by bytes", [entry.offset for entry in page.entries], [3, 4])
    await broker.publish("check:none", b"x", retention=Retention())
    page = await broker.history("check:none", 0, limit=9, limit_bytes=100)
    expect("no history", (page.first, page.top.offset, page.entries), (2, 1, ()))


async def _check_reports_follow_the_join(broker: Broker) -> None:
    reports, others = _Reports(), _Reports()
    await broker.publish("check:join", b"before", retention=KEEP)
    position = await broker.join("check:join", reports)
    await broker.join("check:join", others)
    expect("position of the join", position.offset, 1)
    for number in range(2, 5):
        await broker.publish("check:join", b"%d" % number, retention=Retention())
    await broker.publish("check:elsewhere", b"x", retention=KEEP)
    expected = [(2, b"2"), (3, b"3"), (4, b"4")]
    expect("reports", await reports.until(3), expected)
    expect("reports to a second sink", await others.until(3), expected)
    expect("epochs of reports", set(reports.epochs), {position.epoch})
    await broker.leave("check:join", reports)
    await broker.leave("check:join", reports)
    await broker.publish("check:join", b"after", retention=KEEP)
    expect("reports to the one that stayed", len(await others.until(4)), 4)
    expect("reports after leaving", len(reports.entries), 3)
    await broker.leave("check:join", others)


async def _check_watched_patterns(broker: Broker) -> None:
    reports, others, losses = _Reports(), _Reports(), list[str]()
    await broker.publish("check:watch:1", b"before", retention=KEEP)
    await broker.watch("check:watch:*", reports, losses.append)
    await broker.watch("check:*:2", reports, losses.append)
    await broker.watch("check:*:2", others, losses.append)
    await broker.join("check:watch:1", reports)
    for name in ("1", "2", "2:3"):
        await broker.publish(f"check:watch:{name}", name.encode(), retention=KEEP)
    await broker.publish("check:other:2", b"other", retention=Retention())
    expect("reports of patterns, each once", await reports.until(3), [(2, b"1"), (1, b"2"), (1, b"other")])
    expect("reports of one pattern", await others.until(2), [(1, b"2"), (1, b"other")])
    await broker.unwatch("check:*:2", reports)
    await broker.unwatch("check:*:2", reports)
    await broker.publish("check:other:2", b"not for the first", retention=KEEP)
    await others.until(3)
    await broker.unwatch("check:watch:*", reports)
    await broker.publish("check:watch:1", b"joined", retention=KEEP)
    await broker.publish("check:watch:2", b"only for the other", retention=KEEP)
    expect("reports of what is still watched", len(await others.until(4)), 4)
    expect("losses where nothing was lost", losses, [])
    expect("reports after unwatching", (await reports.until(4))[3:], [(3, b"joined")])
    await broker.unwatch("check:*:2", others)
    await broker.leave("check:watch:1", reports)


async def _check_keys(broker: Broker) -> None:
    reports = _Reports()
    await broker.join("check:keys", reports)
    first = await broker.publish("check:keys", b"one", retention=KEEP, key=b"k1")
    again = await broker.publish("check:keys", b"two", retention=KEEP, key=b"k1")
    expect("the first with a key", first.duplicate, False)
    expect("the second with a key", (again.position, again.duplicate), (first.position, True))
    other = await broker.publish("check:keys", b"three", retention=KEEP, key=b"k2")
    elsewhere = await broker.publish("check:keys:2", b"four", retention=KEEP, key=b"k1")
    expect("another key, another channel", (other.duplicate, elsewhere.duplicate), (False, False))
    expect("reports of keyed publications", await reports.until(2), [(1, b"one"), (2, b"three")])
    await broker.leave("check:keys", reports)


async def _check_publications_at_once(broker: Broker) -> None:
    reports = _Reports()
    await broker.join("check:crowd", reports)
    results: dict[bytes, int] = {}

    async def publish(data: bytes) -> None:
        results[data] = (await broker.publish("check:crowd", data, retention=KEEP)).position.offset

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(publish, b"%d" % number)
    seen = await reports.until(50)
    expect("offsets reported", [offset for offset, _ in seen], list(range(1, 51)))
    expect("offsets answered", {data: offset for offset, data in seen}, results)
    await broker.leave("check:crowd", reports)


async def _check_publications_together(broker: Broker) -> None:
    reports = _Reports()
    await broker.join("check:together", reports)
    asked = [(1, b"1", None), (2, b"2", None), (1, b"3", b"k"), (1, b"4", b"k"), (2, b"5", b"k"), (1, b"6", None)]
    channels = {1: "check:together", 2: "check:together:2"}
    outcomes = await broker.publish_all([Submission(channels[where], data, KEEP, key) for where, data, key in asked])
    seen = [_place(outcome) for outcome in outcomes]
    expect("places given together", seen, [(1, False), (1, False), (2, False), (2, True), (2, False), (3, False)])
    expect("reports of what was published together", await reports.until(3), [(1, b"1"), (2, b"3"), (3, b"6")])
    [outcome] = await broker.publish_all([Submission("check:together", b"7", KEEP, b"k")])
    expect("one alone", _place(outcome), (2, True))
    await broker.leave("check:together", reports)


async def _check_cancelled_publications_together(broker: Broker) -> None:
    reports = _Reports()
    await broker.join("check:cancel all", reports)
    published = 0
    for number in range(100):
        together = [Submission("check:cancel all", b"%d" % one, KEEP, b"%d %d" % (number, one)) for one in range(3)]

        async def publish(submissions: Sequence[Submission] = together) -> None:
            await broker.publish_all(submissions)

        cancelled = await cancel_at_checkpoint(publish, number)
        again = [_place(outcome) for outcome in await broker.publish_all(together)]
        offsets = [offset for offset, _ in again]
        expect("offsets after some were cancelled", offsets, [published + one for one in (1, 2, 3)])
        done = [known for _, known in again]
        expect("what was done, the first of them", done, sorted(done, reverse=True))
        published += 3
        if not cancelled:
            break
    expect("all of them", [data for _, data in await reports.until(published)], [b"0", b"1", b"2"] * (published // 3))
    await broker.leave("check:cancel all", reports)


def _place(outcome: Published | BrokerUnavailable) -> tuple[int, bool]:
    if not isinstance(outcome, Published):
        raise BrokerContractError(f"publications together: saw {outcome!r}")
    return outcome.position.offset, outcome.duplicate


async def _check_cancelled_publications(broker: Broker) -> None:
    reports = _Reports()
    await broker.join("check:cancel", reports)
    for number in range(100):
        data = b"%d" % number

        async def publish(data: bytes = data) -> None:
            await broker.publish("check:cancel", data, retention=KEEP, key=data)

        cancelled = await cancel_at_checkpoint(publish, number)
        # Published again under its key it is there exactly once, whatever the cancelled one did.
        await publish()
        seen = [entry for _, entry in await reports.until(number + 1)]
        expect("publications after a cancelled one", seen, [b"%d" % one for one in range(number + 1)])
        if not cancelled:
            break
    await broker.leave("check:cancel", reports)


async def _check_keys_are_forgotten(broker: Broker, window_seconds: float) -> None:
    await broker.publish("check:window", b"x", retention=KEEP, key=b"k")
    await trio.sleep(window_seconds * 0.9)
    late = await broker.publish("check:window", b"x", retention=KEEP, key=b"k")
    expect("a key within its window", late.duplicate, True)
    await trio.sleep(window_seconds * 0.2)
    anew = await broker.publish("check:window", b"x", retention=KEEP, key=b"k")
    expect("a key after its window", (anew.duplicate, anew.position.offset), (False, 2))


async def _check_bound_of_keys(broker: Broker, keys_max: int) -> None:
    quiet, loud = Principal("check:quiet"), Principal("check:loud")

    async def publish(who: Principal, *numbers: int) -> list[bool]:
        together = [Submission("check:bound", b"x", KEEP, scoped_key(who, b"%d" % number)) for number in numbers]
        return [_place(outcome)[1] for outcome in await broker.publish_all(together)]

    async def post() -> bool:
        letter = Posting("check:bound", b"x", Keeping(), key=scoped_key(quiet, b"letter"))
        return (await broker.mailboxes.post(letter)).duplicate

    before = broker.keys_forgotten
    expect("keys that are new", [*await publish(quiet, 1), await post()], [False, False])
    for begin in range(0, 2 * keys_max, 50):
        await publish(loud, *range(begin, min(begin + 50, 2 * keys_max)))
    expect("keys of one who has few", [*await publish(quiet, 1), await post()], [True, True])
    expect("the newest key of one who has many", await publish(loud, 2 * keys_max - 1), [True])
    expect("its oldest", await publish(loud, 0), [False])
    expect("keys forgotten before their time, all counted", broker.keys_forgotten - before >= keys_max, True)


async def _check_what_is_carried(broker: Broker) -> None:
    reports = _Reports()
    await broker.join("check:about", reports)
    carried = [
        None,
        About(publisher="ada"),
        About(tags={"b": "", "a": "é" * 32}, latest_key="k"),
        About("x" * 255, None, {f"{number}" * 32: "v" * 64 for number in range(8)}, "l" * 64),
        Kept(tags={"a": "b"}, spared=("a" * 16,)),
    ]
    for about in carried:
        await broker.publish("check:about", b"x", retention=KEEP, about=about)
    await reports.until(5)
    page = await broker.history("check:about", 0, limit=9, limit_bytes=99)
    for where, entries in (("reported", reports.entries), ("kept", page.entries)):
        expect(f"what is carried, {where}", [entry.about for entry in entries], carried)
        tags = [list((entry.about.tags or {}) if entry.about else {}) for entry in entries]
        expect(f"order of tags, {where}", tags, [list((about.tags or {}) if about else {}) for about in carried])
        times = [entry.time_ms for entry in entries]
        expect(f"times in order, {where}", times, sorted(times))
    expect("times as reported", [entry.time_ms for entry in page.entries], [one.time_ms for one in reports.entries])
    await broker.leave("check:about", reports)


async def _check_ages(broker: Broker, seconds: float) -> None:
    aging = Retention(messages=9, seconds=seconds)
    for data in (b"1", b"2"):
        await broker.publish("check:age", data, retention=aging)
    await trio.sleep(seconds * 0.7)
    await broker.publish("check:age", b"3", retention=aging)
    page = await broker.history("check:age", 0, limit=9, limit_bytes=99, seconds=seconds * 0.5)
    expect("first offset kept", page.first, 1)
    expect("what is not too old to be asked for", [entry.offset for entry in page.entries], [3])
    page = await broker.history("check:age", 0, limit=1, limit_bytes=99, seconds=seconds * 9)
    expect("all of it asked for", [entry.offset for entry in page.entries], [1])
    await trio.sleep(seconds * 0.5)
    page = await broker.history("check:age", 0, limit=9, limit_bytes=99)
    expect("what is too old to be kept", (page.first, [entry.offset for entry in page.entries]), (3, [3]))
    await trio.sleep(seconds * 0.7)
    page = await broker.history("check:age", 0, limit=9, limit_bytes=99)
    expect("a history that has run out", (page.first, page.top.offset, page.entries), (4, 3, ()))
    page = await broker.history_before("check:age", 4, limit=9, limit_bytes=99)
    expect("one that has run out, read back", (page.first, page.top.offset, page.entries), (4, 3, ()))


_CHECKS: Final[tuple[Callable[[Broker], Awaitable[None]], ...]] = (
    _check_offsets_count_from_one,
    _check_history_keeps_the_newest,
    _check_history_is_read_back,
    _check_bounds_of_history,
    _check_what_is_carried,
    _check_reports_follow_the_join,
    _check_watched_patterns,
    _check_keys,
    _check_publications_at_once,
    _check_publications_together,
    _check_cancelled_publications,
    _check_cancelled_publications_together,
)
