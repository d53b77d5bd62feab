"""The vectors of the long-poll carriage (SPEC.md section 14.3): a server, request by request."""

from collections.abc import Callable, Iterator
from typing import Final

from . import attaching, ending, polling, posting
from .notation import PollScene

FILES: Final[dict[str, Callable[[], Iterator[PollScene]]]] = {
    "server-attaching": attaching.scenes,
    "server-polling": polling.scenes,
    "server-posting": posting.scenes,
    "server-ending": ending.scenes,
}
"""Which function writes which file."""
