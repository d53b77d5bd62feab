"""``hawser call``: one call, its result as JSON."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from . import DONE, WRONG_USAGE, CommandFailed
from .jsontext import json_text, parse_json
from .running import Dial, report_line, run_command
from .standard import STDOUT
from .streams import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arguments import Place


def run_call(place: Place, procedure: str, arguments: Sequence[str]) -> int:
    """Call a procedure and print what it returns.

    Raises:
        CommandFailed: An argument is no JSON.
    """
    return run_command(partial(_call, place, procedure, read_arguments(arguments)))


def read_arguments(arguments: Sequence[str]) -> list[Any]:
    """The values of the arguments.

    Raises:
        CommandFailed: One is no JSON.
    """
    values: list[Any] = []
    for number, argument in enumerate(arguments, 1):
        try:
            values.append(parse_json(argument))
        except ValueError as error:
            raise CommandFailed(
                f"argument {number}, {argument!r}: {error}; a text is written '\"{argument}\"'", WRONG_USAGE
            ) from None
    return values


async def _call(place: Place, procedure: str, arguments: list[Any]) -> int:
    async with Dial(place) as client, trio.open_nursery() as nursery:
        nursery.start_soon(report_line, client)
        result = await client.call(procedure, *arguments)
        nursery.cancel_scope.cancel(reason="answered")
    await Output(STDOUT).write(json_text(result))
    return DONE
