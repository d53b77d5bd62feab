"""Whom something is sent to: ``from hawser import to``, and then ``to.user("ada")`` or ``to.channel("room:lobby")``."""

from __future__ import annotations

from typing import Final

import attrs

from hawser_engine.codes import TargetKind

from .principals import check_name

__all__ = ["Target", "agent", "channel", "everybody", "session", "user"]


@attrs.frozen
class Target:
    """Somebody, or a channel; the functions of this module make it."""

    kind: TargetKind
    """What it is."""
    name: str | None
    """Who of this kind; None for `everybody`."""


def session(name: str) -> Target:
    """One session.

    Args:
        name: ``direct.session`` of something that it has sent, `Member.id` of presence, or `Directs.session`.

    Raises:
        ValueError: It is empty or too long.
    """
    return Target(TargetKind.SESSION, check_name("the name of a session", name))


def user(id: str) -> Target:
    """Somebody on all devices: every session of a principal.

    Args:
        id: `Principal.id`.

    Raises:
        ValueError: It is empty or too long.
    """
    return Target(TargetKind.USER, check_name("the id of a principal", id))


def agent(name: str) -> Target:
    """One worker of an agent, whose turn it is.

    Args:
        name: As for `Client.offer`.

    Raises:
        ValueError: It is empty or too long.
    """
    return Target(TargetKind.AGENT, check_name("the name of an agent", name))


def channel(name: str) -> Target:
    """Everybody who subscribes to a channel: it is published there.

    Args:
        name: The channel's name.

    Raises:
        ValueError: It is empty or too long.
    """
    return Target(TargetKind.CHANNEL, check_name("a channel name", name))


everybody: Final = Target(TargetKind.EVERYBODY, None)
"""Every session."""
