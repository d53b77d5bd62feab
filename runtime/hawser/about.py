"""What a publication says beside its payload: who, when, tags, and what it is the newest of (SPEC CHN-13, PUB-7).

Rule: a channel declares what its publications carry, and nothing that a publisher says is dropped silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from hawser_engine.errors import LocalProtocolError
from hawser_engine.messages import About, Kept, PublishOptions

from .principals import check_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .rules import ChannelRule

Carried: TypeAlias = Literal["publisher", "time", "tags", "latest_key"]
"""What the publications of a channel may carry."""

OPTION_BYTES: Final = 1_024
"""What a publisher says beside the payload, at most: eight tags and a key."""


def check_carried(carried: Iterable[str]) -> frozenset[str]:
    """Refuse what no publication can carry.

    Raises:
        TypeError: It is a string.
        ValueError: There is something else in it.
    """
    check_list("about", carried)
    known = get_args(Carried)
    names = frozenset(carried)
    if names - set(known):
        raise ValueError(f"about is {sorted(names)}; publications carry {', '.join(known)}")
    return names


def publish_options(
    tags: Mapping[str, str] | None, latest_key: str | None, *, except_me: bool = False, volatile: bool = False
) -> PublishOptions | None:
    """What PUBLISH says beside the payload; None if that is nothing.

    Raises:
        ValueError: It cannot travel.
    """
    if not tags and latest_key is None and not except_me and not volatile:
        return None
    try:
        return PublishOptions(dict(tags) if tags else None, latest_key, except_me or None, volatile or None)
    except LocalProtocolError as error:
        raise ValueError(error.detail) from None


def check_volatile(rule: ChannelRule, key: bytes | None) -> None:
    """Refuse a volatile publication that cannot be one.

    Raises:
        ValueError: The channel has none, or it has an idempotency key, which nobody would remember.

    Spec: VOL-1.
    """
    if not rule.volatile:
        raise ValueError("this channel has no volatile publications")
    if key is not None:
        raise ValueError("a volatile publication has no idempotency key")


def carry(
    carried: frozenset[str], publisher: str | None, options: PublishOptions | None, spared: tuple[str, ...] = ()
) -> About | None:
    """What a broker is given to keep with a publication.

    Args:
        carried: What the channel declares.
        publisher: Who publishes it; None for the application.
        options: What was said with it.
        spared: The names of sessions that do not get it.

    Raises:
        ValueError: The channel does not carry what was said.

    Spec: CHN-13, PUB-8, ADR-8.
    """
    tags = latest_key = None
    if options is not None:
        tags, latest_key = options.tags, options.latest_key
        for name, value in (("tags", tags), ("latest_key", latest_key)):
            if value is not None and name not in carried:
                raise ValueError(f"the publications of this channel carry no {name}")
    if not carried and not spared:
        return None
    if "publisher" not in carried:
        publisher = None
    if spared:
        return Kept(publisher, None, tags, latest_key, spared)
    about = About(publisher, None, tags, latest_key)
    return None if about == About() else about
