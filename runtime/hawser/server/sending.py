"""What the application itself sends: nobody is asked whether it may (SPEC 15.12)."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from hawser.addressing import Sent, outcome_of, placed, refused
from hawser.brokers import BrokerUnavailable, MailboxFull
from hawser.calls import Refused
from hawser.incidents import record_incident
from hawser.principals import scoped_key
from hawser_engine.codes import ErrorCode, TargetKind
from hawser_engine.messages import Target

from .posting import deposit_from, no_room
from .queueing import Leftovers
from .reaching import Abroad, Mailing, begin, finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.addressing import Told
    from hawser.app import App
    from hawser.brokers import Published
    from hawser.to import Target as Addressed
    from hawser_engine.messages import PublishOptions

    from .reaching import Count, Meant
    from .session import Session


async def send_from(
    app: App,
    targets: Sequence[Addressed],
    payload: bytes,
    spared: Sequence[Session],
    key: bytes | None,
    options: PublishOptions | None,
) -> Sent:
    """Send something to the sessions of all servers that share an application's broker, and to channels (ADR-12).

    What none of these sessions takes goes into mailboxes (ADR-10).

    Args:
        app: The application.
        targets: To whom.
        payload: What.
        spared: Who does not get it.
        key: As for `App.publish`, and `App.post`.
        options: What goes with it into channels, and whether it is kept nowhere.
    """
    volatile = options is not None and options.volatile is True
    mailing = Mailing(None, None, payload, spared)
    leftovers = Leftovers(app, mailing, scoped_key(None, key), partial(_deposit, app, payload, key), volatile=volatile)
    begun: list[Meant | Told] = []
    for one in targets:
        begun.append(await _send(app, mailing, Target(one.kind, one.name), key, options, leftovers, begun))
    await Abroad(app.broker.sessions, [node.peers for node in app.nodes]).reach(mailing, begun)
    outcomes = [finish(one, leftovers) for one in begun]
    await leftovers.store()
    told = [leftovers.told(outcome) for outcome in outcomes]
    return Sent(tuple(outcome_of(target, outcome) for target, outcome in zip(targets, told, strict=True)))


async def _send(
    app: App,
    mailing: Mailing,
    target: Target,
    key: bytes | None,
    options: PublishOptions | None,
    leftovers: Leftovers,
    begun: Sequence[Meant | Told],
) -> Meant | Told:
    async def deliver(count: Count) -> None:
        for node in list(app.nodes):
            if not (count.reached and target.kind == TargetKind.AGENT):  # one worker of them all
                await node.addressing.deliver(mailing, target, count)

    try:
        if target.kind == TargetKind.CHANNEL:
            names = tuple(session.id for session in mailing.spared)
            done = app.publish_payload(target.name or "", mailing.data, key=key, options=options, spared=names)
            return placed(await done)
        return await begin(target, leftovers, begun, deliver)
    except Refused as error:
        return refused(error.code, error.message)
    except LookupError as error:
        return refused(ErrorCode.NOT_FOUND, str(error))
    except BrokerUnavailable as error:
        return refused(ErrorCode.UNAVAILABLE, str(error))


async def _deposit(app: App, payload: bytes, key: bytes | None, mailbox: str) -> Published | Refused:
    try:
        return await deposit_from(app, mailbox, payload, key)
    except MailboxFull as error:
        return no_room(error)
    except BrokerUnavailable as error:
        return Refused(ErrorCode.UNAVAILABLE, str(error), temporary=error.temporary)
    except Exception as error:
        return Refused(ErrorCode.INTERNAL, f"incident {record_incident(secrets.token_bytes, 'send', error)}")
