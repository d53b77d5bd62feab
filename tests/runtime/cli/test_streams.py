"""Lines through real pipes and files: bounds, back-pressure, readers that go."""

from __future__ import annotations

import os
import select
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from hawser.cli import CommandFailed, streams
from hawser.cli.streams import BadInput, Input, Line, Output

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def pipe() -> Generator[tuple[int, int]]:
    """A pipe; the test may close its ends."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with suppress(OSError):
                os.close(end)


async def test_lines_come_one_by_one_with_their_numbers() -> None:
    with pipe() as (reading, writing):
        lines = Input(reading)
        async with trio.open_nursery() as nursery:
            got: list[Line] = []

            async def read() -> None:
                got.extend([line async for line in lines])

            nursery.start_soon(read)
            for piece in ("a\nbé".encode()[:4], "bé".encode()[2:], b"\n", b"\n", b"last"):
                await trio.testing.wait_all_tasks_blocked()
                os.write(writing, piece)
            os.close(writing)
        assert got == [Line(1, "a"), Line(2, "bé"), Line(3, ""), Line(4, "last")]


async def test_a_file_needs_no_readiness(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes((b"x" * 99 + b"\n") * 2_000)
    with path.open("rb") as file:
        assert [line.number async for line in Input(file.fileno())] == list(range(1, 2_001))


async def test_a_cancelled_wait_takes_nothing() -> None:
    with pipe() as (reading, writing):
        lines = Input(reading)
        os.write(writing, b"half")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel() -> None:
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()

                nursery.start_soon(cancel)
                await anext(lines)
        os.write(writing, b" whole\n")
        assert await anext(lines) == Line(1, "half whole")


async def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(streams, "LINE_BYTES_MAX", 100_000)
    path = tmp_path / "lines"
    path.write_bytes(b"x\n" + b"y" * 300_000)
    with path.open("rb") as file:
        lines = Input(file.fileno())
        await anext(lines)
        with pytest.raises(BadInput, match="line 2: longer than 100000 bytes"):
            await anext(lines)


async def test_what_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"fine\nab\xff\n")
    with path.open("rb") as file:
        lines = Input(file.fileno())
        await anext(lines)
        with pytest.raises(BadInput, match="line 2: not UTF-8 at byte 3"):
            await anext(lines)


async def test_an_input_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(CommandFailed, match="cannot read standard input: Is a directory"):
            await anext(Input(descriptor))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_slow_reader_makes_writers_wait_and_gets_whole_lines_in_order(blocking: bool) -> None:
    with pipe() as (reading, writing):
        os.set_blocking(writing, blocking)
        output = Output(writing)
        expected = [f"{number}:" + "x" * 20_000 for number in range(20)]
        read = bytearray()
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                for line in expected:
                    await output.write(line)
                os.close(writing)

            nursery.start_soon(write)
            await trio.testing.wait_all_tasks_blocked()
            assert not select.select([], [writing], [], 0)[1]  # it waits for us, and the loop goes on
            while True:
                await trio.lowlevel.wait_readable(reading)
                if not (piece := os.read(reading, 10_000)):
                    break
                read += piece
        assert read.decode().split("\n") == [*expected, ""]


async def test_lines_of_several_tasks_do_not_mix() -> None:
    with pipe() as (reading, writing):
        output = Output(writing)
        async with trio.open_nursery() as nursery:

            async def write(letter: str) -> None:
                for _ in range(5):
                    await output.write(letter * 3_000)

            for letter in "abc":
                nursery.start_soon(write, letter)
        lines = os.read(reading, 100_000).decode().split("\n")
        assert sorted(lines) == sorted(["", *(letter * 3_000 for letter in "abc" for _ in range(5))])


async def test_a_reader_that_has_gone_breaks_the_next_write() -> None:
    with pipe() as (reading, writing):
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            await Output(writing).write("x")


async def test_a_reader_that_goes_is_noticed_without_a_write() -> None:
    with pipe() as (reading, writing):
        async with trio.open_nursery() as nursery:
            gone: list[bool] = []

            async def watch() -> None:
                with pytest.raises(BrokenPipeError):
                    await Output(writing).until_closed()
                gone.append(True)

            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            assert not gone
            os.close(reading)
        assert gone


async def test_an_output_that_is_no_pipe_is_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    ours, theirs = socket.socketpair()
    with ours, theirs, path.open("wb") as file:
        theirs.send(b"readable, which says nothing")
        for descriptor in (file.fileno(), ours.fileno()):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Output(descriptor).until_closed)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        await Output(file.fileno()).write("a line")
    assert path.read_bytes() == b"a line\n"
