"""A session as handlers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from hawser.principals import Principal


@attrs.define(eq=False)
class Session:
    """One conversation with one client, over however many connections.

    Handlers get it as their first argument. It is the same object from `App.on_connect` to `App.on_disconnect`.
    """

    principal: Principal
    """Who is at the other end; stays the same for the whole session (SPEC SEC-4)."""
    number: int
    """Counts the sessions of this server from 1 on; for logs, and good for nothing else."""
    data: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """Whatever the application wants to keep for this session; gone when the session ends."""
