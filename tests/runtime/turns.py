"""A plugin for pytest that tells in which order everything happened: ``python -m pytest -p tests.runtime.turns``.

For each test in virtual time it writes a line to the file that ``HAWSER_TURNS`` names: the test, a digest of which task
went on when, step by step, and what the next draw would have been. Tests that are decided by their names alone have the
same lines in every process.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

import trio
from trio.abc import Instrument
from trio.testing import MockClock

if TYPE_CHECKING:
    import pytest

_turns = hashlib.sha256()


class Turns(Instrument):
    """Notes the steps of every task."""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `Instrument.before_task_step`."""
        if isinstance(trio.lowlevel.current_clock(), MockClock):
            _turns.update(f"{trio.current_time()} {task.name}\n".encode())


_run = trio.run


@wraps(_run)
def noting_run(*arguments: Any, instruments: Any = (), **options: Any) -> Any:
    """`trio.run`, and what it does is noted."""
    return _run(*arguments, instruments=[*instruments, Turns()], **options)


cast("Any", trio).run = noting_run


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin with nothing noted."""
    global _turns
    _turns = hashlib.sha256()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Write what was noted."""
    with open(os.environ["HAWSER_TURNS"], "a", encoding="utf-8") as file:
        file.write(f"{item.nodeid} {_turns.hexdigest()} {secrets.token_hex(8)}\n")
