"""What the contract says of the latest by key and of what is volatile (SPEC LAT-1, LAT-4, VOL-2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hawser_engine.channels.entries import Entry, Retention
from hawser_engine.messages import About

from .expecting import expect, patiently

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .base import Broker

LATEST: Final = Retention(messages=3, latest=True)


class Heard:
    """A sink that remembers offsets, payloads and what was volatile."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, bytes, bool]] = []
        self.carried: list[About | None] = []
        self._news = trio.Event()

    def __call__(self, channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
        """See `hawser.brokers.Sink`."""
        self.entries += [(entry.offset, entry.data, entry.volatile) for entry in entries]
        self.carried += [entry.about for entry in entries]
        self._news.set()
        self._news = trio.Event()

    async def until(self, count: int) -> list[tuple[int, bytes, bool]]:
        """What was heard, once it is so much, or nothing has come for a long while."""
        await patiently(lambda: len(self.entries) >= count, lambda: self._news)
        return self.entries


async def _post(broker: Broker, channel: str, keys: str, retention: Retention = LATEST) -> None:
    """Publish once for each key, which is the payload, too; a dot has none."""
    for key in keys:
        about = None if key == "." else About(latest_key=key)
        await broker.publish(channel, key.encode(), retention=retention, about=about)


async def _kept(broker: Broker, channel: str, after: int = 0, limit: int = 99) -> tuple[int, str]:
    """From where on nothing is missing, and the payloads that are kept behind an offset."""
    page = await broker.history(channel, after, limit=limit, limit_bytes=99)
    return page.first, "".join(entry.data.decode() for entry in page.entries)


async def _check_the_latest_are_read_back(broker: Broker) -> None:
    await _post(broker, "check:latest-back", "ab.a")  # the first is replaced
    for before, limit, expected in ((5, 9, "b.a"), (9, 2, ".a"), (4, 9, "b."), (3, 1, "b"), (2, 9, "")):
        page = await broker.history_before("check:latest-back", before, limit=limit, limit_bytes=99)
        seen = page.first, "".join(entry.data.decode() for entry in page.entries)
        expect(f"the latest before {before}", seen, (1, expected))


async def _check_the_newest_of_each_key_is_kept(broker: Broker) -> None:
    heard = Heard()
    await broker.join("check:latest", heard)
    await _post(broker, "check:latest", "abab")
    expect("reports of what was replaced", [data for _, data, _ in await heard.until(4)], [b"a", b"b", b"a", b"b"])
    page = await broker.history("check:latest", 0, limit=99, limit_bytes=99)
    expect("offsets of the latest", [entry.offset for entry in page.entries], [3, 4])
    expect("keys of the latest", [entry.about for entry in page.entries], [About(latest_key=key) for key in "ab"])
    expect("top of the latest", page.top.offset, 4)
    expect("what was replaced is not missing", page.first, 1)
    for after, kept in ((2, "ab"), (3, "b"), (4, ""), (9, "")):
        expect(f"the latest after {after}", await _kept(broker, "check:latest", after), (1, kept))
    expect("the latest, one of them", await _kept(broker, "check:latest", limit=1), (1, "a"))
    await _post(broker, "check:latest", ".", Retention(messages=9, latest=True))
    expect("the latest, and one without a key", await _kept(broker, "check:latest"), (1, "ab."))
    await _post(broker, "check:latest", "a.", Retention(messages=9, latest=True))
    expect("the latest, and two without a key", await _kept(broker, "check:latest"), (1, "b.a."))
    await broker.leave("check:latest", heard)


async def _check_bounds_of_the_latest(broker: Broker) -> None:
    await _post(broker, "check:latest of many", "abacad")  # b, c, a and d: one too many
    expect("the latest, bounded by number", await _kept(broker, "check:latest of many"), (3, "cad"))
    await _post(broker, "check:latest of many", "b")
    expect("one that was lost comes back", await _kept(broker, "check:latest of many"), (5, "adb"))
    for offset, data in enumerate((b"1234", b"5678", b"9", b"123456789"), 1):
        about = About(latest_key=f"{offset}")
        retention = Retention(messages=99, bytes=8, latest=True)
        await broker.publish("check:latest of bytes", data, retention=retention, about=about)
        kept = {1: (1, 1), 2: (1, 2), 3: (2, 2), 4: (5, 0)}[offset]
        page = await broker.history("check:latest of bytes", 0, limit=99, limit_bytes=99)
        expect(f"the latest, bounded by bytes, after {offset}", (page.first, len(page.entries)), kept)


async def _check_many_of_one_key(broker: Broker) -> None:
    """Enough for whatever is cleared up in the background to be cleared up."""
    for _ in range(50):
        await _post(broker, "check:latest for long", "abc")
    expect("the latest of many rounds", await _kept(broker, "check:latest for long"), (1, "abc"))


async def _check_a_channel_begins_anew_to_keep_otherwise(broker: Broker) -> None:
    plain = Retention(messages=9)
    await _post(broker, "check:latest or not", "ab", plain)
    await _post(broker, "check:latest or not", "cc")
    expect("from all to the latest", await _kept(broker, "check:latest or not"), (3, "c"))
    await _post(broker, "check:latest or not", "de", plain)
    expect("from the latest to all", await _kept(broker, "check:latest or not"), (5, "de"))


async def _check_volatile(broker: Broker) -> None:
    heard, keep = Heard(), Retention(messages=9)
    await broker.join("check:volatile", heard)
    before = await broker.publish_volatile("check:volatile", b"0")
    expect("position of something volatile, before all", before.offset, 0)
    first = await broker.publish("check:volatile", b"1", retention=keep)
    expect("epoch of something volatile", before.epoch, first.position.epoch)
    await heard.until(2)
    again = await broker.publish_volatile("check:volatile", b"2", about=About(tags={"a": "b"}))
    expect("position of something volatile", again, first.position)
    await broker.publish("check:volatile", b"3", retention=keep)
    expected = [(0, b"0", True), (1, b"1", False), (1, b"2", True), (2, b"3", False)]
    expect("reports of what is volatile, in its place", await heard.until(4), expected)
    expect("what they carry", heard.carried, [None, None, About(tags={"a": "b"}), None])
    page = await broker.history("check:volatile", 0, limit=9, limit_bytes=99)
    expect("history without what is volatile", [entry.data for entry in page.entries], [b"1", b"3"])
    await broker.leave("check:volatile", heard)
    await broker.publish_volatile("check:volatile", b"4")
    expect("reports of what is volatile, after leaving", len(heard.entries), 4)


async def check_ages_of_the_latest(broker: Broker, seconds: float) -> None:
    """Check that what is too old is lost, though nothing has replaced it."""
    aging = Retention(messages=9, seconds=seconds, latest=True)
    await _post(broker, "check:latest by age", "ab", aging)
    await trio.sleep(seconds * 0.7)
    await _post(broker, "check:latest by age", "a", aging)
    expect("the latest, none too old", await _kept(broker, "check:latest by age"), (1, "ba"))
    await trio.sleep(seconds * 0.5)
    expect("the latest, one too old", await _kept(broker, "check:latest by age"), (3, "a"))
    await _post(broker, "check:latest by age", "b", aging)
    expect("the latest, one come back", await _kept(broker, "check:latest by age"), (3, "ab"))
    await trio.sleep(seconds * 1.2)
    expect("the latest, all too old", await _kept(broker, "check:latest by age"), (5, ""))


LATEST_CHECKS: Final[tuple[Callable[[Broker], Awaitable[None]], ...]] = (
    _check_the_newest_of_each_key_is_kept,
    _check_the_latest_are_read_back,
    _check_bounds_of_the_latest,
    _check_many_of_one_key,
    _check_a_channel_begins_anew_to_keep_otherwise,
    _check_volatile,
)
