"""What is measured, in which order it is shown, and how each is run once."""

from __future__ import annotations

import json
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from benchmarks.peers.contenders import TRANSPORT
from benchmarks.polls.contenders import CONTENDERS as POLLED
from benchmarks.processes import GENERATOR_CORE, Failed, running, said, serving
from benchmarks.report import HERE

from .agent import PROCEDURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CALLS", "CASES", "FANOUT", "FLAPS", "FULL", "JOINS", "MEMORY", "QUICK", "Case", "Plan", "Row"]

Row: TypeAlias = dict[str, Any]
"""What a generator prints."""

PATIENCE_SECONDS: Final = 240.0
"""When a generator hangs: it gives up by itself two minutes after the last sign of life."""
OUR_SERVER: Final = (
    "hawser",
    "serve",
    "--listen=http://127.0.0.1:0",
    "--app=benchmarks.channels.application:app",
    f"--config={HERE / 'channels' / 'server.toml'}",
)


@frozen
class Plan:
    """How much is done."""

    rounds: int
    subscribers: int
    """Of the channel of a fan-out; who joins one."""
    turns: int
    """How often each fan-out has its turn."""
    turn_seconds: float
    channels: int
    """That are weighed."""
    members: int
    """Of a channel that as many leave in a second, and come back to, as a fan-out has subscribers."""
    flap_seconds: float
    call_seconds: float
    budget_seconds: float
    """No round is begun that would end after this."""


FULL = Plan(
    rounds=5,
    subscribers=1_000,
    turns=6,
    turn_seconds=0.4,
    channels=100_000,
    members=10_000,
    flap_seconds=10,
    call_seconds=2.0,
    budget_seconds=400.0,
)
QUICK = Plan(
    rounds=1,
    subscribers=20,
    turns=1,
    turn_seconds=0.1,
    channels=256,
    members=100,
    flap_seconds=1,
    call_seconds=0.1,
    budget_seconds=60.0,
)


@frozen
class Case:
    """One run of one generator against servers of its own."""

    name: str
    run: Callable[[Plan], list[Row]]
    once: bool = False
    """Whether it is the same in every round, and long."""
    packages: Sequence[str] = ("hawser", "trio")
    """The distributions whose versions matter."""

    @property
    def versions(self) -> str:
        """What was measured."""
        return ", ".join(f"{package} {version(package)}" for package in self.packages)


def _rows(module: str, *arguments: object) -> list[Row]:
    return [json.loads(line) for line in said([module, *map(str, arguments)], PATIENCE_SECONDS).splitlines()]


def _generated(load: str, port: int, pid: int, *arguments: object) -> list[Row]:
    return _rows("benchmarks.channels.generator", load, port, f"--server-pid={pid}", *arguments)


def _fan_outs(plan: Plan) -> list[Row]:
    with TemporaryDirectory() as folder, serving(OUR_SERVER) as (pid, port):
        stored = [*OUR_SERVER, f"--store={Path(folder) / 'store.db'}"]
        with serving(stored) as (store_pid, store_port), serving(TRANSPORT.command) as (plain_pid, plain_port):
            return _generated(
                "fanout",
                port,
                pid,
                f"--store-port={store_port}",
                f"--store-pid={store_pid}",
                f"--plain-port={plain_port}",
                f"--plain-pid={plain_pid}",
                f"--subscribers={plan.subscribers}",
                f"--turns={plan.turns}",
                f"--seconds={plan.turn_seconds}",
                f"--fill-seconds={plan.turn_seconds * 50}",
            )


def _weight(plan: Plan, *, traced: bool) -> list[Row]:
    with serving(OUR_SERVER) as (pid, port):
        return _generated("weigh", port, pid, f"--channels={plan.channels}", *(["--traced"] if traced else []))


def _join(presence: str, plan: Plan) -> list[Row]:
    with serving(OUR_SERVER) as (pid, port):
        return _generated("join", port, pid, f"--subscribers={plan.subscribers}", f"--presence={presence}")


def _flap(plan: Plan) -> list[Row]:
    with serving(OUR_SERVER) as (pid, port):
        return _generated(
            "flap",
            port,
            pid,
            f"--subscribers={plan.subscribers}",
            f"--members={plan.members}",
            f"--seconds={plan.flap_seconds}",
        )


def _call(kind: str, server: Sequence[str], plan: Plan) -> list[Row]:
    with serving(server) as (pid, port):
        return _called(kind, port, pid, plan)


def _call_agent(plan: Plan) -> list[Row]:
    with serving(OUR_SERVER) as (pid, port), running(["benchmarks.channels.agent", str(port)], GENERATOR_CORE) as agent:
        if not agent.stdout.readline().startswith("offering "):
            raise Failed(f"the agent did not begin: {agent.complaint()}")
        return _called("hawser", port, pid, plan, f"--agent-pid={agent.process.pid}", f"--procedure={PROCEDURE}")


def _called(kind: str, port: int, pid: int, plan: Plan, *arguments: str) -> list[Row]:
    caller = "benchmarks.channels.callers"
    return _rows(caller, kind, port, f"--server-pid={pid}", f"--seconds={plan.call_seconds}", *arguments)


_SOCKETIO: Final = ["benchmarks.peers.servers.socketio_server"]
_HTTP: Final = {each.name: each for each in POLLED}

FANOUT: Final = Case("fan-out", _fan_outs)
MEMORY: Final = (
    Case("memory: resident", partial(_weight, traced=False), once=True),
    Case("memory: alive", partial(_weight, traced=True), once=True),
)
JOINS: Final = (
    Case("join: presence off", partial(_join, "off")),
    Case("join: presence on", partial(_join, "on")),
    Case("join: presence on and watched", partial(_join, "watched")),
)
FLAPS: Final = Case("presence: members leave and come back", _flap, once=True)
OUR_CALL: Final = Case("call: Hawser, a procedure of the server", partial(_call, "hawser", OUR_SERVER))
CALLS: Final = (
    OUR_CALL,
    Case("call: Hawser, an agent through the server", _call_agent),
    Case(
        "call: python-socketio, its call",
        partial(_call, "socketio", _SOCKETIO),
        packages=("python-socketio", "aiohttp", "uvicorn", "uvloop"),
    ),
    *(
        Case(f"call: HTTP, {name}", partial(_call, "http", _HTTP[name].command), packages=_HTTP[name].packages)
        for name in ("uvicorn, httptools", "Hypercorn, Trio worker")
    ),
)
CASES: Final = (*MEMORY, FANOUT, *JOINS, FLAPS, *CALLS)
