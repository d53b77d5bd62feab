"""Reading what follows a request's head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser_engine.bindings.http import CONTINUE

if TYPE_CHECKING:
    from hawser_engine.bindings.http import Framing
    from hawser_transports.wires import Wire


async def read_body(data: bytes, frame: Framing, wire: Wire, seconds: float) -> tuple[bytes, bytes]:
    """Read a body, of which the beginning may be there; return it and what has come behind it.

    Args:
        data: What has come behind the head.
        frame: What the head says; the length has been judged.
        wire: Where the rest comes from.
        seconds: The whole body is there within these, or the connection is over.

    Raises:
        trio.BrokenResourceError: The client left, or was too slow.
    """
    if frame.waits and not data and frame.length:
        wire.write(CONTINUE)
    if len(data) < frame.length:  # else no deadline is needed, which costs more than all that is done with a head
        data = await _read_rest(data, frame.length, wire, seconds)
    return data[: frame.length], data[frame.length :]


async def _read_rest(data: bytes, length: int, wire: Wire, seconds: float) -> bytes:
    pieces = [data]
    size = len(data)
    with trio.move_on_after(seconds) as deadline:
        while size < length:
            piece = await wire.receive()
            if not piece:
                raise trio.BrokenResourceError("the client left in the middle of a body")
            pieces.append(piece)
            size += len(piece)
    if deadline.cancelled_caught:
        raise trio.BrokenResourceError("the body did not arrive in time")
    return b"".join(pieces)
