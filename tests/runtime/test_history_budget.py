"""How much history all channels keep in memory together (SPEC CHN-14): whose goes, who is told, and that it adds up."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hawser import App, Config, Position, connect
from hawser.brokers import DeadLetters, Keeping, LetterTooLarge, MailboxFull, MemoryBroker, MemoryMailboxes, Posting
from hawser.brokers.check import check_broker
from hawser_engine.channels.entries import Retention
from hawser_engine.messages import About, Kept
from tests.runtime.helpers import URL, collect, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

SIZE = 1_000
ONE = 256 + SIZE
"""What a publication of that size counts for."""
ALL = Retention(messages=1_000)
NEWEST = Retention(messages=1_000, latest=True)


async def publish(broker: MemoryBroker, channel: str, count: int = 1, **options: Any) -> None:
    retention = options.pop("retention", ALL)
    for _ in range(count):
        await broker.publish(channel, bytes(SIZE), retention=retention, **options)


async def kept(broker: MemoryBroker, channel: str) -> tuple[int, list[int]]:
    """From where on nothing is missing, and the offsets that are kept."""
    page = await broker.history(channel, 0, limit=1_000, limit_bytes=10_000_000)
    return page.first, [entry.offset for entry in page.entries]


async def test_a_broker_with_a_bound_that_it_needs_keeps_the_contract(autojump_clock: MockClock) -> None:
    broker = MemoryBroker(bytes_max=8_000, clock=trio.current_time)
    await check_broker(broker, key_window_seconds=300, age_seconds=10)
    assert broker.history_cut


@pytest.mark.parametrize("bound", ["bytes_max", "channels_max", "keys_max"])
def test_a_bound_that_is_none_is_refused(bound: str) -> None:
    amounts: dict[str, Any] = {bound: 0}
    with pytest.raises(ValueError, match=f"{bound} is 0; it must be 1 or more"):
        MemoryBroker(**amounts)
    with pytest.raises(ValueError, match=r"bytes_max is 1.5; it must be a whole number"):
        MemoryBroker().bytes_max = 1.5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


async def read(broker: MemoryBroker, channel: str) -> None:
    await broker.history(channel, 3, limit=1, limit_bytes=1)


async def read_back(broker: MemoryBroker, channel: str) -> None:
    await broker.history_before(channel, 3, limit=1, limit_bytes=1)


@pytest.mark.parametrize("use", [publish, read, read_back])
async def test_the_oldest_history_of_the_channel_used_longest_ago_goes(
    use: Callable[[MemoryBroker, str], Awaitable[None]],
) -> None:
    broker = MemoryBroker(bytes_max=9 * ONE)
    for channel in ("one", "two", "three"):
        await publish(broker, channel, 2)
    await use(broker, "one")
    await broker.publish_volatile("two", b"neither published to nor read")
    await broker.join("two", lambda channel, epoch, entries: None)
    await publish(broker, "four", 4)
    one = [1, 2, 3] if use is publish else [1, 2]
    two = [] if use is publish else [2]
    assert broker.history_cut == 2 - len(two)
    assert await kept(broker, "two") == (3 - len(two), two)
    assert await kept(broker, "three") == (1, [1, 2])
    assert await kept(broker, "one") == (1, one)


async def test_a_channel_that_lost_its_history_keeps_its_epoch_and_goes_on() -> None:
    broker = MemoryBroker(bytes_max=2 * ONE)
    await publish(broker, "one", 2)
    before = await broker.history("one", 0, limit=0, limit_bytes=0)
    await publish(broker, "two", 2)
    assert await kept(broker, "one") == (3, [])
    await publish(broker, "one")
    after = await broker.history("one", 0, limit=9, limit_bytes=9)
    assert (after.top.epoch, after.first, [entry.offset for entry in after.entries]) == (before.top.epoch, 3, [3])


async def test_one_that_is_alone_too_large_is_kept_nowhere() -> None:
    broker = MemoryBroker(bytes_max=ONE - 1)
    await publish(broker, "one", 2)
    assert await kept(broker, "one") == (3, [])
    assert broker.history_cut == 2


async def test_of_the_latest_by_key_the_lowest_offset_is_lost_and_everything_up_to_it() -> None:
    """SPEC LAT-4."""
    broker = MemoryBroker(bytes_max=5 * ONE)
    for key in "abca":  # 1 is replaced
        await publish(broker, "board", retention=NEWEST, about=About(latest_key=key))
        broker.bytes_max += 256  # for what it carries
    assert await kept(broker, "board") == (1, [2, 3, 4])
    await publish(broker, "other", 3)
    assert broker.history_cut == 1
    assert await kept(broker, "board") == (3, [3, 4])


async def test_what_carries_more_counts_for_more() -> None:
    broker = MemoryBroker(bytes_max=6 * 256)
    for about in (None, About(publisher="ada"), Kept(tags={"a": "b"}, spared=("x",))):
        await broker.publish("one", b"", retention=ALL, about=about)
    assert (broker.history_cut, await kept(broker, "one")) == (1, (2, [2, 3]))
    await broker.publish("one", b"x", retention=ALL)
    assert (broker.history_cut, await kept(broker, "one")) == (2, (3, [3, 4]))


@pytest.mark.parametrize("retention", [ALL, NEWEST])
async def test_what_is_too_old_makes_room_and_nothing_is_said(
    retention: Retention, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    broker = MemoryBroker(bytes_max=4 * ONE, clock=lambda: now)
    aging = attrs.evolve(retention, seconds=10)
    await publish(broker, "aging", 3, retention=aging)
    await publish(broker, "one")
    now = 11.0
    await publish(broker, "one", 3)
    assert (broker.history_cut, await kept(broker, "one")) == (0, (1, [1, 2, 3, 4]))
    assert await kept(broker, "aging") == (4, [])
    await publish(broker, "one", 4)
    assert (broker.history_cut, await kept(broker, "one")) == (4, (5, [5, 6, 7, 8]))
    assert len(warnings(caplog)) == 1


async def begins_anew(broker: MemoryBroker) -> None:
    await publish(broker, "one", retention=NEWEST)
    await publish(broker, "one")


async def makes_room(broker: MemoryBroker) -> None:
    await publish(broker, "two", 5)


async def leaves_by_its_own_bounds(broker: MemoryBroker) -> None:
    await publish(broker, "one", retention=Retention(messages=1))


async def keeps_nothing_any_more(broker: MemoryBroker) -> None:
    await publish(broker, "one", retention=Retention())
    await publish(broker, "one")


@pytest.mark.parametrize("leave", [begins_anew, makes_room, leaves_by_its_own_bounds, keeps_nothing_any_more])
async def test_whatever_else_ends_history_gives_its_room_back(
    leave: Callable[[MemoryBroker], Awaitable[None]],
) -> None:
    broker = MemoryBroker(bytes_max=5 * ONE, channels_max=1)
    await publish(broker, "one", 4)
    await leave(broker)
    await publish(broker, "one", 3)
    assert broker.history_cut == 0
    await publish(broker, "one", 4)
    assert len((await kept(broker, "one"))[1]) == 5


# ---------------------------------------------------------------- who is told


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_the_log_says_once_that_it_begins_and_which_setting_to_raise(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker(bytes_max=2 * ONE)
    await publish(broker, "one", 2)
    assert (warnings(caplog), broker.history_cut) == ([], 0)
    for _ in range(2):
        await publish(broker, "two", 5)
        await trio.sleep(200)  # it has not stopped
    [line] = warnings(caplog)
    assert f"bytes_max = {2 * ONE}" in line
    assert "first it is that of channel 'one'" in line
    assert "[store] memory_bytes" in line
    assert broker.history_cut == 10
    await trio.sleep(101)
    await publish(broker, "two")
    assert len(warnings(caplog)) == 2


async def test_a_bound_that_is_lowered_holds_from_the_next_use_on() -> None:
    broker = MemoryBroker()
    assert broker.bytes_max == 512 * 1024 * 1024
    await publish(broker, "one", 4)
    broker.bytes_max = ONE
    await broker.history("one", 0, limit=1, limit_bytes=1)
    assert await kept(broker, "one") == (4, [4])


async def test_a_subscriber_whose_history_was_cut_is_told_a_gap_and_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It has paused, as nobody takes what comes; meanwhile another channel has all the room (CHN-9, SUB-4)."""
    app = App(broker=MemoryBroker(bytes_max=50 * (256 + 102)))
    app.channel("*", history=1_000, open=True)
    config = Config(subscription_messages=10)
    async with (
        serving(app) as server,
        connect(URL, config=config) as client,
        client.subscribe("quiet") as messages,
        client.subscribe("busy") as others,
    ):
        for number in range(1, 31):
            await app.publish("quiet", number)
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert messages.feed.paused
        for _ in range(40):
            await app.publish("busy", bytes(100))
        cut = server.history_cut
        assert 0 < cut < 30
        items = await collect(messages, 11 + 30 - max(10, cut))
        assert items[:10] == [*range(1, 11)]
        assert items[10:] == [(10, cut, 1), *range(cut + 1, 31)]
        new = await app.publish("quiet", "new")
        assert await collect(messages, 1) == ["new"]
        assert await collect(others, 40) == [bytes(100)] * 40
        since = Position(new.position.epoch, 5)
        async with connect(URL) as late, late.subscribe("quiet", since=since) as again:
            assert await collect(again, 32 - cut) == [(5, cut, 1), *range(cut + 1, 31), "new"]
    assert len(warnings(caplog)) == 1


# ---------------------------------------------------------------- letters


@pytest.mark.parametrize("seconds", [0.5, 1_000])
async def test_all_mailboxes_have_so_much_together_and_then_letters_are_refused(seconds: float) -> None:
    """SPEC MBX-11: nothing that is stored goes for it."""
    now = 0.0
    dead = Keeping(dead=DeadLetters("dead", Retention()))
    broker = MemoryBroker(bytes_max=3 * (512 + SIZE), clock=lambda: now)
    mailboxes = broker.mailboxes

    async def post(name: str, size: int = SIZE) -> Position:
        return (await mailboxes.post(Posting(name, bytes(size), dead, seconds=seconds))).position

    letters = [await post(name) for name in ("user:a", "user:a", "user:b")]
    with pytest.raises(MailboxFull, match="all mailboxes have 4536 bytes of letters, and at most 4536"):
        await post("user:c", 0)
    with pytest.raises(LetterTooLarge, match="all mailboxes have at most 4536 bytes"):
        await post("user:c", 5_000)

    def holder(mailbox: str, news: object) -> None:
        pass

    await mailboxes.hold("user:a", holder)
    now = 1.0
    if seconds > now:
        await mailboxes.remove("user:a", holder, [*letters[:1], *letters[:1]])
    else:
        assert await mailboxes.bury("user:a", dead, letters[1:]) == 1
    await post("user:c")
    with pytest.raises(MailboxFull):
        await post("user:c", 0)
    broker.bytes_max += 512
    await post("user:c", 0)


async def test_a_letter_that_could_not_be_buried_counts_as_before() -> None:
    class Away(MemoryBroker):
        async def publish(self, *arguments: Any, **named: Any) -> Any:
            raise OSError

    broker, dead = Away(clock=lambda: 0.0), Keeping(dead=DeadLetters("dead", Retention()))
    mailboxes = MemoryMailboxes(broker, clock=trio.current_time, bytes_max=512)
    await mailboxes.post(Posting("user:a", b"", dead, seconds=0))
    with pytest.raises(OSError):  # noqa: PT011
        await mailboxes.bury("user:a", dead)
    with pytest.raises(MailboxFull):
        await mailboxes.post(Posting("user:a", b"", dead))


# ---------------------------------------------------------------- against lists


@attrs.frozen
class Kind:
    """How a channel of the model keeps."""

    messages: int
    seconds: float = float("inf")
    latest: bool = False


KINDS = (Kind(5), Kind(3, 20), Kind(4, latest=True), Kind(4, 20, latest=True))
Step: TypeAlias = "tuple[Literal['publish', 'read'], int, int, str | None, int]"
"""What is done in which channel, with a payload of what size under which key, how much later."""


class Model:
    """Channels as lists of (offset, bytes, when, key), and the order in which they were used."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.now = 0
        self.cut = 0
        self.used: list[int] = []
        self.tops: defaultdict[int, int] = defaultdict(int)
        self.floors: defaultdict[int, int] = defaultdict(int)
        self.lists: defaultdict[int, list[tuple[int, int, int, str | None]]] = defaultdict(list)

    def lose(self, channel: int) -> None:
        self.floors[channel] = self.lists[channel].pop(0)[0]

    def age(self, channel: int) -> None:
        while self.lists[channel] and self.now - self.lists[channel][0][2] > KINDS[channel].seconds:
            self.lose(channel)

    def use(self, channel: int) -> None:
        self.age(channel)
        self.used = [*(other for other in self.used if other != channel), channel]
        while sum(256 + size + 256 * bool(key) for kept in self.lists.values() for _, size, _, key in kept) > (
            self.bytes_max
        ):
            oldest = next(other for other in self.used if self.lists[other])
            before = len(self.lists[oldest])
            self.age(oldest)
            if before == len(self.lists[oldest]):
                self.lose(oldest)
                self.cut += 1

    def publish(self, channel: int, size: int, key: str | None) -> None:
        kind, kept = KINDS[channel], self.lists[channel]
        self.tops[channel] += 1
        self.age(channel)
        if kind.latest and key:
            kept[:] = [one for one in kept if one[3] != key]
        kept.append((self.tops[channel], size, self.now, key))
        while len(kept) > kind.messages:
            self.lose(channel)
        self.use(channel)


steps = st.tuples(
    st.sampled_from(["publish", "publish", "read"]),
    st.integers(0, len(KINDS) - 1),
    st.integers(0, 600),
    st.sampled_from([None, "a", "b"]),
    st.integers(0, 9),
)


@given(st.integers(1, 5_000), st.lists(steps, max_size=60))
def test_what_is_kept_is_what_lists_keep(bytes_max: int, taken: list[Step]) -> None:
    model = Model(bytes_max)

    async def compare() -> None:
        broker = MemoryBroker(bytes_max=bytes_max, clock=lambda: float(model.now))
        for what, channel, size, key, later in taken:
            model.now += later
            if what == "publish":
                kind = KINDS[channel]
                retention = Retention(messages=kind.messages, seconds=kind.seconds, latest=kind.latest)
                about = None if key is None else About(latest_key=key)
                await broker.publish(f"{channel}", bytes(size), retention=retention, about=about)
                model.publish(channel, size, key)
            elif model.tops[channel]:
                await kept(broker, f"{channel}")
                model.use(channel)
            assert broker.history_cut == model.cut
        for channel in [one for one in model.used if model.tops[one]]:
            model.use(channel)
            first, offsets = await kept(broker, f"{channel}")
            assert offsets == [one[0] for one in model.lists[channel]]
            assert first == model.floors[channel] + 1

    trio.run(compare)
