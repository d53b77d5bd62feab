"""The load on every peer: one process, plain sockets, as little work for each message as Python allows.

What a server sends is not decoded but counted: each payload ends with `MARKER`, and looking for that in what has
arrived costs the same for every protocol and next to nothing. What a client has to answer (Hawser's acknowledgements)
is answered as often as a client does.
"""

from typing import Final

__all__ = ["MARKER", "SIZE"]

MARKER: Final = b"~MARKER~"
"""The end of every payload. Text, because Socket.IO sends text."""
SIZE: Final = 256
"""Bytes of a payload."""
