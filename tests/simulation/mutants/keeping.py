"""Mutants of a session's life: export and restore, resume period, end, heartbeat, gaps."""

from typing import Final

from .mutant import Edit, Kind, Mutant

__all__ = ["KEEPING"]

KEEPING: Final = (
    Mutant(
        "export-forgets-the-queue",
        "Messages without a number are not in the record of a session.",
        "EXP-3",
        "outbox",
        (
            Edit(
                """\
                for w in self.queue or ()
            ],
""",
                """\
                for w in ()
            ],
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-the-tail",
        "Numbered parts that are not delivered are not in the record of a session.",
        "EXP-3",
        "outbox",
        (
            Edit(
                """\
            "counts": [self.received, self.delivered, self.sent],
""",
                """\
            "counts": [self.received, self.sent, self.sent],
""",
            ),
            Edit(
                """\
            "tail": [[more, body] for more, body in self.tail()],
""",
                """\
            "tail": [],
""",
            ),
        ),
    ),
    Mutant(
        "export-of-the-tail-skips-received",
        "Only the parts that the peer has not received are in the record of a session.",
        "EXP-3",
        "outbox",
        (
            Edit(
                """\
            for packet in decode_batch(batch.cut(max(0, self.delivered - before)))
""",
                """\
            for packet in decode_batch(batch.cut(max(0, self.received - before)))
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-more",
        "A restored part does not know that it is not the last of its message.",
        "EXP-3",
        "outbox",
        (
            Edit(
                """\
            box._number(Batch.single(body, more))
""",
                """\
            box._number(Batch.single(body, more=False))
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-the-inbox",
        "What is received and not delivered is not in the record of a session.",
        "EXP-3",
        "inbox",
        (
            Edit(
                """\
            "pending": [list(item) for item in self.pending],
""",
                """\
            "pending": [],
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-the-reassembly",
        "The parts of an unfinished message are not in the record of a session.",
        "EXP-3",
        "inbox",
        (
            Edit(
                """\
            "parts": list(self.parts),
""",
                """\
            "parts": [],
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-the-pending-secret",
        "The secret that was issued last is not in the record of a session.",
        "EXP-3",
        "session",
        (
            Edit(
                """\
            "pending": self.pending,
""",
                """\
            "pending": None,
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-the-confirmed-secret",
        "Only the secret that was issued last is in the record of a session.",
        "EXP-3",
        "session",
        (
            Edit(
                """\
            "confirmed": self.confirmed,
""",
                """\
            "confirmed": None if self.pending is not None else self.confirmed,
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-the-attempt",
        "A restored session has forgotten which attempt it took, or used, last.",
        "EXP-3",
        "session",
        (
            Edit(
                """\
        session.attempt = record["attempt"]
""",
                """\
        session.attempt = 0
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-how-far-a-run-got",
        "A restored run begins again with its first part.",
        "EXP-3",
        "outbox",
        (
            Edit(
                """\
                [w.ordinal, w.body, None if w.expires_at is None else w.expires_at - now, w.key, w.taken]
""",
                """\
                [w.ordinal, w.body, None if w.expires_at is None else w.expires_at - now, w.key, 0]
""",
            ),
        ),
    ),
    Mutant(
        "export-forgets-what-was-delivered",
        "A restored session reports as unknown what is known delivered and the other way round.",
        "RST-6",
        "outbox",
        (
            Edit(
                """\
            "messages": [self.accepted, self.delivered_messages, self.dropped_messages],
""",
                """\
            "messages": [self.accepted, self.accepted, self.dropped_messages],
""",
            ),
        ),
    ),
    Mutant(
        "export-turns-the-queue-round",
        "The queue of a restored session is in the wrong order.",
        "EXP-3",
        "outbox",
        (
            Edit(
                """\
            box.queue.append(waiting)  # type: ignore[union-attr]  # made above
""",
                """\
            box.queue.appendleft(waiting)
""",
            ),
        ),
    ),
    Mutant(
        "restore-proves-the-session",
        "A restored session counts as opened although nobody has proved its secret.",
        "UNC-1",
        "session",
        (
            Edit(
                """\
        session.proved = record["proved"]
""",
                """\
        session.proved = True
""",
            ),
        ),
    ),
    Mutant(
        "expiry-not-stopped-at-attach",
        "The resume period goes on although a connection is attached.",
        "EXP-1",
        "server",
        (
            Edit(
                """\
        session.expires_at = None
        session.expiry_moved = False
""",
                """\
        session.expiry_moved = False
""",
            ),
        ),
    ),
    Mutant(
        "detached-for-ever",
        "A detached session lives without end.",
        "EXP-1",
        "server",
        (
            Edit(
                """\
        if session.expires_at < self._awaited.get(name, inf):
            self._awaited[name] = session.expires_at
            heappush(self._deadlines, (session.expires_at, name))
""",
                """\
        assert self._awaited is not None
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "expires-too-early",
        "A detached session lives half of its resume period.",
        "EXP-1",
        "server",
        (
            Edit(
                """\
        session.expires_at = now + session.resume_period
        self._wait_for(session)
""",
                """\
        session.expires_at = now + session.resume_period / 2
        self._wait_for(session)
""",
            ),
        ),
    ),
    Mutant(
        "a-cut-ends-the-session",
        "The session ends with its link.",
        "EXP-2",
        "link",
        (
            Edit(
                """\
        self._state.fire(Input.LINK_LOST)
        self._over(now)
""",
                """\
        self._state.fire(Input.LINK_LOST)
        self._over(now, ends=True)
""",
            ),
        ),
    ),
    Mutant(
        "goodbye-ignored",
        "A CLOSE that ends the session only detaches it.",
        "EXP-2",
        "server_connection",
        (
            Edit(
                """\
        return not packet.resume  # whatever the code is (SPEC EXP-2); the exception is for servers
""",
                """\
        return packet.resume and not packet.reconnect
""",
            ),
        ),
    ),
    Mutant(
        "client-resumes-after-goodbye",
        "A client tries to resume a session that the server's CLOSE has ended.",
        "CLS-6",
        "connection",
        (
            Edit(
                """\
        return not packet.resume and packet.code != CloseCode.SUPERSEDED
""",
                """\
        return not packet.resume and packet.code != CloseCode.SUPERSEDED and packet.code < 200
""",
            ),
        ),
    ),
    Mutant(
        "ended-session-resurrected",
        "A session that has ended is still there for a RESUME.",
        "RST-8",
        "server",
        (
            Edit(
                """\
        del self.sessions[name]
        self._unproved.pop(name, None)
""",
                """\
        self._unproved.pop(name, None)
""",
            ),
        ),
    ),
    Mutant(
        "tombstone-ignored",
        "A RESUME finds the tombstone of a session and makes a session of it again.",
        "RST-8",
        "server",
        (
            Edit(
                """\
        if isinstance(found, Tombstone) and found.forget_at <= now:
            return None  # SPEC RST-3
        return found if any(good) else None
""",
                """\
        if isinstance(found, Tombstone) and any(good):
            again = ServerSession(self.config, now)
            again.session_id, again.incarnation, again.principal = packet.session, self.incarnation, found.principal
            again.confirmed, again.pending = found.digests
            again.outbox.open(1_000, 100_000, 100_000)
            again.outbox.sent = again.outbox.delivered = again.outbox.received = packet.counts.received
            again.inbox.received = again.inbox.delivered = packet.counts.sent
            again.owner = self
            self.sessions[packet.session] = found = again
        return found if any(good) else None
""",
            ),
        ),
    ),
    Mutant(
        "tombstones-unbounded",
        "The server remembers every session that has ended.",
        "RST-2",
        "server",
        (
            Edit(
                """\
        if len(self._tombstones) > self.config.tombstones:
            self._tombstones.popitem(last=False)
        self._events.append(report)
""",
                """\
        self._events.append(report)
""",
            ),
        ),
    ),
    Mutant(
        "reset-not-answered",
        "A client whose session was reset does not open another one.",
        "RST-5",
        "client_connection",
        (
            Edit(
                """\
        if self._state.current is State.DISCARDING:
            self._open(now)  # SPEC RST-5
""",
                """\
        assert now >= 0 or self._state.current is State.DISCARDING
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "loss-told-twice",
        "The end of a session is reported once for each time that it is ended.",
        "RST-6",
        "server",
        (
            Edit(
                """\
        self._events.append(report)
""",
                """\
        self._events.append(report)
        self._events.append(report)
""",
            ),
        ),
    ),
    Mutant(
        "server-never-pings",
        "A server does not ask an idle link for life.",
        "LIV-1",
        "server_connection",
        (
            Edit(
                """\
        self._liveness.watch_by_ping(self._config.ping_interval_seconds, self._draw, now)
""",
                """\
        assert self._liveness is not None
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "silence-unnoticed",
        "A client waits for ever for a server from which nothing comes.",
        "LIV-4",
        "client_connection",
        (
            Edit(
                """\
        self._liveness.watch_silence(session.silence_limit, now)
""",
                """\
        assert self._liveness is not None
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "only-a-pong-is-life",
        "Bytes that arrive after a PING do not count as life.",
        "LIV-2",
        "liveness",
        (
            Edit(
                """\
        if self.ping_open:
            self.ping_open = False
            self._timers.stop(Timer.PONG)
""",
                """\
        if self.ping_open and self._timers.get(Timer.PONG) is None:
            self.ping_open = False
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "pong-wait-from-queueing",
        "The pong wait begins when a PING is queued, not when it has left.",
        "LIV-2",
        "connection",
        (
            Edit(
                """\
        self._liveness.ping_open = True
""",
                """\
        self._liveness.ping_open = True
        self._liveness.left(self._config.pong_wait_seconds, now)
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "gap-kills-connections",
        "A process that slept holds its peers dead for the time in which it did not listen.",
        "LIV-5",
        "connection",
        (
            Edit(
                """\
        self._liveness.forgive(self.pong_wait, now)
        self.probe(now)
""",
                """\
        self.probe(now)
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "probes-what-it-has-left",
        "A clock that steps makes a client probe a connection that has made way for a newer one.",
        "ATT-15",
        "connection",
        (
            Edit(
                """\
        if self._state.current is State.ATTACHED and self.session is not None and not self._liveness.ping_open:
""",
                """\
        if self._state.current is State.ATTACHED and not self._liveness.ping_open:
""",
            ),
        ),
    ),
    Mutant(
        "gap-ends-sessions",
        "A server that slept ends the sessions whose period passed while nobody could come back.",
        "LIV-5",
        "server",
        (
            Edit(
                """\
                session.expires_at = floor
                session.expiry_moved = True
""",
                """\
                session.expiry_moved = True
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "gap-moves-expiry-for-ever",
        "Each late pass gives detached sessions another pong wait.",
        "LIV-5",
        "server",
        (
            Edit(
                """\
                session.expires_at = floor
                session.expiry_moved = True
""",
                """\
                session.expires_at = floor + session.resume_period
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "handshake-without-end",
        "A connection that never attaches is kept.",
        "ATT-13",
        "connection",
        (
            Edit(
                """\
                self._close(CloseCode.TIMEOUT, "not attached in time (SPEC ATT-13)", now)
""",
                """\
                self._now = now
""",
            ),
        ),
        Kind.LIVENESS,
    ),
)
