"""The servers that are compared, each the plainest program of its library that does the same work.

A message's first byte says what it is: `JOIN` enters the room and is sent back, `ECHO` is sent back, `PUBLISH` goes to
everybody in the room. Each prints ``listening on 127.0.0.1:PORT`` and serves until it is killed. None compresses, and
none pings within a run: keep-alive would be noise here.
"""

from typing import Final

__all__ = ["ECHO", "HOST", "JOIN", "PUBLISH", "listening"]

JOIN: Final = ord("J")
ECHO: Final = ord("E")
PUBLISH: Final = ord("P")

HOST: Final = "127.0.0.1"


def listening(port: int) -> None:
    """Tell whoever has started this server that it is ready."""
    print(f"listening on {HOST}:{port}", flush=True)
