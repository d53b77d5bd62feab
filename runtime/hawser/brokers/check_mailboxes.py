"""What `check_broker` checks of a broker's mailboxes."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from hawser_engine.channels.entries import Retention
from hawser_engine.codec import decode_value
from hawser_transports.cancelling import cancel_at_checkpoint

from .expecting import expect
from .mailboxes import DeadLetters, Keeping, Letter, LetterTooLarge, MailboxFull, News, Posting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser_engine.messages import Position

    from .base import Broker
    from .mailboxes import MailboxStore

DEAD: Final = "check:dead letters"
KEEP: Final = Keeping(letters=100, bytes=1_000, tries=2, dead=DeadLetters(DEAD, Retention(messages=1_000)))


class _Holder:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.told = trio.Event()

    def __call__(self, mailbox: str, news: News) -> None:
        self.news.append(news)
        self.told.set()
        self.told = trio.Event()

    async def until(self, news: News) -> None:
        with trio.move_on_after(5):
            while news not in self.news:
                await self.told.wait()
        expect("what a sink is told", news in self.news, True)
        self.news.clear()


async def _post(store: MailboxStore, mailbox: str, *data: bytes) -> list[Position]:
    return [(await store.post(Posting(mailbox, each, KEEP))).position for each in data]


async def _all(store: MailboxStore, mailbox: str, after: int = 0) -> list[Letter]:
    return [*await store.read(mailbox, after, limit=1_000, limit_bytes=10**9)]


async def _texts(store: MailboxStore, mailbox: str) -> list[bytes]:
    return [letter.data for letter in await _all(store, mailbox)]


async def _dead(broker: Broker, mailbox: str) -> list[tuple[Any, ...]]:
    """Data, failures and cause of the dead letters of a mailbox."""
    page = await broker.history(DEAD, 0, limit=1_000, limit_bytes=10**9)
    found = [decode_value(entry.data, limit=10**6) for entry in page.entries]
    return [(one["data"], one["tries"], one["why"]) for one in found if one["mailbox"] == mailbox]


async def _check_letters_in_order(broker: Broker) -> None:
    store, holder = broker.mailboxes, _Holder()
    posting = Posting("check:order", b"1", KEEP, sender="ada")
    first = (await store.post(posting)).position
    rest = await _post(store, "check:order", b"2", b"3")
    places = [first, *rest]
    expect("length of an epoch", len(first.epoch), 8)
    expect("offsets rise", sorted({place.offset for place in places}), [place.offset for place in places])
    await _post(store, "check:elsewhere", b"x")
    letters = await _all(store, "check:order")
    expect("letters", [(one.position, one.data) for one in letters], [*zip(places, (b"1", b"2", b"3"), strict=True)])
    expect("senders", [one.sender for one in letters], ["ada", None, None])
    expect("failures", [one.tries for one in letters], [0, 0, 0])
    expect("letters behind an offset", await _all(store, "check:order", rest[0].offset), letters[2:])
    some = await store.read("check:order", 0, limit=2, limit_bytes=1_000)
    expect("some letters", [one.data for one in some], [b"1", b"2"])
    some = await store.read("check:order", 0, limit=9, limit_bytes=2)
    expect("letters limited by bytes", [one.data for one in some], [b"1", b"2"])
    some = await store.read("check:order", 0, limit=9, limit_bytes=0)
    expect("one letter always", [one.data for one in some], [b"1"])
    expect("no mailbox", await _all(store, "check:nothing"), [])
    expect("holding", await store.hold("check:order", holder), True)
    expect("removing", await store.remove("check:order", holder, [rest[0]]), True)
    expect("what is left", await _texts(store, "check:order"), [b"1", b"3"])
    expect("removing again", await store.remove("check:order", holder, [rest[0], first]), True)
    await _post(store, "check:order", b"4")
    await holder.until(News.POSTED)
    expect("what is left then", await _texts(store, "check:order"), [b"3", b"4"])
    await store.release("check:order", holder)


async def _check_one_holder(broker: Broker) -> None:
    store, one, other = broker.mailboxes, _Holder(), _Holder()
    [place] = await _post(store, "check:one", b"x")
    expect("the first to hold", await store.hold("check:one", one), True)
    expect("holding what it holds", await store.hold("check:one", one), True)
    expect("the second to hold", await store.hold("check:one", other), False)
    expect("removing by another", await store.remove("check:one", other, [place]), False)
    expect("failing by another", await store.fail("check:one", other, [place], KEEP), None)
    await store.release("check:one", one)
    await other.until(News.FREED)
    await store.release("check:one", one)
    expect("removing by one that was", await store.remove("check:one", one, [place]), False)
    expect("holding what is free", await store.hold("check:one", other), True)
    expect("what the next one finds", [letter.position for letter in await _all(store, "check:one")], [place])
    await store.hold("check:one", one)
    await store.release("check:one", one)
    await store.release("check:one", other)
    await store.release("check:never", other)
    expect("news for one that has gone", one.news, [])


async def _check_keys(broker: Broker) -> None:
    store, holder = broker.mailboxes, _Holder()
    expect("a key that was never used", await store.known("check:mail keys", b"k1"), None)
    first = await store.post(Posting("check:mail keys", b"one", KEEP, key=b"k1"))
    expect("a key that was", await store.known("check:mail keys", b"k1"), first.position)
    expect("that key in another mailbox", await store.known("check:mail keys:2", b"k1"), None)
    again = await store.post(Posting("check:mail keys", b"two", KEEP, key=b"k1"))
    expect("the second with a key", (again.position, again.duplicate), (first.position, True))
    other = await store.post(Posting("check:mail keys", b"three", KEEP, key=b"k2"))
    elsewhere = await store.post(Posting("check:mail keys:2", b"four", KEEP, key=b"k1"))
    channel = await broker.publish("check:mail keys", b"x", retention=Retention(), key=b"k1")
    found = [other.duplicate, elsewhere.duplicate, channel.duplicate]
    expect("another key, another mailbox, a channel of that name", found, [False, False, False])
    await store.hold("check:mail keys", holder)
    await store.remove("check:mail keys", holder, [first.position])
    again = await store.post(Posting("check:mail keys", b"five", KEEP, key=b"k1"))
    expect("the key of a letter that is settled", (again.position, again.duplicate), (first.position, True))
    expect("that key, asked alone", await store.known("check:mail keys", b"k1"), first.position)
    expect("letters stored under keys", await _texts(store, "check:mail keys"), [b"three"])
    await store.release("check:mail keys", holder)


async def _check_bounds(broker: Broker) -> None:
    store, holder = broker.mailboxes, _Holder()
    few = Keeping(letters=2, bytes=10)
    places = [(await store.post(Posting("check:few", data, few))).position for data in (b"1234", b"5678")]
    refused: list[type[MailboxFull]] = []
    for mailbox, data in (("check:few", b""), ("check:few", bytes(11)), ("check:small", bytes(11))):
        try:
            await store.post(Posting(mailbox, data, few, key=b"full"))
        except MailboxFull as error:
            refused.append(type(error))
    expect("letters above what is kept", refused, [MailboxFull, LetterTooLarge, LetterTooLarge])
    await store.hold("check:few", holder)
    await store.remove("check:few", holder, places[:1])
    expect("what is known of what was refused", await store.known("check:few", b"full"), None)
    late = await store.post(Posting("check:few", b"9", few, key=b"full"))
    expect("the key of what was refused", late.duplicate, False)
    expect("letters in a mailbox that was full", await _texts(store, "check:few"), [b"5678", b"9"])
    await store.release("check:few", holder)


async def _check_failures(broker: Broker) -> None:
    store, holder = broker.mailboxes, _Holder()
    places = await _post(store, "check:fail", b"1", b"2")
    await store.hold("check:fail", holder)
    expect("dead after a failure", await store.fail("check:fail", holder, places[:1], KEEP), 0)
    await holder.until(News.POSTED)
    letters = await _all(store, "check:fail")
    expect("after a failure", [(one.position, one.tries) for one in letters], [(places[0], 1), (places[1], 0)])
    expect("dead after the last failure", await store.fail("check:fail", holder, places[:1], KEEP), 1)
    expect("after the last failure", await _texts(store, "check:fail"), [b"2"])
    expect("dead letters", await _dead(broker, "check:fail"), [(b"1", 2, "FAILED")])
    expect("dead after one more", await store.fail("check:fail", holder, places[:1], KEEP), 0)
    expect("dead letters after one more", len(await _dead(broker, "check:fail")), 1)
    expect("dead without a channel for it", await store.fail("check:fail", holder, places, Keeping(tries=1)), 1)
    expect("after failures without dead letters", await _texts(store, "check:fail"), [])
    expect("dead letters without a channel for them", len(await _dead(broker, "check:fail")), 1)
    await store.release("check:fail", holder)


async def _check_cancelled(broker: Broker) -> None:
    store, holder = broker.mailboxes, _Holder()
    await store.hold("check:cancel", holder)
    for number in range(100):
        posting = Posting("check:cancel", b"%d" % number, KEEP, key=b"%d" % number)

        async def post(posting: Posting = posting) -> None:
            await store.post(posting)

        cancelled = await cancel_at_checkpoint(post, number)
        place = (await store.post(posting)).position
        expect("letters after a cancelled one", await _texts(store, "check:cancel"), [posting.data])
        cancelled |= await cancel_at_checkpoint(partial(_fail, store, holder, place), number)
        tries = [letter.tries for letter in await _all(store, "check:cancel")]
        expect("failures after a cancelled one", tries in ([0], [1]), True)
        cancelled |= await cancel_at_checkpoint(partial(_remove, store, holder, place), number)
        await _remove(store, holder, place)
        expect("letters after a cancelled removal", await _texts(store, "check:cancel"), [])
        if not cancelled:
            break
    await store.release("check:cancel", holder)


async def _remove(store: MailboxStore, holder: _Holder, place: Position) -> None:
    await store.remove("check:cancel", holder, [place])


async def _fail(store: MailboxStore, holder: _Holder, place: Position) -> None:
    await store.fail("check:cancel", holder, [place], KEEP)


async def check_times(broker: Broker, seconds: float) -> None:
    """Letters whose time is over are not read any more, and are buried when that is asked for."""
    store = broker.mailboxes
    for data, lasts in ((b"1", seconds), (b"2", inf), (b"3", seconds), (b"4", seconds * 3)):
        await store.post(Posting("check:time", data, KEEP, seconds=lasts))
    await trio.sleep(seconds * 0.7)
    expect("letters in time", await _texts(store, "check:time"), [b"1", b"2", b"3", b"4"])
    expect("what is overdue in time", "check:time" in await store.overdue(), False)
    spared = (await _all(store, "check:time"))[2].position
    await trio.sleep(seconds * 0.5)
    expect("letters that have expired", await _texts(store, "check:time"), [b"2", b"4"])
    expect("what is overdue", "check:time" in await store.overdue(), True)
    expect("dead by then", await store.bury("check:time", KEEP, [spared]), 1)
    expect("dead letters", await _dead(broker, "check:time"), [(b"1", 0, "EXPIRED")])
    expect("dead then", await store.bury("check:time", KEEP), 1)
    expect("dead letters then", [one[0] for one in await _dead(broker, "check:time")], [b"1", b"3"])
    expect("what is overdue then", "check:time" in await store.overdue(), False)
    expect("dead after all", [await store.bury(one, KEEP) for one in ("check:time", "check:never")], [0, 0])
    expect("letters that stay", await _texts(store, "check:time"), [b"2", b"4"])


MAILBOX_CHECKS: Final[tuple[Callable[[Broker], Awaitable[None]], ...]] = (
    _check_letters_in_order,
    _check_one_holder,
    _check_keys,
    _check_bounds,
    _check_failures,
    _check_cancelled,
)
