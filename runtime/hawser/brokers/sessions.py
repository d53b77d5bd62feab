"""Where the sessions of a service are, kept for all of its nodes, and how one node asks another: the contract.

Rule: what a node has entered stands under its lease, as in presence: a node that crashed leaves nothing behind, and one
that was away for too long finds out when it writes or renews, and enters anew. A question is put to a node once or not
at all, and whoever asks waits for a bounded time; it knows the answer, or that nobody was asked, or that it does not
know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from hawser_engine.errors import HawserError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence


class NoAnswer(HawserError):
    """A node was asked, and nobody knows whether it did what it was asked to."""


@attrs.frozen
class Place:
    """Where a session is."""

    node: bytes
    """At which node: the name of its lease."""
    user: str
    """Whose it is: the id of its principal."""


@attrs.frozen
class Moving:
    """A session that comes to a node, or leaves it."""

    session: str
    """Its name."""
    user: str | None
    """Whose it is; None: it has left."""


class QuestionSink(Protocol):
    """Asked by other nodes. Synchronous, and never raises."""

    def __call__(self, question: bytes, answer: Callable[[bytes], None], /) -> None:
        """Take a question, in the order in which one process asks, one after the other.

        Args:
            question: What that node gave to `SessionDirectory.ask`.
            answer: To be called once, now or later; too late or again it does nothing.
        """


class SessionDirectory(ABC):
    """Where nodes enter the sessions that can be sent to, and find those of others.

    Every method is a checkpoint, raises `BrokerUnavailable` where the directory cannot do its work, and if it raises
    `trio.Cancelled` has done either everything or nothing. What a method that raised has done, nobody knows.
    """

    unanswered_max: int = 1_000
    """So many questions to one node are waited for at once; one more raises `BrokerUnavailable`, and is not put."""

    async def run(self) -> None:
        """Do what has to be done in the background until cancelled. A server runs it while it serves."""
        await trio.sleep_forever()

    def alone(self, nodes: Collection[bytes]) -> bool:
        """Whether it is known at once that no other nodes than these are there; then nothing is looked up."""
        return False

    @abstractmethod
    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        """Be a node that others find.

        Args:
            seconds: How long that lasts if it is not renewed.
            sink: Asked by others from now on, until the lease is over.

        Returns:
            A new lease, by whose name others ask.
        """

    @abstractmethod
    async def renew(self, node: bytes, seconds: float) -> bool:
        """Let a lease last longer.

        Args:
            node: The lease.
            seconds: How long from now on.

        Returns:
            False if it has expired; then nothing stands under it any more, and never will.
        """

    @abstractmethod
    async def leave(self, node: bytes) -> None:
        """Give a lease up, and all that stands under it; whoever waits for an answer waits no more. Twice is harmless.

        Args:
            node: The lease.
        """

    @abstractmethod
    async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
        """Enter sessions under a lease, or take them out.

        What stands under another lease is replaced by what comes, and not touched by what leaves.

        Args:
            node: The lease.
            movings: All of them are done in one step, in their order.

        Returns:
            False if the lease has expired; then nothing was written.
        """

    @abstractmethod
    async def find(self, session: str) -> Place | None:
        """Where a session is; None if it is nowhere."""

    @abstractmethod
    async def nodes_of(self, user: str) -> tuple[bytes, ...]:
        """The nodes that have sessions of a user, in no order."""

    @abstractmethod
    async def nodes(self) -> tuple[bytes, ...]:
        """All nodes, in no order."""

    @abstractmethod
    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        """Put a question to a node, and wait for its answer.

        What is asked when this has returned or raised is put behind it, also if nobody knows what became of it. If
        this raises `trio.Cancelled` the question was put, or will be, or never is.

        Args:
            node: The lease of the node.
            question: Any bytes.
            seconds: For how long to wait.

        Returns:
            The answer; None if there is no such node any more, and so it was not asked.

        Raises:
            NoAnswer: It did not answer in time, or has gone since it was asked.
            BrokerUnavailable: It was not asked.
        """
