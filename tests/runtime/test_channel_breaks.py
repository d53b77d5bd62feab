"""Small breaks of what serves channels, and that the model of `test_channel_model` notices each of them.

One that it does not notice says that a rule of the server is tested by nothing here.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import pytest
import trio
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from hawser.brokers import MemoryBroker
from hawser.server.sessions import ServerSession
from hawser.server.strays import Stray
from hawser.server.wildcards import Wildcards
from hawser_engine.batch import Batch
from hawser_engine.channels.channel import Channel
from hawser_engine.channels.feeding import Feeder
from hawser_engine.channels.filtered import FilteredMembership
from hawser_engine.channels.latest import Latest
from hawser_engine.channels.memberships import Membership
from hawser_engine.channels.ring import Ring
from tests.runtime.channel_breaks import (
    begin_behind_the_first,
    believe_the_report,
    bridge_without_a_word,
    give_it_up,
    go_on_without_a_word,
    let_everything_pass,
    spare_without_a_word,
    take_it_from_the_pattern,
    write_it_with_the_next,
)
from tests.runtime.channel_listener import Traits
from tests.runtime.channel_lists import Rewind
from tests.runtime.channel_stage import CONFIG, Act, Burst
from tests.runtime.test_channel_model import REST, Channels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser import Position
    from hawser.brokers import Entry, History

    Story: TypeAlias = Callable[[Channels], None]

EXAMPLES: Final = 120
"""Stories until one notices; the same ones in every run."""
STEPS: Final = 12


def without_seal(name: str) -> Callable[..., Any]:
    """A method of a channel that does not seal what was reported before it."""
    method: Callable[..., Any] = getattr(Channel, name)

    def broken(channel: Channel, *arguments: Any, **named: Any) -> Any:
        def seal(this: Channel, spared: tuple[str, ...] = ()) -> None:
            if this is not channel:
                sealing(this, spared)

        sealing = Channel.seal
        Channel.seal = seal  # type: ignore[method-assign, assignment]
        try:
            return method(channel, *arguments, **named)
        finally:
            Channel.seal = sealing  # type: ignore[method-assign]

    return broken


# ---------------------------------------------------------------- other breaks


def rewind_to_anywhere(member: Membership, claim: Position) -> None:
    """Whoever may not read history reads it by a pause (SUB-14)."""
    member.epoch, member.offset = claim.epoch, claim.offset


def keep_too_little(ring: Ring, entry: Entry) -> None:
    """Only the newest waits for the slow (CHN-7)."""
    ring._entries = [entry]  # pyright: ignore[reportPrivateUsage]


def pay_no_heed(member: Membership, claim: Position) -> None:
    """A PAUSE stops nothing (CHN-8)."""


def ahead_of_reports(stray: Stray) -> bool:
    """Whoever has begun a new epoch, of which only what is volatile was reported, is taken for one like all others."""
    here = stray.channel.position
    return stray.epoch == here.epoch and stray.offset > here.offset


def tell_it_later(wildcards: Wildcards, member: Any) -> None:
    """What a pattern has lost is told behind the SUBSCRIBED to one of its channels (WLD-6)."""


def share_what_was_replaced(feeder: Feeder, member: Membership, entries: Sequence[Entry]) -> Batch:
    """Pages are taken for the same that begin and end with the same publications (LAT-2, ADR-8)."""
    pages: Any = feeder._pages  # pyright: ignore[reportPrivateUsage]
    key = member.channel.name, member.epoch, entries[0].offset, entries[-1].offset, member.filter
    batch: Batch = pages.setdefault(key, Batch.of(member.channel.bodies(member.epoch, entries, member.filter)))
    return batch


HISTORY: Final = MemoryBroker.history


async def look_at_no_clock(
    broker: MemoryBroker, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf
) -> History:
    """However old something is, a subscription that goes back in time begins with it (SUB-10)."""
    return await HISTORY(broker, channel, after, limit=limit, limit_bytes=limit_bytes)


async def read_from_the_beginning(
    broker: MemoryBroker, channel: str, before: int, *, limit: int, limit_bytes: int
) -> History:
    """A page has the oldest in place of the newest (PGE-2)."""
    return await HISTORY(broker, channel, 0, limit=limit, limit_bytes=limit_bytes)


def overtake(session: ServerSession, packet: bytes, now: float) -> bool:
    """What is volatile does not look at what waits for window (VOL-4)."""
    taken = session.engine.send_volatile_packet(packet, now)
    if taken:
        session.flush(now)
    return taken


STRAY: Final = Wildcards._stray  # pyright: ignore[reportPrivateUsage]
LEAVE_BEHIND: Final = Wildcards._leave_behind  # pyright: ignore[reportPrivateUsage]


def take_who_comes_for_one_behind(wildcards: Wildcards, member: Any, channel: Channel, position: Position) -> Stray:
    """Who enters a pattern while something waits in many of its channels loses it (WLD-6)."""
    own = member.session.wildcards
    if len(own.strays) >= CONFIG.wildcards_behind:
        wildcards._lose(member, own)  # pyright: ignore[reportPrivateUsage]
    return STRAY(wildcards, member, channel, position)


def lose_nothing(wildcards: Wildcards, member: Any, own: Any) -> None:
    """Who is behind in too many channels of a pattern is not told (WLD-6)."""


def recover_once(member: Membership) -> bool:
    """What was recovered from history, and was not taken, is lost by a pause (OVF-1)."""
    return member.recovers_to == inf


def leave_what_was_recovered(
    wildcards: Wildcards, member: Any, channel: Channel, position: Position, *, recovers_to: float = 0
) -> None:
    """What a subscription has recovered from history is lost to the pattern that goes on (WLD-4)."""
    LEAVE_BEHIND(wildcards, member, channel, position)


@attrs.frozen
class Break:
    """One of them, in the place of a method."""

    name: str
    owner: Any
    method: str
    broken: Callable[..., Any] | property


BREAKS: Final = (
    Break("seal nothing around what spares somebody", Channel, "report", without_seal("report")),
    Break("let everything pass", FilteredMembership, "passing", let_everything_pass),
    Break("spare without a word", Membership, "spare", spare_without_a_word),
    Break("bridge without a word", Feeder, "_bridge", bridge_without_a_word),
    Break("keep too little", Ring, "keep", keep_too_little),
    Break("begin behind the first", Latest, "after", begin_behind_the_first),
    Break("believe the report", Channel, "missed", believe_the_report),
)


# ---------------------------------------------------------------- what takes a story of its own


def _open(channels: Channels, name: str, *, reads: bool = True, wide: bool = False) -> None:
    clients = (Traits(), Traits(reads=reads), Traits())
    channels.open([name], clients, (None, None, None), (wide, False, False), 0.0, Burst(more=5))


def miss_one(channels: Channels) -> None:
    """Something is not reported in the middle of what arrives together."""
    _open(channels, "drop-oldest:1")
    channels.publish(0, Burst([Act(), Act(), Act("lose"), Act()]), rest=True)


def enter_a_stream(channels: Channels) -> None:
    """Somebody subscribes while one publication follows the other."""
    _open(channels, "drop-oldest:1")
    channels.leave(0, 0, Burst(), rest=True)
    channels.enter(0, 0, None, Burst(more=40, passes=1), rest=True)


def claim_the_past(channels: Channels) -> None:
    """One that may not read history pauses, and says that it stands before where it began."""
    _open(channels, "catch-up:1", reads=False)
    channels.pause(1, (0, -4), Burst(more=1), (0, -4), on=True, rest=True)


def pass_something_between(channels: Channels) -> None:
    """Something volatile is published between two that are not, all in one go."""
    _open(channels, "catch-up:1")
    channels.publish(0, Burst([Act(), Act("volatile"), Act()]), rest=True)


def rest_for_a_while(channels: Channels) -> None:
    """One pauses, and goes on after more was published."""
    _open(channels, "catch-up:1")
    channels.pause(0, None, Burst(more=3), None, on=True, rest=True)


def _pause_without_window(channels: Channels, before: int) -> None:
    clients = (Traits(window=2), Traits(), Traits())
    channels.open(["drop-oldest:1"], clients, (None, None, None), (False, False, False), 0.0, Burst())
    channels.withhold(0, 0, Burst([Act()] * before), rest=True)
    channels.publish(0, Burst([Act(pad=70_000)]), rest=True)
    channels.pause(0, None, Burst(), None, on=False, rest=True)
    channels.give_back(0, None, 0, Burst(), rest=True)
    channels.publish(0, Burst(more=1), rest=True)


def pause_in_a_run(channels: Channels) -> None:
    """One pauses that has had the first part of a publication, and has no window for the other."""
    _pause_without_window(channels, 1)


def pause_before_a_run(channels: Channels) -> None:
    """One pauses that has no window for a publication that it was given."""
    _pause_without_window(channels, 2)


def leave_in_a_pause(channels: Channels) -> None:
    """A subscription ends in a pause, and a pattern has the rest."""
    _open(channels, "catch-up:1", wide=True)
    channels.enter(0, 0, None, Burst(), rest=True)
    channels.pause(0, None, Burst(more=3), None, on=False, rest=True)
    channels.leave(0, 0, Burst(), rest=True)


def subscribe_while_behind(channels: Channels) -> None:
    """A session subscribes to a channel in which its pattern is behind."""
    clients = (Traits(window=2), Traits(), Traits())
    channels.open(["catch-up:1"], clients, (None, None, None), (True, False, False), 0.02, Burst())
    channels.publish(0, Burst(more=9), rest=False)
    channels.enter(0, 0, None, Burst(), rest=True)


def lose_what_begins_anew(channels: Channels) -> None:
    """Patterns are behind in two channels and lose one, of whose new epoch only something volatile was reported."""
    channels.open(["catch-up:1", "catch-up:2"], (Traits(),) * 3, (None,) * 3, (False, True, True), 0.0, Burst())
    channels.enter(0, 0, None, Burst(), rest=True)
    for _ in range(30):  # which one they lose, is drawn
        anew = [Act(pad=70_000), Act("forget"), Act("volatile"), Act("lose")]
        channels.come_back(0, 0, Burst(anew), rest=False)
        channels.withhold(0, 1, Burst([Act("lose"), Act()]), rest=False)
        channels.give_back(0, None, 0, Burst(), rest=True)
        channels.publish(1, Burst(more=1), rest=True)


def lose_what_waits(channels: Channels) -> None:
    """A session subscribes to a channel of a pattern that is behind elsewhere, and what waits there is too long."""
    clients = (Traits(), Traits(), Traits(longest=1_000))
    channels.open(["catch-up:1", "catch-up:2"], clients, (None,) * 3, (False, False, True), 0.0, Burst())
    for _ in range(20):
        channels.come_back(0, 1, Burst([Act("lose")]), rest=False)
        channels.enter(0, 2, None, Burst([Act(), Act(), Act(pad=2_000)], passes=1), rest=True)
        channels.leave(2, 2, Burst(), rest=True)


def go_on_with_little_window(channels: Channels) -> None:
    """One that has no window goes on after more was published than is kept, and has window for one message then."""
    clients = (Traits(window=2), Traits(), Traits())
    channels.open(["catch-up:1"], clients, (None,) * 3, (False,) * 3, 0.0, Burst())
    channels.withhold(0, 0, Burst(more=2), rest=True)
    channels.pause(0, None, Burst(more=9), None, on=True, rest=True)
    channels.give_back(0, 1, 0, Burst(), rest=True)


def replace_what_was_not_for_one(channels: Channels) -> None:
    """Two are away, and what one of them was left out of is replaced before it comes back, but after the other did."""
    filters = ('not tag == "a"', 'not tag == "a"', None)
    channels.open(["keep-latest:1"], (Traits(),) * 3, filters, (False,) * 3, 0.0, Burst())
    for number in (0, 1):
        channels.lose_the_link(number, 0, Burst(), rest=True)
    channels.publish(0, Burst([Act(tag="b"), Act(tag="b", key="x", spares=0), Act(tag="b")]), rest=True)
    channels.come_back(1, 0, Burst(), rest=True)
    channels.publish(0, Burst([Act(key="x")]), rest=True)
    channels.come_back(0, 0, Burst(), rest=True)


def go_back_in_time(channels: Channels) -> None:
    """One subscribes from some time ago, by which there was something that is still kept."""
    _open(channels, "catch-up:1")
    channels.publish(0, Burst(more=1), rest=True)
    rewind = Rewind(ago_ms=REST * 1_500)
    channels.leave_and_return(0, None, None, rewind, answers=False, away=Burst(), meanwhile=Burst(), rest=True)


def go_back_in_what_was_recovered(channels: Channels) -> None:
    """One comes to a channel that nobody at the server had, goes back in history, and pauses in what that brings."""
    _open(channels, "both:1")
    for number in (1, 2):
        channels.leave(number, 0, Burst(), rest=True)
    back = Rewind(count=5)
    channels.leave_and_return(0, None, None, back, answers=False, away=Burst(more=5), meanwhile=Burst(), rest=True)
    channels.pause(0, (0, -3), Burst(), (0, -3), on=True, rest=True)


def leave_in_what_was_recovered(channels: Channels) -> None:
    """A subscription ends in a pause in what it went back to, and a pattern has the rest."""
    _open(channels, "both:1", wide=True)
    for number in (1, 2):
        channels.leave(number, 0, Burst(), rest=True)
    channels.enter(0, 0, None, Burst(), rest=True)
    back = Rewind(count=5)
    channels.leave_and_return(0, None, None, back, answers=False, away=Burst(more=5), meanwhile=Burst(), rest=True)
    channels.pause(0, (0, -3), Burst(), None, on=False, rest=True)
    channels.leave(0, 0, Burst(), rest=True)


def subscribe_with_little_window(channels: Channels) -> None:
    """One comes anew, is given what it has missed, and has no window for the answer when it subscribes elsewhere."""
    clients = (Traits(window=2), Traits(), Traits())
    channels.open(["catch-up:1", "catch-up:2"], clients, (None,) * 3, (False,) * 3, 0.0, Burst())
    for _ in range(30):  # whether something volatile comes right behind the answer, is drawn
        channels.lose_the_link(0, 0, Burst(more=9), rest=True)
        channels.begin_anew(0, False, Burst([Act("volatile")] * 5, passes=1), rest=True)


def scroll_up(channels: Channels) -> None:
    """Pages are read back from the end, and from before it."""
    _open(channels, "catch-up:1")
    channels.publish(0, Burst(more=5), rest=True)
    channels.read(0, None, None, 3)
    channels.read(0, None, 3, 3)


def enter_two_streams(channels: Channels) -> None:
    """One comes anew to two patterns, each while one publication follows the other in a channel of it."""
    wide = (False, False, True)
    channels.open(["drop-oldest:1", "catch-up:1"], (Traits(),) * 3, (None,) * 3, wide, 0.0, Burst())
    for _ in range(40):  # whether something waits in both of them, is drawn
        channels.begin_anew(2, True, Burst(more=12, passes=1), rest=True)


STORIES: Final = (
    (Break("seal nothing where something is missing", Channel, "_skip", without_seal("_skip")), miss_one),
    (Break("seal nothing where somebody enters", Channel, "enter", without_seal("enter")), enter_a_stream),
    (Break("seal nothing before what is volatile", Channel, "_pass", without_seal("_pass")), pass_something_between),
    (Break("go on without a word", Membership, "go_on", go_on_without_a_word), rest_for_a_while),
    (Break("pay no heed to a pause in a run", Membership, "pause", pay_no_heed), pause_in_a_run),
    (Break("pay no heed to a pause before a run", Membership, "pause", pay_no_heed), pause_before_a_run),
    (Break("rewind to anywhere", Membership, "rewind", rewind_to_anywhere), claim_the_past),
    (Break("take it from the pattern", Wildcards, "taken", take_it_from_the_pattern), subscribe_while_behind),
    (Break("give it up", Wildcards, "returned", give_it_up), leave_in_a_pause),
    (Break("know only what is reported", Stray, "ahead", property(ahead_of_reports)), lose_what_begins_anew),
    (Break("lose nothing", Wildcards, "_lose", lose_nothing), lose_what_waits),
    (Break("tell the loss some time", Wildcards, "_tell_loss", tell_it_later), lose_what_waits),
    (Break("write it with the next", Feeder, "feed", write_it_with_the_next), go_on_with_little_window),
    (Break("share what was replaced", Feeder, "_shared", share_what_was_replaced), replace_what_was_not_for_one),
    (Break("recover once", Membership, "recovering", property(recover_once)), go_back_in_what_was_recovered),
    (
        Break("leave what was recovered", Wildcards, "_leave_behind", leave_what_was_recovered),
        leave_in_what_was_recovered,
    ),
    (Break("look at no clock", MemoryBroker, "history", look_at_no_clock), go_back_in_time),
    (Break("read back from the wrong end", MemoryBroker, "history_before", read_from_the_beginning), scroll_up),
    (Break("overtake", ServerSession, "deliver_volatile", overtake), subscribe_with_little_window),
    (Break("take who comes for one behind", Wildcards, "_stray", take_who_comes_for_one_behind), enter_two_streams),
)


def tell(story: Story) -> None:
    """Have a story told, and see to its end."""
    channels = Channels()
    try:
        story(channels)
    finally:
        channels.teardown()


@pytest.mark.parametrize("story", dict.fromkeys(story for _, story in STORIES), ids=lambda story: story.__name__)
def test_the_model_has_nothing_to_say_of_a_story(story: Story) -> None:
    tell(story)


@pytest.mark.parametrize(("broken", "story"), STORIES, ids=[broken.name for broken, _ in STORIES])
def test_the_model_notices_in_a_story(broken: Break, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """What few of many stories come to is told on purpose."""
    monkeypatch.setattr(broken.owner, broken.method, broken.broken)
    with pytest.raises(AssertionError):
        tell(story)


BOUNDED: Final = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.slow
def test_where_nothing_is_broken_the_model_notices_nothing() -> None:
    """In these very stories: else what it notices below would say nothing."""
    run_state_machine_as_test(Channels, settings=BOUNDED)


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name)
def test_the_model_notices(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broken.owner, broken.method, broken.broken)
    with pytest.raises((AssertionError, trio.TooSlowError)):
        run_state_machine_as_test(Channels, settings=BOUNDED)
