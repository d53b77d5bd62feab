"""All planted bugs by name."""

from typing import Final

from .attaching import ATTACHING
from .keeping import KEEPING
from .mutant import Mutant
from .receiving import RECEIVING
from .sending import SENDING

__all__ = ["LACKING", "MUTANTS"]

MUTANTS: Final[dict[str, Mutant]] = {mutant.name: mutant for mutant in (*SENDING, *RECEIVING, *ATTACHING, *KEEPING)}

LACKING: Final[dict[str, str]] = {
    "replay-whole-batch": "links that are cut while a shared batch is under way",
    "replay-cuts-too-much": "links that are cut while a shared batch is under way",
    "number-while-detached": "a check that no number is given while nothing is attached",
    "batch-inside-a-run": "more messages of several parts, in wider windows",
    "runs-interleaved": "more messages of several parts, in wider windows",
    "run-begins-again": "more messages of several parts, in wider windows",
    "expired-after-its-number": "more messages of several parts, in wider windows",
    "report-counts-a-run-as-not-sent": "more messages of several parts, in wider windows",
    "report-believes-anything": "a peer with the right secret and false counts",
    "part-delivered-too-early": "more messages of several parts, in wider windows",
    "takes-beyond-the-window": "a peer that disregards the window or the length of a message",
    "skips-beyond-the-window": "a peer that disregards the window or the length of a message",
    "assembles-without-end": "a peer that disregards the window or the length of a message",
    "reassembly-lost-at-attach": "more messages of several parts, in wider windows",
    "held-bytes-drift": "a check that no honest peer is accused of a fault",
    "volatile-unbounded": "more uncounted messages before a slow reader, and a bound on their bytes",
    "clamps-an-ack": "a peer with the right secret and false counts",
    "drift-unnoticed": "a peer with the right secret and false counts",
    "believes-delivered-above-received": "a peer with the right secret and false counts",
    "window-not-reused": "a longer search: it is noticed rarely",
    "old-packets-break-the-connection": "a check that no honest peer is accused of a fault",
    "tail-forgotten": "a longer search: it is noticed rarely",
    "superseded-names-a-wrong-attempt": "a check that a session between honest peers ends only for a cause",
    "attempt-not-raised": "a longer search: it is noticed rarely",
    "clamps-instead-of-reset": "a peer with the right secret and false counts",
    "client-clamps-instead-of-reset": "a peer with the right secret and false counts",
    "attach-ignores-sent": "a peer with the right secret and false counts",
    "attach-ignores-what-was-trimmed": "a peer with the right secret and false counts",
    "drift-ends-nothing": "a peer with the right secret and false counts",
    "pending-secret-lost": "a longer search: it is noticed rarely",
    "confirmed-secret-replaced-too-early": "a check that a session between honest peers ends only for a cause",
    "secret-proved-by-being-issued": "a check that a session between honest peers ends only for a cause",
    "presented-secret-not-confirmed": "a check that a session between honest peers ends only for a cause",
    "old-secret-stays-good": "a thief with a secret that was replaced",
    "client-keeps-its-old-secret": "a check that a session between honest peers ends only for a cause",
    "client-takes-any-resumed": "a longer search: it is noticed rarely",
    "fights-with-its-copy": "two holders of one session",
    "hooks-before-the-proof": "a check that the server's application is told of a session once, after its proof",
    "other-principal-after-reauthentication": "AUTH for another principal",
    "refused-credentials-end-the-session": "a check that a session between honest peers ends only for a cause",
    "export-of-the-tail-skips-received": "a longer search: it is noticed rarely",
    "export-forgets-more": "more messages of several parts, in wider windows",
    "export-forgets-the-reassembly": "more messages of several parts, in wider windows",
    "export-forgets-the-pending-secret": "a check that a session between honest peers ends only for a cause",
    "export-forgets-the-confirmed-secret": "a check that a session between honest peers ends only for a cause",
    "export-forgets-how-far-a-run-got": "more messages of several parts, in wider windows",
    "restore-proves-the-session": "a check that the server's application is told of a session once, after its proof",
    "expiry-not-stopped-at-attach": "a check that a session between honest peers ends only for a cause",
    "detached-for-ever": "deadlines for dead links and detached sessions, with sleeps near their ends",
    "expires-too-early": "a check that a session between honest peers ends only for a cause",
    "a-cut-ends-the-session": "a check that a session between honest peers ends only for a cause",
    "goodbye-ignored": "a check of what follows a CLOSE that ends the session",
    "client-resumes-after-goodbye": "a check of what follows a CLOSE that ends the session",
    "reset-not-answered": "a check of the first packets behind a RESET",
    "server-never-pings": "deadlines for dead links and detached sessions, with sleeps near their ends",
    "only-a-pong-is-life": "a check that a connection is held dead only if no byte came in time",
    "pong-wait-from-queueing": "a check that a connection is held dead only if no byte came in time",
    "gap-kills-connections": "a check that a connection is held dead only if no byte came in time",
    "gap-ends-sessions": "deadlines for dead links and detached sessions, with sleeps near their ends",
    "gap-moves-expiry-for-ever": "deadlines for dead links and detached sessions, with sleeps near their ends",
}
"""What the simulator's world needs before it can notice them; the gate passes over these, and only these."""
