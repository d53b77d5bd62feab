"""Running a command until it is done or interrupted, and saying what became of the line meanwhile."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import trio

from hawser import CloseCode, ConnectFailed, HawserError, RequestFailed, ResetReason, SessionClosed, connect, states

from . import DONE, INTERRUPTED, WRONG_USAGE, CommandFailed
from .arguments import TOKEN_VARIABLE, token
from .standard import STDOUT, say
from .streams import Output

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from hawser import Client, Config
    from hawser_transports import Transport

    from .arguments import Place

    Say = Callable[[str], None]

OUTAGE_ATTEMPTS: Final = 3
"""From this failed attempt in a row on, the user is told that there is no link; shorter cuts are everyday life."""


def run_command(command: Callable[[], Awaitable[int]]) -> int:
    """Run a command; Ctrl-C and SIGTERM cancel it, so it says goodbye to its server."""
    return trio.run(until_interrupted, command)


def run_printing(place: Place, print_to: Callable[[Client, Output], Awaitable[None]], *, agent: bool = False) -> int:
    """Run a command that prints what a client is given, until it has enough or nobody reads its output any more."""

    async def run() -> int:
        output = Output(STDOUT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(output.until_closed)
            async with Dial(place, agent=agent) as client:
                await print_to(client, output)
            nursery.cancel_scope.cancel(reason="done")
        return DONE

    return run_command(run)


async def until_interrupted(command: Callable[[], Awaitable[int]]) -> int:
    """The exit code of a command, or that of an interruption."""
    code = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def wait_for_signal() -> None:
                await anext(signals)
                nursery.cancel_scope.cancel(reason="interrupted")

            nursery.start_soon(wait_for_signal)
            code = await command()
            nursery.cancel_scope.cancel(reason="done")
    return code


async def report_line(client: Client, tell: Say = say) -> None:
    """Tell of every reset, and of every outage that lasts; runs until cancelled."""
    out = False
    async for state in client.states:
        match state:
            case states.Reset():
                tell(reset_text(state))
            case states.Connecting(attempt) | states.Resuming(attempt) if attempt == OUTAGE_ATTEMPTS:
                out = True
                tell("no link to the server; still trying")
            case states.Connected() if out:
                out = False
                tell("linked to the server again")
            case _:
                pass


def reset_text(reset: states.Reset) -> str:
    """What a reset means, with its counts (SPEC RST-6)."""
    try:
        name = ResetReason(reset.reason).name
    except ValueError:
        name = str(reset.reason)
    return (
        f"reset {name}: {reset.known_delivered} known delivered, {reset.unknown} unknown, {reset.not_sent} not sent; "
        "a new session goes on"
    )


class Dial:
    """A client of the server at a place, with the token of the environment; enter it with ``async with``.

    Whoever interrupts it waits for the goodbye, and for what was said before that: for each a second at most (EXP-7).

    Raises (also on entering):
        CommandFailed: Nothing serves the URL's scheme, or the URL does not fit what serves it.
    """

    def __init__(
        self, place: Place, *, agent: bool = False, config: Config | None = None, transport: Transport | None = None
    ) -> None:
        try:
            transport = place.transport() if transport is None else transport
            self._connection = connect(place.url, token=token(), agent=agent, config=config, transport=transport)
        except ValueError as error:
            raise CommandFailed(str(error), WRONG_USAGE) from None

    async def __aenter__(self) -> Client:
        try:
            self._client = await self._connection.__aenter__()
        except ValueError as error:
            raise CommandFailed(str(error), WRONG_USAGE) from None
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True):
            await self._client.aclose()
        await self._connection.__aexit__(kind, error, traceback)


def explain(error: HawserError) -> CommandFailed:
    """What ended a command, in one line that names the fix where there is a usual one."""
    match error:
        case ConnectFailed(code=None):
            return CommandFailed(f"{error}. Is a server there? `hawser serve` starts one")
        case ConnectFailed(code=CloseCode.UNAUTHORIZED) | SessionClosed(code=CloseCode.UNAUTHORIZED):
            given = "another token" if token() else "a token"
            return CommandFailed(f"{error}. Set {TOKEN_VARIABLE} to {given} that the server accepts")
        case RequestFailed(temporary=True):
            return CommandFailed(f"{error} (trying again later may help)")
        case _:
            return CommandFailed(str(error))
