"""The scenarios: each module has those of one topic, for both roles. ``notation`` says how to read them."""

from collections.abc import Callable, Iterator
from typing import Final

from . import (
    agents,
    attach,
    calls,
    carrying,
    channels,
    closing,
    counts,
    filtering,
    liveness,
    operations,
    parts,
    publishing,
    reauthentication,
    resets,
    resume,
    rewinding,
    secrets,
    streams,
    subscribing,
    windows,
    wire,
)
from .notation import Scene

FILES: Final[dict[str, Callable[[], Iterator[Scene]]]] = {
    "server-attach": attach.server,
    "server-resume": resume.server,
    "server-secrets": secrets.server,
    "server-counts": counts.server,
    "server-windows": windows.server,
    "server-parts": parts.server,
    "server-liveness": liveness.server,
    "server-resets": resets.server,
    "server-closing": closing.server,
    "server-reauthentication": reauthentication.server,
    "server-wire": wire.server,
    "service-operations": operations.server,
    "service-subscribing": subscribing.server,
    "service-rewinding": rewinding.server,
    "service-publishing": publishing.server,
    "service-channels": channels.server,
    "service-carrying": carrying.server,
    "service-filtering": filtering.server,
    "service-calls": calls.server,
    "service-agents": agents.server,
    "service-streams": streams.server,
    "client-attach": attach.client,
    "client-resume": resume.client,
    "client-counts": counts.client,
    "client-windows": windows.client,
    "client-parts": parts.client,
    "client-liveness": liveness.client,
    "client-resets": resets.client,
    "client-closing": closing.client,
    "client-reauthentication": reauthentication.client,
    "client-wire": wire.client,
}
"""Which function writes which file."""
