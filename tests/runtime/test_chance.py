"""Chance: the system's in production, and in tests what their names decide; and nothing else decides anything."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given

import hawser
import hawser_transports
from hawser import ClientPool, connect, serve
from hawser.brokers import MemoryBroker, MemoryMailboxes, MemoryPresence, MemorySessions
from hawser.brokers.sqlite import SqliteBroker
from hawser_transports import LongPollTransport, WebSocketTransport
from tests.conftest import LOTS

DEFAULT: Final = "random_bytes: Callable[[int], bytes] = secrets.token_bytes"
CHANCE: Final = re.compile(r"\b(?:secrets\.\w+|token_\w+|urandom|getrandom|uuid\d|randomblob|randbytes|Random)\b")

# ---------------------------------------------------------------- production


@pytest.mark.parametrize(
    "taker",
    [
        ClientPool,
        LongPollTransport,
        MemoryBroker,
        MemoryMailboxes,
        MemoryPresence,
        MemorySessions,
        SqliteBroker,
        WebSocketTransport,
        connect,
        serve,
    ],
)
def test_who_is_given_no_source_draws_by_secrets(taker: Any) -> None:
    assert signature(taker).parameters["random_bytes"].default is secrets.token_bytes


def test_chance_comes_in_as_an_argument_and_nowhere_else() -> None:
    found: dict[str, set[str]] = {}
    for package in (hawser, hawser_transports):
        root = Path(package.__path__[0])
        for path in root.rglob("*.py"):
            text = path.read_text(encoding="utf-8").replace(DEFAULT, "")
            if drawn := set(CHANCE.findall(re.sub(r'""".*?"""|`[^`]*`', "", text, flags=re.DOTALL))):
                found[str(path.relative_to(root.parent))] = drawn
    assert found == {
        "hawser/brokers/base.py": {"secrets.token_bytes"},  # for brokers that have no source
        "hawser/brokers/sqlite/file.py": {"token_hex"},  # has to differ, whatever is drawn elsewhere
        "hawser/cli/bench/commands.py": {"secrets.token_hex"},  # the name of a channel on a server that others use
        "hawser/cli/relay.py": {"Random"},  # with a seed
        "hawser/server/asking.py": {"secrets.token_bytes"},  # the name of a question, where there may be no server
        "hawser/server/sending.py": {"secrets.token_bytes"},  # the id of an incident, likewise
        "hawser/testing/network.py": {"Random"},  # with a seed
        "hawser/testing/seeds.py": {"Random", "randbytes"},  # with a seed
    }


PROGRAM: Final = """
import hawser.testing, trio
from hawser import App, connect, serve
async def main():
    app = App()
    app.channel("*", open=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, app, "memory://here")
        async with connect("memory://here") as client:
            print((await client.publish("one", 1)).position.epoch.hex(), client._keys._instance.hex())
        nursery.cancel_scope.cancel()
hawser.testing.run_seeded(main, seed=1)
"""


@pytest.mark.slow
def test_no_two_processes_draw_the_same() -> None:
    runs = [subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True) for _ in "ab"]
    words = " ".join(run.stdout for run in runs).split()
    assert len(set(words)) == len(words) == 4


@pytest.mark.slow
def test_what_a_test_forks_draws_from_the_system() -> None:
    program = (
        "import os, secrets, tests.conftest\n"
        "if child := os.fork(): os.waitpid(child, 0)\n"
        "print(secrets.token_hex(16), flush=True)\n"
    )
    parents = list[str]()
    children = list[str]()
    for _ in "ab":
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        child, parent = done.stdout.split()
        parents.append(parent)
        children.append(child)
    assert parents[0] == parents[1]
    assert len({*children, *parents}) == 3


# ---------------------------------------------------------------- tests


def test_a_test_draws_by_its_name(request: pytest.FixtureRequest) -> None:
    drawn = secrets.token_bytes(16), secrets.randbits(64), secrets.choice(range(2**62)), secrets.randbelow(2**64)
    LOTS.seed(f"{os.environ.get('HAWSER_TEST_SEED', '')}:{request.node.nodeid}")
    assert drawn == (
        secrets.token_bytes(16),
        secrets.randbits(64),
        secrets.choice(range(2**62)),
        secrets.randbelow(2**64),
    )


SEEN: Final = set[bytes]()


@given(...)
def test_every_example_of_a_property_draws_the_same(example: int) -> None:
    SEEN.add(secrets.token_bytes(16))
    assert len(SEEN) == 1, example


STIRRED: Final = [
    f"tests/runtime/test_{name}.py" for name in ("draining", "fetching_credentials", "resets", "rewinding", "waking")
]
"""Where much is drawn and decides something."""


@pytest.mark.slow
def test_every_test_takes_the_same_turns_in_every_process_and_others_by_another_seed(tmp_path: Path) -> None:
    told = list[list[str]]()
    for number, (hashes, seed) in enumerate((("1", ""), ("2", ""), ("2", "another"))):
        file = tmp_path / str(number)
        wishes = {"PYTHONHASHSEED": hashes, "HAWSER_TEST_SEED": seed, "HAWSER_TURNS": str(file)}
        subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tests.runtime.turns", "-n", "0", *STIRRED],
            env={**os.environ, **wishes},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        told.append(file.read_text(encoding="utf-8").splitlines())
    first, again, other = told
    assert len(first) > 50
    assert first == again
    assert sum(one != another for one, another in zip(first, other, strict=True)) > len(first) / 2
