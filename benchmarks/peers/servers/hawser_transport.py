"""Hawser's WebSocket transport alone: no session, no counts, no channel. What is left out is what a session costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio
from attrs import frozen

from hawser_transports import ListenerSettings, WebSocketTransport

from . import HOST, JOIN, PUBLISH, listening

if TYPE_CHECKING:
    from hawser_transports import Link


room: dict[Link, None] = {}


@frozen(eq=False)
class Member:
    """One connection: what its link brings is answered in the same step."""

    link: Link

    def received(self, batches: list[bytes]) -> None:
        """See `hawser_transports.Receiver`."""
        published: list[bytes] = []
        for batch in batches:
            if batch[0] == PUBLISH:
                published.append(batch)
                continue
            if batch[0] == JOIN:
                room[self.link] = None
            _send(self.link, [batch])
        if published:
            for link in room:
                _send(link, published)

    def ended(self, error: Exception | None) -> None:
        """See `hawser_transports.Receiver`."""
        room.pop(self.link, None)


def _send(link: Link, batches: list[bytes]) -> None:
    taken = link.send_nowait(batches)
    assert taken == len(batches), "what is in flight is less than a link takes without waiting"


async def main() -> None:
    """Serve until killed."""
    settings = ListenerSettings(connections_per_address=math.inf, accepts_per_second=math.inf)
    async with await WebSocketTransport(settings=settings).listen(f"ws://{HOST}:0") as listener:
        port = urlsplit(listener.url).port
        assert port is not None
        listening(port)
        await listener.serve(Member)


if __name__ == "__main__":
    trio.run(main)
