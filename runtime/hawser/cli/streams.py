"""Standard input and output beside an event loop: lines in, lines out, no thread.

Rule: nothing here blocks the loop, or links would go stale behind a slow reader of our output. A file descriptor is
used only when `select` says it is ready; a reader that falls behind makes `Output.write` wait, and that becomes
back-pressure on the channel.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Final

import attrs
import trio

from . import WRONG_USAGE, CommandFailed

LINE_BYTES_MAX: Final = 8 * 1024 * 1024
"""The longest input line: JSON text may be several times as long as the 1 MiB that a message carries."""
READ_BYTES: Final = 65_536


@attrs.frozen
class Line:
    """One line of input."""

    number: int
    """Counted from 1 on."""
    text: str
    """Without its end."""


class BadInput(CommandFailed):
    """A line of the input cannot be used."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}", WRONG_USAGE)
        self.number = number


class Input:
    """The lines of a file descriptor, as an async iterator. A cancelled wait has taken nothing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = bytearray()
        self._searched = 0  # how much of it is known to hold no end of a line
        self._number = 0
        self._over = False

    def __aiter__(self) -> Input:
        return self

    async def __anext__(self) -> Line:
        """Wait for the next line; a last one without an end counts.

        Raises:
            BadInput: It is too long, or no UTF-8.
            CommandFailed: The input cannot be read.
        """
        await trio.lowlevel.checkpoint()
        while (end := self._held.find(b"\n", self._searched)) < 0 and not self._over:
            self._searched = len(self._held)
            if self._searched > LINE_BYTES_MAX:
                raise BadInput(self._number + 1, f"longer than {LINE_BYTES_MAX} bytes")
            await self._read()
        if end < 0:
            if not self._held:
                raise StopAsyncIteration
            end = len(self._held)
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        self._searched = 0
        self._number += 1
        try:
            return Line(self._number, line.decode())
        except UnicodeDecodeError as error:
            raise BadInput(self._number, f"not UTF-8 at byte {error.start + 1}") from None

    async def _read(self) -> None:
        try:
            if not select.select([self._descriptor], [], [], 0)[0]:
                await trio.lowlevel.wait_readable(self._descriptor)
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return  # somebody else has read it
        except OSError as error:
            raise CommandFailed(f"cannot read standard input: {error.strerror or error}") from None
        self._over = not data
        self._held += data


class Output:
    """Writes lines to a file descriptor, each whole and in order.

    Raises (everywhere):
        BrokenPipeError: Whoever read it has gone, or there never was anybody.
        CommandFailed: It cannot be written, for example because a disk is full.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = trio.StrictFIFOLock()

    async def write(self, line: str) -> None:
        """Write a line, and wait until the system has taken all of it."""
        rest = memoryview(f"{line}\n".encode())
        async with self._turn:
            await trio.lowlevel.checkpoint()
            while rest:
                if not select.select([], [self._descriptor], [], 0)[1]:
                    await trio.lowlevel.wait_writable(self._descriptor)
                # So much fits into a pipe that is ready, without waiting.
                try:
                    rest = rest[self._write(rest[: select.PIPE_BUF]) :]
                except BlockingIOError:
                    continue  # somebody else has filled it

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except (BlockingIOError, BrokenPipeError):
            raise
        except OSError as error:
            if error.errno == errno.EBADF:  # it was closed before we began, which ends us no less quietly
                raise BrokenPipeError(*error.args) from None
            raise CommandFailed(f"cannot write standard output: {error.strerror or error}") from None

    async def until_closed(self) -> None:
        """Wait until the reader of a pipe has gone; for ever if it is no pipe, or the system does not tell.

        Without it a reader like ``head -1`` would be noticed only when the next message comes.
        """
        self._write(b"")
        poller = select.poll()
        poller.register(self._descriptor, 0)
        try:
            while not poller.poll(0):
                await trio.lowlevel.wait_readable(self._descriptor)
                if not poller.poll(0):
                    break  # readable, which says nothing of our reader
        except OSError:
            pass  # a plain file
        if poller.poll(0):
            raise BrokenPipeError("nobody reads the output any more")
        await trio.sleep_forever()
