"""Sending again what is lost of thin streams: those of which hardly anything is under way."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Final, Protocol

THIN_LINEAR_TIMEOUTS: Final = 16
"""The option of TCP on Linux; Python knows its name from 3.12 on."""


class _Socket(Protocol):
    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def resend_evenly(connection: _Socket) -> None:
    """Have the system send again at even intervals while less than four packets are under way, six times.

    Intervals that double are for links that are full, and a conversation of short messages fills none. Where many
    packets are lost it would stand still for half a minute after the seventh of a row. What a listening socket is told
    holds for the connections that it takes. Only Linux has it.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # it was reset meanwhile, or something below pretends to be Linux
            connection.setsockopt(socket.IPPROTO_TCP, THIN_LINEAR_TIMEOUTS, 1)
