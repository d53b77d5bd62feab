"""Who is compared, in which order they are shown, and how one of them is run once."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from benchmarks.picture import OTHERS, OURS, OURS_BARE
from benchmarks.processes import said, serving
from benchmarks.report import HERE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONTENDERS", "FULL", "HAWSER", "LOADS", "QUICK", "TRANSPORT", "Contender", "Outcomes", "Plan", "run"]

Outcomes: TypeAlias = dict[str, dict[str, Any]]
"""What the generator printed, by load."""

ONE: Final = "fan-out, 1 in flight"
LOADED: Final = "fan-out, 16 in flight"
LOADS: Final = (ONE, LOADED, "echo")

PATIENCE_SECONDS: Final = 120.0
"""When a generator hangs: it gives up by itself 20 s after the last sign of life."""


@frozen
class Plan:
    """How much is done."""

    rounds: int
    subscribers: int
    echoers: int
    seconds: float
    """How long each load lasts."""
    budget_seconds: float
    """No round is begun that would end after this."""


FULL = Plan(rounds=15, subscribers=1_000, echoers=100, seconds=1.0, budget_seconds=330.0)
QUICK = Plan(rounds=1, subscribers=4, echoers=2, seconds=0.1, budget_seconds=60.0)


@frozen
class Contender:
    """One server."""

    name: str
    kind: str
    """What it speaks, for the generator."""
    command: Sequence[str]
    packages: Sequence[str]
    """The distributions whose versions matter."""
    colour: str = OTHERS

    @property
    def versions(self) -> str:
        """What was measured."""
        return ", ".join(f"{package} {version(package)}" for package in self.packages)


HAWSER: Final = Contender(
    "Hawser",
    "hawser",
    ["hawser", "serve", "--listen=http://127.0.0.1:0", f"--config={HERE / 'peers' / 'servers' / 'hawser.toml'}"],
    ["hawser", "trio"],
    OURS,
)
TRANSPORT: Final = Contender(
    "Hawser's transport, no session",
    "transport",
    ["benchmarks.peers.servers.hawser_transport"],
    ["hawser", "trio"],
    OURS_BARE,
)
TRIO_WEBSOCKET: Final = Contender(
    "trio-websocket", "plain", ["benchmarks.peers.servers.trio_websocket_server"], ["trio-websocket", "trio"]
)
WEBSOCKETS: Final = Contender(
    "websockets, asyncio", "plain", ["benchmarks.peers.servers.websockets_server"], ["websockets", "uvloop"]
)
SOCKETIO: Final = Contender(
    "python-socketio, uvicorn",
    "socketio",
    ["benchmarks.peers.servers.socketio_server"],
    ["python-socketio", "uvicorn", "uvloop", "httptools"],
)

CONTENDERS: Final = (HAWSER, TRANSPORT, WEBSOCKETS, TRIO_WEBSOCKET, SOCKETIO)


@frozen
class Target:
    """What Hawser should reach in one load: so few microseconds, or so many times less than trio-websocket."""

    load: str
    microseconds: float | None
    times: float

    def missed(self, hawser_us: float, trio_websocket_us: float) -> bool:
        """Whether neither is reached."""
        if self.microseconds is not None and hawser_us <= self.microseconds:
            return False
        return trio_websocket_us / hawser_us < self.times

    def __str__(self) -> str:
        times = f"a {self.times:g}th of trio-websocket"
        return times if self.microseconds is None else f"{self.microseconds:g} µs or {times}"


TARGETS: Final = (Target(ONE, 7.5, 4.0), Target(LOADED, None, 30.0))


def run(contender: Contender, plan: Plan) -> Outcomes:
    """Start one server, bring all loads on it, end it."""
    with serving(contender.command) as (pid, port):
        text = said(
            [
                "benchmarks.peers.generator",
                contender.kind,
                str(port),
                f"--server-pid={pid}",
                f"--subscribers={plan.subscribers}",
                f"--echoers={plan.echoers}",
                f"--seconds={plan.seconds}",
            ],
            PATIENCE_SECONDS,
        )
    return {outcome["load"]: outcome for outcome in map(json.loads, text.splitlines())}
