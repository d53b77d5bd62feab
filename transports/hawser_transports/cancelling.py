"""Cancel an operation at a chosen checkpoint, so that a test can try every one of them.

Whether an await that raises `trio.Cancelled` really did nothing shows only when each place where it may be
raised is visited; a timeout hits one of them by luck.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class _StepCounter(trio.abc.Instrument):
    """Cancels a scope when one task has yielded a given number of times."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._steps = steps
        self._task = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps -= 1
            if self._steps == 0:
                self._scope.cancel(reason="chosen checkpoint")


async def cancel_at_checkpoint(operation: Callable[[], Awaitable[object]], number: int) -> bool:
    """Run an operation and cancel it while it stands at its n-th checkpoint.

    Args:
        operation: What to run, in the calling task.
        number: 0 cancels before the operation starts, 1 at the first place where it yields, and so on.

    Returns:
        True if the operation was cancelled, False if it finished (it has fewer checkpoints, or is past the point
        of no return there). Count up from 0 until an operation that is never cancelled tells that all were visited.
    """
    with trio.CancelScope() as scope:
        if number == 0:
            scope.cancel(reason="chosen checkpoint")
            await operation()
        else:
            counter = _StepCounter(scope, number)
            trio.lowlevel.add_instrument(counter)
            try:
                await operation()
            finally:
                trio.lowlevel.remove_instrument(counter)
    return scope.cancelled_caught
