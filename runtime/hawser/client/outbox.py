"""Publications that are accepted with or without a session, and go again if a session takes their answers away.

Rule: they leave in the order in which they were accepted, on every session anew, under the same keys (SPEC RST-7). What
may have been published before leaves again only while the server surely knows its key.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from hawser.errors import Expired, OutboxFull, OutcomeUnknown, RequestLost
from hawser.timekeeper import Age

from .operations import Kind, Pending

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDING_SECONDS: Final = 1e-6
"""So little remains because sums of times are rounded: to ask to be called in so short a time may be to ask for now."""
KEY_SECONDS: Final = 300.0
"""How long a server remembers a key (SPEC PUB-3)."""


def _positive(most: float, kinds: tuple[type, ...]) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value <= most:  # type: ignore[operator]
            raise ValueError(f"{attribute.name} of an outbox is {value!r}; it must be above 0 and at most {most:g}")

    return check


@attrs.frozen(kw_only=True)
class Outbox:
    """How much a client keeps to be published, and for how long: ``connect(url, outbox=Outbox())``."""

    messages: int = attrs.field(default=1_000, validator=_positive(2**31, (int,)))
    """Publications without an answer."""
    bytes: int = attrs.field(default=1_048_576, validator=_positive(2**40, (int,)))
    """Sum of their payloads; one is always taken when none waits."""
    seconds: float = attrs.field(default=KEY_SECONDS, validator=_positive(KEY_SECONDS, (int, float)))
    """How long each may wait to be sent; never longer than a server remembers keys (SPEC PUB-3)."""


class Posting(Pending):
    """A publication in an outbox."""

    __slots__ = ("_age", "_left", "_post", "_unsure", "encode", "seconds")

    def __init__(
        self, post: Post, channel: str, size: int, key: bytes, encode: Callable[[int], bytes], seconds: float
    ) -> None:
        super().__init__(Kind.PUBLISH, channel, size, key)
        self.encode: Callable[[int], bytes] = encode
        """Makes its message with the id of a request."""
        self.seconds: float = seconds
        """How long it may wait."""
        self._post = post
        self._age = Age()
        self._left: Age | None = None  # since when a server may know its key
        self._unsure: OutcomeUnknown | None = None  # it may have been published

    def leave(self) -> None:
        """It is handed over to a session."""
        if self._unsure is None:
            self._left = Age()

    def succeed(self, value: Any) -> None:
        """See `Pending.succeed`."""
        self._post.over(self)
        super().succeed(value)

    def fail(self, error: Exception) -> None:
        """See `Pending.fail`; a lost session is no failure."""
        if isinstance(error, RequestLost):
            if isinstance(error, OutcomeUnknown):
                self._unsure = error
            self.ordinal = 0
            self._post.back(self)
        else:
            self._post.over(self)
            super().fail(error)

    def remaining(self, late_seconds: float) -> float:
        """Seconds in which it may still leave.

        Args:
            late_seconds: How long after it has left it may still arrive.
        """
        remaining = self.seconds - self._age.seconds
        if self._unsure is not None and self._left is not None:
            remaining = min(remaining, KEY_SECONDS - late_seconds - self._left.seconds)
        return remaining

    def expire(self) -> None:
        """Its time is over."""
        self._post.over(self)
        what = f"{self.kind.value} {self.detail!r}"
        super().fail(self._unsure or Expired(what, self.key, self.seconds))


class Post:
    """The postings of one client; `hawser.timekeeper.Timed`.

    Args:
        bounds: What it holds at most.
        changed: Called when there is something that may leave.
        arm: Asks for `handle_timeout` in so many seconds, or earlier.
    """

    def __init__(self, bounds: Outbox, changed: Callable[[], None], arm: Callable[[float], None]) -> None:
        self.bounds: Outbox = bounds
        self.armed: float = inf
        self._changed = changed
        self._arm = arm
        self._out: dict[Posting, None] = {}
        self._returned: list[Posting] = []
        self._waiting: deque[Posting] = deque()
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def accept(self, posting: Posting) -> None:
        """Take a publication behind all others.

        Raises:
            OutboxFull: There is no room; nothing was accepted.
        """
        bounds = self.bounds
        if self._count and (self._count >= bounds.messages or self._bytes + posting.size > bounds.bytes):
            raise OutboxFull(
                f"the outbox holds {self._count} publications of {self._bytes} bytes, and at most "
                f"{bounds.messages} of {bounds.bytes}; wait for the answers of some"
            )
        self._count += 1
        self._bytes += posting.size
        self._waiting.append(posting)
        self._arm(posting.seconds)
        self._changed()

    def first(self, late_seconds: float = 0.0) -> Posting | None:
        """The next to leave; what may not leave any more ends here.

        Args:
            late_seconds: As for `Posting.remaining`.
        """
        self._merge()
        while self._waiting and self._waiting[0].remaining(late_seconds) <= 0:
            self._waiting[0].expire()
        return self._waiting[0] if self._waiting else None

    def leave(self) -> Posting:
        """The first one is handed over."""
        posting = self._waiting.popleft()
        posting.leave()
        self._out[posting] = None
        return posting

    def back(self, posting: Posting) -> None:
        """The session is lost, and with it the answer: all of them come back, in their order."""
        del self._out[posting]
        self._returned.append(posting)
        self._arm(max(0.0, posting.remaining(0.0)))  # while it was out its time was not kept
        self._changed()

    def over(self, posting: Posting) -> None:
        """It needs to leave no more."""
        if posting in self._out:
            del self._out[posting]
        else:
            self._waiting.remove(posting)  # nearly always the first
        self._count -= 1
        self._bytes -= posting.size

    def end(self, error: Exception) -> None:
        """The client is closed: whatever waits ends with the same error."""
        self._merge()
        for posting in list(self._waiting):
            posting.fail(error)

    def handle_timeout(self, now: float) -> None:
        """End what has waited too long, whether it is the first or not."""
        self._merge()
        for posting in list(self._waiting):
            if posting.remaining(0.0) <= ROUNDING_SECONDS:
                posting.expire()
        if self._waiting:
            self._arm(min(posting.remaining(0.0) for posting in self._waiting))

    def _merge(self) -> None:
        self._waiting.extendleft(reversed(self._returned))
        self._returned.clear()
