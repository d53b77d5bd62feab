"""What is sent to somebody: who may send it, and what became of it (SPEC 15.12)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import attrs

from hawser_engine.codes import ErrorCode, SendStatus, TargetKind
from hawser_engine.messages import SendOutcome
from hawser_engine.messages import Sent as SentMessage

from .brokers import Published
from .calls import REMARK_BYTES_MAX, clipped
from .errors import RequestFailed
from .patterns import Rule
from .to import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hawser_engine.messages import PublishOptions

    from .server.session import Session

UserAction: TypeAlias = Literal["send", "broadcast"]
AuthorizeUser: TypeAlias = "Callable[[Session, UserAction, str], Awaitable[bool]]"
Status: TypeAlias = Literal["delivered", "queued", "nobody", "full", "published", "duplicate", "refused"]

EVERYBODY: Final = "*"
"""The name for which the right to send to everybody is asked; the longest pattern that matches it is ``*``."""

TARGETS_MAX: Final = 64
"""Targets of one SEND (SPEC ADR-1)."""

STATUSES: Final[dict[int, Status]] = {
    SendStatus.DELIVERED: "delivered",
    SendStatus.QUEUED: "queued",
    SendStatus.NOBODY: "nobody",
    SendStatus.FULL: "full",
    SendStatus.PUBLISHED: "published",
    SendStatus.DUPLICATE: "duplicate",
}
CODES: Final = {status: code for code, status in STATUSES.items()}


@attrs.define(eq=False)
class UserRule(Rule["AuthorizeUser"]):
    """What holds for the users whose ids match one pattern; `App.user` makes them.

    The actions that ``authorize`` is asked about are ``"send"`` and, for the name ``*``, ``"broadcast"``, as far as
    they are not declared.
    """


@attrs.frozen
class Outcome:
    """What became of what was sent, for one target."""

    target: Target
    """Which."""
    status: Status
    """``delivered``: at least one session has accepted it, and will have it unless that session ends before; what is
    unread when its block of `Client.directs` ends is dropped there.
    ``queued``: no session takes it, and it is stored as a letter in the mailbox of the user or the agent.
    ``nobody``: nobody is there who listens. ``full``: whoever is there does not keep up, and has no room for it.
    ``published``: it stands in the channel. ``duplicate``: under its key it stands there, or waits in the mailbox,
    already. ``refused``: see `error`."""
    reached: int = 0
    """How many sessions have accepted it."""
    away: int = 0
    """How many of them had no link at that moment: they get it when they are back."""
    full: int = 0
    """How many sessions had no room for it, and will not get it."""
    published: Published | None = None
    """Where it is published, or which letter it is in the mailbox; None where it is neither."""
    error: RequestFailed | None = attrs.field(default=None, eq=False)
    """Why it is refused; None where it is not."""


TEMPORARY: Final = frozenset({ErrorCode.BUSY, ErrorCode.UNAVAILABLE})
"""What always is (SPEC section 15), also where SENT has no word for it."""


@attrs.frozen
class Sent:
    """What became of what was sent."""

    outcomes: tuple[Outcome, ...]
    """One for each target, in their order."""

    @property
    def outcome(self) -> Outcome:
        """That of the only target.

        Raises:
            ValueError: There are several.
        """
        if len(self.outcomes) != 1:
            raise ValueError(f"there are {len(self.outcomes)} outcomes")
        (outcome,) = self.outcomes
        return outcome


@attrs.frozen
class Reach:
    """How many sessions were subscribed to a channel, or are not any more."""

    sessions: int = 0
    """How many: also those that were so before, and those that will be as soon as they have room for the news."""
    away: int = 0
    """How many of them had no link at that moment: they are told when they are back."""
    refused: int = 0
    """How many sessions could not be: their clients take no such subscription, or are in as many channels as may be."""
    unreached: int = 0
    """How many servers have not said what became of their sessions."""

    def __add__(self, other: Reach) -> Reach:
        return Reach(
            self.sessions + other.sessions,
            self.away + other.away,
            self.refused + other.refused,
            self.unreached + other.unreached,
        )


def listed(to: Target | Sequence[Target], options: PublishOptions | None = None) -> tuple[Target, ...]:
    """The targets of something that is to be sent.

    Args:
        to: One or several, as the program gave them.
        options: What is said beside the payload.

    Raises:
        TypeError: One of them is none.
        ValueError: There is none, or there are too many, or one is no channel and there are tags or a latest key.

    Spec: ADR-1, ADR-7.
    """
    single = isinstance(to, (Target, str)) or not isinstance(cast("object", to), Iterable)
    targets = tuple(_target(one) for one in ([to] if single else cast("Iterable[object]", to)))
    if not 1 <= len(targets) <= TARGETS_MAX:
        raise ValueError(f"something is sent to 1 to {TARGETS_MAX} targets at once, not to {len(targets)}")
    labelled = options is not None and not (options.tags is None and options.latest_key is None)
    if labelled and any(one.kind is not TargetKind.CHANNEL for one in targets):
        raise ValueError("only channels carry tags and a latest_key; send to the other targets apart")
    return targets


def _target(one: object) -> Target:
    if not isinstance(one, Target):
        example = one if isinstance(one, str) else "ada"
        raise TypeError(f"a target is made by hawser.to, such as to.user({example!r}); {one!r} is none")
    return one


def check_spared(but: object) -> None:
    """Refuse what is no list of sessions.

    Raises:
        TypeError: It is one session, or a string.
    """
    if isinstance(but, str) or not isinstance(but, Collection):
        raise TypeError(f"but is a list of sessions, such as [session], not {type(but).__name__}")


def sessions_of(to: Target | Sequence[Target]) -> tuple[Target, ...]:
    """The same of something that is done with sessions.

    Raises:
        ValueError: There is none, or there are too many, or one is no session and no user.
    """
    targets = listed(to)
    for target in targets:
        if target.kind not in (TargetKind.SESSION, TargetKind.USER):
            raise ValueError(f"subscriptions are those of sessions and users, not of {target}")
    return targets


@attrs.frozen
class Told:
    """What a sender is told of a target."""

    outcome: SendOutcome
    remark: str = ""
    """Why it is refused, for people (MSG-10)."""


def written(id: int, told: Sequence[Told]) -> SentMessage:
    """The SENT that tells it."""
    remarks = tuple(one.remark for one in told if _is_refused(one.outcome))
    return SentMessage(id, tuple(one.outcome for one in told), remarks or None)


def read(message: SentMessage) -> list[Told]:
    """What a SENT tells."""
    remarks = iter(message.remarks or ())
    return [Told(outcome, next(remarks, "") if _is_refused(outcome) else "") for outcome in message.outcomes]


def _is_refused(outcome: SendOutcome) -> bool:
    return outcome.status not in STATUSES


def outcome_of(target: Target, told: Told) -> Outcome:
    """What SENT says of a target (ADR-3)."""
    one = told.outcome
    status = STATUSES.get(one.status, "refused")
    published = error = None
    if one.position is not None:
        published = Published(one.position, status == "duplicate")
    if status == "refused":
        code = ErrorCode.__members__.get(one.reason, ErrorCode.INTERNAL)
        error = RequestFailed(code, told.remark or f"to {target.name!r}", temporary=code in TEMPORARY)
    return Outcome(target, status, one.reached, one.away, one.full, published, error)


def told_of(outcome: Outcome) -> Told:
    """What SENT says of an outcome: the other way around of `outcome_of`."""
    if outcome.status == "refused":
        error = outcome.error or RequestFailed(ErrorCode.INTERNAL)
        return refused(error.code, error.message)
    position = None if outcome.published is None else outcome.published.position
    return Told(SendOutcome(CODES[outcome.status], outcome.reached, outcome.away, outcome.full, position, ""))


def refused(code: ErrorCode | int, why: str) -> Told:
    """The outcome of a target to which nothing was sent."""
    known = code in ErrorCode.__members__.values()
    reason = ErrorCode(code).name if known else ErrorCode.DENIED.name
    return Told(SendOutcome(SendStatus.REFUSED, 0, 0, 0, None, reason), clipped(why, REMARK_BYTES_MAX))


def placed(published: Published) -> Told:
    """The outcome of a channel."""
    status = SendStatus.DUPLICATE if published.duplicate else SendStatus.PUBLISHED
    return Told(SendOutcome(status, 0, 0, 0, published.position, ""))
