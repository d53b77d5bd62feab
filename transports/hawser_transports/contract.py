"""The transport contract: what a carriage gives to the session above it (SPEC CAR-1).

A carriage is a pipe, not a protocol. It moves batches (each one a CBOR sequence of packets) in order until
it dies; then nobody knows which of the last arrived. It knows nothing of sessions, counts or identities.

Rule 1: whatever a link delivers is a prefix of what was sent, batch by batch: nothing is reordered, doubled,
merged, split or left out in the middle. Only the end may be lost.
Rule 2: after a write that was cancelled or failed part-way a link is dead, and both ends find out.

`check_transport` tests both rules and everything else that is written here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .mounts import HttpHandler

BATCH_BYTES_MAX: Final = 131_072
"""The largest batch, in bytes (SPEC PKT-5). A link carries every size from 1 up to it."""


UNREAD_BYTES_MIN: Final = 16_384
"""What every link takes, in each direction, before anything is read at the other end."""


class TurnedAway(ConnectionRefusedError):
    """The server is there, and has no room now.

    ``retry_seconds`` is when it asks to try again; 0 if it names no time.
    """

    def __init__(self, detail: str, retry_seconds: float) -> None:
        """Tell what the server has answered."""
        super().__init__(detail)
        self.retry_seconds: float = retry_seconds


class Link(trio.abc.AsyncResource):
    """One end of one carriage.

    At most one task sends and one task receives at a time; a second one gets `trio.BusyResourceError`.
    A link is bounded: while the peer does not read, it takes a limited number of bytes (at least
    `UNREAD_BYTES_MIN`) and then makes `send_batches` wait and `send_nowait` answer less than it was given.

    Errors are Trio's: `trio.ClosedResourceError` (closed at this end), `trio.BrokenResourceError` (lost),
    `trio.EndOfChannel` (closed at the other end; receiving only), `trio.BusyResourceError` (two tasks at once).
    """

    carriage: str = ""
    """What it is made of, in a word for people and statistics."""
    pong_wait_seconds: float = 0.0
    """How long this carriage needs at least until a peer that lives has answered a PING (SPEC CAR-26)."""

    @property
    @abstractmethod
    def description(self) -> str:
        """A short name of this carriage for people and logs, without anything secret (SPEC SEC-5)."""

    @property
    def began(self) -> float | None:
        """When the connection below was accepted, on Trio's clock; None where a link begins with itself.

        What a server waits for at the beginning of a link, it waits for from then on (SPEC ATT-13).
        """
        return None

    @abstractmethod
    def send_nowait(self, batches: Sequence[bytes]) -> int:
        """Hand over as many batches as can leave without waiting.

        A carriage that cannot write without waiting (TLS, a foreign stream) takes what its own bounded buffer has
        room for, or always answers 0.

        Args:
            batches: Whole batches in order, each of 1 to `BATCH_BYTES_MAX` bytes. Neither the list nor the
                bytes are changed, and the list may be reused by the caller afterwards.

        Returns:
            How many of them, from the first on, were taken. The others are untouched: hand them over again.

        Raises:
            ValueError: A batch is empty or too long; nothing was taken.
            trio.BusyResourceError: Another task is inside `send_batches`; nothing was taken.
            trio.ClosedResourceError: This end was closed.
            trio.BrokenResourceError: The link is lost, or an earlier write died part-way.

        Spec: CAR-1, PKT-5.
        """

    def carry(self, batch: bytes) -> bool:
        """`send_nowait` for one batch of a fan-out, which asks a thousand links.

        A link that was closed or is lost takes it, and it is lost with the link: whoever receives from it learns of it.

        Returns:
            Whether it was taken. False: there is no room now, and it is untouched.

        Raises:
            ValueError: It is empty or too long; nothing was taken.
            trio.BusyResourceError: Another task is inside `send_batches`; nothing was taken.

        Spec: CAR-1, CHN-6.
        """
        try:
            return self.send_nowait((batch,)) == 1
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return True

    @abstractmethod
    async def send_batches(self, batches: Sequence[bytes]) -> None:
        """Hand over all batches, waiting for room where needed. Always a checkpoint.

        Returning means the carriage took them, not that the peer has them. A call that is cancelled has either
        taken nothing (the link goes on) or has killed the link (`trio.BrokenResourceError` from then on).

        Args:
            batches: As for `send_nowait`.

        Raises:
            ValueError: A batch is empty or too long; nothing was taken.
            trio.BusyResourceError: Another task is inside `send_batches`; nothing was taken.
            trio.ClosedResourceError: This end was closed, before or during the call.
            trio.BrokenResourceError: The link is lost.

        Spec: CAR-1, PKT-5.
        """

    @abstractmethod
    async def receive_batches(self) -> list[bytes]:
        """Wait for batches and take all that are there. Always a checkpoint.

        A call that is cancelled has taken nothing.

        Returns:
            One or more whole batches, in the order and with the boundaries with which they were sent.

        Raises:
            trio.EndOfChannel: The peer closed, and everything it had sent was received. So again on each later call.
            trio.BrokenResourceError: The link is lost. What was under way may be lost with it.
            trio.ClosedResourceError: This end was closed, before or during the call.
            trio.BusyResourceError: Another task is inside `receive_batches`.

        Spec: CAR-1.
        """

    def bound(self, bytes_max: int | None) -> None:
        """Take no batch longer than this from the peer until told otherwise; None lifts the bound (SPEC PKT-14).

        For carriages that hold what has arrived of a batch: a peer that nobody knows yet must not fill memory. The
        session counts what it is given by itself, so the others need not care.
        """

    def watch(self, heard: Callable[[], None]) -> None:
        """Have this called whenever something arrives that `receive_batches` does not return at once.

        Any byte from the peer is life (SPEC LIV-2), also a ping of the carriage's own or a part of a batch that is
        slow to come. Carriages that hand over all that arrives need not care.

        Args:
            heard: Synchronous, and never raises.
        """

    def lend(self, back: Callable[[], None]) -> int:
        """Let one task that reads many links read this one, with `receive_nowait` in place of `receive_batches`.

        Args:
            back: Called once when this end is closing or lost: the descriptor is not to be used any more.
                Synchronous, and never raises.

        Returns:
            The descriptor that is readable when there may be something to receive; -1 if only a task can wait for it.
        """
        return -1

    def receive_nowait(self) -> list[bytes]:
        """What `receive_batches` would return now; empty if there is nothing. Only for a link that was lent.

        Raises:
            Exception: The same as `receive_batches`.
        """
        raise NotImplementedError

    def feed(self, received: Callable[[list[bytes]], None], back: Callable[[], None]) -> bool:
        """Hand over what arrives at once, in the same step, in place of `receive_batches`, until `back` is called.

        For carriages whose batches are brought by tasks of their own: to wake another one for each costs more than
        all that it does. Behind `back`, `receive_batches` returns what is left and tells the end.

        Args:
            received: Takes batches as `Receiver.received` does.
            back: Called once when this end is closing or lost. Synchronous, and never raises.

        Returns:
            False if this carriage does not do that; then nothing has changed.
        """
        return False

    def drop(self) -> None:
        """Send nothing from now on, not even a goodbye; `aclose` follows (SPEC ATT-15).

        A newer link has the session. For carriages that keep what they took and send it by themselves.
        """

    def say_why(self, code: int) -> None:
        """Learn the code of the CLOSE packet that was sent last, before `aclose`.

        A carriage that has close codes of its own says it again with them (SPEC CAR-5); the others need not care.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close this end. Idempotent, always a checkpoint, and closed even if cancelled.

        What the link took before goes on to the peer where that needs no waiting on the peer; then the peer sees
        the end. Tasks waiting in this end get `trio.ClosedResourceError`.
        """


class Receiver(Protocol):
    """What sits above a link. Both methods are synchronous: the transport calls them and goes on."""

    def received(self, batches: list[bytes]) -> None:
        """Take batches that arrived."""

    def ended(self, error: Exception | None) -> None:
        """Learn that the link is over; called once, and nothing is called afterwards.

        Args:
            error: None after a close by the peer, otherwise what broke.
        """


async def pump(link: Link, receiver: Receiver) -> None:
    """Feed a receiver from a link until the link ends, then close the link.

    One task for one link: enough for a client and for most transports. `receiver.ended` is called in every
    case, also when this is cancelled. Somebody else may close the link meanwhile, and is left to it: forcing it
    would take the last words from what is closed gracefully.

    Args:
        link: Nobody else receives from it.
        receiver: Told of each piece of what arrives, in order, and of the end.
    """
    error: Exception | None = None
    try:
        while True:
            receiver.received(await link.receive_batches())
    except trio.EndOfChannel:
        pass
    except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
        error = broken
    finally:
        receiver.ended(error)
        if not isinstance(error, trio.ClosedResourceError):
            await trio.aclose_forcefully(link)


class Listener(trio.abc.AsyncResource):
    """A place where links arrive."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL under which this listener is reached; a port or name left open by the caller is filled in."""

    @abstractmethod
    async def accept(self) -> Link:
        """Wait for the next link.

        Raises:
            trio.ClosedResourceError: The listener was closed or drained, before or during the call.
            trio.BusyResourceError: Another task is inside `accept`.
        """

    def mount(self, prefix: str, handler: HttpHandler) -> None:
        """Let an application answer the requests of plain HTTP below a path, such as ``/api``.

        A listener that serves no HTTP has no place for it, and ignores it: an app may be tested over memory.

        Args:
            prefix: Where the paths begin that are its own; of several the longest decides.
            handler: Answers them.

        Raises:
            ValueError: It is no such path, or the path is taken.
        """

    async def drain(self) -> None:
        """Let nobody new in; links that are there go on. Idempotent.

        `accept` and `serve` come to their end as after `aclose`, which this form is. A listener whose links need it
        as long as they live, or that can tell newcomers why, replaces this method.
        """
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Stop listening. Idempotent; accepted links live on, and links nobody accepted are closed."""

    async def serve(self, attach: Callable[[Link], Receiver]) -> None:
        """Accept links until cancelled or closed and feed each one's receiver.

        This form spends a task on each link. Nothing above relies on that: a transport that multiplexes its links
        (one reactor task, say) replaces this method.

        Args:
            attach: Called once for each link, synchronously; answers who takes its batches.
        """
        async with trio.open_nursery() as links:
            while True:
                try:
                    link = await self.accept()
                except trio.ClosedResourceError:
                    break
                links.start_soon(pump, link, attach(link))


class Transport(ABC):
    """A way to listen and to connect, found by URL scheme."""

    @abstractmethod
    async def listen(self, url: str) -> Listener:
        """Start to listen at a URL.

        Raises:
            ValueError: The URL does not fit this transport; the message says what does.
            OSError: The place is taken or cannot be had.
        """

    @abstractmethod
    async def connect(self, url: str) -> Link:
        """Open a link to a listener. Sends nothing that belongs to a session. A cancelled call leaves nothing open.

        Raises:
            ValueError: The URL does not fit this transport; the message says what does.
            TurnedAway: The server has no room, and asks to try again later.
            OSError: Nobody listens there, or the way there failed.
        """

    def fallback(self, url: str) -> Transport | None:
        """A transport that gets through to the same URL where this one may not; None if there is none.

        A client that is given one attaches on whichever is there first, and moves to this one (SPEC ATT-18).
        """
        return None


def check_batches(batches: Sequence[bytes]) -> None:
    """Refuse batches that no carriage carries; for implementers of `Link`.

    Raises:
        ValueError: A batch is empty or longer than `BATCH_BYTES_MAX`.
    """
    for batch in batches:
        if not 0 < len(batch) <= BATCH_BYTES_MAX:
            raise ValueError(f"a batch has 1 to {BATCH_BYTES_MAX} bytes, this one has {len(batch)} (SPEC PKT-5)")
