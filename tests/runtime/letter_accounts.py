"""What applications were given, and did with it, held against what was asked for and against what the server said.

Every letter that was ever stored has a place, and the places of a mailbox have no holes: so each of them was dealt with
by an application, or is dead, and no other letter is anywhere. See `Door` for what holds between the two.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import attrs

from hawser import Published
from hawser.payloads import decode_payload
from tests.runtime.letter_door import LAG_SECONDS
from tests.runtime.letter_ledger import mark_of
from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser import Direct, Letter, Outcome
    from hawser.brokers import Entry
    from tests.runtime.letter_door import Door, Given, Place
    from tests.runtime.letter_ledger import Attempt, Ledger, Mark


@attrs.define(eq=False)
class Stint:
    """What one life of a client was given of a mailbox in one go."""

    life: str
    mailbox: str
    given: list[int] = attrs.field(factory=list[int])
    """Offsets, in order."""


@attrs.define(eq=False)
class Hearing:
    """What one life of a client was sent in one go."""

    life: str
    arrived: list[bytes]
    """What has come over its links …"""
    heard: list[Direct] = attrs.field(factory=list["Direct"])
    """… and what its application has of it."""
    session: str | None = None
    """The name of its session, if it has listened until everything was calm."""


@attrs.frozen
class Dead:
    """A dead letter, as its channel says."""

    mark: Mark
    why: str
    tries: int
    lived_seconds: float


class Accounts:
    """What applications were given."""

    def __init__(self, ledger: Ledger, door: Door) -> None:
        self._ledger = ledger
        self._door = door
        self._stints: list[Stint] = []
        self._hearings: list[Hearing] = []
        self._marks: dict[Place, Mark] = {}
        self._senders: dict[Place, str | None] = {}
        self._done: set[Place] = set()
        self._dead: dict[Place, Dead] = {}
        self.given = 0
        """Letters."""
        self.heard = 0
        """What was sent."""

    # ------------------------------------------------------------ while it happens

    def begin(self, life: str, mailbox: str) -> Stint:
        """A client holds a mailbox, or waits for it."""
        stint = Stint(life, mailbox)
        self._stints.append(stint)
        return stint

    def give(self, stint: Stint, letter: Letter) -> str | None:
        """An application has a letter; returns what is wrong with it."""
        place, mark = (letter.mailbox, letter.position.offset), mark_of(letter.raw)
        self.given += 1
        if letter.mailbox != stint.mailbox:
            return f"{stint.life} holds {stint.mailbox}, and is given {place}"
        if letter.position.offset in stint.given:
            return f"{stint.life} is given {place} twice in one go"
        before = self._marks.setdefault(place, mark), self._senders.setdefault(place, letter.sender)
        if before != (mark, letter.sender):
            return f"{place} is {mark} of {letter.sender}, and was {before} before"
        stint.given.append(letter.position.offset)
        return None

    def settle(self, stint: Stint, letter: Letter) -> None:
        """The application has dealt with it."""
        self._done.add((stint.mailbox, letter.position.offset))

    def listen(self, life: str, arrived: list[bytes]) -> Hearing:
        """A client listens, and this has come already."""
        hearing = Hearing(life, arrived)
        self._hearings.append(hearing)
        return hearing

    def hear(self, hearing: Hearing, direct: Direct) -> None:
        """An application was sent something."""
        self.heard += 1
        hearing.heard.append(direct)

    # ------------------------------------------------------------ the end

    def check(self, dead: Sequence[Entry], published: dict[str, Sequence[Entry]]) -> None:
        """Hold everything against everything.

        Args:
            dead: All that there is in the channel of dead letters.
            published: All that there is in channels that were sent to, by name.

        Raises:
            Broken: Something does not hold.
        """
        self._bury(dead)
        self._check_places()
        self._check_asks()
        self._check_room()
        self._check_given()
        for life in sorted({hearing.life for hearing in self._hearings}):
            self._check_heard(life)
        for channel, entries in published.items():
            self._check_published(channel, entries)

    def _bury(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            said: dict[str, Any] = decode_payload(entry.data)
            place, mark = (said["mailbox"], said["offset"]), mark_of(said["data"])
            if place in self._dead:
                raise Broken(f"{place} is dead twice")
            if self._marks.setdefault(place, mark) != mark:
                raise Broken(f"{place} is dead as {mark}, and was {self._marks[place]}")
            if self._senders.setdefault(place, said["sender"]) != said["sender"]:
                raise Broken(f"{place} is dead as one of {said['sender']}, and was of {self._senders[place]}")
            lived = (entry.time_ms - said["time_ms"]) / 1_000
            self._dead[place] = Dead(mark, said["why"], said["tries"], lived)

    def _check_places(self) -> None:
        """Each letter that was stored was dealt with, or is dead, and what was said of it is so."""
        for mailbox, declared in self._ledger.boxes.items():
            known = [offset for name, offset in (*self._marks, *self._door.stored) if name == mailbox]
            for offset in range(1, max(known, default=0) + 1):
                place, settled = (mailbox, offset), self._door.settled(mailbox, offset)
                dead, done = self._dead.get(place), place in self._done
                if settled and not done:
                    raise Broken(f"{place} was settled, and no application has dealt with it")
                if not (dead or done):
                    raise Broken(f"{place} was stored, and is nowhere: {self._door.stored.get(place)}")
                if settled and dead:
                    raise Broken(f"{place} was settled, and is dead")
                if dead is None:
                    continue
                lasts = self._ledger.lasts_seconds(mailbox, dead.mark)
                if dead.why == "EXPIRED" and dead.lived_seconds < lasts - 0.01:
                    raise Broken(f"{place} has expired after {dead.lived_seconds:.3f} s, and lasts {lasts} s")
                if dead.why == "FAILED" and not declared.tries <= dead.tries <= self._door.tries(mailbox, offset):
                    raise Broken(f"{place} is dead after {dead.tries} of {declared.tries} failures")
        for place in self._door.passed:
            if place not in self._dead and self._door.settled(*place) is False:
                raise Broken(f"{place} was passed over")

    def _check_asks(self) -> None:
        """Each request has at most one letter in a mailbox, and is answered as it was."""
        first: dict[tuple[str, int, str], Place] = {}
        for place, mark in self._marks.items():
            who, number, _ = mark
            attempt = self._ledger.attempt(mark)
            if first.setdefault((who, number, place[0]), place) != place:
                raise Broken(f"{mark} is letter {place}, and letter {first[who, number, place[0]]} under the same key")
            if self._door.stored.get(place, mark) != mark:
                raise Broken(f"{place} is {mark}, and its sender was told that {self._door.stored[place]} is")
            if self._senders.get(place, attempt.ask.user) != attempt.ask.user:
                raise Broken(f"{place} is said to be from {self._senders[place]}")
            if not _may_be_at(attempt, place):
                raise Broken(f"{mark} is letter {place}, and its sender was told {attempt.outcomes}")
        for place, mark in self._door.duplicates:
            there = self._marks.get(place)
            if there is None or there[:2] != mark[:2]:
                raise Broken(f"{mark} is said to be {place}, which is {there}")
        for place, mark in self._door.stored.items():
            if self._marks.get(place, mark) != mark:
                raise Broken(f"{mark} is said to be {place}, which is {self._marks[place]}")

    def _check_room(self) -> None:
        """A mailbox has no more letters than it may have, and is not said to be full before it is."""
        door = self._door
        for (mailbox, offset), (_, told) in door.times.items():
            present = [
                one
                for one in range(1, offset + 1)
                if (door.settled_at(mailbox, one) or 0) > told and (mailbox, one) not in self._dead
            ]
            if len(present) > self._ledger.boxes[mailbox].letters:
                raise Broken(f"{mailbox} had {len(present)} letters and more when it took {offset}")
        for mailbox, asked, told in door.busy:
            later = [offset for (name, offset), (when, _) in door.times.items() if name == mailbox and when > told]
            top = min(later, default=1 + max((offset for name, offset in self._marks if name == mailbox), default=0))
            present = [one for one in range(1, top) if (door.settled_at(mailbox, one) or inf) > asked - LAG_SECONDS]
            if len(present) < self._ledger.boxes[mailbox].letters:
                raise Broken(f"{mailbox} was said to be full, and had {len(present)} letters")

    def _check_given(self) -> None:
        """Applications are given what their session is, in that order."""
        for life in sorted({stint.life for stint in self._stints}):
            for mailbox in self._ledger.boxes:
                said = iter([offset for name, offset in self._door.letters.get(life, ()) if name == mailbox])
                for stint in self._stints:
                    if (stint.life, stint.mailbox) == (life, mailbox):
                        for offset in stint.given:
                            if offset not in said:  # takes all up to it
                                raise Broken(f"{life} was given {mailbox} {offset}, and its session was not")

    def _check_heard(self, life: str) -> None:
        """What is sent to a session comes once and in order, as long as it listens and is there."""
        sent, place = self._door.directs.get(life, []), -1
        for hearing in self._hearings:
            if hearing.life != life:
                continue
            heard = [direct.raw for direct in hearing.heard]
            if heard != hearing.arrived[: len(heard)]:
                raise Broken(f"{life} hears something else than what has come to it")
            for number, direct in enumerate(hearing.heard):
                found = _find(sent, direct, place + 1)
                if found is None:
                    raise Broken(f"{life} hears {direct}, and was not sent it after what it had heard")
                if number and any(one.session is sent[found].session for one in sent[place + 1 : found]):
                    raise Broken(f"{life} hears {mark_of(direct.raw)}, and not what was sent before")
                place = found
            if hearing.heard and any(one.name == hearing.session for one in sent[place + 1 :]):
                raise Broken(f"{life} has not heard the last of what it was sent: {sent[place + 1].mark}")

    def _check_published(self, channel: str, entries: Sequence[Entry]) -> None:
        """What is sent to a channel is published there, once under its key."""
        seen: set[tuple[str, int]] = set()
        for entry in entries:
            mark = mark_of(entry.data)
            if self._door.published.get((channel, entry.offset), mark) != mark:
                raise Broken(f"{channel} {entry.offset} is {mark}, and another one was told so")
            if mark[:2] in seen:
                raise Broken(f"{mark} is published twice in {channel}")
            seen.add(mark[:2])
        for (name, offset), mark in self._door.published.items():
            if name == channel and not 1 <= offset <= len(entries):
                raise Broken(f"{mark} is said to be {channel} {offset}, and there is no such")


def _find(sent: Sequence[Given], direct: Direct, since: int) -> int | None:
    for place in range(since, len(sent)):
        said = sent[place].direct
        if said.data == direct.raw:
            same = (said.user, said.session) == (direct.user, direct.session)
            to = direct.to
            return place if same and to is not None and (to.kind, to.name) == (said.to.kind, said.to.name) else None
    return None


def _may_be_at(attempt: Attempt, place: Place) -> bool:
    """Whether the answers to an attempt allow it to be a letter there."""
    if attempt.outcomes is None:
        return True
    if attempt.ask.mailbox is not None and attempt.outcomes:
        (outcome,) = attempt.outcomes
        return isinstance(outcome, Published) and outcome.position.offset == place[1] and not outcome.duplicate
    return any(_is_queued(outcome, place) for outcome in attempt.outcomes if not isinstance(outcome, (int, Published)))


def _is_queued(outcome: Outcome, place: Place) -> bool:
    owner = "user:" if outcome.target.kind == 1 else "agent:"
    published = outcome.published
    there = outcome.status == "queued" and f"{owner}{outcome.target.name}" == place[0]
    return there and published is not None and published.position.offset == place[1]
