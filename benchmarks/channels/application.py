"""The application that is measured: channels of each kind, procedures and agents, open to everybody."""

from __future__ import annotations

import gc
import os
import tracemalloc
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from hawser import App
from hawser_engine.channels.attendance import Writing
from hawser_engine.presence import Member

if TYPE_CHECKING:
    from hawser import Session

__all__ = ["BARE", "HISTORY", "KEPT", "PRESENT", "app"]

BARE: Final = "bare"
KEPT: Final = "kept"
PRESENT: Final = "present"
HISTORY: Final = 1_000
"""Publications that are kept of a channel of the second kind."""

app = App()
app.channel(f"{BARE}:*", open=True)
app.channel(f"{KEPT}:*", history=HISTORY, open=True)
app.channel(f"{PRESENT}:*", presence=True, open=True)
app.agent("*", open=True)


@app.procedure("echo")
async def echo(_session: Session, data: Any) -> Any:
    """Come back."""
    await trio.lowlevel.checkpoint()
    return data


@app.procedure("crowd")
async def crowd(_session: Session, channel: str, count: int) -> None:
    """Let so many be in a channel, as they are by the word of another server."""
    store = app.broker.presence
    members = [Member(b"%016d" % number, f"user {number}", b"") for number in range(count)]
    writings = [Writing(channel, member.member, member) for member in members]
    assert await store.write(await store.begin(inf), writings)


@app.procedure("trace")
async def trace(_session: Session) -> None:
    """Look at every allocation from now on."""
    await trio.lowlevel.checkpoint()
    tracemalloc.start()


@app.procedure("weigh")
async def weigh(_session: Session) -> list[int]:
    """The bytes of this process that are in memory, and those that are alive of what was allocated since `trace`."""
    await trio.lowlevel.checkpoint()
    gc.collect()
    return [_resident_bytes(), tracemalloc.get_traced_memory()[0]]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
