"""What one seed draws before its world starts: limits, times, habits and which faults there are.

Every seed leaves some faults out and makes others frequent, so that over many seeds rare mixtures come up too.
"""

from random import Random
from typing import Final

from attrs import frozen

from hawser_engine.config import EngineConfig

__all__ = ["FAULTS", "LONGEST", "Plan", "draw_plan"]

FAULTS: Final = (
    "cut",
    "half-open",
    "stall",
    "slow-link",
    "give-up",
    "suspend",
    "suspend-clockless",
    "wall-step",
    "restart-kept",
    "restart-lost",
    "refuse",
    "auth-outage",
    "auth-slow",
    "pause",
    "move-client",
    "clone-client",
    "goodbye",
    "server-ends",
    "server-closes",
    "wrong-principal",
    "reauth",
    "collision",
    "broken-run",
    "broken-batch",
    "sleep-past-death",
    "sleep-past-expiry",
    "probe",
    "hostile-client",
    "hostile-server",
)
"""Everything that can go wrong, or is done at a bad moment; the order is that of the draws."""

_RARE: Final = frozenset(("restart-lost", "goodbye", "wrong-principal", "clone-client", "hostile-server"))
LONGEST: Final = 200_000
"""Bytes of the longest message in a world with messages of several parts."""
_GOAL: Final = 200


@frozen(kw_only=True)
class Plan:
    """The draws of one seed."""

    server: EngineConfig
    client: EngineConfig
    clients: int
    weights: tuple[float, ...]
    """How often each of FAULTS happens, relative to the others."""
    fault_every: float
    """Mean seconds between faults."""
    tick_every: float
    """Mean seconds between bursts of an application."""
    burst: int
    """Messages of a burst at most."""
    longest: int
    """Longest ordinary message in bytes."""
    giant: bool
    """Some messages need several parts."""
    giants: float
    """Share of those among the messages of a burst."""
    policies: float
    """Share of the messages that may expire or be replaced."""
    volatile: float
    """Share of bursts with uncounted messages."""
    shared: float
    """Share of the server's bursts that are shared batches."""
    delay: tuple[float, float]
    tear: float
    capacity: int
    lag: float
    """Seconds for which a slow reader keeps a message before it is delivered."""
    auth_seconds: float
    expiring: bool
    """Credentials expire."""
    goal: int = _GOAL
    """Messages that have to be delivered each way before the faults stop."""


def _config(draw: Random, *, giant: bool, wide: bool, clients: int) -> EngineConfig:
    """Draw the limits of one side: tiny ones mostly; wide ones hold a whole part and something beside it."""
    rnd = draw.random
    handshake = 2.0 + 4.0 * rnd()
    ping = 2.0 + 8.0 * rnd()
    pong = 1.0 + 4.0 * rnd()
    backoff = 1.0 + 3.0 * rnd()
    longest = LONGEST if giant else 4_096
    window = 66_000 + int(114_000 * rnd()) if wide else 300 + int(20_000 * rnd() * rnd())
    return EngineConfig(
        handshake_seconds=handshake,
        ping_interval_seconds=ping,
        pong_wait_seconds=pong,
        backoff_cap_seconds=backoff,
        resume_period_seconds=(handshake + ping + pong + backoff) * (1.5 + 2.0 * rnd()),
        write_seconds=2.0 + 6.0 * rnd(),
        reauth_seconds=1.0 + 2.0 * rnd(),
        window_messages=1 + int(3 * rnd()) if rnd() < 0.2 else 4 + int(47 * rnd() * rnd()),
        window_bytes=window,
        queue_messages=1 + int(60 * rnd()),
        queue_bytes=int((400_000 if wide else 30_000) * rnd()) + 500,
        reserve_bytes=int(20_000 * rnd()),
        message_bytes=longest,
        volatile_messages=1 + int(10 * rnd()),
        volatile_backlog_bytes=200 + int(4_000 * rnd()),
        messages_per_second=20.0 + 500.0 * rnd(),
        messages_burst=5 + int(300 * rnd()),
        controls_per_second=200.0 + 500.0 * rnd(),
        controls_burst=400 + int(1_000 * rnd()),
        sessions=clients + 2 + int(6 * rnd()),
        unconfirmed_sessions=2 + int(6 * rnd()),
        tombstones=1 + int(8 * rnd()),
        resumes_per_minute=10,
        preattach_bytes=700 + int(3_000 * rnd()),
    )


def draw_plan(draw: Random) -> Plan:
    """Draw everything that stays the same while the world of a seed runs."""
    rnd = draw.random
    clients = 2 + int(4 * rnd())
    giant = rnd() < 0.1
    wide = giant and rnd() < 0.7
    server = _config(draw, giant=giant, wide=wide, clients=clients)
    client = _config(draw, giant=giant, wide=wide, clients=clients)
    weights = tuple((0.0 if rnd() < 0.3 else 0.2 + rnd()) * (0.25 if name in _RARE else 1.0) for name in FAULTS)
    if sum(weights) < 1.0:
        weights = (1.0, *weights[1:])
    fast = rnd() < 0.7
    return Plan(
        server=server,
        client=client,
        clients=clients,
        weights=weights,
        fault_every=0.1 + 0.7 * rnd(),
        tick_every=0.3 + 0.8 * rnd(),
        burst=6 + int(34 * rnd()),
        longest=int(4_000 * rnd() * rnd() * rnd()),
        giant=giant,
        giants=0.03 + (0.07 * rnd() if wide else 0.0),
        policies=0.3 * rnd() if rnd() < 0.6 else 0.0,
        volatile=0.5 * rnd() if rnd() < 0.7 else 0.0,
        shared=0.5 * rnd() if rnd() < 0.6 else 0.0,
        delay=(0.001, 0.005 + 0.05 * rnd()) if fast else (0.02, 0.1 + 0.2 * rnd()),
        tear=0.4 * rnd(),
        capacity=400 + int(20_000 * rnd() * rnd()),
        lag=0.0 if rnd() < 0.5 else 0.5 * rnd(),
        auth_seconds=0.0 if rnd() < 0.3 else 0.3 * rnd(),
        expiring=rnd() < 0.3,
    )
