"""The loads, as commands of ``hawser bench``, and how one of them is run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from benchmarks.processes import said, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FULL", "LOADS", "QUICK", "Found", "Load", "Plan", "run"]

Found: TypeAlias = dict[str, Any]
"""What ``hawser bench … --json`` prints."""

SIZE: Final = 256
STORM_SECONDS: Final = 30
"""A storm ends when it is over, or after this."""
PATIENCE_SECONDS: Final = 120.0
"""When a generator hangs: it bounds its set-up to 60 s and what is under way at its end to 30 s."""


WEBSOCKET: Final = "--transport=ws"
"""Without the race of carriages, of which every client would pay a part."""


@frozen
class Plan:
    """How much is done."""

    rounds: int
    clients: int
    """Subscribers of a fan-out; sessions of a storm."""
    echoers: int
    """Clients that echo at the same time."""
    seconds: float
    """How long an echo or a fan-out lasts."""
    resumes: int
    """How often one session is cut."""
    budget_seconds: float
    """No round is begun that would end after this."""


FULL = Plan(rounds=9, clients=1_000, echoers=100, seconds=3.0, resumes=300, budget_seconds=330.0)
QUICK = Plan(rounds=1, clients=4, echoers=2, seconds=0.2, resumes=3, budget_seconds=60.0)


@frozen
class Load:
    """One command."""

    name: str
    per: str
    """What the CPU time is for."""
    arguments: Callable[[Plan], Sequence[str]]


def _echo(clients: int | None) -> Callable[[Plan], Sequence[str]]:
    return lambda plan: [
        "echo",
        f"--clients={clients or plan.echoers}",
        f"--size={SIZE}",
        f"--seconds={plan.seconds}",
        WEBSOCKET,
    ]


def _fanout(in_flight: int) -> Callable[[Plan], Sequence[str]]:
    return lambda plan: [
        "fanout",
        f"--clients={plan.clients}",
        f"--in-flight={in_flight}",
        f"--size={SIZE}",
        f"--seconds={plan.seconds}",
        WEBSOCKET,
    ]


def _storm(kind: str) -> Callable[[Plan], Sequence[str]]:
    return lambda plan: [kind, f"--clients={plan.clients}", f"--seconds={STORM_SECONDS}", WEBSOCKET]


def _resumes(transport: str) -> Callable[[Plan], Sequence[str]]:
    """One session that is cut again and again: what is measured is the way back, not the pause before it."""
    return lambda plan: [
        "resume",
        "--clients=1",
        f"--rounds={plan.resumes}",
        "--spread=0.001",
        f"--transport={transport}",
        f"--seconds={STORM_SECONDS}",
    ]


LOADS: Final = (
    Load("echo, one client", "echo", _echo(1)),
    Load("echo, 100 clients", "echo", _echo(None)),
    Load("fan-out to 1,000, one in flight", "delivery", _fanout(1)),
    Load("fan-out to 1,000, sixteen in flight", "delivery", _fanout(16)),
    Load("connect storm, 1,000 sessions", "session", _storm("connect")),
    Load("resume storm, 1,000 sessions", "resume", _storm("resume")),
    Load("resume, one session, WebSocket", "resume", _resumes("ws")),
    Load("resume, one session, long-poll", "resume", _resumes("poll")),
)


def run(load: Load, plan: Plan) -> Found:
    """Run a load once, against a server of its own."""
    with serving(["hawser", "serve", "--listen", "http://127.0.0.1:0"]) as (pid, port):
        command = ["hawser", "bench", *load.arguments(plan), "--json", f"--server-pid={pid}"]
        text = said([*command, f"http://127.0.0.1:{port}"], PATIENCE_SECONDS)
    found: Found = json.loads(text.splitlines()[-1])
    return found
