"""What happens when something fails that should not: one log record here, an incident id to the peer (SPEC CAL-8)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = logging.getLogger("hawser")


def record_incident(random_bytes: Callable[[int], bytes], what: str, error: BaseException) -> str:
    """Log a failure with its traceback.

    Args:
        random_bytes: Where the id comes from.
        what: Where it happened, without anything secret.
        error: What happened; groups are logged whole.

    Returns:
        The incident id, which is all that the peer is told.
    """
    incident = random_bytes(4).hex()
    log.error("incident %s: %s failed", incident, what, exc_info=error)
    return incident
