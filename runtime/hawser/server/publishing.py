"""What clients publish, on its way to the broker: checked in turn, and answered when it is committed.

Rule: publications of one session are checked, and handed over, in the order in which they were sent (SPEC PUB-1,
PUB-4). Those that wait behind one that is being committed go together, where the broker gains by that.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hawser.about import carry, check_volatile
from hawser.brokers import BrokerUnavailable, Published, Submission
from hawser.calls import Refused, chosen_error_body, error_body
from hawser.contract.problems import ContractBroken
from hawser.errors import PayloadError, RequestFailed
from hawser.incidents import record_incident
from hawser.middleware import PublishRequest, pass_through
from hawser.payloads import ARGUMENT_BYTES_MAX
from hawser.principals import scoped_key
from hawser.rights import ASK
from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.channels.entries import Entry, publication_bytes, told
from hawser_engine.codes import ErrorCode
from hawser_engine.messages import ADDRESSING, Publish, encode_body
from hawser_engine.messages import Published as PublishedMessage
from hawser_engine.packets import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.app import App
    from hawser.contract.events import Events
    from hawser_engine.messages import PublishOptions

    from .node import Node
    from .sessions import ServerSession


async def publish(session: ServerSession, operation: Publish) -> bytes:
    """Carry out a publication; returns its answer.

    Raises:
        Refused: It is not published.
        BrokerUnavailable: It is not published.
    """
    try:
        return _answer(operation, await _publish(session, operation))
    except RequestFailed as error:
        return chosen_error_body(operation.id, error)


async def _publish(session: ServerSession, operation: Publish) -> Published:
    """Carry out a publication, with middleware around it where there is any.

    Raises:
        Refused: It is not published.
        RequestFailed: It is not published, as middleware has it.
        BrokerUnavailable: It is not published.
    """
    middleware = session.node.app.middlewares
    if not middleware:
        return await _accept(session, operation.channel, operation.data, operation.key, operation.options)
    request = PublishRequest(session.handle, operation.channel, operation.key, operation.options, raw=operation.data)
    published = await pass_through(
        middleware, request, lambda asked: _accept(session, asked.channel, asked.raw, asked.key, asked.options)
    )
    if not isinstance(published, Published):
        raise TypeError(f"middleware returned {published!r} for a publication, not what proceed() returned")
    return published


def at_once(app: App, operations: Sequence[tuple[object, int]]) -> list[Publish]:
    """The publications at the head of the queue that are handed over together; none where that is one alone.

    None where there is middleware, which sees each from its beginning to its end. One for which a handler has to be
    asked is only ever the first: however long that takes, nothing that is checked already waits for it.
    """
    most = app.broker.at_once
    found: list[Publish] = []
    if most > 1 and not app.middlewares:
        for operation, _ in islice(operations, most):
            if not isinstance(operation, Publish) or _is_volatile(operation.options):
                break
            if found and _asks(app, operation.channel):
                break
            found.append(operation)
    return found if len(found) > 1 else []


async def publish_all(session: ServerSession, operations: Sequence[Publish]) -> list[bytes]:
    """Carry out several publications together; returns their answers."""
    outcomes = await _publish_all(session, operations)
    return [
        _answer(operation, outcome) if isinstance(outcome, Published) else error_body(operation.id, outcome)
        for operation, outcome in zip(operations, outcomes, strict=True)
    ]


async def outcomes_of(
    session: ServerSession, operations: Sequence[Publish]
) -> list[Published | Refused | RequestFailed]:
    """Carry out the publications of one request, each with an outcome of its own (ADR-7)."""
    together = not session.node.app.middlewares and not any(_is_volatile(one.options) for one in operations)
    if together:
        return [*await _publish_all(session, operations)]
    outcomes: list[Published | Refused | RequestFailed] = []
    for operation in operations:
        try:
            outcomes.append(await _publish(session, operation))
        except RequestFailed as error:
            outcomes.append(error)
        except Exception as error:
            outcomes.append(refusal(session.node, operation.NAME, error))
    return outcomes


async def _publish_all(session: ServerSession, operations: Sequence[Publish]) -> list[Published | Refused]:
    checked: list[tuple[Publish, Submission | Refused]] = []
    for operation in operations:
        try:
            submission: Submission | Refused = await _check(
                session, operation.channel, operation.data, operation.key, operation.options
            )
        except Exception as error:
            submission = refusal(session.node, operation.NAME, error)
        checked.append((operation, submission))
    submissions = [one for _, one in checked if isinstance(one, Submission)]
    outcomes: list[Published | BrokerUnavailable | Refused] = []
    if submissions:
        try:
            outcomes += await session.node.app.broker.publish_all(submissions)
        except Exception as error:
            outcomes += [refusal(session.node, Publish.NAME, error)] * len(submissions)
    waiting = iter(outcomes)
    answers: list[Published | Refused] = []
    for operation, submission in checked:
        outcome = submission if isinstance(submission, Refused) else next(waiting)
        if not isinstance(outcome, Published):
            outcome = refusal(session.node, operation.NAME, outcome)
        answers.append(outcome)
    return answers


def refusal(node: Node, what: str, error: Exception) -> Refused:
    """What a client is told of a request that was not carried out; a fault is an incident."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, BrokerUnavailable):  # which says what there is to say of it in the log of this server
        until = "now" if error.temporary else "until somebody mends it"
        return Refused(ErrorCode.UNAVAILABLE, f"the store cannot do this {until}", temporary=error.temporary)
    return Refused(ErrorCode.INTERNAL, f"incident {record_incident(node.random_bytes, what, error)}")


async def _accept(
    session: ServerSession, channel: str, data: bytes, key: bytes | None, options: PublishOptions | None
) -> Published:
    one = await _check(session, channel, data, key, options)
    if _is_volatile(options):
        return Published(await session.node.app.broker.publish_volatile(channel, data, about=one.about), False)
    # PUB-2: the broker owns the channel; it returns when the publication is as durable as it promises.
    return await session.node.app.broker.publish(channel, data, retention=one.retention, key=one.key, about=one.about)


async def _check(
    session: ServerSession, channel: str, data: bytes, key: bytes | None, options: PublishOptions | None
) -> Submission:
    """Whether a session may publish something, and what the broker is told of it."""
    node = session.node
    rule = await node.allow(session, "publish", channel)
    principal = session.handle.principal
    if rule.events is not None:
        _check_event(rule.events, data, options)
    longest = node.config.message_bytes
    try:
        if _is_volatile(options):
            check_volatile(rule, key)
            longest = min(longest, MAX_BODY)  # VOL-3
        about = carry(rule.about, principal.id, options, _spared(session, options))
    except ValueError as error:
        raise Refused(ErrorCode.BAD_REQUEST, str(error)) from None
    # PUB-5, whatever its offset and time will be: what is accepted here never turns out too long for everybody.
    most = told(rule.about, Entry(MAX_INTEGER, b"", MAX_INTEGER, about))
    if publication_bytes(channel, MAX_INTEGER, data, most) > longest:
        message = f"a publication has at most {longest} bytes in all"
        raise Refused(ErrorCode.TOO_LARGE, message)
    return Submission(channel, data, rule.retention, scoped_key(principal, key), about)


def _check_event(events: Events, data: bytes, options: PublishOptions | None) -> None:
    """Refuse what is not as declared, before anybody has it (CTR-1)."""
    if len(data) > ARGUMENT_BYTES_MAX:
        raise Refused(ErrorCode.TOO_LARGE, f"data has at most {ARGUMENT_BYTES_MAX} bytes in this channel")
    try:
        events.check(data, None if options is None else options.tags)
    except ContractBroken as broken:
        raise Refused.broken("the publication", broken) from None
    except PayloadError as error:
        raise Refused(ErrorCode.BAD_REQUEST, f"the data is no CBOR value: {error}") from None


def _spared(session: ServerSession, options: PublishOptions | None) -> tuple[str, ...]:
    """Whom a publication spares: the session itself, if it says so and may (ADR-8, VER-6)."""
    if options is None or not options.except_me or ADDRESSING not in session.engine.features:
        return ()
    return (session.node.addressing.id(session).hex(),)


def _asks(app: App, channel: str) -> bool:
    """Whether a handler has to be asked who may publish."""
    rule = app.rule_for(channel)
    return rule is not None and rule.handler is not None and rule.rights.get("publish", ASK) is ASK


def _is_volatile(options: PublishOptions | None) -> bool:
    return options is not None and options.volatile is True


def _answer(operation: Publish, published: Published) -> bytes:
    return encode_body(PublishedMessage(operation.id, published.position, published.duplicate))
