"""What browsers ask before and beside the protocol: origins and preflights (SPEC CAR-29; the Fetch standard, CORS)."""

from collections.abc import Collection
from typing import Final

from hawser_engine.bindings.http import Reply

from .fields import COUNTS, FIRST, GENERATION, NUMBER, RETRY_AFTER, SECRET, SESSION

__all__ = ["Browsers"]

_MAX_AGE_SECONDS: Final = 7_200
"""How long a browser keeps the answer to a preflight: Chromium takes no more, Firefox up to a day."""

_ASKED: Final = ", ".join((SESSION, SECRET, GENERATION, NUMBER, COUNTS, FIRST, "content-type"))
_EXPOSED: Final = ", ".join((COUNTS, FIRST, RETRY_AFTER))


class Browsers:
    """The pages that may use a service."""

    def __init__(self, origins: Collection[str] = ()) -> None:
        """Let pages of these origins in, such as ``https://example.org``; compared exactly (SPEC CAR-7)."""
        self._origins: frozenset[str] = frozenset(origins) - {"null"}

    def admits(self, origin: str | None) -> bool:
        """Say whether a request with this Origin header is taken; one without is none of a page elsewhere."""
        return origin is None or origin in self._origins

    def headers(self, origin: str | None) -> tuple[tuple[str, str], ...]:
        """Return what every reply to a request with this origin says, so that the page may read it."""
        if origin is None or origin not in self._origins:
            return ()
        return (
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", _EXPOSED),
            ("vary", "origin"),
        )

    def preflight(self, origin: str | None) -> Reply:
        """Answer the question whether a page may send requests of this protocol (SPEC CAR-29)."""
        if origin is None or origin not in self._origins:
            return Reply(403)
        return Reply(
            204,
            (
                ("access-control-allow-origin", origin),
                ("access-control-allow-methods", "GET, POST"),
                ("access-control-allow-headers", _ASKED),
                ("access-control-max-age", str(_MAX_AGE_SECONDS)),
                ("vary", "origin"),
            ),
        )
