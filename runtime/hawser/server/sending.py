"""What the application itself sends: nobody is asked whether it may (SPEC 15.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hawser.addressing import Sent, outcome_of, placed, refused
from hawser.brokers import BrokerUnavailable
from hawser.calls import Refused
from hawser_engine.codes import ErrorCode, TargetKind
from hawser_engine.messages import Target

from .addressing import Count, Mailing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.app import App
    from hawser.to import Target as Addressed
    from hawser_engine.messages import SendOutcome

    from .session import Session


async def send_from(
    app: App, targets: Sequence[Addressed], payload: bytes, spared: Sequence[Session], key: bytes | None
) -> Sent:
    """Send something to the sessions of all servers of this process that serve an application, and to channels.

    Args:
        app: The application.
        targets: To whom.
        payload: What.
        spared: Who does not get it.
        key: As for `App.publish`.
    """
    mailing = Mailing(None, None, payload, spared)
    told = [await _send(app, mailing, Target(one.kind, one.name), key) for one in targets]
    return Sent(tuple(outcome_of(target, outcome) for target, outcome in zip(targets, told, strict=True)))


async def _send(app: App, mailing: Mailing, target: Target, key: bytes | None) -> SendOutcome:
    try:
        if target.kind == TargetKind.CHANNEL:
            names = tuple(session.id for session in mailing.spared)
            return placed(await app.publish_payload(target.name or "", mailing.data, key=key, spared=names))
        count = Count()
        for node in list(app.nodes):
            if not (count.reached and target.kind == TargetKind.AGENT):  # one worker of them all
                await node.addressing.deliver(mailing, target, count)
        return count.told()
    except Refused as error:
        return refused(error.code)
    except LookupError:
        return refused(ErrorCode.NOT_FOUND)
    except BrokerUnavailable:
        return refused(ErrorCode.UNAVAILABLE)
