"""One process, one mutant: plant it, run seeds until something is noticed, print what it was as JSON.

Standard output carries one line per finished seed that noticed nothing, then one JSON object.
"""

import argparse
import json
import time
from typing import Any

from tests.simulation.patience import Endless, limited

from .catalogue import MUTANTS
from .patching import StaleMutant, check, install

__all__ = ["main"]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants.worker")
    parser.add_argument("name", help="a mutant, or `none` for the engine as it is")
    parser.add_argument("seeds", type=int, nargs="*")
    parser.add_argument("--then-to", type=int, default=0, help="afterwards also the seeds below this one")
    parser.add_argument("--seconds-max", type=float, default=60.0, help="processor time of one seed")
    arguments = parser.parse_args()
    listed: list[int] = arguments.seeds
    listed.extend(seed for seed in range(arguments.then_to) if seed not in frozenset(listed))
    name: str = arguments.name
    print(json.dumps(_run(name, listed, arguments.seconds_max)), flush=True)


def _run(name: str, seeds: list[int], seconds_max: float) -> dict[str, Any]:
    mutant = None if name == "none" else MUTANTS[name]
    try:
        if mutant is not None:
            check(mutant)
    except StaleMutant as stale:
        return {"name": name, "stale": str(stale)}
    reached = install(mutant)
    from tests.simulation.run import run_seed  # only now: it imports the engine

    started = time.perf_counter()
    for done, seed in enumerate(seeds, 1):
        try:
            with limited(seconds_max):
                violation = run_seed(seed).violation
        except Endless as endless:
            violation = f"endless: {endless}"
        if violation is not None:
            return {
                "name": name,
                "seed": seed,
                "violation": violation,
                "seeds": done,
                "reached": reached.counts,
                "seconds": time.perf_counter() - started,
            }
        print(seed, flush=True)
    return {"name": name, "seeds": len(seeds), "reached": reached.counts, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
