"""The commands and their options, as cyclopts sees them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import cyclopts
from cyclopts import Parameter

from . import DONE, WRONG_USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP: Final = "\n\n".join(
    (
        "Hawser holds a conversation between programs while networks, tabs, phones and servers come and go: a session "
        "survives every broken connection, each accepted message arrives once and in order, and a loss that cannot be "
        "avoided is never silent.",
        "Try it: `hawser demo` sends the specification of its own protocol, line by line, through links that keep "
        "breaking, and counts what arrives. `hawser demo FILE --cut-every 100` does so with your file and more cuts.",
        "Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage or input, 130 Ctrl-C. "
        "NO_COLOR is honoured.",
    )
)

DEMO_HELP: Final = "\n\n".join(
    (
        "Publish the lines of a file through links that keep breaking, and count what arrives.",
        "A server, a publisher and subscribers run in this process. The memory links between them are cut, half-opened "
        "and silenced all the time. What arrives is compared with the file, line by line: the exit code is 0 only if "
        "nothing is lost, doubled or out of order at any subscriber.",
    )
)

app = cyclopts.App(
    name="hawser",
    help=HELP,
    help_format="plaintext",
    version=version("hawser"),
    version_flags=["--version"],
    default_parameter=Parameter(negative=""),
)


@app.command(help=DEMO_HELP)
def demo(
    file: Annotated[
        Path | None, Parameter(help="The file to publish; the protocol specification if not given.")
    ] = None,
    /,
    *,
    seconds: Annotated[float, Parameter(help="Spread the lines over so many seconds.")] = 10.0,
    cut_every: Annotated[float, Parameter(help="Break a link about every so many ms; 0 breaks none.")] = 300.0,
    subscribers: Annotated[int, Parameter(help="How many subscribers receive all of it (1 to 100).")] = 3,
    seed: Annotated[int, Parameter(help="Decides which links break, when and how.")] = 0,
    plain: Annotated[bool, Parameter(help="Print lines, also on a terminal.")] = False,
) -> int:
    """Run the demo; what it is stands in `DEMO_HELP`."""
    from .demo import Settings, run_demo

    if not (0 < seconds <= 86_400 and 0 <= cut_every <= 3_600_000 and 1 <= subscribers <= 100):
        raise CommandFailed(
            "--seconds is above 0 and up to 86400, --cut-every from 0 to 3600000, --subscribers from 1 to 100",
            WRONG_USAGE,
        )
    return run_demo(file, Settings(seconds, cut_every / 1_000, subscribers, seed), plain=plain)


def run(arguments: Sequence[str]) -> int:
    """Parse the arguments and run what they say.

    Raises:
        CommandFailed: The arguments are wrong, or the command failed.
    """
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        text = " ".join(str(error).split())
        raise CommandFailed(f"{text} Try: hawser --help", WRONG_USAGE) from None
    return result if isinstance(result, int) else DONE
