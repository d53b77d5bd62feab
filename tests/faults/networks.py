"""Hostile networks: what they are called, what they do, and a server with two clients behind each of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from tests.faults.emulator import Conditions, Emulator, Policy
from tests.faults.journey import APP, Traffic, travel
from tests.faults.processes import hawser, running
from tests.faults.proxy import Kind, Proxy, Route

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.faults.journey import Journey

CARRIAGES: Final = ("ws", "poll", "auto")
"""What ``--transport`` of both clients says; the last one takes whichever of the others gets through."""
FULL: Final = Traffic(5_000, 25.0)
FEW: Final = Traffic(500, 25.0)
"""Where a link loses so much that TCP itself hardly moves."""
NEAR: Final = 0.01
"""Seconds to the other end, where a network has nothing to say about that."""

_PORT: Final = 8_000


@attrs.frozen(kw_only=True)
class Network:
    """A way to be hostile."""

    title: str
    conditions: Conditions
    """Of the emulated link."""
    traffic: Traffic = FULL
    retransmitted: float = 0.0
    """What becomes of it above TCP, where a proxy has to do: this share of pieces is late by a retransmission."""
    late_seconds: float = 0.25


NETWORKS: Final = {
    "loss-2": Network(title="2 % loss", conditions=Conditions(loss=0.02, delay_seconds=NEAR), retransmitted=0.04),
    "loss-10": Network(title="10 % loss", conditions=Conditions(loss=0.1, delay_seconds=NEAR), retransmitted=0.2),
    "loss-30": Network(
        title="30 % loss",
        conditions=Conditions(loss=0.3, delay_seconds=NEAR),
        traffic=FEW,
        retransmitted=0.5,
        late_seconds=1.0,
    ),
    "rtt-1500": Network(title="1.5 s round trip", conditions=Conditions(delay_seconds=0.75)),
    "reordering": Network(
        title="25 % reordered",
        conditions=Conditions(reordered=0.25, delay_seconds=NEAR),
        retransmitted=0.25,
        late_seconds=0.03,
    ),
    "duplication": Network(title="25 % doubled", conditions=Conditions(duplicated=0.25, delay_seconds=NEAR)),
    "rate-limit": Network(title="256 kbit/s", conditions=Conditions(bytes_per_second=32_000, delay_seconds=NEAR)),
    "blackhole": Network(
        title="5 s on, 2 s off", conditions=Conditions(up_seconds=5.0, down_seconds=2.0, delay_seconds=NEAR)
    ),
    "address-change": Network(
        title="new address every 4 to 6 s", conditions=Conditions(address_seconds=5.0, delay_seconds=NEAR)
    ),
}


@attrs.frozen
class Outcome:
    """A run that was exact."""

    journey: Journey
    bytes_sent: int
    """By all hosts, both ways: packets on an emulated link, the content of TCP connections elsewhere."""


async def cross(network: Network, carriage: str, folder: Path, *, seed: int = 0, config: str = "") -> Outcome:
    """Carry the traffic of a network over an emulated link.

    Args:
        network: Which.
        carriage: What ``--transport`` says.
        folder: For what the server is served.
        seed: Of the link.
        config: Of the server; with nothing in it, every default.
    """
    async with Emulator.open() as emulator:
        policy = Policy(network.conditions, seed)
        listen = f"http://{emulator.address}:{_PORT}/"
        async with running(*emulator.far.command(*serve_command(folder, config, listen)), cwd=folder) as server:
            await server.out.until("^listening on ")
            journey = await travel(
                listen,
                carriage,
                network.traffic,
                command=emulator.near.command,
                begin=partial(emulator.become, policy),
                seconds_down=network.conditions.seconds_down,
                round_trip=2 * network.conditions.delay_seconds,
            )
        check_log(server.err.texts)
    return Outcome(journey, sum(counts.bytes for counts in policy.counts.values()))


async def cross_by_proxy(network: Network, carriage: str, folder: Path, *, seed: int = 0, config: str = "") -> Outcome:
    """Carry the same where there are no namespaces: a proxy does to streams what the network does to them.

    Loss and reordering are below TCP, where they turn into pieces that come late. Duplication turns into nothing.
    """
    conditions = network.conditions
    rate = conditions.bytes_per_second

    def plan(_: random.Random) -> Route:
        return Route(
            latency=conditions.delay_seconds,
            rate=None if rate is None else int(rate),
            late=network.retransmitted,
            late_seconds=network.late_seconds,
        )

    async with running(*serve_command(folder, config, "http://127.0.0.1:0/"), cwd=folder) as server:
        listening = await server.out.until(r"^listening on .*:(\d+)/")
        async with trio.open_nursery() as nursery:
            proxy: Proxy = await nursery.start(Proxy(int(listening[1]), plan=plan, seed=seed).run)
            journey = await travel(
                f"http://127.0.0.1:{proxy.port}/",
                carriage,
                network.traffic,
                begin=lambda: nursery.start_soon(_disturb, proxy, conditions),
                seconds_down=conditions.seconds_down,
                round_trip=2 * conditions.delay_seconds,
            )
            nursery.cancel_scope.cancel()
    check_log(server.err.texts)
    return Outcome(journey, proxy.bytes_passed)


async def _disturb(proxy: Proxy, conditions: Conditions) -> None:
    """What a network does from time to time."""
    if conditions.up_seconds is not None:
        while True:
            await trio.sleep(conditions.up_seconds)
            proxy.hold()
            await trio.sleep(conditions.down_seconds)
            proxy.release()
    if conditions.address_seconds is not None:
        while True:
            await trio.sleep(conditions.address_seconds)
            proxy.strike(Kind.BLACKHOLE)


def serve_command(folder: Path, config: str, *listen: str) -> tuple[str, ...]:
    """The command of a server, at all of these places, of an app that it finds in its folder."""
    (folder / "crossed.py").write_text(APP)
    (folder / "serve.toml").write_text(config)
    places = [word for each in listen for word in ("--listen", each)]
    return hawser("serve", *places, "--app", "crossed:app", "--config", str(folder / "serve.toml"))


def check_log(lines: list[str]) -> None:
    """A server whose clients come and go has nothing to complain about."""
    assert not [line for line in lines if "ERROR" in line or "Traceback" in line]
