"""The invariants, checked after every step on the sessions that the step touched.

Those of deadlines are in ``deadlines``: L4 (SPEC EXP-1, LIV-5), L5 and L6 (SPEC LIV-1, LIV-2, LIV-4, LIV-5).
"""

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.config import EngineConfig
from hawser_engine.events import SessionReset
from hawser_engine.inbox import Inbox
from hawser_engine.outbox import Outbox
from hawser_engine.session import ClientSession, ServerSession, Session

from .books import Direction, Pair, Violation

if TYPE_CHECKING:
    from .ends import End
    from .world import World

__all__ = ["check_pair", "check_report"]

_SLACK_SECONDS: Final = 0.01
_FAULTS: Final = (CloseCode.PROTOCOL_ERROR, CloseCode.FLOW, CloseCode.TOO_LARGE)


def check_pair(pair: Pair, world: "World", side: int) -> None:
    """Check everything that holds between the two sides of one session, after a step of one side."""
    server, client = pair.server, pair.client
    if server is None or server.ended is not None:
        server = None
    elif side:
        if server.attempt < pair.generation:
            raise Violation("I5", f"the generation went back from {pair.generation} to {server.attempt}")
        pair.generation = server.attempt
        if server.principal != pair.principal:
            raise Violation("I10", f"a session of {pair.principal} belongs to {server.principal} now")
        check_half(server, pair.down, world.plan.server)
    if client is None or client.ended is not None or pair.up is None:
        return
    if not side:
        check_half(client, pair.up, world.plan.client)
    if server is not None and not pair.hostile:
        check_secret(client, server)
        check_direction(client.outbox, server.inbox, pair.up)
        check_direction(server.outbox, client.inbox, pair.down)


def check_direction(box: Outbox, inbox: Inbox, books: Direction) -> None:
    """I2, I3 and I4 between an outbox and the inbox that it fills."""
    if not box.delivered <= inbox.delivered <= inbox.received <= box.sent:
        raise Violation(
            "I3",
            f"sender knows delivered {box.delivered}, sent {box.sent}; "
            f"receiver has delivered {inbox.delivered}, received {inbox.received}",
        )
    if not box.delivered <= box.received <= inbox.received:
        raise Violation("I3", f"sender knows received {box.received}, receiver has {inbox.received}")
    if box.delivered_messages > books.taken:
        raise Violation("I3", f"{box.delivered_messages} messages count as delivered, {books.taken} were taken")
    if box.delivered < books.acked:
        raise Violation("I3", f"what is known delivered went back from {books.acked} to {box.delivered}")
    books.acked = box.delivered


def check_half(session: Session, out: Direction, config: EngineConfig) -> None:
    """I2 and I4 for what one side holds."""
    box, inbox = session.outbox, session.inbox
    if session.carrier is not None:
        out.still = None
    else:
        attach = session.secret if isinstance(session, ClientSession) else session.attempt
        if out.still is None or out.still[0] != attach:  # it may have been attached for a moment
            out.still = attach, box.sent
        elif box.sent != out.still[1]:
            raise Violation("I7", f"numbers went from {out.still[1]} to {box.sent}, nothing is attached (SPEC NUM-1)")
    undelivered = box.sent - box.delivered
    if undelivered:
        held = [(before, before + batch.count) for before, batch in box.held()]
        if not held or held[-1][1] != box.sent or held[0][0] > box.delivered:
            raise Violation("I2", f"the replay buffer lacks a part behind {box.delivered}, sent {box.sent}")
        if held[0][1] <= box.delivered:
            raise Violation("I4", f"the replay buffer keeps part {held[0][1]}, delivered is {box.delivered}")
        if undelivered > 1 and (undelivered > box.window_messages or box.inflight_bytes > box.window_bytes):
            raise Violation("I4", f"{undelivered} parts of {box.inflight_bytes} bytes are under way")
    elif box.replay or box.inflight_bytes:
        raise Violation("I4", f"{len(box.replay)} parts of {box.inflight_bytes} bytes are kept, all is delivered")
    undrawn = inbox.received - inbox.delivered
    if undrawn > 1 and (undrawn > config.window_messages or inbox.held_bytes > config.window_bytes):
        raise Violation("I4", f"the inbox holds {undrawn} parts of {inbox.held_bytes} bytes")
    queue = box.queue
    if queue and len(queue) > 1:
        bytes_max = config.queue_bytes + config.reserve_bytes
        if len(queue) > 2 * config.queue_messages or box.queue_bytes > bytes_max:
            raise Violation("I4", f"{len(queue)} messages of {box.queue_bytes} bytes wait")
    if inbox.volatile_held > config.volatile_messages:
        raise Violation("I4", f"{inbox.volatile_held} uncounted messages wait")
    if box.accepted != len(out.accepted):
        raise Violation("I1", f"the engine accepted {box.accepted} messages, the application {len(out.accepted)}")


def check_report(report: SessionReset, out: Direction, pair: Pair | None) -> None:
    """I8: what an application is told at the loss of a session adds up, and is true."""
    if out.reported:
        raise Violation("I8", "the end of a session is told twice")
    out.reported = True
    out.ended_at = report.numbered
    total = report.known_delivered + report.unknown + report.not_sent + len(out.dropped)
    if min(report.known_delivered, report.unknown, report.not_sent) < 0 or total != len(out.accepted):
        raise Violation(
            "I8",
            f"{report.known_delivered} delivered + {report.unknown} unknown + {report.not_sent} not sent + "
            f"{len(out.dropped)} dropped, accepted were {len(out.accepted)} ({report.reason!r})",
        )
    if out.messages_begun > report.known_delivered + report.unknown:
        raise Violation(
            "I8",
            f"{report.not_sent} count as not sent, {report.unknown} as unknown, {report.known_delivered} as delivered; "
            f"parts of {out.messages_begun} were on a wire (SPEC RST-6)",
        )
    if pair is not None and not pair.hostile and report.known_delivered > out.taken:
        raise Violation("I8", f"{report.known_delivered} count as delivered, {out.taken} were taken")
    believed = None if pair is None else pair.believed
    if believed is not None and report.known_delivered > out.messages_up_to(believed):
        raise Violation(
            "I8", f"{report.known_delivered} count as delivered; the peer has stated {believed} (SPEC RST-1)"
        )
    if out.cursor > report.numbered and not (pair is not None and pair.hostile):
        raise Violation("I8", f"message {out.cursor} was handed out; numbered went to {report.numbered} only")


def check_ack_age(session: Session, into: Direction, config: EngineConfig, now: float, woke_at: float) -> None:
    """L2: deliveries are stated in time on an attached connection, counted from when the machine was last awake."""
    if session.carrier is None or session.inbox.delivered <= into.stated:
        into.unstated_since = None
    elif into.unstated_since is None or into.unstated_mark != (into.stated, session.attempt):
        into.unstated_since = now
        into.unstated_mark = into.stated, session.attempt
    elif now - max(into.unstated_since, woke_at) > config.ack_slow_seconds + _SLACK_SECONDS:
        raise Violation("L2", f"deliveries are not stated for {now - into.unstated_since:.3f} s")


def check_cause(reason: ResetReason | int, pair: Pair, *, server: bool) -> None:
    """I6: a session between honest peers ends only for a reason that the world gave (SPEC NUM-2, EXP-1, EXP-2)."""
    name = reason.name if isinstance(reason, ResetReason) else str(reason)
    if (pair.hostile and pair.owner is None) or name in pair.causes:
        return
    if not server and reason is ResetReason.UNKNOWN_SESSION and pair.server_over:
        return
    side = "server" if server else "client"
    raise Violation("I6", f"the {side} ends a session for {name}; what happened entails {sorted(pair.causes)}")


def check_goodbye(end: "End") -> None:
    """I6: a client's CLOSE with `resume` false, on the attached connection of its session, ends it (SPEC EXP-2)."""
    told, pair = end.terminated, end.wire.taps[1].pair
    if told is None or told.initiator != "remote" or told.resume or pair is None:
        return
    if pair.server is not None and pair.server.ended is None and pair.server.carrier is None:
        raise Violation("I6", f"{end.wire.label} said goodbye, and its session goes on")


def check_superseded(end: "End", session: ClientSession) -> None:
    """I5: a client that is told of an attempt that it never made gives its session up (SPEC ATT-9)."""
    told, wire = end.terminated, end.wire
    if told is None or told.code != CloseCode.SUPERSEDED or told.initiator != "remote" or wire.resume is None:
        return
    if session.session_id == wire.resume.session and wire.superseded > session.attempt:
        raise Violation("I5", f"{wire.label} was told of attempt {wire.superseded}, and keeps its session")


def check_secret(client: ClientSession, server: ServerSession) -> None:
    """I9: whatever was lost on the way, the secret that a client holds opens its session (SPEC SEC-2)."""
    if _digest(client.secret) not in (server.confirmed, server.pending):
        raise Violation("I9", "the secret that a client holds does not open its session (SPEC SEC-2)")


@lru_cache(maxsize=64)
def _digest(secret: bytes) -> bytes:
    return sha256(secret).digest()


def check_codes(end: "End") -> None:
    """I6: no connection between honest peers ends by a fault of one of them."""
    told = end.terminated
    if told is not None and not end.wire.hostile and told.code in _FAULTS:
        raise Violation("I6", f"{end.wire.label} ended with {told.code}: {told.reason}")
