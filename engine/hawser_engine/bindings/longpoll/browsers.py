"""What browsers ask before and beside the protocol: origins and preflights (SPEC CAR-29; the Fetch standard, CORS)."""

from collections.abc import Collection
from typing import Final

from hawser_engine.bindings.http import Reply

from .fields import COUNTS, FIRST, GENERATION, NUMBER, RETRY_AFTER, SECRET, SESSION, TYPE

__all__ = ["Browsers"]

_MAX_AGE_SECONDS: Final = 7_200
"""How long a browser keeps the answer to a preflight: Chromium takes no more, Firefox up to a day."""

_ASKED: Final = ", ".join((SESSION, SECRET, GENERATION, NUMBER, COUNTS, FIRST, TYPE))
_EXPOSED: Final = ", ".join((COUNTS, FIRST, RETRY_AFTER))


class Browsers:
    """The pages that may use a service."""

    def __init__(self, origins: Collection[str] = ()) -> None:
        """Let pages of these origins in, such as ``https://example.org``; compared exactly (SPEC CAR-7)."""
        self._lines: dict[str, str] = {
            origin: f"access-control-allow-origin: {origin}\r\n"
            f"access-control-expose-headers: {_EXPOSED}\r\n"
            "vary: origin\r\n"
            for origin in origins
            if origin != "null"
        }

    def admits(self, origin: str | None) -> bool:
        """Say whether a request with this Origin header is taken; one without is none of a page elsewhere."""
        return origin is None or origin in self._lines

    def lines(self, origin: str | None) -> str:
        """Return the header lines with which the page of an origin may read a reply (SPEC CAR-29)."""
        return "" if origin is None else self._lines.get(origin, "")

    def preflight(self, origin: str | None) -> Reply:
        """Answer the question whether a page may send requests of this protocol (SPEC CAR-29)."""
        if origin is None or origin not in self._lines:
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
