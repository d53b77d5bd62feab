"""How a store fares: what fails is said in the log once while it lasts, and once when it is over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from .errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .errors import StoreError

log: Final = logging.getLogger("hawser")

Work: TypeAlias = Literal["read", "written"]
"""What is done with a store; both go on without the other."""

_MEANWHILE: Final[Mapping[Work, str]] = {
    "read": "history and letters are not given",
    "written": "nothing is published and no letter stored",
}


class Fortune:
    """Logs how a store fares, while it is open.

    Damage is logged once for good: it does not pass, and what is not damaged is read and written beside it.

    Args:
        path: Where the store is.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._failing: set[Work] = set()
        self._damaged = False

    def tell(self, work: Work, error: StoreError | None) -> None:
        """Say what has changed.

        Args:
            work: What was done with the store.
            error: Why it could not be; None: it could.
        """
        if isinstance(error, StoreDamaged):
            if not self._damaged:
                self._damaged = True
                log.error("%s; whoever needs what is damaged is refused", error)
        elif error is None:
            if work in self._failing:
                self._failing.remove(work)
                log.info("store %s: %s again", self._path, work)
        elif work not in self._failing:
            self._failing.add(work)
            log.error("%s; %s until it can be %s again", error, _MEANWHILE[work], work)
