"""The broker contract; `check_broker` tests it.

Rule: a broker alone assigns epoch, offset and time. Nodes deliver what the broker reports, in the order in which it
reports it, also the publications that they have just made themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import trio

from hawser_engine.errors import HawserError

from .presence import MemoryPresence, PresenceStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser_engine.messages import About, Position

    from .mailboxes import MailboxStore

KEY_WINDOW_SECONDS: Final = 300.0
"""How long an idempotency key is remembered, as Centrifugo does for its server API (SPEC PUB-3)."""


class BrokerUnavailable(HawserError):
    """A broker cannot do now what it was asked to: it is not reached, or has no room. Nothing was done.

    Clients are told UNAVAILABLE, which is temporary, and nothing else of it.
    """


@attrs.frozen
class Retention:
    """How much of a channel's past is kept; whichever bound is reached first counts."""

    messages: int = 0
    """At most so many publications; 0 keeps none."""
    bytes: int = 16 * 1024 * 1024
    """At most so many bytes of payload."""
    seconds: float = inf
    """Nothing that is older, by the broker's clock."""


@attrs.frozen
class Entry:
    """One publication as the broker keeps it."""

    offset: int
    """Its place in the channel's epoch, from 1 on."""
    data: bytes
    """The payload, unseen."""
    time_ms: int
    """When it got its offset, by the broker's clock: milliseconds since the beginning of 1970 (UTC). In an epoch it
    never falls from one offset to the next."""
    about: About | None = None
    """What it carries beside the payload, as it was given; without a time, which is the broker's to say."""


@attrs.frozen(eq=False)
class Submission:
    """A publication that has no place yet: what `Broker.publish` is told of it."""

    channel: str
    """Where it is to be."""
    data: bytes
    """The payload."""
    retention: Retention
    """How much of the channel to keep from now on."""
    key: bytes | None = None
    """Its idempotency key."""
    about: About | None = None
    """What it carries beside the payload."""


@attrs.frozen
class Published:
    """What became of a publication."""

    position: Position
    """Where it stands."""
    duplicate: bool
    """True if the key was used before within the window: this is the position of the original, nothing was added."""


@attrs.frozen
class History:
    """A stretch of a channel's past."""

    top: Position
    """The newest publication of the channel when this was read."""
    first: int
    """The lowest offset that is still kept; ``top.offset + 1`` if none is."""
    entries: tuple[Entry, ...]
    """Publications with consecutive offsets from the asked one (or ``first``, if that is higher) on."""


class Sink(Protocol):
    """Told of publications. Synchronous, and never raises."""

    def __call__(self, channel: str, epoch: bytes, entries: Sequence[Entry], /) -> None:
        """Take publications of a channel, in offset order."""


class Broker(ABC):
    """Where publications get their place, and where history is.

    Every method is a checkpoint, raises `BrokerUnavailable` where the broker cannot do its work, and if it raises
    `trio.Cancelled` has done either everything or nothing.
    """

    at_once: int = 1
    """So many publications of one client are worth being handed over together, by `publish_all`."""

    @cached_property
    def presence(self) -> PresenceStore:
        """Who is in the channels; kept in this process, unless a broker of several nodes has something else."""
        return MemoryPresence()

    @cached_property
    def mailboxes(self) -> MailboxStore:
        """The letters that wait; kept in this process, unless a broker has something else."""
        from .memory_mailboxes import MemoryMailboxes  # which publishes dead letters by a broker

        return MemoryMailboxes(self)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what has to be done in the background until cancelled.

        A server runs it while it serves, and listens when it has started; what it raises ends the server.

        Args:
            task_status: Told when the other methods may be called.
        """
        task_status.started()
        await trio.sleep_forever()

    @abstractmethod
    async def publish(
        self, channel: str, data: bytes, *, retention: Retention, key: bytes | None = None, about: About | None = None
    ) -> Published:
        """Give a publication its place and report it to everyone who has joined the channel.

        Args:
            channel: The channel's name.
            data: The payload.
            retention: How much of the channel to keep from now on.
            key: An idempotency key; a second publication with it to this channel within the broker's window is not
                added, and its answer is the first one's.
            about: What it carries beside the payload; None: nothing.
        """

    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        """Publish several, each as `publish` would, in this order.

        For brokers for which several cost little more than one, as they share a commit or a round trip; they say so by
        `at_once`. Each has an outcome of its own, though what shares a commit may fail with it. If this raises
        `trio.Cancelled`, the first so many of them are published, perhaps none, and the others are not.

        Args:
            submissions: One or more.

        Returns:
            What became of each, in order.
        """
        outcomes: list[Published | BrokerUnavailable] = []
        for one in submissions:
            try:
                outcomes.append(
                    await self.publish(one.channel, one.data, retention=one.retention, key=one.key, about=one.about)
                )
            except BrokerUnavailable as error:
                outcomes.append(error)
        return outcomes

    @abstractmethod
    async def join(self, channel: str, sink: Sink) -> Position:
        """Start to report a channel's publications.

        Args:
            channel: The channel's name.
            sink: Told of every publication after the returned position, once, in order, without holes.

        Returns:
            The position from which on the sink is told.
        """

    @abstractmethod
    async def leave(self, channel: str, sink: Sink) -> None:
        """Stop to report; the sink is not called any more when this returns. Leaving twice is harmless.

        Args:
            channel: The channel's name.
            sink: The one that joined.
        """

    @abstractmethod
    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        """Read the channel's past.

        Args:
            channel: The channel's name.
            after: Read from the offset after this one on.
            limit: At most so many entries.
            limit_bytes: At most so many bytes of payload, but always one entry if there is one.
            seconds: Only what is no older, by the broker's clock. `History.first` does not depend on it.
        """
