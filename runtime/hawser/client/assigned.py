"""Subscriptions that the server has decided: each runs the handler that the program gave (SPEC ASG-1 to ASG-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from hawser.errors import SessionClosed, SubscriptionLost
from hawser.incidents import record_incident
from hawser_engine.codes import GapReason

from .feed import Feed, gap_reason
from .subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser_engine.messages import ChannelOutcome, Position

    from .dialogue import Dialogue

    AssignedHandler: TypeAlias = Callable[[Subscription], Awaitable[object]]


class Assigned:
    """All subscriptions of a client that it has not asked for.

    Args:
        dialogue: Whose.
        handler: Runs for each, in a task of its own; None: the client takes none.
        random_bytes: Where incident numbers come from.
    """

    def __init__(
        self, dialogue: Dialogue, handler: AssignedHandler | None, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._dialogue = dialogue
        self._handler = handler
        self._random_bytes = random_bytes
        self._current: dict[str, Subscription] = {}
        self._known: dict[str, Position] = {}  # how far those came that were lost with their session

    def begin(self, outcome: ChannelOutcome) -> None:
        """The server has subscribed this client to a channel."""
        position, handler = outcome.position, self._handler
        if position is None or handler is None:
            return
        config, channel = self._dialogue.config, outcome.channel
        before = self._known.pop(channel, None)
        reason = _missing(before, position, outcome)
        since = None if reason is None else before
        feed = Feed(channel, since, messages_max=config.subscription_messages, bytes_max=config.subscription_bytes)
        feed.joined(position, reason)
        subscription = self._current[channel] = Subscription(self._dialogue, feed)
        self._dialogue.adopt(subscription)
        subscription.given()
        self._dialogue.start(self._run, handler, subscription)

    def over(self, subscription: Subscription) -> bool:
        """A subscription has ended; whether it was one of these."""
        if self._current.get(subscription.channel) is not subscription:
            return False
        del self._current[subscription.channel]
        return True

    def lost(self, reason: int) -> None:
        """The session is over, and with it what the server had decided there (ASG-4)."""
        for channel, subscription in self._current.items():
            position = subscription.position
            if position is not None:
                self._known.pop(channel, None)
                self._known[channel] = position
            self._dialogue.forget(subscription)
            subscription.finish(SubscriptionLost(channel, position, reason))
        self._current = {}
        while len(self._known) > self._dialogue.config.channels_per_session:
            del self._known[next(iter(self._known))]

    async def _run(self, handler: AssignedHandler, subscription: Subscription) -> None:
        try:
            await handler(subscription)
        except (SubscriptionLost, SessionClosed):
            pass  # it has nothing more to do
        except Exception as error:
            record_incident(self._random_bytes, f"subscription to {subscription.channel!r}", error)
        finally:
            self.over(subscription)
            self._dialogue.leave(subscription)
            subscription.finish(None)


def _missing(before: Position | None, position: Position, outcome: ChannelOutcome) -> GapReason | None:
    """Why something is missing before a subscription that begins at a position; None: nothing is (ASG-5)."""
    if before is not None and before.epoch != position.epoch:
        return GapReason.EPOCH_CHANGED
    if before is not None and before.offset < position.offset:
        return GapReason.HISTORY_TOO_SHORT
    return gap_reason(outcome)
