"""What is sent and no session takes, on its way into mailboxes (SPEC ADR-10, ADR-13, ADR-14).

Rule: each mailbox gets one letter of a SEND, after all sessions have been asked, and nobody is told of it before it is
stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from hawser.addressing import Told, placed, refused
from hawser.brokers import Published
from hawser.mailboxes import AGENT, USER, rule_of
from hawser_engine.codes import ErrorCode, SendStatus, TargetKind
from hawser_engine.messages import SendOutcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser.app import App
    from hawser.calls import Refused
    from hawser.errors import RequestFailed
    from hawser_engine.messages import Target

    from .reaching import Count, Mailing

    Deposit: TypeAlias = Callable[[str], Awaitable[Published | Refused | RequestFailed]]
    """Puts what is sent into a mailbox; raises nothing."""

Reached: TypeAlias = "Told | str"
"""What became of a target, or the mailbox for which it is taken."""

NOT_KEPT: Final = frozenset({ErrorCode.NOT_FOUND, ErrorCode.DENIED})
"""What has no mailbox, or none that the sender may post to, is as if there were none."""


class Leftovers:
    """What is left of one SEND for mailboxes.

    Args:
        app: Whose mailboxes.
        mailing: What is sent.
        key: Its idempotency key, as the store knows it.
        deposit: How it gets there.
        volatile: Whether it is not kept.
    """

    def __init__(
        self, app: App, mailing: Mailing, key: bytes | None, deposit: Deposit, *, volatile: bool = False
    ) -> None:
        self._app = app
        self._mailing = mailing
        self._key = key
        self._deposit = deposit
        self.volatile: bool = volatile
        """Whether it is not kept."""
        self._counts: dict[str, Count] = {}
        self._outcomes: dict[str, Told] = {}

    def mailbox(self, target: Target) -> str | None:
        """The mailbox of a target, if it has one."""
        owners = {TargetKind.USER: USER, TargetKind.AGENT: AGENT}
        if target.name is None or target.kind not in owners:
            return None
        mailbox = owners[TargetKind(target.kind)] + target.name
        return None if rule_of(self._app.mailbox_rules, mailbox) is None else mailbox

    def has(self, mailbox: str) -> bool:
        """Whether a letter is on its way there already."""
        return mailbox in self._counts

    async def known(self, mailbox: str) -> Told | None:
        """The outcome of a target in whose mailbox the key is remembered; None for all others.

        Raises:
            BrokerUnavailable: The store cannot say.
        """
        if self._key is None:
            return None
        position = await self._app.broker.mailboxes.known(mailbox, self._key)
        return None if position is None else placed(Published(position, True))

    def take(self, mailbox: str, target: Target, count: Count) -> bool:
        """Take it for a mailbox, as no session of the target has; False where it is not to be kept."""
        if self.volatile or self._stands_for_spared(target):
            return False
        self._counts[mailbox] = count
        return True

    async def store(self) -> None:
        """Store all letters, side by side: a store may write them in one go."""
        if self._counts:
            async with trio.open_nursery() as nursery:
                for mailbox in self._counts:
                    nursery.start_soon(self._store, mailbox)

    def told(self, outcome: Reached) -> Told:
        """The outcome of a target, once everything is stored."""
        return self._outcomes[outcome] if isinstance(outcome, str) else outcome

    async def _store(self, mailbox: str) -> None:
        stored, count = await self._deposit(mailbox), self._counts[mailbox]
        if isinstance(stored, Published):
            queued = Told(SendOutcome(SendStatus.QUEUED, 0, 0, count.full, stored.position, ""))
            self._outcomes[mailbox] = placed(stored) if stored.duplicate else queued
        else:
            not_kept = stored.code in NOT_KEPT
            self._outcomes[mailbox] = count.told() if not_kept else refused(stored.code, stored.message)

    def _stands_for_spared(self, target: Target) -> bool:
        """Whether somebody is spared who may be the one to hold the mailbox (ADR-8)."""
        spared = self._mailing.spared
        if target.kind == TargetKind.USER:
            return any(session.principal.id == target.name for session in spared)
        workers = (worker for node in self._app.nodes for worker in node.router.workers(target.name or ""))
        return bool(spared) and any(worker.handle in spared for worker in workers)
