"""Mutants of the attach: attempts, fence, counts, secrets, who may have which session."""

from typing import Final

from .mutant import Edit, Kind, Mutant

__all__ = ["ATTACHING"]

ATTACHING: Final = (
    Mutant(
        "accepts-an-equal-attempt",
        "A RESUME with the attempt that was taken last is taken again.",
        "ATT-6",
        "server_connection",
        (
            Edit(
                """\
        if packet.attempt <= session.attempt:
""",
                """\
        if packet.attempt < session.attempt:
""",
            ),
        ),
    ),
    Mutant(
        "fence-by-arrival",
        "The RESUME that is judged last has the session, whatever its attempt.",
        "ATT-6",
        "server_connection",
        (
            Edit(
                """\
        if packet.attempt <= session.attempt:
""",
                """\
        if packet.attempt < 1:
""",
            ),
        ),
    ),
    Mutant(
        "old-attempt-has-an-effect",
        "A RESUME that comes too late fences the connection that has the session.",
        "ATT-6",
        "server_connection",
        (
            Edit(
                """\
        if packet.attempt <= session.attempt:
""",
                """\
        if packet.attempt <= session.attempt:
            server.fence(session, session.attempt, now)
            server.detached(session, now)
""",
            ),
        ),
    ),
    Mutant(
        "superseded-names-a-wrong-attempt",
        "CLOSE(SUPERSEDED) names an attempt that nobody has used.",
        "ATT-6",
        "server_connection",
        (
            Edit(
                """\
            self._close(CloseCode.SUPERSEDED, "a later attempt has attached", now, attempt=session.attempt)
""",
                """\
            self._close(CloseCode.SUPERSEDED, "a later attempt has attached", now, attempt=session.attempt + 1)
""",
            ),
        ),
    ),
    Mutant(
        "no-fence",
        "The older connection of a session goes on beside the new one.",
        "ATT-7",
        "server",
        (
            Edit(
                """\
            self._touch(older)
            session.flow_violations = 0  # that connection has not ended by one (SPEC WIN-3)
            older.fence(attempt, now)
""",
                """\
            self._touch(older)
""",
            ),
        ),
    ),
    Mutant(
        "no-second-look-after-authentication",
        "What a RESUME found is still used after the authenticator has taken its time.",
        "ATT-5",
        "server_connection",
        (
            Edit(
                """\
    digest: bytes
""",
                """\
    digest: bytes
    found: Any = None

    def __attrs_post_init__(self) -> None:
        assert self.digest
""",
            ),
            Edit(
                """\
        self._ask(_Claim(packet, digest), packet.credentials, None if found is None else found.principal)
""",
                """\
        self._ask(_Claim(packet, digest, found), packet.credentials, None if found is None else found.principal)
""",
            ),
            Edit(
                """\
        found = server.claim(packet, claim.digest, now)
        if found is None or found.principal != principal:
""",
                """\
        found = claim.found
        if found is None or found.principal != principal:
""",
            ),
        ),
    ),
    Mutant(
        "attempt-not-recorded",
        "The server does not remember which attempt it took last.",
        "ATT-6",
        "server",
        (
            Edit(
                """\
        session.attempt = attempt
        older = session.carrier
""",
                """\
        older = session.carrier
""",
            ),
        ),
    ),
    Mutant(
        "attempt-not-raised",
        "A client attaches with the same attempt every time.",
        "ATT-4",
        "client_connection",
        (
            Edit(
                """\
            attempt = session.attempt + 1
""",
                """\
            attempt = max(session.attempt, 1)
""",
            ),
        ),
        Kind.LIVENESS,
    ),
    Mutant(
        "clamps-instead-of-reset",
        "A server makes the counts of an attach fit instead of ending the session.",
        "ATT-11",
        "server_connection",
        (
            Edit(
                """\
        counts = packet.counts
        if not self._check_attach(session, counts):
            self._send(Reset(ResetReason.DRIFT, _own_counts(session)), now)
            self._rearm(now)
            server.end(session, ResetReason.DRIFT, now)
            return
""",
                """\
        counts = packet.counts
        if not self._check_attach(session, counts):
            box = session.outbox
            received = max(box.delivered, min(counts.received, box.sent))
            counts = Counts(received, max(box.delivered, min(counts.delivered, received)), counts.sent)
""",
            ),
        ),
    ),
    Mutant(
        "client-clamps-instead-of-reset",
        "A client makes the counts of RESUMED fit instead of ending the session.",
        "ATT-11",
        "client_connection",
        (
            Edit(
                """\
        if not self._check_attach(session, counts):
            self._attach(session)
            self.abandon(ResetReason.DRIFT, now)
            return
""",
                """\
        if not self._check_attach(session, counts):
            box = session.outbox
            received = max(box.delivered, min(counts.received, box.sent))
            counts = Counts(received, max(box.delivered, min(counts.delivered, received)), counts.sent)
""",
            ),
        ),
    ),
    Mutant(
        "attach-ignores-sent",
        "A peer that has sent less than this side has received is attached all the same.",
        "ATT-11",
        "connection",
        (
            Edit(
                """\
            box.delivered <= counts.delivered <= counts.received <= box.sent and counts.sent >= session.inbox.received
""",
                """\
            box.delivered <= counts.delivered <= counts.received <= box.sent
""",
            ),
        ),
    ),
    Mutant(
        "attach-ignores-what-was-trimmed",
        "A peer that has less than what was trimmed for it is attached all the same.",
        "ATT-11",
        "connection",
        (
            Edit(
                """\
            box.delivered <= counts.delivered <= counts.received <= box.sent and counts.sent >= session.inbox.received
""",
                """\
            counts.delivered <= counts.received <= box.sent and counts.sent >= session.inbox.received
""",
            ),
        ),
    ),
    Mutant(
        "drift-ends-nothing",
        "Counts of an attach that cannot be true are answered RESET, but the server keeps the session.",
        "RST-8",
        "server_connection",
        (
            Edit(
                """\
            self._rearm(now)
            server.end(session, ResetReason.DRIFT, now)
            return
""",
                """\
            self._rearm(now)
            server.detached(session, now)
            return
""",
            ),
        ),
    ),
    Mutant(
        "wrong-principal-accepted",
        "A RESUME is taken from whoever holds the secret.",
        "SEC-4",
        "server_connection",
        (
            Edit(
                """\
        if found is None or found.principal != principal:
            self._refuse_claim(packet, now)
""",
                """\
        if found is None:
            self._refuse_claim(packet, now)
""",
            ),
        ),
    ),
    Mutant(
        "any-secret-is-good",
        "The comparison of secrets always says yes.",
        "SEC-6",
        "server",
        (
            Edit(
                """\
        return found if any(good) else None
""",
                """\
        return found if good else None
""",
            ),
        ),
    ),
    Mutant(
        "no-secret-is-a-secret",
        "A secret that is not set is opened by a digest of zeros and by any other.",
        "SEC-1",
        "server",
        (
            Edit(
                """\
        good = [hmac.compare_digest(digest, known or bytes(len(digest))) and known is not None for known in digests]
""",
                """\
        good = [hmac.compare_digest(digest, known or digest) for known in digests]
""",
            ),
        ),
    ),
    Mutant(
        "pending-secret-lost",
        "The secret of a RESUMED is not kept: only the one before it is good.",
        "SEC-2",
        "server_connection",
        (
            Edit(
                """\
        self._proof = session.pending = server.digest(secret)
        self._send(Resumed(packet.attempt, _own_counts(session), secret), now)
""",
                """\
        self._proof = server.digest(secret)
        session.pending = None
        self._send(Resumed(packet.attempt, _own_counts(session), secret), now)
""",
            ),
        ),
    ),
    Mutant(
        "confirmed-secret-replaced-too-early",
        "The secret issued last, proved or not, becomes the confirmed one at the next attach.",
        "SEC-2",
        "server_connection",
        (
            Edit(
                """\
        if claim.digest == session.pending:
            session.confirmed, session.pending = session.pending, None
        counts = packet.counts
""",
                """\
        if session.pending is not None:
            session.confirmed, session.pending = session.pending, None
        counts = packet.counts
""",
            ),
        ),
    ),
    Mutant(
        "secret-proved-by-being-issued",
        "Only the secret of the last RESUMED is good, whether it arrived or not.",
        "SEC-2",
        "server_connection",
        (
            Edit(
                """\
        self._send(Resumed(packet.attempt, _own_counts(session), secret), now)
""",
                """\
        self._send(Resumed(packet.attempt, _own_counts(session), secret), now)
        session.confirmed = session.pending
""",
            ),
        ),
    ),
    Mutant(
        "presented-secret-not-confirmed",
        "A pending secret that a RESUME presents is replaced by the next pending one.",
        "SEC-3",
        "server_connection",
        (
            Edit(
                """\
        if claim.digest == session.pending:
            session.confirmed, session.pending = session.pending, None
        counts = packet.counts
""",
                """\
        counts = packet.counts
""",
            ),
        ),
    ),
    Mutant(
        "old-secret-stays-good",
        "The confirmed secret stays good beside the one that was proved after it.",
        "SEC-3",
        "server_connection",
        (
            Edit(
                """\
        if session.pending == self._proof:  # else it is a later ACK, in an unusual encoding
""",
                """\
        if session.pending == self._proof and session.confirmed is None:
""",
            ),
        ),
    ),
    Mutant(
        "client-keeps-its-old-secret",
        "A client goes on with the secret that it had before RESUMED.",
        "SEC-2",
        "client_connection",
        (
            Edit(
                """\
        session.secret = packet.secret
        session.outbox.acknowledge(counts.received, counts.delivered)
""",
                """\
        session.outbox.acknowledge(counts.received, counts.delivered)
""",
            ),
        ),
    ),
    Mutant(
        "client-takes-any-resumed",
        "A client takes a RESUMED of an attempt that is not its newest.",
        "ATT-8",
        "client_connection",
        (
            Edit(
                """\
        if self._retired:
            self._overhear(data, now)
""",
                """\
        if self._retired and self._state.current is not State.RESUMING:
            self._overhear(data, now)
""",
            ),
            Edit(
                """\
        if isinstance(packet, Resumed) and packet.attempt != self._client.session.attempt:
            return  # SPEC ATT-8
""",
                """\
        if isinstance(packet, Resumed) and packet.attempt > self._client.session.attempt:
            return  # SPEC ATT-8
""",
            ),
        ),
    ),
    Mutant(
        "client-listens-to-its-older-connection",
        "A client takes messages on an older connection after its RESUME has left on a newer one.",
        "ATT-15",
        "client_connection",
        (
            Edit(
                """\
        if client.connection is not None:
            client.connection.retire(now)
        client.connection = self
""",
                """\
        client.connection = self
""",
            ),
        ),
    ),
    Mutant(
        "taken-over-by-itself",
        "A client takes CLOSE(SUPERSEDED) with its own attempt for another holder.",
        "ATT-10",
        "client_connection",
        (
            Edit(
                """\
            and packet.attempt > session.attempt
""",
                """\
            and packet.attempt >= session.attempt
""",
            ),
        ),
    ),
    Mutant(
        "fights-with-its-copy",
        "A client does not mind that another holder has its session, and takes it back.",
        "ATT-9",
        "client_connection",
        (
            Edit(
                """\
            and packet.attempt > session.attempt
        )
""",
                """\
            and packet.attempt < 0
        )
""",
            ),
        ),
    ),
    Mutant(
        "hooks-before-the-proof",
        "A session counts as opened before its client has shown that it holds the secret.",
        "UNC-1",
        "server_connection",
        (
            Edit(
                """\
        self._begin(session, 0, now)  # nothing is there to be sent again
""",
                """\
        self._begin(session, 0, now)
        self._server.proved(session)
        session.tell(SessionOpened(session))
""",
            ),
        ),
    ),
    Mutant(
        "unproved-sessions-unbounded",
        "There may be any number of sessions without a proved secret.",
        "UNC-2",
        "server",
        (
            Edit(
                """\
        if len(self._unproved) >= self.config.unconfirmed_sessions:
            self._forget(next(iter(self._unproved)), now)
""",
                """\
        if len(self._unproved) >= 8 * self.config.unconfirmed_sessions:
            self._forget(next(iter(self._unproved)), now)
""",
            ),
        ),
    ),
    Mutant(
        "other-principal-after-reauthentication",
        "New credentials may belong to somebody else.",
        "AUT-4",
        "server_connection",
        (
            Edit(
                """\
            if session.principal != principal:
                self._close(CloseCode.UNAUTHORIZED, "another principal (SPEC AUT-4)", now)
                return
""",
                """\
            session.principal = principal
""",
            ),
        ),
    ),
    Mutant(
        "refused-credentials-end-the-session",
        "Credentials that are refused at a RESUME cost the session.",
        "ATT-16",
        "server_connection",
        (
            Edit(
                """\
        if self._verdict() is not None:
            self._close(CloseCode.UNAUTHORIZED, reason, now)
""",
                """\
        waiting = self._verdict()
        if isinstance(waiting, _Claim):
            found = self._server.claim(waiting.packet, waiting.digest, now)
            if isinstance(found, ServerSession):
                self._server.end(found, ResetReason.REVOKED, now)
        if waiting is not None:
            self._close(CloseCode.UNAUTHORIZED, reason, now)
""",
            ),
        ),
    ),
)
