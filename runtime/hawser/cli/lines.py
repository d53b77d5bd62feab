"""Values from the command line or from the lines of standard input, for whatever sends them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import trio

from . import WRONG_USAGE, CommandFailed
from .jsontext import check_payload, parse_json
from .standard import STDIN, say
from .streams import BadInput, Input, Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def open_lines(data: str | None, doing: str, *, text: bool) -> AsyncIterator[Line]:
    """The data of the command line as the only line, or those of standard input.

    Args:
        data: The value; None for standard input.
        doing: What is done with each line, for whoever types them.
        text: Whether lines are texts, and no JSON.

    Raises:
        CommandFailed: The data of the command line is no value; nothing is opened yet.
    """
    if data is not None:
        read_line(Line(0, data), text=text)
        return _One(data)
    if os.isatty(STDIN):
        kind = "text" if text else "JSON"
        say(f"{doing} each line that you type, as {kind}; Ctrl-D ends")
    return Input(STDIN)


def read_line(line: Line, *, text: bool) -> Any:
    """The value of a line.

    Raises:
        CommandFailed: It is none.
    """
    try:
        if not text:
            return parse_json(line.text)
        check_payload(line.text)
        return line.text
    except ValueError as error:
        why = f"{error}" if text else f"{error}; --text takes lines as they are"
        if line.number:
            raise BadInput(line.number, why) from None
        raise CommandFailed(f"DATA: {why}", WRONG_USAGE) from None


class _One:
    """The data of the command line as the only line."""

    def __init__(self, data: str) -> None:
        self._data: str | None = data

    def __aiter__(self) -> _One:
        return self

    async def __anext__(self) -> Line:
        await trio.lowlevel.checkpoint()
        if self._data is None:
            raise StopAsyncIteration
        line, self._data = Line(0, self._data), None
        return line
