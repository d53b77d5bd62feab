"""The command: ``python -m benchmarks.channels.generator LOAD PORT …``; prints each row of the outcome as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Final

from benchmarks.peers.generator.conversations import Subprotocol
from benchmarks.peers.generator.hawser import Hawser
from benchmarks.peers.generator.loads import Bounds, fanout
from benchmarks.peers.generator.room import Room
from benchmarks.peers.generator.wire import Lost
from hawser.cli.bench.meter import Latencies, process_cpu_seconds

from .application import BARE, HISTORY, KEPT, PRESENT
from .sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
IN_FLIGHT: Final = (1, 16)
WARM_UP: Final = 3
COUNT_MAX: Final = 100_000
PER_SESSION: Final = 128
"""Channels of one session, as many as a server lets it have if it is told nothing else."""
FIRST: Final = 2_048
"""Channels before the first weighing: what is made once is there then, and tables are no longer small."""
TRANCHES: Final = 10
JOINS: Final = ("off", "on", "watched")
WATCHERS: Final = 10
"""Sessions that watch the members of a channel."""


def fan_outs(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Fan out to the same subscribers of a bare channel and of one with history, then of a server with a store.

    And to those of a server that has neither sessions nor offsets. In short turns, each beginning with another one, so
    that what disturbs the machine disturbs all of them.
    """
    names = f"{BARE}:room", f"{KEPT}:room"
    make = partial(Hawser, names)
    bounds = Bounds(options.seconds, COUNT_MAX)
    with (
        Room(options.port, make, options.server_pid) as memory,
        Room(options.store_port, make, options.store_pid) as store,
        Room(options.plain_port, Subprotocol, options.plain_pid) as plain,
    ):
        plain.fill(options.subscribers, 0)
        for room in (memory, store):
            room.fill(options.subscribers, 0)
            _publish_to(room, KEPT)
            fanout(room, IN_FLIGHT[-1], 0, Bounds(options.fill_seconds, HISTORY))  # from here on each drops one
        gc.freeze()
        rows = [
            ("no session, no offsets", plain, None),
            ("bare", memory, BARE),
            ("history in memory", memory, KEPT),
            ("history in SQLite", store, KEPT),
        ]
        for turn in range(options.turns):
            first = turn % len(rows)
            for in_flight in IN_FLIGHT:
                for name, room, channel in (*rows[first:], *rows[:first]):
                    if channel is not None:
                        _publish_to(room, channel)
                    outcome = fanout(room, in_flight, WARM_UP, bounds)
                    yield {
                        "row": name,
                        "in_flight": in_flight,
                        "count": outcome.count,
                        "seconds": outcome.seconds,
                        "server_cpu_us": outcome.server_cpu_us,
                        "generator_cpu_us": outcome.generator_cpu_us,
                    }


def _publish_to(room: Room, kind: str) -> None:
    assert room.publisher is not None
    assert isinstance(room.publisher.conversation, Hawser)
    room.publisher.conversation.channel = f"{kind}:room"


def weights(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Weigh a server before and after many channels with one subscriber each, and after a publication to each."""
    scales = Session(options.port)
    first = _subscribe(options.port, 0, FIRST)
    _publish_once(first)
    if options.traced:
        scales.call("trace")
    before = scales.call("weigh")
    weighed = _subscribe(options.port, FIRST, options.channels)
    row, which = ("alive", 1) if options.traced else ("resident", 0)
    for state in ("never published to", "published to once, without payload"):
        after = scales.call("weigh")
        yield {
            "row": f"{row}, {state}",
            "count": options.channels,
            "sessions": ceil(options.channels / PER_SESSION),
            "bytes": (after[which] - before[which]) / options.channels,
        }
        _publish_once(weighed)


def _subscribe(port: int, first: int, count: int) -> list[tuple[Session, list[str]]]:
    """Subscribe new sessions to so many channels that nobody has subscribed to; who has which."""
    subscribed: list[tuple[Session, list[str]]] = []
    for begin in range(first, first + count, PER_SESSION):
        end = min(begin + PER_SESSION, first + count)
        session, names = Session(port), [f"{BARE}:{number:07}" for number in range(begin, end)]
        session.subscribe(names)
        subscribed.append((session, names))
    return subscribed


def _publish_once(subscribed: Sequence[tuple[Session, list[str]]]) -> None:
    """Let each session publish nothing to each of its channels, and take that."""
    for session, names in subscribed:
        session.publish(names)


def joins(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Let sessions join one channel, one after the other; a row for each tenth of them."""
    kind = BARE if options.presence == "off" else PRESENT
    name = f"{kind}:room"
    sessions = [Session(options.port) for _ in range(options.subscribers)]
    gc.freeze()
    step = max(1, options.subscribers // TRANCHES)
    for first in range(0, options.subscribers, step):
        latencies, some = Latencies(), sessions[first : first + step]
        own, server = time.process_time(), process_cpu_seconds(options.server_pid)
        for session in some:
            began = time.perf_counter()
            session.subscribe([name])
            if options.presence != "off":
                session.appear(name, watch=options.presence == "watched")
            latencies.add(time.perf_counter() - began)
        yield {
            "row": first + len(some),
            "count": len(some),
            "server_cpu_us": (process_cpu_seconds(options.server_pid) - server) * 1e6 / len(some),
            "generator_cpu_us": (time.process_time() - own) * 1e6 / len(some),
            "p50_ms": latencies.quantile(0.5) * 1_000,
            "p99_ms": latencies.quantile(0.99) * 1_000,
        }


def flaps(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Let so many sessions a second leave a channel, and come back after half of one, while most members stay.

    Those that stay are another server's. There are more sessions than leave in a second, or each would be away whenever
    a step is told. A row for each second but the first, in which those come back that had not left.
    """
    name, count = f"{PRESENT}:arena", int(options.subscribers)
    sessions = [Session(options.port) for _ in range(count + count // 10 + 1)]
    watchers, scales = [Session(options.port) for _ in range(WATCHERS)], Session(options.port)
    before = scales.call("weigh")[0]
    for session in sessions:
        session.appear(name, watch=False)
    scales.call("crowd", name, options.members - len(sessions))
    weight = scales.call("weigh")[0] - before
    for watcher in watchers:
        watcher.watch(name)
    gc.freeze()
    for second in range(1 + ceil(options.seconds)):
        began, own, server = time.perf_counter(), time.process_time(), process_cpu_seconds(options.server_pid)
        for number in range(count):
            place = second * count + number
            sessions[place % len(sessions)].flap(name, here=False)
            sessions[(place - count // 2) % len(sessions)].flap(name, here=True)
            time.sleep(max(0.0, began + (number + 1) / count - time.perf_counter()))
        for session in sessions:
            session.answered()
        seconds = time.perf_counter() - began
        told = sum(watcher.take() for watcher in watchers) / len(watchers)
        if second:
            yield {
                "row": second,
                "count": count,
                "members": options.members,
                "seconds": seconds,
                "server_cpu_us": (process_cpu_seconds(options.server_pid) - server) * 1e6 / count,
                "generator_cpu_us": (time.process_time() - own) * 1e6 / count,
                "watcher_bytes": told / seconds,
                "member_bytes": weight / options.members,
            }


LOADS: Final[dict[str, Callable[[argparse.Namespace], Iterator[dict[str, object]]]]] = {
    "fanout": fan_outs,
    "weigh": weights,
    "join": joins,
    "flap": flaps,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one load; 0, or 1 if the server did not play along."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.channels.generator", description=__doc__)
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("port", type=int, help="where the server listens, on 127.0.0.1")
    parser.add_argument("--server-pid", type=int, required=True, help="its process, whose CPU time is measured")
    parser.add_argument("--store-port", type=int, help="fanout: where the server with the store listens")
    parser.add_argument("--store-pid", type=int, help="fanout: its process")
    parser.add_argument("--plain-port", type=int, help="fanout: where the server without sessions listens")
    parser.add_argument("--plain-pid", type=int, help="fanout: its process")
    parser.add_argument("--subscribers", type=int, default=1_000, help="of one channel (1000)")
    parser.add_argument("--seconds", type=float, default=0.4, help="of a turn, or of all flaps (0.4)")
    parser.add_argument("--fill-seconds", type=float, default=20.0, help="fanout: for history to fill (20)")
    parser.add_argument("--turns", type=int, default=6, help="fanout: how many turns each has (6)")
    parser.add_argument("--channels", type=int, default=100_000, help="weigh: how many (100000)")
    parser.add_argument("--traced", action="store_true", help="weigh: what is alive, not what is in memory")
    parser.add_argument("--presence", choices=JOINS, default="off", help="join: what else a join is (off)")
    parser.add_argument("--members", type=int, default=10_000, help="flap: how many there are (10000)")
    options = parser.parse_args(arguments)
    try:
        for row in LOADS[options.load](options):
            print(json.dumps(row), flush=True)
    except (Lost, OSError) as error:
        print(f"{options.load}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
