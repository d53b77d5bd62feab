"""Would the worlds of letters notice if the runtime were wrong? Planted bugs say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from hawser.addressing import Told
from hawser.brokers import MailboxFull, MemoryMailboxes, Published
from hawser.brokers.memory_keys import MemoryKeys
from hawser.brokers.sqlite import letters as sqlite_letters
from hawser.client.directs import DirectDesk, Directs
from hawser.client.mailboxes import Mailbox
from hawser.server.addressing import Addressing
from hawser.server.mailboxes import MailboxDesk, _Box  # pyright: ignore[reportPrivateUsage]
from hawser.server.queueing import Leftovers
from hawser.server.reaching import Abroad, Count
from hawser_engine.codes import HoldState, ResetReason, SendStatus, TargetKind
from hawser_engine.mailboxes import Held
from hawser_engine.messages import Position, SendOutcome, encode_body
from tests.runtime.letters_world import run_world
from tests.runtime.planting import Planted, each_planted

if TYPE_CHECKING:
    from collections.abc import Collection

    from hawser.brokers import Keeping, Letter, MailSink, Posting


# ---------------------------------------------------------------- mailboxes


drop: Final = MailboxDesk._drop  # pyright: ignore[reportPrivateUsage]


def forget_what_is_settled(desk: Any, session: Any, name: str) -> None:
    """What a holder has settled is not removed once it has gone (MBX-7)."""
    box = desk._wanted.get(session, {}).get(name)
    if box is not None and box.holder is session:
        box.settled.clear()
    drop(desk, session, name)


def blame_nobody(desk: Any, session: Any) -> None:
    """A holder that crashes costs the letter that it was at no try (MBX-9)."""
    for name in list(desk._wanted.get(session, ())):
        desk._drop(session, name)


def blame_everybody(desk: Any, session: Any) -> None:
    """Whoever leaves with a letter unsettled has failed, also with CLOSE (MBX-9)."""
    for name, box in list(desk._wanted.get(session, {}).items()):
        if box.holder is session and (first := box.first) is not None:
            box.failed.append(first.position)
        desk._drop(session, name)


def blame_what_never_came(desk: Any, session: Any) -> None:
    """A holder that stays away costs the first letter a try that never came to it (MBX-9)."""
    crashed = session.engine.ended not in (None, ResetReason.CLOSED)
    for name, box in list(desk._wanted.get(session, {}).items()):
        if crashed and box.holder is session and (first := box.first) is not None:
            box.failed.append(first.position)
        desk._drop(session, name)


def take_one_hold_for_the_next(box: Any) -> None:
    """What was read for a session that left, and is back, is given to it first (MBX-8)."""
    box.given.clear()
    box.after = box.bytes = 0


put: Final = MailboxDesk._put  # pyright: ignore[reportPrivateUsage]


def give_one_too_many(desk: Any, box: Any, session: Any, want: Any, letter: Letter) -> bool:
    """A holder is given one letter more than it asked for (MBX-6)."""
    generous = attrs.evolve(want, letters=want.letters + 1, bytes=want.bytes + 1_000)
    return put(desk, box, session, generous, letter)


def let_everybody_hold(desk: Any, box: Any) -> None:
    """Whoever asks is told that it holds the mailbox (MBX-5)."""
    for session, want in box.line.items():
        if want.told:
            want.told = HoldState.HOLDING
            session.tell(encode_body(Held(None, box.name, HoldState.HOLDING, 0, "")))


async def release_nothing(desk: Any) -> None:
    """A server that ends keeps what it holds (MBX-5)."""


def remember_no_key(keys: Any, scope: bytes, key: bytes | None, position: Position, now: float) -> None:
    """What is posted again under its key is stored again (MBX-3)."""


async def know_nothing(store: Any, mailbox: str, key: bytes) -> None:
    """What a mailbox has under its key is sent to sessions all the same (ADR-13)."""


post: Final = MemoryMailboxes.post


async def be_full_too_early(store: Any, posting: Posting) -> Published:
    """A mailbox that has room for one letter is said to be full (MBX-11)."""
    return await post(
        store, attrs.evolve(posting, keeping=attrs.evolve(posting.keeping, letters=posting.keeping.letters - 1))
    )


async def be_full_too_late(store: Any, posting: Posting) -> Published:
    """A mailbox takes more letters than it may (MBX-11)."""
    return await post(store, attrs.evolve(posting, keeping=attrs.evolve(posting.keeping, letters=99)))


async def store_it_tomorrow(store: Any, posting: Posting) -> Published:
    """A letter is answered that is not stored (MBX-2)."""
    box = store._mailbox(posting.mailbox)
    if len(box.kept) >= posting.keeping.letters:
        raise MailboxFull("full")
    published = await post(store, posting)
    if not published.duplicate and published.position.offset % 7 == 0:
        box.take(published.position)
    return published


fail: Final = MemoryMailboxes.fail


async def never_give_up(
    store: Any, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping
) -> int | None:
    """A letter that has failed too often is given again (MBX-9)."""
    return await fail(store, mailbox, sink, letters, attrs.evolve(keeping, tries=99))


bury: Final = MemoryMailboxes.bury


async def bury_what_somebody_is_at(
    store: Any, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()
) -> None:
    """A letter whose time is over is dead while its holder has it, and is settled as well."""
    await bury(store, mailbox, keeping)


def take_nothing_out(writer: Any, box: Any, place: Position) -> None:
    """What is settled stays in the file (MBX-7)."""


arrived: Final = Mailbox.arrived


def settle_at_once(mailbox: Any, message: Any) -> None:
    """A letter is said to be dealt with when it has come (MBX-15)."""
    arrived(mailbox, message)
    mailbox._say(Position(message.epoch, message.offset), failed=False)


def forget_what_it_has_had(mailbox: Any, *, failed: bool) -> None:
    """What was settled in a session that is lost is yielded again by the same iteration (MBX-15)."""
    letter, mailbox._current = mailbox._current, None
    if letter is not None:
        mailbox._say(letter.position, failed=failed)


# ---------------------------------------------------------------- addressing


def send_without_credit(addressing: Any, mailing: Any, session: Any, body: bytes, count: Count) -> None:
    """Whoever listens is sent everything, whatever room it has (ADR-5)."""
    if session in addressing._listeners and session not in mailing.taken and session.handle not in mailing.spared:
        mailing.taken[session] = not session.attached
        session.put(body)
        count.reached += 1


give: Final = Addressing._give  # pyright: ignore[reportPrivateUsage]


def send_it_for_each_target(addressing: Any, mailing: Any, session: Any, body: bytes, count: Count) -> None:
    """Who is meant by several targets gets it as often (ADR-4)."""
    mailing.taken.pop(session, None)
    give(addressing, mailing, session, body, count)


def spare_nobody(addressing: Any, mailing: Any, session: Any, body: bytes, count: Count) -> None:
    """Who wants to be left out gets what it sends (ADR-8)."""
    give(addressing, attrs.evolve(mailing, spared=(), taken=mailing.taken), session, body, count)


meant: Final = Addressing._meant  # pyright: ignore[reportPrivateUsage]


def reach_one_device(addressing: Any, target: Any) -> list[Any]:
    """A user is reached on the first device alone (ADR-2)."""
    return meant(addressing, target)[:1] if target.kind == TargetKind.USER else meant(addressing, target)


reach_abroad: Final = Abroad.reach


def give_to_all_workers(addressing: Any, mailing: Any, target: Any, body: bytes, count: Count) -> None:
    """What is sent to an agent comes to all of its workers (ADR-2)."""
    for worker in addressing._node.router.workers(target.name or ""):
        addressing._give(mailing, worker, body, count)


async def reach_nobody_abroad(abroad: Any, mailing: Any, begun: Any) -> None:
    """The sessions of other servers are not there (ADR-12)."""


async def reach_everybody_twice(abroad: Any, mailing: Any, begun: Any) -> None:
    """Who is at another server gets it twice (ADR-12)."""
    await reach_abroad(abroad, mailing, begun)
    await reach_abroad(abroad, mailing, begun)


def call_full_nobody(count: Count) -> Told:
    """Who listens and has no room is said not to be there (ADR-3)."""
    status = SendStatus.DELIVERED if count.reached else SendStatus.NOBODY
    return Told(SendOutcome(status, count.reached, count.away, count.full, None, ""))


def count_one_too_many(count: Count) -> Told:
    """The sender is told of a session that has not got it (ADR-3)."""
    status = SendStatus.DELIVERED if count.reached else SendStatus.FULL if count.full else SendStatus.NOBODY
    return Told(SendOutcome(status, count.reached + bool(count.reached), count.away, count.full, None, ""))


def keep_it_all_the_same(leftovers: Any, mailbox: str, target: Any, count: Count) -> bool:
    """What is volatile is kept (ADR-10)."""
    leftovers._counts[mailbox] = count
    return True


def keep_it_for_oneself(leftovers: Any, target: Any) -> bool:
    """What is for everybody but the sender is kept where the sender may find it (ADR-10)."""
    return False


def keep_nothing(leftovers: Any, mailbox: str, target: Any, count: Count) -> bool:
    """What nobody takes is not kept (ADR-10)."""
    return False


opened: Final = DirectDesk.opened


def drop_what_waits(desk: Any) -> None:
    """What was sent in a session that is lost, and was not taken yet, is dropped (ADR-3)."""
    if desk._directs is not None:
        desk._directs._queue.clear()
        desk._directs._bytes = 0
    opened(desk)


def put_it_in_front(directs: Any, direct: Any) -> None:
    """What comes last is taken first (ADR-4)."""
    directs._queue.appendleft(direct)
    directs._bytes += len(direct.raw)
    directs._wake()


PLANTED: Final = (
    Planted(MailboxDesk, "_drop", forget_what_is_settled, "was settled", 0),
    Planted(MailboxDesk, "ended", blame_nobody, "says that it failed", 0),
    Planted(MailboxDesk, "ended", blame_everybody, "says that it failed", 3),
    Planted(MailboxDesk, "ended", blame_what_never_came, "says that it failed", 0),
    Planted(sqlite_letters, "_take", take_nothing_out, "was settled", 1),
    Planted(_Box, "anew", take_one_hold_for_the_next, "does not hold it", 0),
    Planted(MailboxDesk, "_put", give_one_too_many, "may be in hand", 2),
    Planted(MailboxDesk, "_tell", let_everybody_hold, "two hold", 0),
    Planted(MailboxDesk, "close", release_nothing, "still has", 2),
    Planted(MemoryKeys, "remember", remember_no_key, "under the same key", 0),
    Planted(MemoryMailboxes, "known", know_nothing, "has it under its key", 5),
    Planted(MemoryMailboxes, "post", be_full_too_early, "was said to be full", 0),
    Planted(MemoryMailboxes, "post", be_full_too_late, "and more when it took", 2),
    Planted(MemoryMailboxes, "post", store_it_tomorrow, "is nowhere", 0),
    Planted(MemoryMailboxes, "fail", never_give_up, "should be dead", 8),
    Planted(MemoryMailboxes, "bury", bury_what_somebody_is_at, "was settled, and is dead", 23),
    Planted(Mailbox, "arrived", settle_at_once, "no application has dealt with it", 0),
    Planted(Mailbox, "_settle", forget_what_it_has_had, "twice in one go", 3),
    Planted(Addressing, "_give", send_without_credit, "without credit", 2),
    Planted(Addressing, "_give", send_it_for_each_target, "is sent twice", 0),
    Planted(Addressing, "_give", spare_nobody, "was to be spared", 0),
    Planted(Addressing, "_meant", reach_one_device, "had room for it", 0),
    Planted(Addressing, "_give_in_turn", give_to_all_workers, "were given it", 0),
    Planted(Abroad, "reach", reach_nobody_abroad, "had room for it", 0),
    Planted(Abroad, "reach", reach_everybody_twice, "is sent twice", 0),
    Planted(Count, "told", call_full_nobody, "listened", 1),
    Planted(Count, "told", count_one_too_many, "were given it", 0),
    Planted(Leftovers, "take", keep_it_all_the_same, "no mailbox for it", 1),
    Planted(Leftovers, "_stands_for_spared", keep_it_for_oneself, "might get it", 3),
    Planted(Leftovers, "take", keep_nothing, "it has a mailbox", 0),
    Planted(DirectDesk, "opened", drop_what_waits, "hears something else", 8),
    Planted(Directs, "put", put_it_in_front, "hears", 3),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_of_letters_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world)
