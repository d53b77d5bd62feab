"""The vectors of the WebSocket carriage (SPEC.md section 14.2): handshakes of both roles, and streams of frames."""

from collections.abc import Callable, Iterator
from typing import Final

from . import closing, controls, fragments, messages, requests, responses
from .notation import Handshake, Stream

FILES: Final[dict[str, Callable[[], Iterator[Handshake | Stream]]]] = {
    "requests": requests.cases,
    "responses": responses.cases,
    "messages": messages.cases,
    "fragments": fragments.cases,
    "controls": controls.cases,
    "closing": closing.cases,
}
"""Which function writes which file."""
