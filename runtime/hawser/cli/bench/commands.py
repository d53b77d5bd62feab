"""``hawser bench …``: the options of the four loads."""

from __future__ import annotations

import secrets
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import Annotated, Final

import attrs
import cyclopts
from cyclopts import Parameter

from hawser.cli.arguments import Choice, split_url, within

from .loads import NUMBER_BYTES, RETURN_SECONDS, Connect, Echo, Fanout, Load, Resume
from .meter import Bounds, process_cpu_seconds
from .run import Options, run_bench

EXAMPLES: Final = """Try:
  hawser bench echo http://127.0.0.1:8000
  hawser bench fanout http://127.0.0.1:8000 --clients 1000 --in-flight 16
  hawser bench resume http://127.0.0.1:8000 --plot resume.png"""

CLIENTS_MAX: Final = 10_000
IN_FLIGHT_MAX: Final = 256
SIZE_MAX: Final = 65_000
SECONDS_MAX: Final = 3_600
COUNT_MAX: Final = 100_000_000
ROUNDS_MAX: Final = 1_000
SPREAD_MIN: Final = 0.001
SPREAD_MAX: Final = 60.0


Server = Annotated[str | None, Parameter(help="The server; HAWSER_URL if it is left out.")]
Clients = Annotated[int, Parameter(help=f"How many clients (1 to {CLIENTS_MAX}).")]
InFlight = Annotated[int, Parameter(help=f"How many operations are under way at a time (1 to {IN_FLIGHT_MAX}).")]
Size = Annotated[int, Parameter(help=f"Bytes of payload ({NUMBER_BYTES} to {SIZE_MAX}).")]


@attrs.frozen(kw_only=True)
class Common:
    """Options of every load."""

    seconds: Annotated[float, Parameter(help=f"End after so long (0.1 to {SECONDS_MAX}).")] = 5.0
    count: Annotated[int, Parameter(help="End after so many operations.")] = COUNT_MAX
    server_pid: Annotated[int | None, Parameter(help="The server's process, to measure its CPU time.")] = None
    json: Annotated[bool, Parameter(help="Print the outcome as one JSON object.")] = False
    plot: Annotated[Path | None, Parameter(help="Draw latencies and rates into this .png file.")] = None
    transport: Annotated[
        Choice,
        Parameter(
            help="auto: at http URLs WebSocket where it works, else long-poll; ws: only the one; poll: only the other."
        ),
    ] = "auto"


AllOptions = Annotated[Common, Parameter(name="*")]
DEFAULTS: Final = Common()

bench: cyclopts.App = cyclopts.App(name="bench", help_epilogue=EXAMPLES, help_format="plaintext")


@bench.command(help="Calls that come back: each client waits for its own.")
def echo(
    url: Server = None,
    /,
    *,
    clients: Clients = 1,
    in_flight: InFlight = 1,
    size: Size = 256,
    procedure: Annotated[str, Parameter(help="What is called; it returns its argument.")] = "echo",
    common: AllOptions = DEFAULTS,
) -> int:
    """Measure calls."""
    _check(clients, in_flight, size)
    return _run("echo", Echo(clients, in_flight, size, procedure), url, common)


@bench.command(help="Publications to one channel with many subscribers, each counted at each of them.")
def fanout(
    url: Server = None,
    /,
    *,
    clients: Clients = 100,
    in_flight: InFlight = 1,
    size: Size = 256,
    channel: Annotated[str | None, Parameter(help="A channel that nobody else uses; a new one if not given.")] = None,
    common: AllOptions = DEFAULTS,
) -> int:
    """Measure deliveries."""
    _check(clients, in_flight, size)
    name = f"bench:{secrets.token_hex(8)}" if channel is None else channel
    return _run("fanout", Fanout(clients, in_flight, size, name), url, common)


@bench.command(help="New sessions, until all clients have one.")
def connect(
    url: Server = None, /, *, clients: Clients = 1_000, in_flight: InFlight = 64, common: AllOptions = DEFAULTS
) -> int:
    """Measure attaches."""
    _check(clients, in_flight, NUMBER_BYTES)
    return _run("connect", Connect(clients, in_flight), url, common)


@bench.command(help="All links cut at the same instant, and every session resumed.")
def resume(
    url: Server = None,
    /,
    *,
    clients: Clients = 1_000,
    rounds: Annotated[int, Parameter(help=f"How many times (1 to {ROUNDS_MAX}).")] = 1,
    spread: Annotated[
        float, Parameter(help=f"Seconds over which the clients come back ({SPREAD_MIN} to {SPREAD_MAX:g}).")
    ] = RETURN_SECONDS,
    common: AllOptions = DEFAULTS,
) -> int:
    """Measure resumes."""
    _check(clients, 1, NUMBER_BYTES)
    within("--rounds", rounds, 1, ROUNDS_MAX)
    within("--spread", spread, SPREAD_MIN, SPREAD_MAX)
    return _run("resume", Resume(clients, rounds, spread), url, common)


def _check(clients: int, in_flight: int, size: int) -> None:
    within("--clients", clients, 1, CLIENTS_MAX)
    within("--in-flight", in_flight, 1, IN_FLIGHT_MAX)
    within("--size", size, NUMBER_BYTES, SIZE_MAX)


def _run(name: str, load: Load, url: str | None, common: Common) -> int:
    within("--seconds", common.seconds, 0.1, SECONDS_MAX)
    within("--count", common.count, 1, COUNT_MAX)
    if common.server_pid is not None:
        process_cpu_seconds(common.server_pid)  # refused before the run if it cannot be measured
    place, _ = split_url([] if url is None else [url], common.transport, usage=f"hawser bench {name} URL")
    return run_bench(
        name, load, Options(place, Bounds(common.seconds, common.count), common.server_pid, common.json, common.plot)
    )
