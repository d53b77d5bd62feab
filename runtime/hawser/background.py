"""Background tasks for objects that are opened with ``async with``.

No public context manager of Hawser leaks an exception group of one: what the body raises comes out as it was
raised, and a failure in the background comes out as itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from types import TracebackType


class Background:
    """A nursery that ends with the body: leaving it cancels what still runs in it.

    A class and no async generator, so that no scope is held over a yield.
    """

    def __init__(self) -> None:
        self._manager = trio.open_nursery()

    async def __aenter__(self) -> trio.Nursery:
        self.nursery: trio.Nursery = await self._manager.__aenter__()
        return self.nursery

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.nursery.cancel_scope.cancel(reason="the block it served is over")
        try:
            swallowed = await self._manager.__aexit__(kind, error, traceback)
            assert error is None or not swallowed, (
                "only this method cancels the nursery: no error of the body is its own"
            )
        except BaseExceptionGroup as group:
            single = only_error(group)
            if single is None:
                raise
        else:
            return
        if single is not error and not _same_group(single, error):
            raise single


def only_error(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The one error of a group, besides cancellations; None if there are several or none."""
    errors = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
    return errors[0] if len(errors) == 1 else None


def _same_group(one: BaseException, other: BaseException | None) -> bool:
    """Whether one is what a nursery makes of the other: it takes groups apart and puts them together again."""
    parts = [getattr(error, "exceptions", None) for error in (one, other)]
    return parts[0] is not None and parts[0] == parts[1]
