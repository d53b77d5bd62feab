"""Mutants of the sending half: numbers, window, parts, replay buffer, queue."""

from typing import Final

from .mutant import Edit, Kind, Mutant

__all__ = ["SENDING"]

SENDING: Final = (
    Mutant(
        "forget-to-trim",
        "What the peer has delivered stays in the replay buffer.",
        "CNT-3",
        "outbox",
        (
            Edit(
                """\
        if delivered > self.delivered:
            self._trim(delivered)
""",
                """\
        if delivered > self.delivered:
            self.delivered = delivered
""",
            ),
        ),
    ),
    Mutant(
        "trim-by-received",
        "The replay buffer is trimmed by what the peer has received, before its application has it.",
        "CNT-3",
        "outbox",
        (
            Edit(
                """\
        if delivered > self.delivered:
            self._trim(delivered)
""",
                """\
        if received > self.delivered:
            self._trim(received)
""",
            ),
        ),
    ),
    Mutant(
        "replay-skips-one",
        "A replay leaves out the part that the peer lacks first.",
        "ATT-12",
        "outbox",
        (
            Edit(
                """\
            if before + batch.count > received:
""",
                """\
            if before + batch.count > received + 1:
""",
            ),
        ),
    ),
    Mutant(
        "replay-whole-batch",
        "A replay sends a shared batch from its first packet, although the peer has part of it.",
        "ATT-12",
        "outbox",
        (
            Edit(
                """\
                packets.append(batch.cut(max(0, received - before)))
""",
                """\
                packets.append(batch.data)
""",
            ),
        ),
    ),
    Mutant(
        "replay-cuts-too-much",
        "The place where a partly received batch is cut is one packet too far.",
        "ATT-12",
        "outbox",
        (
            Edit(
                """\
                packets.append(batch.cut(max(0, received - before)))
""",
                """\
                index = received - before
                packets.append(batch.cut(index + 1 if index > 0 else 0))
""",
            ),
        ),
    ),
    Mutant(
        "replay-takes-fresh-numbers",
        "What is sent again is counted again.",
        "NUM-5",
        "outbox",
        (
            Edit(
                """\
        replayed = self.sent - received
""",
                """\
        replayed = self.sent - received
        self.sent += replayed
""",
            ),
        ),
    ),
    Mutant(
        "batch-reuses-numbers",
        "A shared batch goes out without taking its numbers: the next message gets them again.",
        "NUM-6",
        "outbox",
        (
            Edit(
                """\
        self.sent = sent
        self.inflight_bytes = held
""",
                """\
        self.inflight_bytes = held
""",
            ),
        ),
    ),
    Mutant(
        "direct-send-not-kept",
        "A message that leaves at once is not kept for a replay.",
        "NUM-2",
        "outbox",
        (
            Edit(
                """\
        self.accepted += 1
        return self._number(Batch.single(body, more=False)).data
""",
                """\
        self.accepted += 1
        self.sent += 1
        return Batch.single(body, more=False).data
""",
            ),
        ),
    ),
    Mutant(
        "shared-batch-not-kept",
        "A shared batch is counted and sent, but not kept for a replay.",
        "NUM-2",
        "outbox",
        (
            Edit(
                """\
        self.accepted += batch.messages
        self.replay.append(batch)
""",
                """\
        self.accepted += batch.messages
""",
            ),
        ),
    ),
    Mutant(
        "passage-outlives-its-attach",
        "The way past the queue stays open at a connection whose session has gone on elsewhere.",
        "ATT-7",
        "connection",
        (
            Edit(
                """\
            self._out.passage.close()
            self._out.passage = None
""",
                """\
            self._out.passage = None
""",
            ),
        ),
    ),
    Mutant(
        "refused-by-the-link",
        "A shared batch that has its numbers is dropped where the link takes nothing now.",
        "NUM-6",
        "passage",
        (
            Edit(
                """\
            self._writer.refused(batch.data, now)
""",
                """\
            return True
""",
            ),
        ),
    ),
    Mutant(
        "number-while-detached",
        "Waiting messages get their numbers although no connection is attached.",
        "NUM-1",
        "session",
        (
            Edit(
                """\
        if self.carrier is not None and self.outbox.queue:
            for packet in self.outbox.admit(now):
                self.carrier.push(packet, now)
""",
                """\
        if self.outbox.queue:
            for packet in self.outbox.admit(now):
                if self.carrier is not None:
                    self.carrier.push(packet, now)
""",
            ),
        ),
    ),
    Mutant(
        "window-ignored",
        "Numbers are given whatever the window.",
        "WIN-1",
        "outbox",
        (
            Edit(
                """\
        return self.sent - self.delivered < self.window_messages and self.inflight_bytes + length <= self.window_bytes
""",
                """\
        return True
""",
            ),
        ),
    ),
    Mutant(
        "window-bytes-ignored",
        "Only the number of parts counts against the window, not their bytes.",
        "WIN-1",
        "outbox",
        (
            Edit(
                """\
        return self.sent - self.delivered < self.window_messages and self.inflight_bytes + length <= self.window_bytes
""",
                """\
        return self.sent - self.delivered < self.window_messages
""",
            ),
        ),
    ),
    Mutant(
        "window-one-too-wide",
        "One part more than the window is admitted.",
        "WIN-1",
        "outbox",
        (
            Edit(
                """\
        return self.sent - self.delivered < self.window_messages and self.inflight_bytes + length <= self.window_bytes
""",
                """\
        return self.sent - self.delivered <= self.window_messages and self.inflight_bytes + length <= self.window_bytes
""",
            ),
        ),
    ),
    Mutant(
        "batch-ignores-window-bytes",
        "A shared batch is admitted by its packets alone, not by its bytes.",
        "WIN-1",
        "outbox",
        (
            Edit(
                """\
        if (sent - self.delivered > self.window_messages or held > self.window_bytes) and (
""",
                """\
        if (sent - self.delivered > self.window_messages) and (
""",
            ),
        ),
    ),
    Mutant(
        "no-part-beyond-the-window",
        "A part longer than the window is not admitted even when nothing is undelivered.",
        "WIN-2",
        "outbox",
        (
            Edit(
                """\
        if self.sent == self.delivered:
            return True  # SPEC WIN-2
        return self.sent - self.delivered < self.window_messages and self.inflight_bytes + length <= self.window_bytes
""",
                """\
        return self.sent - self.delivered < self.window_messages and self.inflight_bytes + length <= self.window_bytes
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "inflight-bytes-drift",
        "Trimming a batch in two steps takes the bytes of the first step off twice.",
        "WIN-1",
        "outbox",
        (
            Edit(
                """\
        payload, messages = -self._head_payload, -self._head_messages
""",
                """\
        payload, messages = 0, -self._head_messages
""",
            ),
        ),
    ),
    Mutant(
        "partly-trimmed-counted-twice",
        "Messages of a batch that is trimmed in two steps count twice as delivered.",
        "RST-6",
        "outbox",
        (
            Edit(
                """\
        payload, messages = -self._head_payload, -self._head_messages
""",
                """\
        payload, messages = -self._head_payload, 0
""",
            ),
        ),
    ),
    Mutant(
        "batch-inside-a-run",
        "Messages and shared batches pass between the parts of an unfinished run.",
        "PRT-2",
        "outbox",
        (
            Edit(
                """\
        self.admitting = not queue
""",
                """\
        self.admitting = not queue
        if queue and queue[0].taken:
            self.admitting = True
""",
            ),
        ),
    ),
    Mutant(
        "runs-interleaved",
        "After each part of a run the next waiting message has its turn.",
        "PRT-2",
        "outbox",
        (
            Edit(
                """\
            if not more:
                queue.popleft()
""",
                """\
            if not more:
                queue.popleft()
            else:
                queue.rotate(-1)
""",
            ),
        ),
    ),
    Mutant(
        "run-begins-again",
        "A run that the window has stopped begins again with its first part.",
        "PRT-3",
        "outbox",
        (
            Edit(
                """\
            if not self._admits(length):
                break
""",
                """\
            if not self._admits(length):
                self.queue_bytes += head.taken
                head.taken = 0
                break
""",
            ),
        ),
    ),
    Mutant(
        "last-part-says-more",
        "A message of exactly one part says that more follows.",
        "PRT-1",
        "outbox",
        (
            Edit(
                """\
        return self._number(Batch.single(body, more=False)).data
""",
                """\
        return self._number(Batch.single(body, more=not body)).data
""",
            ),
        ),
    ),
    Mutant(
        "expired-after-its-number",
        "A message whose first parts have numbers is dropped when its time is over.",
        "PRT-6",
        "outbox",
        (
            Edit(
                """\
            w for w in self.queue or () if w.expires_at is not None and w.expires_at <= now and not w.taken
        ]:
""",
                """\
            w for w in self.queue or () if w.expires_at is not None and w.expires_at <= now
        ]:
            waiting.taken = 0
""",
            ),
            Edit(
                """\
        if self._timed:
            self.expire(now)
""",
                """\
        self.expire(now)
""",
            ),
        ),
    ),
    Mutant(
        "expires-without-a-policy",
        "A full queue drops its oldest message, whatever was promised for it.",
        "NUM-4",
        "outbox",
        (
            Edit(
                """\
            raise BacklogFull(CloseCode.FLOW, "LIM-4", detail, "send")
""",
                """\
            assert detail
            self.queue_bytes -= len(queue.popleft().body)
""",
            ),
        ),
    ),
    Mutant(
        "replaced-after-its-number",
        "A message of the same key replaces one that has its number already.",
        "NUM-4",
        "outbox",
        (
            Edit(
                """\
            if not head.taken:
                self._forget_policy(head)
""",
                """\
            if not head.taken and head.key is None:
                self._forget_policy(head)
""",
            ),
            Edit(
                """\
        assert not waiting.taken, "a message with a number is never dropped (SPEC PRT-6)"
        self.queue.remove(waiting)
        self.queue_bytes -= len(waiting.body)
""",
                """\
        if waiting in self.queue:
            self.queue.remove(waiting)
            self.queue_bytes -= len(waiting.body)
""",
            ),
        ),
    ),
    Mutant(
        "replaces-whatever-waits",
        "Keep-latest replaces the newest waiting message, not the one of the same key.",
        "NUM-4",
        "outbox",
        (
            Edit(
                """\
        replaced = self._keys.get(key) if key is not None and self._keys else None
""",
                """\
        replaced = queue[-1] if key is not None and queue and not queue[-1].taken else None
""",
            ),
        ),
    ),
    Mutant(
        "dropped-in-silence",
        "Nobody is told of a message that expired or was replaced.",
        "NUM-4",
        "outbox",
        (
            Edit(
                """\
        self.dropped.append((waiting.ordinal, reason))
""",
                """\
        assert reason
""",
            ),
        ),
    ),
    Mutant(
        "queue-turned-round",
        "A message that fills the last place of the queue goes to its front.",
        "NUM-3",
        "outbox",
        (
            Edit(
                """\
        queue.append(waiting)
        self.queue_bytes += len(body)
""",
                """\
        if count + 1 >= messages_max and queue and not queue[0].taken:
            queue.appendleft(waiting)
        else:
            queue.append(waiting)
        self.queue_bytes += len(body)
""",
            ),
        ),
    ),
    Mutant(
        "overtakes-the-queue",
        "A short message is numbered at once although others wait.",
        "NUM-3",
        "outbox",
        (
            Edit(
                """\
        if not self.admitting or self.message_bytes is None or length > min(MAX_BODY, self.message_bytes):
            return None
""",
                """\
        if self.message_bytes is None or length > min(MAX_BODY, self.message_bytes):
            return None
""",
            ),
        ),
    ),
    Mutant(
        "batch-overtakes-the-queue",
        "A shared batch is numbered although messages wait.",
        "NUM-3",
        "outbox",
        (
            Edit(
                """\
        if not self.admitting or self.message_bytes is None or batch.longest > self.message_bytes:
            return False
        sent = self.sent + batch.count
""",
                """\
        sent = self.sent + batch.count
""",
            ),
        ),
    ),
    Mutant(
        "report-forgets-the-dropped",
        "What was dropped by its policy is told once more, as unknown, at the loss of the session.",
        "RST-6",
        "session",
        (
            Edit(
                """\
            unknown=box.accepted - box.dropped_messages - known - not_sent,
""",
                """\
            unknown=box.accepted - known - not_sent,
""",
            ),
        ),
    ),
    Mutant(
        "report-counts-a-run-as-not-sent",
        "A message whose first parts have numbers is reported as not sent.",
        "RST-6",
        "outbox",
        (
            Edit(
                """\
        return len(self.queue) - (1 if self.queue[0].taken else 0)
""",
                """\
        return len(self.queue)
""",
            ),
        ),
    ),
    Mutant(
        "report-takes-received-for-delivered",
        "What the peer has only received is reported as known delivered.",
        "RST-6",
        "session",
        (
            Edit(
                """\
        not_sent = box.waiting_messages
""",
                """\
        box.acknowledge(box.received, box.received)
        not_sent = box.waiting_messages
""",
            ),
        ),
    ),
    Mutant(
        "report-believes-anything",
        "The counts of a RESET are used although they contradict what this side knows.",
        "RST-1",
        "session",
        (
            Edit(
                """\
        if delivered_by_peer is not None and box.delivered < delivered_by_peer <= box.sent:
""",
                """\
        if delivered_by_peer is not None:
""",
            ),
        ),
    ),
    Mutant(
        "resent-by-itself",
        "What had no number when a session was lost is sent again on the next one.",
        "RST-7",
        "client",
        (
            Edit(
                """\
        self._events.append(self.session.finish(reason, delivered))
        self.session = self._new_session(now)
""",
                """\
        self._events.append(self.session.finish(reason, delivered))
        lost, self.session = self.session.outbox, self._new_session(now)
        for waiting in lost.queue or ():
            self.session.outbox.accept(waiting.body, messages_max=10**9, bytes_max=10**9)
""",
            ),
        ),
    ),
)
