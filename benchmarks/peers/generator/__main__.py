"""The command: ``python -m benchmarks.peers.generator KIND PORT …``; prints the outcome of each load as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from typing import TYPE_CHECKING, Final

from attrs import asdict

from .conversations import Conversation, Plain, SocketIO, Subprotocol
from .hawser import Hawser
from .loads import Bounds, echo, fanout
from .room import Room
from .wire import Lost

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS: Final[dict[str, type[Conversation]]] = {
    "plain": Plain,
    "transport": Subprotocol,
    "socketio": SocketIO,
    "hawser": Hawser,
}
COUNT_MAX: Final = 100_000
WARM_UP: Final = 32
LOADED: Final = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the connections up, run every load, print what each came to; 0, or 1 if the server did not play along."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.generator", description=__doc__)
    parser.add_argument("kind", choices=KINDS, help="what the server speaks")
    parser.add_argument("port", type=int, help="where it listens, on 127.0.0.1")
    parser.add_argument("--server-pid", type=int, required=True, help="its process, whose CPU time is measured")
    parser.add_argument("--subscribers", type=int, default=1_000, help="how many each publication goes to (1000)")
    parser.add_argument("--echoers", type=int, default=100, help="how many echo at the same time (100)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each load lasts (1)")
    options = parser.parse_args(arguments)
    bounds = Bounds(options.seconds, COUNT_MAX)
    try:
        with Room(options.port, KINDS[options.kind], options.server_pid) as room:
            room.fill(options.subscribers, options.echoers)
            gc.freeze()
            for outcome in (
                echo(room, WARM_UP * options.echoers, bounds),
                fanout(room, 1, WARM_UP, bounds),
                fanout(room, LOADED, WARM_UP, bounds),
            ):
                print(json.dumps(asdict(outcome)), flush=True)
    except (Lost, OSError) as error:
        print(f"{options.kind}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
