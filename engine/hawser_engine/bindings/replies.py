"""Reading replies to requests, from whatever server or proxy answers: h11 with bounds."""

from typing import Final

import h11

from hawser_engine.errors import HawserError

from .http import Reply

__all__ = ["ReplyReader", "ReplyRefused"]

_HEAD_BYTES: Final = 16_384


class ReplyRefused(HawserError):
    """What came is no reply, or one too long."""


class ReplyReader:
    """Collects one reply."""

    __slots__ = ("_body", "_h11", "_limit", "_response", "_size")

    def __init__(self, method: str, limit: int) -> None:
        """Start with nothing.

        Args:
            method: Of the request that is answered.
            limit: Bytes of the body that are taken.
        """
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        # h11 has to see a request go to know what a reply to it may be; the real one has been written already.
        self._h11.send(h11.Request(method=method, target="/", headers=[("host", "-")]))
        self._h11.send(h11.EndOfMessage())
        self._limit = limit
        self._response: h11.Response | None = None
        self._body: list[bytes] = []
        self._size = 0

    def receive_data(self, data: bytes) -> Reply | None:
        """Take bytes, split anywhere; empty ones are the end of the stream.

        Returns:
            The reply once it is complete, None before.

        Raises:
            ReplyRefused: It is none, is too long, or will never be complete.
        """
        try:
            self._h11.receive_data(data)
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.Response):
                    self._response = event
                elif isinstance(event, h11.Data):
                    self._size += len(event.data)
                    if self._size > self._limit:
                        raise ReplyRefused(f"saw a body longer than {self._limit} bytes")
                    self._body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    return self._reply()
                elif not isinstance(event, h11.InformationalResponse):
                    return None  # it needs more
        except h11.RemoteProtocolError as error:
            raise ReplyRefused(f"what came is no reply: {error}") from None

    @property
    def persists(self) -> bool:
        """Whether another request may go where this one went; known once the reply is there."""
        states = self._h11.states.values()
        return all(state is h11.DONE for state in states) and self._h11.trailing_data == (b"", False)

    def _reply(self) -> Reply:
        response = self._response
        assert response is not None, "a message ends behind its head"
        try:
            headers = tuple((name.decode("ascii"), value.decode("ascii")) for name, value in response.headers)
        except UnicodeDecodeError:
            raise ReplyRefused("saw a header that is not ASCII") from None
        return Reply(response.status_code, headers, b"".join(self._body))
