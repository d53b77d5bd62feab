"""The one place that asks for the extra ``contract``: where an attrs class is declared first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .records import Records

INSTALL: Final = "pip install 'hawser[contract]'"


def load_records() -> type[Records]:
    """What turns maps into instances of attrs classes, and back.

    Raises:
        ModuleNotFoundError: cattrs is not installed; the message says what to do.
    """
    try:
        from .records import Records
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "cattrs":
            raise
        message = f"declared classes need {error.name!r}, which is not installed: {INSTALL}"
        raise ModuleNotFoundError(message, name=error.name) from None
    return Records
