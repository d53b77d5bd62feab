"""What the members of a channel are asked, and what they answer (SPEC 15.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from .errors import CallError, PayloadError
from .payloads import decode_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Answering: TypeAlias = "Callable[[Question], Awaitable[object]]"
"""Answers for a subscription: ``async def handler(question) -> value``."""
AnswerStatus: TypeAlias = Literal["answered", "refused", "gone", "silent", "unreached"]

ASK_PROCEDURE: Final = "$ask"
"""What the server calls at a session that answers (ASK-2)."""
COLLECT_PROCEDURE: Final = "$collect"
"""What a client calls to ask (ASK-3)."""
STATUSES: Final[tuple[AnswerStatus, ...]] = ("answered", "refused", "gone", "silent", "unreached")
"""By their numbers in an item of `COLLECT_PROCEDURE`."""


@attrs.frozen
class Question:
    """What somebody asks the members of a channel, as one of them gets it."""

    channel: str
    """Of which channel."""
    user: str | None
    """Id of the principal that asks, nothing that a client could make up; None: the application does."""
    raw: bytes = attrs.field(repr=False)
    """The question as it travelled."""

    @property
    def data(self) -> Any:
        """The question as a value, decoded at each access.

        Raises:
            PayloadError: Whoever asks sent something else than a payload of Hawser.
        """
        return decode_payload(self.raw)


@attrs.frozen
class Answer:
    """What came of a question to one member."""

    status: AnswerStatus
    """``answered``: see `data`. ``refused``: see `error`. ``gone``: its session has ended, or it had left the channel
    before it was asked; it may have been at it. ``silent``: there was no answer in time; it may still be at it.
    ``unreached``: this is no member, but a server of which nobody knows who answers there; they were not asked."""
    user: str
    """Id of its principal; empty for a server."""
    session: str
    """Its session, for `hawser.to.session`; empty for a server."""
    raw: bytes | None = attrs.field(default=None, repr=False)
    """The answer as it travelled; None where there is none."""
    error: CallError | None = attrs.field(default=None, eq=False)
    """Why it refused; None if it did not."""

    @property
    def data(self) -> Any:
        """The answer as a value, decoded at each access; None where there is none.

        Raises:
            PayloadError: It is no payload of Hawser.
        """
        return None if self.raw is None else decode_payload(self.raw)

    def item(self) -> list[Any]:
        """As it goes to whoever has asked (ASK-3)."""
        code, message = (0, "") if self.error is None else (self.error.code, self.error.message)
        return [STATUSES.index(self.status), self.user, self.session, self.raw, code, message]

    @classmethod
    def read(cls, item: Any) -> Answer:
        """An item of `COLLECT_PROCEDURE`.

        Raises:
            PayloadError: It is none.
        """
        match item:
            case [int(status), str(user), str(session), bytes() | None as raw, int(code), str(message), *_]:
                known = STATUSES[status] if 0 <= status < len(STATUSES) else "silent"
                return cls(known, user, session, raw, CallError(code, message) if code else None)
            case _:
                raise PayloadError("the server sent something else than an answer")


@attrs.frozen
class Collected:
    """All answers that came until the end."""

    answers: tuple[Answer, ...]
    """One for each member that was asked, as they came; and one for each server that did not say who answers there."""
    unasked: int | None = 0
    """How many more subscribe to the channel and answer nothing, so that they were not asked: without `answers` of
    `Client.subscribe`, or because the server has subscribed them. Whoever asks is not counted, nor who is left out or
    has only a pattern of the channel. None: the server does not say."""

    @property
    def complete(self) -> bool:
        """Whether every member has answered, at all servers: nobody is missing, and nobody was not asked.

        So it is where the channel has no members, and `answers` is empty.
        """
        return not self.missing and self.unasked == 0

    @property
    def missing(self) -> tuple[Answer, ...]:
        """Those who were asked and have not answered, and servers that are unreached."""
        return tuple(one for one in self.answers if one.status != "answered")

    @property
    def data(self) -> list[Any]:
        """What those answered who did.

        Raises:
            PayloadError: One of them is no payload of Hawser.
        """
        return [one.data for one in self.answers if one.status == "answered"]

    @classmethod
    def read(cls, answers: Sequence[Answer], result: Any) -> Collected:
        """What came of `COLLECT_PROCEDURE`.

        Args:
            answers: Its items.
            result: What it has returned beside them; anything else than ASK-6 says leaves `unasked` None.
        """
        match result:
            case [int(unasked), *_]:
                return cls(tuple(answers), unasked)
            case _:
                return cls(tuple(answers), None)
