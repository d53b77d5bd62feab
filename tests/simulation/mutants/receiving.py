"""Mutants of the receiving half and of the counts: receiver rule, delivery, reassembly, acknowledgement, RESET."""

from typing import Final

from .mutant import Edit, Kind, Mutant

__all__ = ["RECEIVING"]

RECEIVING: Final = (
    Mutant(
        "ack-on-receipt",
        "A part counts as delivered as soon as it has arrived.",
        "CNT-3",
        "inbox",
        (
            Edit(
                """\
            self.undrawn.append((self.received, message))
        elif not undelivered:
            self._advance(self.delivered)
        return _TAKEN
""",
                """\
            self.undrawn.append((self.received, message))
        self._advance(self.received)
        return _TAKEN
""",
            ),
        ),
    ),
    Mutant(
        "ack-on-handing-out",
        "A message counts as delivered when it is handed out, before the application has said so.",
        "CNT-3",
        "inbox",
        (
            Edit(
                """\
        drawn = self.undrawn.pop(0)
""",
                """\
        drawn = self.undrawn.pop(0)
        self._advance(drawn[0])
""",
            ),
        ),
    ),
    Mutant(
        "part-delivered-too-early",
        "A part with more to come counts as delivered together with whole messages before it that nobody has taken.",
        "PRT-4",
        "inbox",
        (
            Edit(
                """\
        elif not undelivered:
            self._advance(self.delivered)
""",
                """\
        else:
            self._advance(self.received)
""",
            ),
        ),
    ),
    Mutant(
        "part-never-delivered",
        "The parts of an unfinished message give no window back: one longer than the window never ends.",
        "PRT-4",
        "inbox",
        (
            Edit(
                """\
            if number > count and message is not None:
""",
                """\
            if number > count:
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "takes-beyond-the-window",
        "The receiver takes whatever comes, whatever window it has stated.",
        "WIN-3",
        "inbox",
        (
            Edit(
                """\
            return Taken.BEYOND_WINDOW
""",
                """\
            undelivered = 0
""",
            ),
        ),
    ),
    Mutant(
        "skips-beyond-the-window",
        "A part beyond the window is passed over as if nothing had come.",
        "WIN-3",
        "inbox",
        (
            Edit(
                """\
            return Taken.BEYOND_WINDOW
""",
                """\
            return _TAKEN
""",
            ),
        ),
    ),
    Mutant(
        "assembles-without-end",
        "A message may be longer than this side accepts.",
        "PRT-5",
        "inbox",
        (
            Edit(
                """\
            return Taken.TOO_LARGE
""",
                """\
            self.message_bytes += size
""",
            ),
        ),
    ),
    Mutant(
        "reassembly-lost-at-attach",
        "The parts of an unfinished message are thrown away when a connection is attached.",
        "PRT-3",
        "connection",
        (
            Edit(
                """\
        session.carrier = self
        self.attached = True
""",
                """\
        session.carrier = self
        session.inbox.parts.clear()
        session.inbox.assembled_bytes = 0
        self.attached = True
""",
            ),
        ),
    ),
    Mutant(
        "reassembly-not-cleared",
        "The parts of a finished message stand in front of the next message of several parts.",
        "PRT-4",
        "inbox",
        (
            Edit(
                """\
            self.parts.clear()
            self.assembled_bytes = 0
""",
                """\
            self.parts[:-1] = []
            self.assembled_bytes = 0
""",
            ),
        ),
    ),
    Mutant(
        "held-bytes-drift",
        "The bytes of parts with more to come are never taken off what the inbox holds.",
        "WIN-3",
        "inbox",
        (
            Edit(
                """\
            self.held_bytes -= size
            self.unstated_bytes += size
""",
                """\
            self.held_bytes -= size if number <= count else 0
            self.unstated_bytes += size
""",
            ),
        ),
    ),
    Mutant(
        "counts-volatile",
        "An uncounted message moves the count of what was received.",
        "CNT-7",
        "inbox",
        (
            Edit(
                """\
        self.undrawn.append((0, body))
        self.volatile_held += 1
""",
                """\
        self.received += 1
        self.undrawn.append((0, body))
        self.volatile_held += 1
""",
            ),
        ),
    ),
    Mutant(
        "volatile-unbounded",
        "Uncounted messages pile up while the application does not draw.",
        "CNT-7",
        "inbox",
        (
            Edit(
                """\
            self.volatile_held >= limit or self.volatile_bytes + len(body) > self.window_bytes
        ):
""",
                """\
            self.volatile_held > 2 * limit and self.volatile_bytes + len(body) > 2 * self.window_bytes
        ):
""",
            ),
        ),
    ),
    Mutant(
        "resume-states-delivered",
        "A client states at an attach what is delivered where it should state what it has received.",
        "CNT-1",
        "client_connection",
        (
            Edit(
                """\
            counts = Counts(session.inbox.received, session.inbox.delivered, session.outbox.sent)
""",
                """\
            counts = Counts(session.inbox.delivered, session.inbox.delivered, session.outbox.sent)
""",
            ),
        ),
    ),
    Mutant(
        "resumed-states-delivered",
        "A server states at an attach what is delivered where it should state what it has received.",
        "CNT-1",
        "server_connection",
        (
            Edit(
                """\
    return Counts(session.inbox.received, session.inbox.delivered, session.outbox.sent)
""",
                """\
    return Counts(session.inbox.delivered, session.inbox.delivered, session.outbox.sent)
""",
            ),
        ),
    ),
    Mutant(
        "server-replays-from-delivered",
        "A server begins its replay behind what the client has delivered, not behind what it has received.",
        "ATT-12",
        "server_connection",
        (
            Edit(
                """\
        replayed = self._begin(session, counts.received, now)
""",
                """\
        replayed = self._begin(session, counts.delivered, now)
""",
            ),
        ),
    ),
    Mutant(
        "client-replays-from-delivered",
        "A client begins its replay behind what the server has delivered, not behind what it has received.",
        "ATT-12",
        "client_connection",
        (
            Edit(
                """\
        return self._replay(received, now)
""",
                """\
        return self._replay(session.outbox.delivered, now)
""",
            ),
        ),
    ),
    Mutant(
        "first-ack-states-all-sent",
        "The first ACK after an attach states the highest number ever given instead of where the replay begins.",
        "CNT-5",
        "client_connection",
        (
            Edit(
                """\
        self._send_ack(received, now)
""",
                """\
        self._send_ack(session.outbox.sent, now)
""",
            ),
        ),
    ),
    Mutant(
        "first-ack-left-out",
        "The client does not send the ACK that proves its secret.",
        "ATT-3",
        "client_connection",
        (
            Edit(
                """\
        self._send_ack(received, now)
""",
                """\
        self._state.current = State.ATTACHED
""",
            ),
        ),
    ),
    Mutant(
        "no-ack-timer",
        "A few deliveries are stated only when something else leaves.",
        "ACK-2",
        "connection",
        (
            Edit(
                """\
        self._timers.set(_ACK, self._unstated_since + wait)  # from the first delivery on (SPEC ACK-2)
""",
                """\
        assert wait
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "ack-timer-starts-again",
        "Each delivery puts the ACK off.",
        "ACK-2",
        "connection",
        (
            Edit(
                """\
        self._timers.set(_ACK, self._unstated_since + wait)  # from the first delivery on (SPEC ACK-2)
""",
                """\
        self._timers.set(_ACK, now + wait)
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "clamps-an-ack",
        "An ACK above what was sent is taken as far as it goes.",
        "ACK-4",
        "connection",
        (
            Edit(
                """\
        if delivered > received or received > box.sent or sent != session.inbox.received:
""",
                """\
        received, delivered = min(received, box.sent), min(delivered, box.sent)
        if delivered > received or sent != session.inbox.received:
""",
            ),
        ),
    ),
    Mutant(
        "drift-unnoticed",
        "The `sent` of an ACK is not compared with what was received.",
        "CNT-5",
        "connection",
        (
            Edit(
                """\
        if delivered > received or received > box.sent or sent != session.inbox.received:
""",
                """\
        if delivered > received or received > box.sent:
""",
            ),
        ),
    ),
    Mutant(
        "believes-delivered-above-received",
        "Counts whose `delivered` is above their `received` are taken.",
        "CNT-8",
        "connection",
        (
            Edit(
                """\
        if delivered > received or received > box.sent or sent != session.inbox.received:
""",
                """\
        delivered = min(delivered, box.sent)
        if received > box.sent or sent != session.inbox.received:
""",
            ),
        ),
    ),
    Mutant(
        "window-not-reused",
        "What an ACK gives back is not used until something else is sent.",
        "NUM-1",
        "connection",
        (
            Edit(
                """\
        if box.acknowledge(received, delivered):
            session.pump(now)
""",
                """\
        if box.acknowledge(received, delivered):
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "old-messages-after-reset",
        "What is still under way of a session that was reset is taken into the next one.",
        "RST-4",
        "connection",
        (
            Edit(
                """\
        elif discarding and self._state.current in _DISCARDING:
            return  # SPEC RST-4
""",
                """\
        elif discarding and self._state.current in _DISCARDING and not isinstance(packet, Message):
            return  # SPEC RST-4
""",
            ),
            Edit(
                """\
        assert session is not None
        taken = session.inbox.take(body, more)
""",
                """\
        if session is None:
            session = getattr(self, "_client").session if hasattr(self, "_client") else None
            if session is None:
                return
        taken = session.inbox.take(body, more)
""",
            ),
        ),
    ),
    Mutant(
        "old-packets-break-the-connection",
        "What is still under way of a session that was reset is held to the rules of a living one.",
        "RST-4",
        "connection",
        (
            Edit(
                """\
        elif discarding and self._state.current in _DISCARDING:
            return  # SPEC RST-4
""",
                """\
        elif discarding and self._state.current in _DISCARDING:
            refuse_role(packet, (Message, Volatile))
""",
            ),
        ),
    ),
    Mutant(
        "tail-forgotten",
        "The beginning of a packet is thrown away when the rest of it has not come yet.",
        "PKT-5",
        "link",
        (
            Edit(
                """\
            self._tail = data[position:]
""",
                """\
            self._tail = b""
""",
            ),
        ),
    ),
)
