"""The sending half of a session: messages without a number, then parts with one (SPEC NUM-1 to NUM-6, WIN-1, WIN-2).

A message waits in ``queue`` until the peer's window admits it; then its parts get numbers and stay in ``replay`` until
the peer's application has taken them. ``_number`` is the one place where numbers are given.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from attrs import define

from .batch import Batch
from .codec import MAX_BODY, decode_batch
from .codes import CloseCode
from .errors import BacklogFull, MessageTooLarge
from .packets import Message

__all__ = ["Outbox", "Waiting"]

NO_ROOM: Final = "no room"
EXPIRED: Final = "expired"
REPLACED: Final = "replaced"


@define(eq=False)
class Waiting:
    """A message that has no number yet, or has one for its first parts only."""

    ordinal: int
    """Its place among all messages accepted by this outbox, from 1."""
    body: bytes
    expires_at: float | None = None
    """When it may be dropped unnumbered; None: never (SPEC NUM-4)."""
    key: str | None = None
    """A later message with the same key replaces it while unnumbered; None: never (SPEC NUM-4)."""
    taken: int = 0
    """Bytes of ``body`` that have gone into numbered parts (SPEC PRT-6)."""


class Outbox:
    """What one side of a session still has to bring to the other.

    Attributes are read freely and written only here.
    """

    __slots__ = (
        "_behind",
        "_head_messages",
        "_head_payload",
        "_keys",
        "_timed",
        "accepted",
        "admitting",
        "delivered",
        "delivered_messages",
        "dropped",
        "dropped_messages",
        "inflight_bytes",
        "message_bytes",
        "queue",
        "queue_bytes",
        "received",
        "replay",
        "sent",
        "window_bytes",
        "window_messages",
    )

    def __init__(self) -> None:
        """Start without a session: everything waits until ``open`` tells the window."""
        self.window_messages: int = 0
        self.window_bytes: int = 0
        self.message_bytes: int | None = None  # unknown until ``open``
        self.sent: int = 0  # highest number given
        self.received: int = 0  # the peer's word: taken into its inbox
        self.delivered: int = 0  # the peer's word: taken by its application
        self.inflight_bytes: int = 0  # sum of the bodies in (delivered, sent]
        # What has numbers and was not delivered, in order; `held` knows the numbers. A list: empty it holds 56 bytes, a
        # deque 760, and an ACK takes its packets off the front in one cut.
        self.replay: list[Batch] = []
        self._behind = 0  # the number before the first packet of replay[0]
        self._head_payload = 0  # bytes and messages of replay[0] that are trimmed already
        self._head_messages = 0
        self.queue: deque[Waiting] | None = None  # made on first use: most sessions never wait
        self.queue_bytes: int = 0
        self._keys: dict[str, Waiting] | None = None
        self._timed = 0  # how many of the queue can expire
        self.accepted: int = 0  # messages taken over from the caller, ever; the ordinal of the last
        self.delivered_messages: int = 0  # of those, taken by the peer's application
        self.dropped_messages: int = 0  # of those, gone by their policy
        self.dropped: list[tuple[int, str]] | None = None  # (ordinal, reason) to be told; made on first use
        self.admitting: bool = False  # attached, no message waits, not inside a run: shared batches may pass

    @property
    def numbered_messages(self) -> int:
        """Ordinal of the last message of which any part has a number."""
        if not self.queue:
            return self.accepted
        head = self.queue[0]
        return head.ordinal if head.taken else head.ordinal - 1

    @property
    def waiting_messages(self) -> int:
        """How many accepted messages have no number at all."""
        if not self.queue:
            return 0
        return len(self.queue) - (1 if self.queue[0].taken else 0)

    def open(self, window_messages: int, window_bytes: int, message_bytes: int) -> list[Waiting]:
        """Learn what the peer accepts, once for the session; return the waiting messages it will never take."""
        self.window_messages = window_messages
        self.window_bytes = window_bytes
        self.message_bytes = message_bytes
        refused = [waiting for waiting in self.queue or () if len(waiting.body) > message_bytes]
        for waiting in refused:
            self._drop(waiting, NO_ROOM)
        return refused

    def accept(
        self, body: bytes, *, messages_max: int, bytes_max: int, expires_at: float | None = None, key: str | None = None
    ) -> int:
        """Take a message over; return its ordinal. ``admit`` numbers it when there is room.

        Raises:
            MessageTooLarge: The peer does not accept so long a message.
            BacklogFull: The queue has no room; nothing has changed.

        Spec: NUM-1, NUM-3, NUM-4, PRT-5.
        """
        if self.message_bytes is not None and len(body) > self.message_bytes:
            detail = f"saw a message of {len(body)} bytes, expected at most {self.message_bytes}"
            raise MessageTooLarge(CloseCode.TOO_LARGE, "PRT-5", detail, "send")
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        replaced = self._keys.get(key) if key is not None and self._keys else None
        count = len(queue) - (replaced is not None)
        size = self.queue_bytes - (len(replaced.body) if replaced else 0) + len(body)
        if count and (count >= messages_max or size > bytes_max):
            detail = f"saw {count} messages waiting and {size} bytes, expected at most {messages_max} and {bytes_max}"
            raise BacklogFull(CloseCode.FLOW, "LIM-4", detail, "send")
        if replaced is not None:
            self._drop(replaced, REPLACED)
        self.accepted += 1
        waiting = Waiting(self.accepted, body, expires_at, key)
        queue.append(waiting)
        self.queue_bytes += len(body)
        self.admitting = False
        if key is not None:
            self._keys = self._keys or {}
            self._keys[key] = waiting
        self._timed += expires_at is not None
        return self.accepted

    def take(self, batch: Batch) -> bool:
        """Number a shared batch if it can leave at once; False leaves the subscriber behind.

        Spec: NUM-1, WIN-1, WIN-2, PRT-5, PRT-7, CHN-6.
        """
        if not self.admitting or self.message_bytes is None or batch.longest > self.message_bytes:
            return False
        sent = self.sent + batch.count
        held = self.inflight_bytes + batch.payload
        if (sent - self.delivered > self.window_messages or held > self.window_bytes) and (
            self.sent > self.delivered or batch.count > 1
        ):
            return False
        self.sent = sent
        self.inflight_bytes = held
        self.accepted += batch.messages
        self.replay.append(batch)
        return True

    def admit(self, now: float) -> list[bytes]:
        """Give numbers to as much of the queue as the window admits; return the packets to send.

        Only for an attached session (SPEC NUM-1).
        """
        if self._timed:
            self.expire(now)
        packets: list[bytes] = []
        queue = self.queue
        while queue:
            head = queue[0]
            left = len(head.body) - head.taken
            length = min(left, MAX_BODY)
            if not self._admits(length):
                break
            more = left > MAX_BODY
            part = head.body[head.taken : head.taken + length] if head.taken or more else head.body
            packets.append(self._number(Batch.single(part, more)).data)
            if not head.taken:
                self._forget_policy(head)
            head.taken += length
            self.queue_bytes -= length
            if not more:
                queue.popleft()
        self.admitting = not queue
        return packets

    def pass_through(self, body: bytes) -> bytes | None:
        """Accept and number a short message in one step if nothing waits and the window admits it, else None."""
        length = len(body)
        if not self.admitting or self.message_bytes is None or length > min(MAX_BODY, self.message_bytes):
            return None
        if not self._admits(length):
            return None
        self.accepted += 1
        return self._number(Batch.single(body, more=False)).data

    def detach(self) -> None:
        """Stop giving numbers until ``replay_from`` (SPEC NUM-1)."""
        self.admitting = False

    def held(self) -> Iterator[tuple[int, Batch]]:
        """Yield what is kept for replay, each batch with the number before its first packet."""
        before = self._behind
        for batch in self.replay:
            yield before, batch
            before += batch.count

    def acknowledge(self, received: int, delivered: int) -> bool:
        """Take the peer's word, by maximum; return whether anything moved.

        The caller has checked ``delivered <= received <= sent``. Spec: CNT-3, CNT-6.
        """
        moved = False
        if received > self.received:
            self.received = received
            moved = True
        if delivered > self.delivered:
            self._trim(delivered)
            moved = True
        return moved

    def replay_from(self, received: int, now: float) -> tuple[list[bytes], int]:
        """Return what the peer lacks behind number ``received``, then what the window admits.

        Args:
            received: The peer's count at the attach; not below ``delivered``, not above ``sent``.
            now: Seconds.

        Returns:
            The packets in order, and how many of them are replayed numbers.

        Spec: ATT-12, PRT-3.
        """
        packets: list[bytes] = []
        for before, batch in self.held():
            if before + batch.count > received:
                packets.append(batch.cut(max(0, received - before)))
        replayed = self.sent - received
        packets.extend(self.admit(now))
        return packets, replayed

    def expire(self, now: float) -> None:
        """Drop the waiting messages whose time is over (SPEC NUM-4, PRT-6)."""
        for waiting in [
            w for w in self.queue or () if w.expires_at is not None and w.expires_at <= now and not w.taken
        ]:
            self._drop(waiting, EXPIRED)

    def next_expiry(self) -> float | None:
        """Return when the first waiting message expires, None if none does."""
        if not self._timed:
            return None
        return min((w.expires_at for w in self.queue or () if w.expires_at is not None and not w.taken), default=None)

    def has_room(self, length: int, messages_max: int, bytes_max: int) -> bool:
        """Say whether ``accept`` would take a message of that length now."""
        count = len(self.queue) if self.queue else 0
        return not count or (count < messages_max and self.queue_bytes + length <= bytes_max)

    def tail(self) -> list[tuple[bool, bytes]]:
        """Return (more, body) of every numbered part behind ``delivered``, for a record of the session."""
        return [
            (packet.more, packet.body)
            for before, batch in self.held()
            for packet in decode_batch(batch.cut(max(0, self.delivered - before)))
            if isinstance(packet, Message)  # a batch holds nothing else
        ]

    def _admits(self, length: int) -> bool:
        if self.sent == self.delivered:
            return True  # SPEC WIN-2
        return self.sent - self.delivered < self.window_messages and self.inflight_bytes + length <= self.window_bytes

    def _number(self, batch: Batch) -> Batch:
        self.sent += batch.count
        self.inflight_bytes += batch.payload
        self.replay.append(batch)
        return batch

    def _trim(self, delivered: int) -> None:
        self.delivered = delivered
        before, done = self._behind, 0
        payload, messages = -self._head_payload, -self._head_messages
        head_payload = head_messages = 0
        for batch in self.replay:
            last = before + batch.count
            if last > delivered:
                if index := delivered - before:
                    head_payload, head_messages = batch.payload_before(index), batch.messages_before(index)
                break
            before = last
            done += 1
            payload += batch.payload
            messages += batch.messages
        self._behind = before
        self._head_payload, self._head_messages = head_payload, head_messages
        self.inflight_bytes -= payload + head_payload
        self.delivered_messages += messages + head_messages
        del self.replay[:done]

    def _drop(self, waiting: Waiting, reason: str) -> None:
        assert self.queue is not None
        assert not waiting.taken, "a message with a number is never dropped (SPEC PRT-6)"
        self.queue.remove(waiting)
        self.queue_bytes -= len(waiting.body)
        self._forget_policy(waiting)
        self.dropped_messages += 1
        if self.dropped is None:
            self.dropped = []
        self.dropped.append((waiting.ordinal, reason))

    def _forget_policy(self, waiting: Waiting) -> None:
        self._timed -= waiting.expires_at is not None
        if waiting.key is not None and self._keys is not None and self._keys.get(waiting.key) is waiting:
            del self._keys[waiting.key]

    def export(self, now: float) -> dict[str, Any]:
        """Return the record of this half: plain values only (SPEC EXP-3)."""
        return {
            "window": [self.window_messages, self.window_bytes, self.message_bytes],
            "counts": [self.received, self.delivered, self.sent],
            "dropped": [list(drop) for drop in self.dropped or ()],
            "messages": [self.accepted, self.delivered_messages, self.dropped_messages],
            "tail": [[more, body] for more, body in self.tail()],
            "queue": [
                [w.ordinal, w.body, None if w.expires_at is None else w.expires_at - now, w.key, w.taken]
                for w in self.queue or ()
            ],
        }

    @classmethod
    def restore(cls, record: dict[str, Any], now: float) -> "Outbox":
        """Build the half that ``export`` described."""
        box = cls()
        box.window_messages, box.window_bytes, box.message_bytes = record["window"]
        box.received, box.delivered, sent = record["counts"]
        box.sent = box._behind = box.delivered
        for more, body in record["tail"]:
            box._number(Batch.single(body, more))
        assert box.sent == sent, "the record holds every number that is not delivered"
        box.accepted, box.delivered_messages, box.dropped_messages = record["messages"]
        box.dropped = [(ordinal, reason) for ordinal, reason in record["dropped"]] or None
        if record["queue"]:
            box.queue = deque()
        for ordinal, body, left, key, taken in record["queue"]:
            waiting = Waiting(ordinal, body, None if left is None else now + left, key, taken)
            box.queue.append(waiting)  # type: ignore[union-attr]  # made above
            box.queue_bytes += len(body) - taken
            if not taken:
                box._timed += waiting.expires_at is not None
                if key is not None:
                    box._keys = {**(box._keys or {}), key: waiting}
        return box
