"""What a line tells whoever speaks over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hawser_engine.events import SessionReset

    from .states import State


class Conversation(Protocol):
    """Who is at this end of the line; every method is synchronous."""

    def changed(self, state: State) -> None:
        """The state of the line has changed."""

    def opened(self) -> None:
        """A new session is there; nothing of it has been sent yet."""

    def lost(self, report: SessionReset) -> None:
        """The session is over; another one comes."""

    def message(self, body: bytes) -> bool:
        """A message has arrived.

        Returns:
            Whether the server is to be told at once that it is taken (SPEC MBX-17).

        Raises:
            RemoteProtocolError: It is malformed, or not a server's to send.
        """
        ...

    def volatile(self, body: bytes) -> None:
        """Something has arrived that is not counted."""

    def room(self) -> None:
        """There may be room to send again."""

    def judged(self) -> None:
        """The server has accepted credentials."""
