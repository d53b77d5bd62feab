"""The vectors of the long-poll carriage (SPEC.md section 14.3): a server and a client, request by request."""

from collections.abc import Callable, Iterator
from typing import Final

from . import attaching, client_attaching, client_ending, client_polling, client_posting, ending, polling, posting
from .notation import PollingScene, PollScene

FILES: Final[dict[str, Callable[[], Iterator[PollScene] | Iterator[PollingScene]]]] = {
    "server-attaching": attaching.scenes,
    "server-polling": polling.scenes,
    "server-posting": posting.scenes,
    "server-ending": ending.scenes,
    "client-attaching": client_attaching.scenes,
    "client-polling": client_polling.scenes,
    "client-posting": client_posting.scenes,
    "client-ending": client_ending.scenes,
}
"""Which function writes which file."""
