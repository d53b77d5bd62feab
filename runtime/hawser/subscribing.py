"""What a subscription is asked for with, by a client or by the application for it."""

from __future__ import annotations

from hawser_engine.channels.filters import parse_filter
from hawser_engine.errors import LocalProtocolError
from hawser_engine.messages import Position, SubscribeOptions


def subscribe_options(
    rewind: int | None, rewind_seconds: float | None, filter: str | None = None, *, answers: bool = False
) -> SubscribeOptions | None:
    """How to subscribe; None: as the channel declares.

    Raises:
        TypeError: The filter is no text.
        ValueError: That cannot be asked for.
    """
    if rewind is None and rewind_seconds is None and filter is None and not answers:
        return None
    if filter is not None:
        _check_filter(filter)
    try:
        rewind_ms = None if rewind_seconds is None else round(rewind_seconds * 1_000)
        return SubscribeOptions(rewind, rewind_ms, filter, answers or None)
    except (LocalProtocolError, OverflowError, ValueError) as error:
        raise ValueError(f"rewind and rewind_seconds are 0 or more, and finite: {error}") from None


def _check_filter(filter: object) -> None:
    if not isinstance(filter, str):
        raise TypeError(f"filter is a text, such as 'kind == \"goal\"', not {type(filter).__name__}")
    parse_filter(filter)


def check_since(since: object, name: str = "since") -> None:
    """Refuse what no subscription can go on from; its feed would stumble over it when something is missing.

    Args:
        since: What was given.
        name: The argument that it was given as.

    Raises:
        TypeError: It is neither None nor a position.
    """
    if since is not None and not isinstance(since, Position):
        raise TypeError(f"{name} is a Position, as message.position is one, not {type(since).__name__}")
