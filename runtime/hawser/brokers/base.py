"""The broker contract; `check_broker` tests it.

Rule: a broker alone assigns epoch, offset and time. Nodes deliver what the broker reports, in the order in which it
reports it, also the publications that they have just made themselves.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from hawser_engine.errors import HawserError

from .memory_keys import MemoryKeys
from .presence import MemoryPresence, PresenceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser_engine.channels.entries import Entry, History, Retention
    from hawser_engine.messages import About, Position

    from .mailboxes import MailboxStore
    from .sessions import SessionDirectory


class BrokerUnavailable(HawserError):
    """A broker cannot do what it was asked to: it is not reached, has no room, or is damaged. Nothing was done.

    Clients are told UNAVAILABLE and whether it is temporary, and nothing else of it. The broker says in the log what
    there is to say.
    """

    temporary: bool = True
    """Whether it may pass by itself, so that the server asks again; if not, whoever waits for it is told."""


class PositionMoved(HawserError):
    """A channel is not where a publication was to find it. Nothing was published.

    Attributes:
        position: Where it is.
    """

    def __init__(self, channel: str, position: Position) -> None:
        super().__init__(f"channel {channel!r} is not where it was expected, but at offset {position.offset}")
        self.position = position


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
    """Its idempotency key; `key_holder` tells whose it is."""
    about: About | None = None
    """What it carries beside the payload."""


@attrs.frozen
class Published:
    """What became of a publication."""

    position: Position
    """Where it stands."""
    duplicate: bool
    """True if the key was used before within the window: this is the position of the original, nothing was added."""


class Sink(Protocol):
    """Told of publications. Synchronous, and never raises."""

    def __call__(self, channel: str, epoch: bytes, entries: Sequence[Entry], /) -> None:
        """Take publications of a channel, in offset order."""


class LossSink(Protocol):
    """Told that reports may have been lost. Synchronous, and never raises."""

    def __call__(self, pattern: str, /) -> None:
        """Any publication of any channel of a pattern may have gone unreported."""


class Broker(ABC):
    """Where publications get their place, and where history is.

    Every method is a checkpoint, raises `BrokerUnavailable` where the broker cannot do its work, and if it raises
    `trio.Cancelled` has done either everything or nothing.
    """

    at_once: int = 1
    """So many publications of one client are worth being handed over together, by `publish_all`."""

    compare_seconds: float = inf
    """How often nodes compare what was reported with `history`; for brokers that may lose a report on the way."""

    _random_bytes: Callable[[int], bytes] = staticmethod(secrets.token_bytes)
    """What everything that belongs to it draws from, so that a seeded broker is seeded altogether."""

    @cached_property
    def presence(self) -> PresenceStore:
        """Who is in the channels; kept in this process, unless a broker of several nodes has something else."""
        return MemoryPresence(random_bytes=self._random_bytes)

    @cached_property
    def mailboxes(self) -> MailboxStore:
        """The letters that wait; kept in this process, unless a broker has something else."""
        from .memory_mailboxes import MemoryMailboxes  # which publishes dead letters by a broker

        return MemoryMailboxes(self, random_bytes=self._random_bytes, keys=self._keys)

    @cached_property
    def _keys(self) -> MemoryKeys:
        """The keys that are kept in this process."""
        return MemoryKeys()

    @property
    def keys_forgotten(self) -> int:
        """How many keys were forgotten before their time, of publications and of letters (SPEC PUB-3, MBX-3).

        One that bounds how many it remembers forgets the oldest of whoever has the most, and says so in the log.
        """
        return self._keys.forgotten

    @property
    def history_cut(self) -> int:
        """How many publications have left history before their time, for all channels together had too much.

        Whoever comes for them is told, as of all that has left by the bounds of its channel (SPEC CHN-14). One that
        bounds the sum says in the log when it begins to cut. This one does not bound it.
        """
        return 0

    @cached_property
    def sessions(self) -> SessionDirectory:
        """Where the sessions are; kept in this process, unless a broker of several nodes has something else."""
        from .memory_sessions import MemorySessions  # which raises `BrokerUnavailable`

        return MemorySessions(random_bytes=self._random_bytes)

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
        self,
        channel: str,
        data: bytes,
        *,
        retention: Retention,
        key: bytes | None = None,
        about: About | None = None,
        expected: Position | None = None,
    ) -> Published:
        """Give a publication its place and report it to everyone who has joined the channel.

        Args:
            channel: The channel's name.
            data: The payload.
            retention: How much of the channel to keep from now on.
            key: An idempotency key; a second publication with it to this channel within the broker's window is not
                added, and its answer is the first one's. It begins with whose it is, for which there is `key_holder`.
            about: What it carries beside the payload; None: nothing.
            expected: Where the channel has to stand when it is given its place, in one step, whoever else publishes
                meanwhile and on whatever node; None: anywhere. A key that is known is answered before this is looked
                at, for its publication may be what moved the channel; one that is refused is not remembered.

        Raises:
            PositionMoved: The channel stands elsewhere. One that was not known stands at offset 0 of an epoch that is
                its own from now on.
        """

    @abstractmethod
    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        """Report something to everyone who has joined the channel, and keep it nowhere (SPEC VOL-2).

        It stands in the reports where it was published: behind what was answered before this was called, and before
        what is published when this is answered. What holds it up, a full disk or a lost link, may lose it.

        Args:
            channel: The channel's name.
            data: The payload.
            about: What it carries beside the payload; None: nothing.

        Returns:
            The position of the channel at which it was reported.
        """

    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        """Publish several, each as `publish` would, in this order, and none on a condition.

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
            sink: Told of every publication after the returned position, in order, without holes; of each once, also
                where it has joined the channel and watches a pattern of it.

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
    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        """Start to report the publications of all channels of a pattern (SPEC WLD-1), also of new ones.

        Args:
            pattern: A name of which at least one segment is ``*``.
            sink: Told of every publication that gets its offset after this returned, in order in each channel.
            lost: Told when some may not have been reported, as after a link to the broker was lost: before anything
                is reported that came later. What is lost without a word is found with the next report of its channel,
                but nobody can find that a channel of which nothing was ever reported has lost its first (SPEC WLD-9).
        """

    @abstractmethod
    async def unwatch(self, pattern: str, sink: Sink) -> None:
        """Stop to report the channels of a pattern; doing it twice is harmless.

        Those that the sink has joined, and those of another pattern that it watches, go on.

        Args:
            pattern: The pattern.
            sink: The one that watches it.
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

    @abstractmethod
    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        """Read the channel's past from an offset back: the newest below it, in the order of their offsets.

        Args:
            channel: The channel's name.
            before: Read what is below this offset; one above the end means all.
            limit: At most so many entries.
            limit_bytes: At most so many bytes of payload, but always one entry if there is one.
        """
