"""Channels and their subscribers against plain lists, whatever is published, asked for, claimed and withheld.

A real server, a real broker and clients that say anything (`channel_stage`, `channel_listener`); `channel_ears` and
`pattern_ears` tell what each of them may be told.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hawser import Page, Position
from hawser.payloads import encode_payload
from hawser_engine.messages import (
    ChannelRequest,
    Continue,
    Pause,
    Publish,
    PublishOptions,
    Subscribe,
    SubscribeOptions,
    Unsubscribe,
)
from tests.runtime.channel_ears import Ear
from tests.runtime.channel_listener import AMPLE, Traits
from tests.runtime.channel_lists import EVERYTHING, FILTERS, Era, Item, Log, Rewind
from tests.runtime.channel_stage import KINDS, Act, Burst, Stage
from tests.runtime.pattern_ears import NOWHERE as NO_PLACE
from tests.runtime.pattern_ears import PatternEar

if TYPE_CHECKING:
    from tests.runtime.channel_listener import Listener

NOWHERE: Final = b"no epoch"
REST: Final = 3.0
"""Virtual seconds in which everything that can come about does."""
ASKS: Final = 5.0
"""Virtual seconds in which whoever is asked is to answer."""
AGES: Final = 130.0
"""Virtual seconds after which a session is over that nobody has come back to."""

NUMBERS: Final = st.integers(0, 5)
"""Which channel, which client or which subscription, of those that there are."""
TAGS: Final = st.sampled_from("abc")
COUNTS: Final = st.sampled_from([0, 1, 2, 5, 9])
"""How many publications: some are more than a window or a history."""
RESTS: Final = st.booleans()
"""Whether everything comes about that is under way, before the next step."""
CLAIMS: Final = st.none() | st.tuples(st.integers(0, 2), st.integers(-8, 8))
"""None: where the client stands. Else how many epochs ago, and how far from there."""
PLACES: Final = st.none() | st.integers(0, 12)
"""None, or how far before the place behind the end."""
CHOSEN: Final = st.sampled_from([None, None, *FILTERS])
"""A filter, or none."""
ACTS: Final = st.builds(
    Act,
    kind=st.sampled_from(["publish", "publish", "publish", "volatile", "volatile", "lose", "forget"]),
    tag=TAGS,
    key=st.sampled_from(["x", "y", None]),
    pad=st.sampled_from([0, 0, 0, 0, 30, 2_000, 70_000]),
    spares=st.sampled_from([None, None, None, 0, 1]),
)
BURSTS: Final = st.builds(Burst, acts=st.lists(ACTS, max_size=6), more=COUNTS, passes=st.sampled_from([0, 0, 1, 2, 9]))
REWINDS: Final = st.none() | st.builds(
    Rewind,
    count=st.sampled_from([None, 1, 3, 9]),
    ago_ms=st.sampled_from([inf, 0, REST * 1_500, REST * 4_500]),
).filter(lambda rewind: rewind != EVERYTHING)
"""Ages between two rests, for in a rest nothing is published."""
CLIENTS: Final = st.builds(
    Traits,
    window=st.sampled_from([AMPLE, 3, 2]),
    longest=st.sampled_from([1_048_576, 1_000]),
    reads=st.sampled_from([True, True, False]),
)
NAMES: Final = st.sampled_from([f"{kind}:{number}" for kind in KINDS for number in (1, 2)])


class Channels(RuleBasedStateMachine):
    """Any steps; between two of them what is under way may stay so."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()

    @initialize(
        names=st.lists(NAMES, min_size=1, max_size=3, unique=True),
        clients=st.tuples(st.just(Traits()), CLIENTS, CLIENTS),
        filters=st.tuples(CHOSEN, CHOSEN, CHOSEN),
        wide=st.tuples(st.booleans(), st.booleans(), st.booleans()),
        delay=st.sampled_from([0.0, 0.02]),
        burst=BURSTS,
    )
    def open(
        self, names: list[str], clients: tuple[Traits, ...], filters: tuple[str | None, ...], wide: tuple[bool, ...],
        delay: float, burst: Burst,
    ) -> None:  # fmt: skip
        """A few channels at a time, so that the steps are about the same ones."""
        stage = self.stage
        stage.open(names, clients, delay)
        for log in stage.logs:
            stage.play(log, Burst([Act()], passes=1))
            stage.play(log, burst)
        for log in stage.logs[:2]:
            for client, filter, pattern in zip(stage.clients, filters, wide, strict=True):
                if not pattern:
                    self._subscribe(client, log, filter)
                elif _pattern(log) not in client.patterns:
                    self._watch(client, _pattern(log), log, filter, Burst(), since=False)
        self.rest_if(True)

    def rest_if(self, rest: bool) -> None:
        if rest:
            self.stage.rest(REST)

    # ------------------------------------------------------------ publishing

    @rule(number=NUMBERS, burst=BURSTS, rest=RESTS)
    def publish(self, number: int, burst: Burst, rest: bool) -> None:
        self.stage.play(self._log(number), burst)
        self.rest_if(rest)

    @rule(number=NUMBERS, by=NUMBERS, tag=TAGS, rest=RESTS)
    def publish_for_others(self, number: int, by: int, tag: str, rest: bool) -> None:
        """A client does (SPEC ADR-8); not where it matters at which moment exactly."""
        stage, client, log = self.stage, self._client(by), self._log(number)
        if client.deliver and client.here and log.declared.seconds > AGES:

            async def ask() -> None:
                item = Item(stage.count(), tag, None, client.session, 10, log.now_ms)
                data = encode_payload([item.number, tag, b""])
                stage.note(log, item)
                options = PublishOptions(tags={"tag": tag}, except_me=True)
                client.ask(lambda id: Publish(id, log.name, data, None, options))
                await client.answered()

            stage.stepper.do(ask)
        self.rest_if(rest)

    # ------------------------------------------------------------ subscribing

    @rule(
        number=NUMBERS,
        filter=CHOSEN,
        since=st.sampled_from([None, None, "where it was", "where it was", "nowhere"]) | st.integers(0, 12),
        rewind=REWINDS,
        answers=st.booleans(),
        away=BURSTS,
        meanwhile=BURSTS,
        rest=RESTS,
    )
    def leave_and_return(
        self, number: int, filter: str | None, since: str | int | None, rewind: Rewind | None, answers: bool,
        away: Burst, meanwhile: Burst, rest: bool,
    ) -> None:  # fmt: skip
        """Unsubscribe, and subscribe again, while something is published."""
        found = self._subscription(number)
        if found is None or not self._may_ask(found[0]):
            return
        client, ear = found
        log = ear.log
        self._leave(client, log.name)
        del client.ears[log.name]
        self.stage.play(log, away)
        place: Position | None = None
        if since == "where it was":
            place = ear.stands
        elif since is not None:
            place = Position(NOWHERE, 1) if isinstance(since, str) else Position(log.end.epoch, since)
        rewind = rewind if client.traits.reads and place is None else None
        self._subscribe(client, log, filter, place, rewind, meanwhile, answers=answers)
        self.rest_if(rest)

    @rule(number=NUMBERS, kind=NUMBERS, meanwhile=BURSTS, rest=RESTS)
    def leave(self, number: int, kind: int, meanwhile: Burst, rest: bool) -> None:
        """For good, so that what a pattern has of the channel is its own."""
        found = self._subscription(number)
        if found is not None and self._may_ask(found[0]):
            client, ear = found
            self._leave(client, ear.log.name)
            del client.ears[ear.log.name]
            self.stage.play(ear.log, meanwhile)
        self.rest_if(rest)

    @rule(number=NUMBERS, by=NUMBERS, filter=CHOSEN, since=st.booleans(), meanwhile=BURSTS, rest=RESTS)
    def watch(self, number: int, by: int, filter: str | None, since: bool, meanwhile: Burst, rest: bool) -> None:
        """Subscribe to the pattern of a channel, or subscribe no more."""
        client, log = self._client(by), self._log(number)
        if self._may_ask(client):
            pattern = _pattern(log)
            if pattern in client.patterns:
                self._leave(client, pattern)
            else:
                self._watch(client, pattern, log, filter, meanwhile, since=since)
        self.rest_if(rest)

    @rule(number=NUMBERS, by=NUMBERS, filter=CHOSEN, meanwhile=BURSTS, rest=RESTS)
    def enter(self, number: int, by: int, filter: str | None, meanwhile: Burst, rest: bool) -> None:
        """Subscribe to what one is not subscribed to."""
        client, log = self._client(by), self._log(number)
        if self._may_ask(client) and log.name not in client.ears:
            self._subscribe(client, log, filter, None, None, meanwhile)
        self.rest_if(rest)

    def _may_ask(self, client: Listener) -> bool:
        """Whether an answer would come."""
        return client.deliver and client.here

    def _leave(self, client: Listener, name: str) -> None:
        self.stage.disturbed = True

        async def leave() -> None:
            client.ask(lambda id: Unsubscribe(id, (name,)))
            await client.answered()

        self.stage.stepper.do(leave)
        client.answering.discard(name)

    def _subscribe(
        self, client: Listener, log: Log, filter: str | None, since: Position | None = None,
        rewind: Rewind | None = None, meanwhile: Burst | None = None, *, answers: bool = False,
    ) -> None:  # fmt: skip
        async def subscribe() -> None:
            client.ears[log.name] = Ear(
                log,
                client.taste(filter),
                since=since,
                rewind=rewind,
                reads=client.traits.reads,
                known=self.stage.published,
                at_ease=client.at_ease,
            )
            place = client.place(log.name)
            if place is not None:
                place.asked = True
            count = None if rewind is None else rewind.count
            ago_ms = None if rewind is None or rewind.ago_ms == inf else round(rewind.ago_ms)
            options = SubscribeOptions(count, ago_ms, filter, answers)
            client.ask(lambda id: Subscribe(id, (ChannelRequest(log.name, since, options),)))
            await self.stage.perform(log, meanwhile or Burst())
            await client.answered()

        self.stage.stepper.do(subscribe)
        if answers:
            client.answering.add(log.name)

    def _watch(
        self, client: Listener, pattern: str, log: Log, filter: str | None, meanwhile: Burst, *, since: bool
    ) -> None:
        async def watch() -> None:
            logs = [each for each in self.stage.logs if _pattern(each) == pattern]
            client.patterns[pattern] = PatternEar(logs, client.taste(filter), since=since, at_ease=client.at_ease)
            place = NO_PLACE if since else None
            options = None if filter is None else SubscribeOptions(filter=filter)
            client.ask(lambda id: Subscribe(id, (ChannelRequest(pattern, place, options),)))
            await self.stage.perform(log, meanwhile)
            await client.answered()

        self.stage.stepper.do(watch)

    # ------------------------------------------------------------ links and sessions

    @rule(number=NUMBERS, log=NUMBERS, meanwhile=BURSTS, rest=RESTS)
    def lose_the_link(self, number: int, log: int, meanwhile: Burst, rest: bool) -> None:
        """It is away, until it comes back."""
        client = self._client(number)
        if client.here:
            self.stage.go(client)
        self.stage.play(self._log(log), meanwhile)
        self.rest_if(rest)

    @rule(number=NUMBERS, log=NUMBERS, meanwhile=BURSTS, rest=RESTS)
    def come_back(self, number: int, log: int, meanwhile: Burst, rest: bool) -> None:
        """On another link, to the same session; it may be that the old one is cut only now."""
        client = self._client(number)
        if client.here:
            self.stage.go(client)
        self.stage.come(client)
        self.stage.play(self._log(log), meanwhile)
        self.rest_if(rest)

    @rule(number=NUMBERS, goodbye=st.sampled_from([True, True, False]), meanwhile=BURSTS, rest=RESTS)
    def begin_anew(self, number: int, goodbye: bool, meanwhile: Burst, rest: bool) -> None:
        """The session ends, and another one goes on from where its subscriptions stood."""
        stage, client = self.stage, self._client(number)
        ears, patterns = client.ears, client.patterns
        goodbye &= client.here
        if goodbye:
            stage.say_goodbye(client)
        if client.here:
            stage.go(client)
        if stage.forget_session(client):
            stage.rest(AGES)
        for log in stage.logs:
            stage.play(log, meanwhile)
        stage.begin_anew(client)
        for ear in ears.values():
            self._subscribe(client, ear.log, ear.taste.filter, ear.stands, None, meanwhile)
        for pattern, old in patterns.items():
            [log, *_] = [place.log for place in old.places.values()]
            self._watch(client, pattern, log, old.taste.filter, meanwhile, since=True)
        self.rest_if(rest)

    # ------------------------------------------------------------ taking, and not

    @rule(number=NUMBERS, claim=CLAIMS, meanwhile=BURSTS, again=CLAIMS, on=st.booleans(), rest=RESTS)
    def pause(
        self, number: int, claim: tuple[int, int] | None, meanwhile: Burst, again: tuple[int, int] | None, on: bool,
        rest: bool,
    ) -> None:  # fmt: skip
        """At any place that a client may name, for a while or until it goes on."""
        found = self._subscription(number)
        self.rest_if(found is not None and found[1].awaits)
        if found is None or found[1].awaits:
            return  # of two CONTINUEs from one place nobody could tell which of them was answered
        client, ear = found
        place = self._claimed(ear, claim)

        async def pause() -> None:
            ear.pause(place)
            client.say(Pause(ear.log.name, place.epoch, place.offset))
            await self.stage.perform(ear.log, meanwhile)

        self.stage.stepper.do(pause)
        self.rest_if(rest)
        if on:
            self.go_on(number, again, rest)

    @rule(number=NUMBERS, claim=CLAIMS, rest=RESTS)
    def go_on(self, number: int, claim: tuple[int, int] | None, rest: bool) -> None:
        """Also where there was no pause, which means nothing."""
        self.rest_if(claim is not None)  # what is under way cannot be told from what is claimed
        found = self._subscription(number)
        if found is None:
            return
        client, ear = found
        place = self._claimed(ear, claim if self.stage.all_has_come(client) else None)

        async def go_on() -> None:
            if ear.paused:
                ear.go_on(place)
            client.say(Continue(ear.log.name, place.epoch, place.offset))

        self.stage.stepper.do(go_on)
        self.rest_if(rest)

    def _claimed(self, ear: Ear, claim: tuple[int, int] | None) -> Position:
        if claim is None:
            return ear.stands
        ago, far = claim
        epochs = [NOWHERE, *ear.log.eras]
        return Position(epochs[max(-1 - ago, -len(epochs))], max(0, ear.stands.offset + far))

    @rule(number=NUMBERS, log=NUMBERS, meanwhile=BURSTS, rest=RESTS)
    def withhold(self, number: int, log: int, meanwhile: Burst, rest: bool) -> None:
        """It takes what comes, and does not say so: soon there is no window."""
        self.stage.withhold(self._client(number))
        self.stage.play(self._log(log), meanwhile)
        self.rest_if(rest)

    @rule(number=NUMBERS, count=st.sampled_from([None, None, 1]), log=NUMBERS, meanwhile=BURSTS, rest=RESTS)
    def give_back(self, number: int, count: int | None, log: int, meanwhile: Burst, rest: bool) -> None:
        """All the window, for good, or for so many messages."""
        client = self._client(number)
        inbox = client.engine.session.inbox
        taken = inbox.received if count is None else min(inbox.received, inbox.delivered + count)
        client.deliver |= count is None
        self.stage.stepper.do(client.have_taken, taken)
        self.stage.play(self._log(log), meanwhile)
        self.rest_if(rest)

    @rule(number=NUMBERS)
    def ask(self, number: int) -> None:
        """Ask those who said that they answer (SPEC ASK-1 to ASK-3)."""
        self.stage.rest(REST)
        self.stage.spend(ASKS)
        log = self._log(number)
        asked = {f"client {client.number}": client for client in self.stage.clients if log.name in client.answering}
        collected = self.stage.stepper.do(partial(self.stage.app.collect, log.name, log.end.offset, seconds=ASKS))
        assert sorted(answer.user for answer in collected.answers) == sorted(asked)
        for answer in collected.answers:
            client = asked[answer.user]
            if answer.status == "answered":
                assert answer.data == [client.number, log.end.offset]
            else:
                assert answer.status == "silent"
                assert not client.here or not client.deliver, "who is there and has window is heard"

    @rule(number=NUMBERS, since=PLACES, before=PLACES, limit=st.sampled_from([0, 1, 3, 100]))
    def read(self, number: int, since: int | None, before: int | None, limit: int) -> None:
        """Read a page of history (SPEC PGE-2, PGE-3)."""
        log = self._log(number)
        end = log.end
        behind, below = (None if back is None else max(0, end.offset + 1 - back) for back in (since, before))
        places = {"since": behind, "before": below}
        given = {name: Position(end.epoch, place) for name, place in places.items() if place is not None}

        async def read() -> tuple[Page, Era]:
            return await self.stage.app.history(log.name, limit=limit, **given), log.era  # at the same time

        page, era = self.stage.stepper.do(read)
        lost = behind is not None and not era.floor <= behind <= end.offset
        if behind is not None and behind > end.offset:
            behind = 0  # it never was: from the beginning
        expected = era.page(behind, below, limit)
        assert [message.offset for message in page.messages] == expected
        assert [message.data[0] for message in page.messages] == [era.item(each).number for each in expected]
        assert (page.position, page.gap is not None) == (end, lost)
        if page.next is None and limit:
            assert expected == era.page(behind, below, end.offset)

    # ------------------------------------------------------------ what there is

    def _log(self, number: int) -> Log:
        return self.stage.logs[number % len(self.stage.logs)]

    def _client(self, number: int) -> Listener:
        return self.stage.clients[number % len(self.stage.clients)]

    def _subscription(self, number: int) -> tuple[Listener, Ear] | None:
        found = self.stage.subscriptions()
        return found[number % len(found)] if found else None

    # ------------------------------------------------------------ what holds

    @invariant()
    def everybody_was_told_what_the_lists_say(self) -> None:
        self.stage.check()

    def teardown(self) -> None:
        try:
            self.stage.check()
            self._drain()
        finally:
            self.stage.stepper.close()

    def _drain(self) -> None:
        """In the end everybody has everything."""
        stage = self.stage
        for client in stage.clients:
            if not client.here:
                stage.come(client)
            self.give_back(client.number, None, 0, Burst(), rest=True)
        for number, (_, ear) in enumerate(stage.subscriptions()):
            if ear.paused:
                self.go_on(number, None, rest=True)
        for log in stage.logs:
            stage.play(log, Burst([Act(), Act(tag="b")], passes=9))  # so that what was never reported is missed
        stage.rest(REST)
        for _, ear in stage.subscriptions():
            assert ear.settled
            assert not ear.honest or ear.heard == sorted(set(ear.heard))
        for client in stage.clients:
            for pattern in client.patterns.values():
                assert all(place.apart or place.settled for place in pattern.places.values())


def _pattern(log: Log) -> str:
    return log.name.partition(":")[0] + ":*"


TestChannels = Channels.TestCase
TestChannels.settings = settings(max_examples=max(2, settings().max_examples // 16), stateful_step_count=40)


class ManyChannels(Channels):
    """The same, with other steps every time."""


TestManyChannels = pytest.mark.verify(ManyChannels.TestCase)
TestManyChannels.settings = settings(max_examples=1_000, stateful_step_count=60, derandomize=False)
