"""Who is compared, and how one of them is run once."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from benchmarks.peers.contenders import HAWSER as WEBSOCKET
from benchmarks.picture import OTHERS, OURS
from benchmarks.processes import said, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONTENDERS", "FULL", "HAWSER", "LOADS", "QUICK", "Contender", "Outcomes", "Plan", "run"]

Outcomes: TypeAlias = dict[str, dict[str, Any]]
"""What the generator printed, by load."""

LOADS: Final = ("one message", "16 messages at once")
PATIENCE_SECONDS: Final = 60.0


@frozen
class Plan:
    """How much is done."""

    rounds: int
    clients: int
    seconds: float
    """How long each load lasts."""
    budget_seconds: float
    """No round is begun that would end after this."""


FULL = Plan(rounds=9, clients=16, seconds=2.0, budget_seconds=240.0)
QUICK = Plan(rounds=1, clients=2, seconds=0.1, budget_seconds=60.0)


@frozen
class Contender:
    """One server."""

    name: str
    kind: str
    """What is asked of it, for the generator."""
    command: Sequence[str]
    packages: Sequence[str] = ()
    """The distributions whose versions matter."""
    colour: str = OTHERS

    @property
    def versions(self) -> str:
        """What was measured."""
        if not self.packages:
            asked = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=30)
            return f"node {asked.stdout.strip()}"
        return ", ".join(f"{package} {version(package)}" for package in self.packages)


HAWSER: Final = Contender("Hawser", "hawser", WEBSOCKET.command, ["hawser", "trio"], OURS)

_SERVERS: Final = "benchmarks.polls.servers"
CONTENDERS: Final = (
    HAWSER,
    Contender("Node http", "plain", [f"{_SERVERS}.node_server"]),
    Contender(
        "uvicorn, httptools", "plain", [f"{_SERVERS}.uvicorn_server", "httptools"], ["uvicorn", "httptools", "uvloop"]
    ),
    Contender("uvicorn, h11", "plain", [f"{_SERVERS}.uvicorn_server", "h11"], ["uvicorn", "h11", "uvloop"]),
    Contender("Hypercorn, Trio worker", "plain", [f"{_SERVERS}.hypercorn_server"], ["hypercorn", "h11", "trio"]),
)


def run(contender: Contender, plan: Plan) -> Outcomes:
    """Start one server, bring the loads on it, end it."""
    with serving(contender.command) as (pid, port):
        text = said(
            [
                "benchmarks.polls.generator",
                contender.kind,
                str(port),
                f"--server-pid={pid}",
                f"--clients={plan.clients}",
                f"--seconds={plan.seconds}",
            ],
            PATIENCE_SECONDS,
        )
    return {outcome["load"]: outcome for outcome in map(json.loads, text.splitlines())}
