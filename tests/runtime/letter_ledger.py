"""What clients of a world asked for, as it stands in what they send: whatever is seen anywhere says whose it is."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from hawser.payloads import decode_payload
from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hawser import Outcome, Published, to

Answers: TypeAlias = "tuple[Outcome | Published | int, ...]"
Mark: TypeAlias = tuple[str, int, int]
"""Who asked, its how many-eth request, and which attempt of it: the beginning of all data."""


def mark_of(raw: bytes) -> Mark:
    """Whose something is."""
    who, number, attempt, _ = decode_payload(raw)
    return who, number, attempt


@attrs.define(eq=False)
class Attempt:
    """One time that something was asked for."""

    ask: Ask
    number: int
    """Which of the ask's, from 1 on."""
    life: str
    """The life of the client that did it."""
    outcomes: Answers | None = None
    """What became of it, for each target, or the code of an error; none: it was not sent. None: nobody knows."""

    @property
    def mark(self) -> Mark:
        """As its data begins."""
        return self.ask.who, self.ask.number, self.number


@attrs.define(eq=False)
class Ask:
    """A letter, or something that is sent."""

    who: str
    """The client that had the idea."""
    user: str
    number: int
    mailbox: str | None
    """Where it is to be posted; None: it is sent."""
    targets: tuple[to.Target, ...]
    size: int
    """Of its padding."""
    key: bytes | None
    """Its idempotency key, as far as it is known; all attempts have the same."""
    ttl: float | None = None
    except_me: bool = False
    volatile: bool = False
    attempts: list[Attempt] = attrs.field(factory=list[Attempt])

    def attempt(self, life: str) -> Attempt:
        """Ask once more."""
        made = Attempt(self, len(self.attempts) + 1, life)
        self.attempts.append(made)
        return made

    def data(self, attempt: Attempt) -> list[Any]:
        """What is sent."""
        return [*attempt.mark, bytes(self.size)]


@attrs.frozen
class Box:
    """What is declared of one mailbox."""

    letters: int
    """How many it has at most."""
    tries: int
    seconds: float
    """How long a letter is kept at most."""


class Ledger:
    """Everything that was asked for.

    Args:
        boxes: The mailboxes that there are.
    """

    def __init__(self, boxes: Mapping[str, Box]) -> None:
        self.boxes = boxes
        self.asks: dict[tuple[str, int], Ask] = {}

    def add(self, ask: Ask) -> None:
        """A client has another idea."""
        self.asks[ask.who, ask.number] = ask

    def attempt(self, mark: Mark) -> Attempt:
        """Which one it was."""
        who, number, attempt = mark
        ask = self.asks.get((who, number))
        if ask is None or not 1 <= attempt <= len(ask.attempts):
            raise Broken(f"nobody has asked for {mark}")
        return ask.attempts[attempt - 1]

    def lasts_seconds(self, mailbox: str, mark: Mark) -> float:
        """How long a letter is worth being given."""
        ttl = self.attempt(mark).ask.ttl
        return min(self.boxes[mailbox].seconds, inf if ttl is None else ttl)
