"""What holds for the mailboxes of one pattern, and whose a mailbox is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from hawser_engine.channels.segments import is_pattern

from .brokers import DeadLetters, Posting
from .patterns import WILDCARD, Rule, find
from .principals import NAME_BYTES_MAX, check_name, scoped_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .brokers import Keeping
    from .principals import Principal
    from .rules import ChannelRule
    from .server.session import Session

USER: Final = "user:"
AGENT: Final = "agent:"
OWNERS: Final = (USER, AGENT)
"""How the name of a mailbox begins (SPEC MBX-4)."""

MailAction: TypeAlias = Literal["post", "hold"]
AuthorizeMailbox: TypeAlias = "Callable[[Session, MailAction, str], Awaitable[bool]]"


@attrs.define
class DeadLetterCounts:
    """How many letters of some mailboxes one server has taken out as dead, since it began (SPEC MBX-9)."""

    expired: int = 0
    """Their time was over."""
    failed: int = 0
    """They had failed as often as they may."""


@attrs.define(eq=False)
class MailboxRule(Rule["AuthorizeMailbox"]):
    """What holds for the mailboxes whose names match one pattern; `App.mailbox` makes them.

    The actions that ``authorize`` is asked about are ``"post"`` and ``"hold"``, as far as they are not declared. About
    users who hold the mailbox of their own it is not asked.
    """

    keeping: Keeping
    """How much is kept."""
    seconds: float
    """How long a letter is kept at most."""

    def posting(
        self, mailbox: str, data: bytes, sender: Principal | None, key: bytes | None, seconds: float
    ) -> Posting:
        """What the store is told of a letter.

        Args:
            mailbox: Where it is to be.
            data: The payload.
            sender: Who posts it; None: the application.
            key: The idempotency key that the sender gave it.
            seconds: How long the sender wants it to be delivered; the mailbox may say less (SPEC MBX-10).
        """
        name, own_key = None if sender is None else sender.id, scoped_key(sender, key)
        return Posting(mailbox, data, self.keeping, name, own_key, min(seconds, self.seconds))


def dead_letters(channel: str, channels: list[ChannelRule]) -> DeadLetters:
    """Where dead letters go, if they can be found there.

    Args:
        channel: The channel.
        channels: All that are declared.

    Raises:
        LookupError: It is not declared.
        ValueError: It is no channel, keeps nothing, or takes something else.
    """
    check_name("the channel of dead letters", channel)
    where = f"dead_letters={channel!r}"
    if is_pattern(channel):
        raise ValueError(f"{where} is a pattern, and letters are published in one channel: name one")
    rule = find(channels, channel)
    if rule is None:
        raise LookupError(f"no channel {channel!r} is declared; declare it with App.channel first")
    if not (rule.retention.messages and rule.retention.bytes):
        fix = f"declare it with App.channel({rule.pattern!r}, history=1000) or so"
        raise ValueError(f"{where} is a channel that keeps nothing, so that nobody finds them there later; {fix}")
    if rule.events is not None:
        fix = "declare a channel for them alone"
        raise ValueError(f"{where} is a channel with declared events, and a dead letter is none of them; {fix}")
    return DeadLetters(channel, rule.retention)


def settle_dead_letters(rules: list[MailboxRule], channels: list[ChannelRule]) -> None:
    """Look again where dead letters go, when everything is declared: what holds for the channel may have come later.

    Raises:
        ValueError: They cannot be found there.
    """
    for rule in rules:
        if (dead := rule.keeping.dead) is not None:
            try:
                rule.keeping = attrs.evolve(rule.keeping, dead=dead_letters(dead.channel, channels))
            except ValueError as error:
                raise ValueError(f"the mailboxes {rule.pattern!r}: {error}") from None


def is_mailbox(name: str) -> bool:
    """Whether a mailbox can have this name."""
    return any(name.startswith(owner) and name != owner for owner in OWNERS)


def no_mailbox(name: str) -> str:
    """What is said of a mailbox that does not exist."""
    why = " is declared" if is_mailbox(name) else f": one is called {USER}NAME or {AGENT}NAME"
    return f"no mailbox {name!r}{why}"


def rule_of(rules: list[MailboxRule], name: str) -> MailboxRule | None:
    """The rule of a mailbox, or None if there is no such."""
    fits = is_mailbox(name) and len(name.encode()) <= NAME_BYTES_MAX
    return find(rules, name) if fits else None


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that no mailbox matches.

    Raises:
        TypeError: It is no string.
        ValueError: It is one.
    """
    check_name("a pattern of mailboxes", pattern)
    beginning = pattern.removesuffix(WILDCARD)
    matching = is_mailbox(pattern) or (
        pattern != beginning and any(one.startswith(beginning) or beginning.startswith(one) for one in OWNERS)
    )
    if not matching:
        raise ValueError(f"{pattern!r}: the name of a mailbox begins with {USER!r} or {AGENT!r}")
