r"""The terminals of the tutorial, played: every command is started, and every line shown is really printed.

A block marked ``console title="terminal N"`` is what is seen in that terminal: ``$`` and a command, ``^C`` and ``^\``,
a word typed into the proxy, or a line that the running program prints. Nothing else may be printed, but where ``…``
stands. Ports are free ones in place of those of the page, and an epoch is any.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio

from tests.faults.processes import Program, running

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/tutorial/getting-started.md"
BLOCK: Final = re.compile(r'^```console title="terminal (\d)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SAVED: Final = re.compile(r'^```python title="([\w.]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)

TYPED: Final = ("reset", "refuse", "accept", "counts")
KEYS: Final = {"^C": signal.SIGINT, "^\\": signal.SIGQUIT}
PROGRAMS: Final = {"hawser": (sys.executable, "-m", "hawser"), "python": (sys.executable,)}
WELCOME: Final = "…"


def free_ports(pages: tuple[str, ...]) -> dict[str, str]:
    """A free port in place of each of the page."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in pages]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {page: str(one.getsockname()[1]) for page, one in zip(pages, sockets, strict=True)}


class Terminal:
    """One terminal, in which one program runs at a time."""

    def __init__(self, stack: AsyncExitStack, folder: Path, ports: Mapping[str, str]) -> None:
        self._stack = stack
        self._folder = folder
        self._ports = ports
        self._program: Program | None = None
        self._read = [0, 0]
        self._says_more = False

    async def show(self, line: str) -> None:
        """Do, or wait for, what a line of the page shows."""
        if line.startswith("$ "):
            await self.end(0)
            await self._start(line.removeprefix("$ "))
        elif line in KEYS:
            assert self._program is not None
            self._program.send(KEYS[line])
            await self.end(130 if line == "^C" else -signal.SIGQUIT)
        elif line in TYPED:
            assert self._program is not None
            await self._program.write(f"{line}\n")
        elif line == WELCOME:
            self._says_more = True
        else:
            await self._expect(line)

    async def end(self, code: int) -> None:
        """Wait for the program, if there is one, and see that it has said nothing that the page does not show."""
        if self._program is not None:
            assert await self._program.wait() == code, self._program.err.texts
            self.check()
        self._program = None

    def check(self) -> None:
        """See that everything the program has said is on the page."""
        if self._program is not None and not self._says_more:
            said = (self._program.out.texts, self._program.err.texts)
            assert [texts[read:] for texts, read in zip(said, self._read, strict=True)] == [[], []]

    async def _start(self, command: str) -> None:
        name, *arguments = shlex.split(self._with_ports(command))
        if command == "hawser serve":  # its default is the port of the page
            arguments += ["--listen", f"http://127.0.0.1:{self._ports['8000']}"]
        self._program = await self._stack.enter_async_context(running(*PROGRAMS[name], *arguments, cwd=self._folder))
        self._read = [0, 0]
        self._says_more = False

    async def _expect(self, line: str) -> None:
        pattern = re.sub(r"\b[0-9a-f]{16}\b", "[0-9a-f]{16}", re.escape(self._with_ports(line)))
        assert self._program is not None
        streams = (self._program.out, self._program.err)
        with trio.move_on_after(60):
            while True:
                for index, stream in enumerate(streams):
                    if len(stream.texts) > self._read[index] and re.fullmatch(pattern, stream.texts[self._read[index]]):
                        self._read[index] += 1
                        return
                await trio.sleep(0.01)
        raise AssertionError(f"not printed: {line}; printed: {[stream.texts for stream in streams]}")

    def _with_ports(self, text: str) -> str:
        for page, port in self._ports.items():
            text = re.sub(rf"\b{page}\b", port, text)
        return text


@pytest.mark.slow
async def test_every_terminal_shows_what_is_really_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, source in SAVED.findall(page):
        (tmp_path / name).write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")  # the page is followed in a checkout
    monkeypatch.delenv("HAWSER_URL", raising=False)
    ports = free_ports(("8000", "8001", "8002"))
    blocks = BLOCK.findall(page)
    assert len(blocks) > 15
    with trio.fail_after(240):
        async with AsyncExitStack() as stack:
            terminals = {number: Terminal(stack, tmp_path, ports) for number, _ in blocks}
            for number, shown in blocks:
                for line in shown.splitlines():
                    await terminals[number].show(line)
            for terminal in terminals.values():
                terminal.check()
